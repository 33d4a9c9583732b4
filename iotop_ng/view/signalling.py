"""Sending a signal to exactly the process that the screen showed."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from iotop_ng.model.frame import Row
from iotop_ng.sources.identity import parse_stat
from iotop_ng.view.acting import name_of

NS_PER_S = 1_000_000_000
PROC = Path("/proc")


def send(row: Row, number: signal.Signals, proc: Path = PROC) -> str:
    """Send a signal; return why it could not be sent, "" when it was.

    The process is pinned by a pidfd first and looked at then: what is read from /proc afterwards
    belongs to the pinned one, or to nobody.
    """
    name = name_of(row)
    why = why_untouchable(row)
    if why:
        return f"{name} {why}"
    try:
        pinned = os.pidfd_open(row.pid)
    except ProcessLookupError:
        return f"{name} has ended"
    try:
        if not is_same(row, proc):
            return f"{name} has ended; its pid is another process by now"
        signal.pidfd_send_signal(pinned, number)
    except ProcessLookupError:
        return f"{name} has ended"
    except PermissionError:
        return f"{name} belongs to {row.user}; signals to others need root: sudo iotop-ng"
    finally:
        os.close(pinned)
    return ""


def why_untouchable(row: Row) -> str:
    """Return why a signal would only do harm, "" when it would not."""
    if row.pid == 1:
        return "runs the machine: no signal is sent to it"
    if row.is_kthread:
        return "is a thread of the kernel: it takes no signals"
    if row.pid in {os.getpid(), os.getppid()}:
        return "is this iotop-ng, or what started it: q quits"
    return ""


def is_same(row: Row, proc: Path) -> bool:
    """Say whether /proc shows the process that the row is about: same pid and start.

    /proc counts in clock ticks, the kernel's own probes in nanoseconds.
    """
    try:
        stat = parse_stat((proc / str(row.pid) / "stat").read_bytes())
    except OSError:
        return False
    ticks = os.sysconf("SC_CLK_TCK")
    return stat is not None and stat.start_ticks == row.start_ns * ticks // NS_PER_S
