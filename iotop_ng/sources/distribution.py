"""Which command installs what, by /etc/os-release (os-release(5))."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from iotop_ng.sources.kept_file import read_small


class Packages(NamedTuple):
    """Commands that install what we need on one distribution."""

    bcc: str
    headers: str


_DEBIAN = Packages("apt install python3-bpfcc", "apt install linux-headers-$(uname -r)")
_FEDORA = Packages("dnf install python3-bcc", "dnf install kernel-devel-$(uname -r)")
_SUSE = Packages("zypper install python3-bcc", "zypper install kernel-default-devel")
_KNOWN = {
    "debian": _DEBIAN,
    "ubuntu": _DEBIAN,
    "fedora": _FEDORA,
    "rhel": _FEDORA,
    "centos": _FEDORA,
    "amzn": _FEDORA,
    "suse": _SUSE,
    "opensuse": _SUSE,
    "arch": Packages("pacman -S python-bcc", "pacman -S linux-headers"),
    "alpine": Packages("apk add py3-bcc", "apk add linux-lts-dev"),
}
_UNKNOWN = Packages(
    "install your distribution's BCC for Python (python3-bpfcc or python3-bcc)",
    "install the headers of the running kernel",
)


def packages(root: Path = Path("/")) -> Packages:
    """Return this distribution's commands; its relatives (ID_LIKE) are looked at in order."""
    raw = read_small(root / "etc/os-release") or read_small(root / "usr/lib/os-release") or b""
    text = raw.decode("utf-8", "replace")
    names: list[str] = []
    for key in ("ID", "ID_LIKE"):
        match = re.search(rf"^{key}=[\"']?([\w .-]+)", text, re.MULTILINE)
        names += match.group(1).split() if match else []
    return next((_KNOWN[name] for name in names if name in _KNOWN), _UNKNOWN)
