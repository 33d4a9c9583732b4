"""How much room a directory has, and what kind of file system it is on."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from iotop_ng.errors import IotopError, NotPermittedError
from iotop_ng.units import clean, human

_GIB = 1 << 30

NOTES = {
    "tmpfs": "is in memory (tmpfs): nothing of what is written there reaches a disk",
    "ramfs": "is in memory (ramfs): nothing of what is written there reaches a disk",
    "overlay": "is on an overlay: what is written goes to the disk of its upper directory",
}
"""What one should know of a kind of file system before believing the numbers."""

RANGES = frozenset({"bcachefs", "btrfs", "exfat", "ext2", "ext3", "ext4", "f2fs", "vfat", "xfs"})
"""Where sync_file_range(2) does what it says. On an overlay it looks into the wrong file, and who
keeps dirty data elsewhere than in the page cache (ZFS) knows nothing of it."""


class Space(NamedTuple):
    """Of a file system."""

    size_bytes: int
    free_bytes: int
    """For users other than root."""

    @property
    def kept_bytes(self) -> int:
        """Return what has to stay free.

        5 %, which is what ext4 itself keeps back and below which file systems begin to search for
        room; on small disks more, up to 1 GiB (a tenth at most), as other programs need some.
        """
        return max(self.size_bytes // 20, min(_GIB, self.size_bytes // 10))


def usual_span(room: Space) -> int:
    """Return what a hog rewrites that was not told: 1 GiB, or a quarter of what is free.

    Half a second of a fast disk's work (2 GB/s) fits in, which is under way at the same time.
    """
    return min(_GIB, room.free_bytes // 4)


def space(directory: Path) -> Space:
    """Return how much room there is.

    Raises:
        IotopError: there is no such directory, or it cannot be looked at.
    """
    try:
        found = os.statvfs(directory)
    except OSError as error:
        raise refused(directory, error) from None
    return Space(found.f_blocks * found.f_frsize, found.f_bavail * found.f_frsize)


def refused(directory: Path, error: OSError) -> IotopError:
    """Return what the kernel said of a directory as an error of ours."""
    kind = NotPermittedError if isinstance(error, PermissionError) else IotopError
    return kind(f"{clean(str(directory), 200)}: {error.strerror}")


def require(directory: Path, room: Space, needed: int) -> None:
    """Raise IotopError unless there is room for so many bytes."""
    if room.free_bytes - needed < room.kept_bytes:
        raise IotopError(
            f"{clean(str(directory), 200)}: {human(room.free_bytes)} are free, needed are"
            f" {human(needed)} and {human(room.kept_bytes)} that stay free;"
            " choose a smaller --span or another directory"
        )


def kind(directory: Path, mounts: Path = Path("/proc/self/mountinfo")) -> str:
    """Return the kind of file system that a directory is on: "ext4", "tmpfs"; "" if unknown.

    proc_pid_mountinfo(5): the mount with the longest path wins, of equal ones the last.
    """
    where = f"{directory.resolve()}/"
    found, longest = "", 0
    try:
        lines = mounts.read_text("utf-8", "replace").splitlines()
    except OSError:
        return ""
    for line in lines:
        left, _, right = line.partition(" - ")
        path = left.split()[4].replace("\\040", " ")
        if where.startswith(f"{path.rstrip('/')}/") and len(path) >= longest:
            found, longest = right.split()[0], len(path)
    return found
