"""The few things that Python has no name for: writeback of a range, names and ends of processes."""

from __future__ import annotations

import ctypes
import errno
import os
import signal
from typing import final

_PR_SET_PDEATHSIG = 1
_PR_SET_NAME = 15
_PR_GET_NAME = 16
_WAIT_BEFORE, _WRITE, _WAIT_AFTER = 1, 2, 4  # sync_file_range(2)
_libc = ctypes.CDLL(None, use_errno=True)


def _checked(result: int) -> None:
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def set_name(name: str) -> None:
    """Set the comm of this thread, which in a process without others is that of the process."""
    _libc.prctl(_PR_SET_NAME, name.encode(), 0, 0, 0)


def name() -> str:
    """Return the comm of this thread."""
    found = ctypes.create_string_buffer(16)
    _libc.prctl(_PR_GET_NAME, found, 0, 0, 0)
    return found.value.decode("utf-8", "replace")


def die_with(parent: int) -> None:
    """Let the kernel kill this process when its parent ends."""
    _libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    # It may have ended before that.
    if os.getppid() != parent:
        os._exit(1)


def reserve(fd: int, size: int) -> None:
    """Have the file system set aside room for a file (fallocate(2)); nothing where it cannot.

    Raises:
        OSError: there is no room.
    """
    if _libc.fallocate64(fd, 0, ctypes.c_int64(0), ctypes.c_int64(size)) == 0:
        return
    code = ctypes.get_errno()
    if code not in {errno.EOPNOTSUPP, errno.ENOSYS, errno.EINTR}:
        raise OSError(code, os.strerror(code))


@final
class RangeWriteback:
    """Writeback of parts of an open file, by sync_file_range(2).

    It neither flushes the disk's cache nor commits a journal: as for any log, it is up to others to
    ask for that.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def start(self, offset: int, size: int) -> None:
        """Begin to write what is dirty there."""
        self._sync(offset, size, _WRITE)

    def finish(self, offset: int, size: int) -> None:
        """Write what is dirty there, and return when nothing of it is dirty or under way."""
        self._sync(offset, size, _WAIT_BEFORE | _WRITE | _WAIT_AFTER)

    def _sync(self, offset: int, size: int, flags: int) -> None:
        _checked(
            _libc.sync_file_range(
                self._fd, ctypes.c_int64(offset), ctypes.c_int64(size), ctypes.c_uint(flags)
            )
        )


@final
class FileWriteback:
    """The same by fdatasync(2), of the whole file at once: nothing starts before it is waited for.

    For file systems where sync_file_range(2) does nothing, such as overlayfs: it looks for dirty
    pages in the overlay's own file, which has none (0 of 102 MB reached the disk on Linux 6.18).
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._dirty: set[int] = set()

    def start(self, offset: int, size: int) -> None:  # noqa: ARG002 - it is the protocol's
        """Take down that something is dirty there."""
        self._dirty.add(offset)

    def finish(self, offset: int, size: int) -> None:  # noqa: ARG002
        """Write all that is dirty, unless that was done since this was started."""
        if offset in self._dirty:
            os.fdatasync(self._fd)
            self._dirty.clear()
