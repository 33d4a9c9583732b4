"""What the operator of this machine protects beyond the built-in list: a file that root owns.

    # /etc/iotop-ng/protect.toml
    programs = ["postgres*"]
    cgroups = ["/system.slice/mariadb.service"]

It can only add. It is read again for each order, so that nothing has to be restarted.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from iotop_ng.errors import UsageError
from iotop_ng.policy.protect import Protection

FILE = Path("/etc/iotop-ng/protect.toml")
_NONE = Protection()
_NO_TEXTS: tuple[str, ...] = ()


def operator_protection(path: Path = FILE, owner: int = 0) -> Protection:
    """Return what the file adds; nothing where there is none.

    Raises:
        UsageError: it has mistakes, cannot be read, or is not root's alone. Then nothing is acted
            on: somebody counts on what it says.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return _NONE
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error
    with os.fdopen(fd, "rb") as file:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise UsageError(f"{path}: not a plain file")
        if status.st_uid != owner or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise UsageError(f"{path}: others than root may write it (chown root, chmod go-w)")
        return _parsed(file.read(), path)


def _parsed(raw: bytes, path: Path) -> Protection:
    # Few machines have the file; the parser takes 5 ms to load.
    from iotop_ng.policy import tables  # noqa: PLC0415 - seldom there

    if len(raw) > tables.SIZE_LIMIT:
        raise UsageError(f"{path}: larger than 1 MiB")
    try:
        document = tables.Document(raw.decode(), str(path))
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: not UTF-8") from error
    programs = document.top.take("programs", tables.texts, _NO_TEXTS)
    cgroups = document.top.take("cgroups", tables.texts, _NO_TEXTS)
    document.finish(["programs", "cgroups"])
    return Protection(programs=programs, cgroups=cgroups)
