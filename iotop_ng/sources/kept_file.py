"""A file of the kernel that is opened once and read whole, again and again."""

from __future__ import annotations

import os
from pathlib import Path

_CHUNK = 65536
# seq_file hands out about one page per call, so the end is the first empty read.
_LIMIT = 4 * 1024 * 1024


class KeptFile:
    """A kept descriptor: reading costs about half of open, read and close."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd = -1

    def read(self) -> bytes:
        """Return the whole content now, at most 4 MiB; b"" when it cannot be read."""
        try:
            if self._fd < 0:
                self._fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
            return self._read_open()
        except OSError:
            self.close()
            return b""

    def _read_open(self) -> bytes:
        first = os.pread(self._fd, _CHUNK, 0)
        parts = [first]
        size = len(first)
        while parts[-1] and size < _LIMIT:
            parts.append(os.pread(self._fd, _CHUNK, size))
            size += len(parts[-1])
        return b"".join(parts)

    def close(self) -> None:
        """Let go of the descriptor; the next read opens it again."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def read_small(path: Path, limit: int = 65536) -> bytes | None:
    """Return at most `limit` bytes of a file, None when it cannot be read."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        return os.read(fd, limit)
    except OSError:
        return None
    finally:
        os.close(fd)
