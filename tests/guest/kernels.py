"""Debian's own kernels: downloaded with apt, unpacked into the user's cache, never installed.

``python -m tests.guest.kernels`` fetches those that tests run on and says what could not be had.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

KERNELS = {"linux-image-amd64": "ext4", "linux-image-6.12-amd64": "xfs"}
"""Metapackage -> what is on the guest's disk. All tests run on the first one.

The others, and older and newer ones, are in the matrix: tests/guest/matrix.py."""
SLOW_KERNELS = {"linux-image-rt-amd64": "btrfs", "linux-image-6.12-rt-amd64": "ext4"}
"""Only with IOTOP_NG_GUESTS=all: waiting for each other's CPUs takes these minutes under TCG."""
WITH_HEADERS = "linux-image-amd64"
_HEADERS = re.compile(r"linux-headers-\S+")


class FetchError(Exception):
    """A kernel cannot be had here."""


class Kernel(NamedTuple):
    """An unpacked kernel."""

    root: Path
    """As the packages lay it out: boot/, lib/modules/, usr/src/ (headers, where fetched)."""

    @property
    def modules(self) -> Path:
        """The directory of its modules, named by its release."""
        places = (self.root / "lib/modules", self.root / "usr/lib/modules")
        return next(path for place in places if place.is_dir() for path in place.iterdir())

    @property
    def release(self) -> str:
        """As `uname -r` says in the guest."""
        return self.modules.name

    @property
    def image(self) -> Path:
        """What QEMU boots."""
        image = self.root / f"boot/vmlinuz-{self.release}"
        return image if image.exists() else self.modules / "vmlinuz"


def wanted() -> dict[str, str]:
    """Return metapackage -> file system of the kernels to run on."""
    return {**KERNELS, **SLOW_KERNELS} if os.environ.get("IOTOP_NG_GUESTS") == "all" else KERNELS


def cache_directory() -> Path:
    """Return where kernels are kept, 100 to 500 MiB each."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "iotop-ng-guests"


def cached(metapackage: str) -> Kernel | None:
    """Return the kernel that was fetched for a metapackage, or None."""
    root = cache_directory() / metapackage
    return Kernel(root.resolve()) if root.exists() else None


def run(*command: str | Path, cwd: Path | None = None) -> str:
    """Return what a command prints.

    Raises:
        FetchError: it fails, with its last line.
    """
    words = [str(word) for word in command]
    try:
        done = subprocess.run(words, cwd=cwd, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise FetchError(f"{words[0]} is not installed") from None
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip() or "no word why").splitlines()
        raise FetchError(f"{' '.join(words[:2])} failed: {said[-1]}")
    return done.stdout


def _image_of(metapackage: str) -> str:
    """Return the package that a metapackage stands for today."""
    for line in run("apt-cache", "depends", metapackage).splitlines():
        name = line.partition("Depends: ")[2]
        if name.startswith("linux-image-"):
            return name
    raise FetchError(f"apt offers no {metapackage}")


def _headers_of(image: str) -> list[str]:
    """Return the packages with the headers of an image: its own and those of all flavours."""
    own = image.replace("linux-image-", "linux-headers-", 1)
    depends = run("apt-cache", "depends", own).splitlines()
    return [own, *(name for line in depends[1:] for name in _HEADERS.findall(line))]


def _unpack(packages: Sequence[str], root: Path, options: Sequence[str]) -> None:
    """Download packages and unpack them into one directory."""
    with tempfile.TemporaryDirectory(dir=root.parent) as downloads:
        # Root's apt gives up its privileges to a user who may not write here.
        user = ["-o", "APT::Sandbox::User=root"] if os.geteuid() == 0 else []
        run("apt-get", "-qq", *user, *options, "download", *packages, cwd=Path(downloads))
        for package in sorted(Path(downloads).glob("*.deb")):
            run("dpkg", "-x", package, root)


def fetch(metapackage: str) -> Kernel:
    """Return the newest kernel of a metapackage; what the cache has is used as it is.

    Raises:
        FetchError: when apt cannot give it and no earlier one is cached.
    """
    cache = cache_directory()
    cache.mkdir(parents=True, exist_ok=True)
    try:
        image = _image_of(metapackage)
        if not (cache / image).exists():
            headers = _headers_of(image) if metapackage == WITH_HEADERS else []
            unpacked(cache / image, [image, *headers])
    except FetchError:
        earlier = cached(metapackage)
        if earlier is None:
            raise
        return earlier
    point(cache / metapackage, image)
    return Kernel(cache / image)


def unpacked(root: Path, packages: Sequence[str], options: Sequence[str] = ()) -> Kernel:
    """Return a kernel of the cache; download and unpack its packages when it is not there.

    Args:
        root: where it is, or comes to be.
        packages: what it consists of.
        options: of apt-get, where not this machine's sources are meant.

    Raises:
        FetchError: it cannot be had.
    """
    if not root.exists():
        with tempfile.TemporaryDirectory(dir=root.parent, prefix=".new-") as made:
            new = Path(made) / "root"
            _unpack(packages, new, options)
            if not (new / "lib").exists():
                (new / "lib").symlink_to("usr/lib")
            run(shutil.which("depmod") or "/sbin/depmod", "-b", new, Kernel(new).release)
            new.rename(root)
    return Kernel(root)


def point(link: Path, image: str) -> None:
    """Let a metapackage's link point to its kernel; remove the one that it pointed to before."""
    before = link.readlink().name if link.is_symlink() else None
    if before == image:
        return
    link.unlink(missing_ok=True)
    link.symlink_to(image)
    if before is not None:
        shutil.rmtree(link.with_name(before), ignore_errors=True)


def main() -> None:
    """Fetch every kernel that is wanted."""
    for metapackage in wanted():
        try:
            fetch(metapackage)
        except FetchError as error:  # noqa: PERF203  # one that fails keeps none away
            print(f"{metapackage} is not to be had: {error}", file=sys.stderr)  # noqa: T201


if __name__ == "__main__":
    main()
