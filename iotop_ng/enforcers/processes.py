"""Find a process again by pid and start time, and hold on to it.

A pid alone is never enough: it may be somebody else's by now. Start times come from two sources:
/proc shows clock ticks (10 ms, rounded down), BPF reads nanoseconds. Both are nanoseconds since
boot of the same counter (`task->start_boottime`), so both are compared as whole ticks.
"""

from __future__ import annotations

import errno
import os
import select
import signal
from pathlib import Path

from iotop_ng.clock import NS_PER_S
from iotop_ng.sources.identity import Stat, parse_stat
from iotop_ng.sources.kept_file import read_small

PROC = Path("/proc")
NS_PER_TICK = NS_PER_S // os.sysconf("SC_CLK_TCK")
_STAT_BYTES = 4096
# Kernels before 5.3 have no pidfd: the start time is looked at right before each act then.
_NO_PIDFD = -1


def ticks(start_ns: int) -> int:
    """Return a start time in clock ticks, as /proc shows it."""
    return start_ns // NS_PER_TICK


def read_stat(pid: int, proc: Path = PROC) -> Stat | None:
    """Return /proc/PID/stat, None when there is no such process."""
    raw = read_small(proc / str(pid) / "stat", _STAT_BYTES)
    return None if raw is None else parse_stat(raw)


def boot_id(proc: Path = PROC) -> str:
    """Return what tells this boot from any other; "" where the kernel does not say."""
    raw = read_small(proc / "sys/kernel/random/boot_id", 64) or b""
    return raw.decode("ascii", "replace").strip()


class Handle:
    """One process: the pidfd belongs to it, whoever gets its number later."""

    def __init__(self, pid: int, start_ns: int, pidfd: int) -> None:
        self.pid = pid
        self.start_ns = start_ns
        self._pidfd = pidfd

    def has_ended(self) -> bool:
        """Say whether it is gone; a process whose first thread ended still runs in the others."""
        if self._pidfd != _NO_PIDFD:
            return _is_readable(self._pidfd, 0)
        stat = read_stat(self.pid)
        if stat is None or stat.start_ticks != ticks(self.start_ns):
            return True
        return stat.state in {"Z", "X"} and stat.num_threads <= 1

    def send(self, number: signal.Signals) -> None:
        """Send a signal.

        Raises:
            ProcessLookupError: it is gone.
            OSError: the kernel says no.
        """
        if self._pidfd != _NO_PIDFD:
            signal.pidfd_send_signal(self._pidfd, number)
        elif self.has_ended():
            raise ProcessLookupError(errno.ESRCH, "gone")
        else:
            os.kill(self.pid, number)

    def wait(self, seconds: float) -> bool:
        """Wait until it has ended, at most so long; say whether it has."""
        if self._pidfd != _NO_PIDFD:
            return _is_readable(self._pidfd, seconds)
        return self.has_ended()

    def close(self) -> None:
        """Let go of it; twice is fine."""
        if self._pidfd != _NO_PIDFD:
            os.close(self._pidfd)
            self._pidfd = _NO_PIDFD


def find(pid: int, start_ns: int) -> Handle | None:
    """Return the process of this pid and start time, None when it is gone or is another one.

    Raises:
        OSError: it may be there, but cannot be held on to (no descriptors left).
    """
    if pid <= 0:
        return None
    try:
        pidfd = os.pidfd_open(pid)
    except OSError as error:
        # EINVAL, since 6.15 ENOENT: the number is a thread's, so the process is gone.
        if error.errno in {errno.ESRCH, errno.EINVAL, errno.ENOENT}:
            return None
        if error.errno != errno.ENOSYS:
            raise
        pidfd = _NO_PIDFD
    handle = Handle(pid, start_ns, pidfd)
    stat = read_stat(pid)
    # The descriptor was opened first: while its process lives, the stat can only be of the same.
    if stat is None or stat.start_ticks != ticks(start_ns) or handle.has_ended():
        handle.close()
        return None
    return handle


def _is_readable(fd: int, seconds: float) -> bool:
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(seconds * 1000))
