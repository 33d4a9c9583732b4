"""A file whose pages are dirty, on their way to the disk, or clean."""

from __future__ import annotations

import errno
import os


class Calm:
    """Writeback that has nothing to do."""

    def start(self, offset: int, size: int) -> None:
        """Do nothing."""

    def finish(self, offset: int, size: int) -> None:
        """Do nothing."""


class FakeFile:
    """Counts what reaches the disk; what is rewritten while it is dirty does not.

    Attributes:
        disk_bytes: what the disk was given.
        lost_bytes: what was rewritten before the disk had it.
    """

    def __init__(self, fails_at: int | None = None) -> None:
        self.disk_bytes = 0
        self.lost_bytes = 0
        self.most_under_way = 0
        self._dirty: set[int] = set()
        self._under_way: dict[int, int] = {}
        self._fails_at = fails_at

    def write(self, offset: int, size: int) -> None:
        """Make bytes dirty."""
        for byte in range(offset, offset + size):
            self.lost_bytes += byte in self._dirty
            self._dirty.add(byte)

    def start(self, offset: int, size: int) -> None:
        """Put what is dirty there under way."""
        found = {byte for byte in range(offset, offset + size) if byte in self._dirty}
        self._dirty -= found
        self._under_way[offset] = self._under_way.get(offset, 0) + len(found)
        self.most_under_way = max(self.most_under_way, len(self._under_way))

    def finish(self, offset: int, size: int) -> None:
        """Let the disk have it."""
        self.start(offset, size)
        self.disk_bytes += self._under_way.pop(offset)
        if self._fails_at == offset:
            self._fails_at = None
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    @property
    def unfinished(self) -> int:
        """Bytes that the disk does not have yet."""
        return len(self._dirty) + sum(self._under_way.values())
