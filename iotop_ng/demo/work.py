"""What a victim does once a period: append and fdatasync, read from the disk, or commit.

Each of them keeps to a span of bytes in a file of its own, and works for ever in it.
"""

from __future__ import annotations

import errno
import mmap
import os
import random
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from iotop_ng.errors import UsageError

BLOCK_BYTES = 4096
"""What direct reads are aligned to: no disk has larger logical blocks."""
_PIECE_BYTES = 1 << 20


class Work(Protocol):
    """What is done again and again."""

    def do(self) -> None:
        """Do it once; it is on the disk, or comes from there, when this returns.

        Raises:
            OSError: it failed; the next one may work.
        """
        ...

    def close(self) -> None:
        """Close the file."""
        ...


class Append:
    """Appends to a file, with fdatasync, as a log of commits does; at the span it is emptied."""

    def __init__(self, path: Path, size: int, span: int, _seed: int) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC
        self._fd = os.open(path, flags, 0o600)
        self._data = b"v" * (size - 1) + b"\n"
        self._span = span
        self._end = 0

    def do(self) -> None:
        """Append and sync."""
        if self._end + len(self._data) > self._span:
            os.ftruncate(self._fd, 0)
            self._end = 0
        self._end += os.write(self._fd, self._data)
        os.fdatasync(self._fd)

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)


class Read:
    """Reads at random places, past the page cache: directly, or after dropping what it has."""

    def __init__(self, path: Path, size: int, span: int, seed: int) -> None:
        if size % BLOCK_BYTES:
            raise UsageError(f"--size: reads are of whole {BLOCK_BYTES} bytes, such as 4K or 64K")
        self._blocks = span // size
        self._size = size
        self._random = random.Random(seed)  # noqa: S311 - repeatable, not secret
        _fill(path, self._blocks * size)
        # Anonymous memory starts at a page: direct I/O asks for that.
        self._buffer = mmap.mmap(-1, size)
        self._is_direct = True
        try:
            self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECT)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            self._is_direct = False
            self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def do(self) -> None:
        """Read one block."""
        place = self._random.randrange(self._blocks) * self._size
        if not self._is_direct:
            os.posix_fadvise(self._fd, place, self._size, os.POSIX_FADV_DONTNEED)
        os.preadv(self._fd, [self._buffer], place)

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)
        self._buffer.close()


class Commit:
    """Commits a row to a database, which syncs as SQLite does by default, in full."""

    def __init__(self, path: Path, size: int, span: int, _seed: int) -> None:
        self._data = b"v" * size
        self._rows = span // size
        self._number = 0
        self._base = sqlite3.connect(path, isolation_level=None)
        self._base.execute("PRAGMA synchronous = FULL")
        self._base.execute("CREATE TABLE IF NOT EXISTS entry (number INTEGER PRIMARY KEY, text)")

    def do(self) -> None:
        """Write one row, in a transaction of its own."""
        try:
            self._base.execute(
                "INSERT OR REPLACE INTO entry VALUES (?, ?)",
                (self._number % self._rows, self._data),
            )
        except sqlite3.OperationalError as error:
            # "database or disk is full", "disk I/O error": SQLite keeps the number to itself.
            code = errno.ENOSPC if "full" in str(error) else errno.EIO
            raise OSError(code, str(error)) from error
        self._number += 1

    def close(self) -> None:
        """Close the database."""
        self._base.close()


WORKS: dict[str, Callable[[Path, int, int, int], Work]] = {
    "append": Append,
    "read": Read,
    "sqlite": Commit,
}
"""Made of the file's path, the bytes of one operation, the span and the seed."""


def _fill(path: Path, size: int) -> None:
    """Make a file that is on the disk."""
    piece = b"v" * _PIECE_BYTES
    with path.open("wb", buffering=0) as file:
        left = size
        while left > 0:
            left -= file.write(piece[: min(left, len(piece))])
        os.fsync(file.fileno())
