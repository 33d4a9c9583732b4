"""The whole disks under a device: through partitions, device mapper, md and loop, from sysfs.

io.max takes whole disks only: a partition's number is refused with ENODEV.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from iotop_ng.sources.kept_file import read_small
from iotop_ng.units import clean

_MAX_DEPTH = 16


class Disk(NamedTuple):
    """A whole disk."""

    major: int
    minor: int
    name: str

    @property
    def key(self) -> str:
        """As io.max names it: "8:0"."""
        return f"{self.major}:{self.minor}"


class BlockStack:
    """Looks devices up; nothing is kept, because devices come and go."""

    def __init__(self, root: Path = Path("/")) -> None:
        self._root = root

    def disks(self, major: int, minor: int) -> frozenset[Disk]:
        """Return the disks at the bottom; none for a number that is no block device's."""
        return frozenset(self._below(major, minor, _MAX_DEPTH))

    def exists(self, key: str) -> bool:
        """Say whether a disk ("8:0") is still there."""
        return self._directory(key).exists()

    def queue_file(self, disk: Disk, name: str) -> str:
        """Return the text of /sys/block/DISK/queue/NAME, "" when it is not there."""
        raw = read_small(self._directory(disk.key) / "queue" / name, 4096)
        return (raw or b"").decode("ascii", "replace").strip()

    def has_queue_file(self, disk: Disk, name: str) -> bool:
        """Say whether the queue has this setting."""
        return (self._directory(disk.key) / "queue" / name).exists()

    def _directory(self, key: str) -> Path:
        return Path(os.path.realpath(self._root / f"sys/dev/block/{key}"))

    def _below(self, major: int, minor: int, depth: int) -> list[Disk]:
        directory = self._directory(f"{major}:{minor}")
        if depth == 0 or not directory.exists():
            return []
        if (directory / "partition").exists():
            return self._numbered(directory.parent, depth)
        try:
            slaves = sorted((directory / "slaves").iterdir())
        except OSError:
            slaves = []
        found = [disk for slave in slaves for disk in self._numbered(slave, depth)]
        if found:
            return found
        # A loop device itself too: it writes through the page cache of its file unless it was set
        # up for direct I/O, so a limit of the disk below is reached late, or never.
        return [Disk(major, minor, clean(directory.name, 64)), *self._under_loop(directory, depth)]

    def _numbered(self, directory: Path, depth: int) -> list[Disk]:
        number = _number(read_small(directory / "dev"))
        return [] if number is None else self._below(*number, depth - 1)

    def _under_loop(self, directory: Path, depth: int) -> list[Disk]:
        raw = read_small(directory / "loop/backing_file")
        if raw is None:
            return []
        # Its kernel thread reads and writes the file in the name of whoever asked (since 5.14).
        try:
            held = (self._root / os.fsdecode(raw.rstrip(b"\n")).lstrip("/")).stat()
        except OSError:
            return []
        return self._below(os.major(held.st_dev), os.minor(held.st_dev), depth - 1)


def _number(raw: bytes | None) -> tuple[int, int] | None:
    try:
        major, minor = (raw or b"").split(b":")
        return int(major), int(minor)
    except ValueError:
        return None
