"""The small files of one task in /proc: kept open while descriptors last."""

from __future__ import annotations

import errno
import os
import resource

from iotop_ng.sample import NO_TOTALS, Totals
from iotop_ng.sources.own_io import IoCounters
from iotop_ng.sources.taskstats import Delays

_READ = 1024
_SHARE = 0.8
"""Of the descriptors that we may have; the rest is for everybody else in this process."""
_GONE = frozenset({errno.ESRCH, errno.ENOENT})


class DescriptorBudget:
    """How many files may be kept open."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0

    @staticmethod
    def of_this_process() -> DescriptorBudget:
        """Raise the soft limit to the hard one and take a share of it."""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            soft = hard
        except (OSError, ValueError):
            pass  # the soft limit is what we have then
        return DescriptorBudget(int(soft * _SHARE))


class TaskFile:
    """One file of one task.

    A kept descriptor belongs to the task, not to its number: it says "gone" (ESRCH) even when
    the number was given to another task.
    """

    __slots__ = ("_budget", "_fd", "_path")

    def __init__(self, path: str, budget: DescriptorBudget) -> None:
        self._path = path
        self._budget = budget
        self._fd = -1

    @property
    def is_kept(self) -> bool:
        """Whether the descriptor is open, so that a reused number cannot be read."""
        return self._fd >= 0

    def read(self) -> bytes:
        """Return the content now.

        Raises:
            ProcessLookupError: when the task is gone.
            PermissionError: when it may not be read.
        """
        try:
            raw = os.pread(self._fd, _READ, 0) if self._fd >= 0 else self._open_and_read()
        except OSError as error:
            self.close()
            if error.errno in _GONE:
                raise ProcessLookupError(error.errno, "gone") from error
            raise PermissionError(error.errno, "not readable") from error
        if not raw:
            self.close()
            raise ProcessLookupError(errno.ESRCH, "gone")
        return raw

    def _open_and_read(self) -> bytes:
        fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        if self._budget.used < self._budget.limit:
            self._budget.used += 1
            self._fd = fd
            return os.pread(fd, _READ, 0)
        try:
            return os.pread(fd, _READ, 0)
        finally:
            os.close(fd)

    def close(self) -> None:
        """Let go of the descriptor."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
            self._budget.used -= 1


def totals_of(counters: IoCounters | None, delays: Delays | None = None) -> Totals:
    """Return what a sample says of these counters; everything None for None."""
    if counters is None:
        return NO_TOTALS
    return Totals(
        read_bytes=counters.read_bytes,
        write_bytes=counters.write_bytes,
        cancelled_write_bytes=counters.cancelled_write_bytes,
        asked_read_bytes=counters.rchar,
        asked_write_bytes=counters.wchar,
        read_calls=counters.syscr,
        write_calls=counters.syscw,
        io_delay_ns=None if delays is None else delays.blkio_ns,
        swapin_delay_ns=None if delays is None else delays.swapin_ns,
    )
