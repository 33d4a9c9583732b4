"""Loop devices and file systems that go away by themselves."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.kernel.gate import wait_until

_LOOP_CLR_FD = 0x4C01  # include/uapi/linux/loop.h
_CLONE_NEWNS = 0x00020000
_MS_REC_PRIVATE = 0x4000 | 0x40000
_libc = ctypes.CDLL(None, use_errno=True)

MKFS = {
    "ext4": ("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0,nodiscard"),
    "xfs": ("mkfs.xfs", "-q", "-f", "-K"),
    "btrfs": ("mkfs.btrfs", "-q", "-f", "-K"),
}


def _checked(result: int, what: str) -> None:
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), what)


def leave_mount_namespace() -> None:
    """Mount for this process and its children only: what is mounted goes when they end."""
    _checked(_libc.unshare(_CLONE_NEWNS), "unshare")
    _checked(_libc.mount(None, b"/", None, ctypes.c_ulong(_MS_REC_PRIVATE), None), "private")


def run(*command: str | Path) -> str:
    """Run a command and return what it says."""
    words = [str(part) for part in command]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{words}: {done.stderr}"
    return done.stdout


def is_done(*command: str | Path) -> bool:
    """Run a command and say whether it worked."""
    words = [str(part) for part in command]
    return subprocess.run(words, capture_output=True, check=False).returncode == 0


class Disk(NamedTuple):
    """A loop device over a sparse file in memory."""

    name: str
    """As in /proc/diskstats."""
    path: Path


class Mounted(NamedTuple):
    """A file system of its own on a `Disk`."""

    kind: str
    disk: Disk
    path: Path

    def flush(self) -> None:
        """Write back everything that is dirty; kernel threads do the writing."""
        fd = os.open(self.path, os.O_RDONLY)
        try:
            _checked(_libc.syncfs(fd), "syncfs")
        finally:
            os.close(fd)


@contextlib.contextmanager
def loop_disk(directory: Path, size: int) -> Iterator[Disk]:
    """Make a loop device of `size` bytes, which the kernel frees when its last user closes it."""
    image = directory / "image"
    with image.open("wb") as file:
        file.truncate(size)
    try:
        path = Path(run("losetup", "--find", "--show", image).strip())
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            # While it is open twice, this only says that the last user's close frees it.
            with path.open("rb", buffering=0) as second:
                fcntl.ioctl(second, _LOOP_CLR_FD)
            yield Disk(path.name, path)
        finally:
            os.close(fd)
    finally:
        image.unlink()


@contextlib.contextmanager
def mounted(disk: Disk, kind: str, directory: Path, options: str = "noatime") -> Iterator[Mounted]:
    """Make a file system on a disk and mount it at `directory`."""
    run(*MKFS[kind], disk.path)
    directory.mkdir()
    run("mount", "-t", kind, "-o", options, disk.path, directory)
    try:
        yield Mounted(kind, disk, directory)
    finally:
        # io_uring lets go of its files only after its process has ended.
        wait_until(lambda: is_done("umount", directory), f"umount {directory}", 20)
        directory.rmdir()


@contextlib.contextmanager
def setting(path: Path, value: str) -> Iterator[None]:
    """Write a kernel setting; put the old one back afterwards."""
    before = path.read_text("ascii")
    path.write_text(value, "ascii")
    try:
        yield
    finally:
        path.write_text(before, "ascii")
