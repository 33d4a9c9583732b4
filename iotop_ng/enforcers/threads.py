"""What /proc says about a thread that is to be held."""

from __future__ import annotations

import contextlib
import signal
from pathlib import Path

_PF_IO_WORKER = 0x10
_ENDING = sum(
    1 << (number - 1)
    for number in (
        signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGABRT, signal.SIGTERM,
        signal.SIGSTOP, signal.SIGTSTP,
    )
)  # fmt: skip
"""Not SIGALRM and the like, by which a program tells itself something many times a second."""


def threads_of(pid: int, proc: Path = Path("/proc")) -> list[int]:
    """Return the threads of a process, [] when it is gone."""
    try:
        return [int(entry.name) for entry in (proc / str(pid) / "task").iterdir()]
    except OSError:
        return []


def is_worker(tid: int, proc: Path = Path("/proc")) -> bool:
    """Say whether it is a thread of io_uring's own, which takes no signals."""
    try:
        raw = (proc / str(tid) / "stat").read_bytes()
        return bool(int(raw.rpartition(b")")[2].split()[6]) & _PF_IO_WORKER)
    except (OSError, IndexError, ValueError):
        return False


def tracer_of(tid: int, proc: Path = Path("/proc")) -> int:
    """Return the pid of who traces it, 0 when nobody does."""
    with contextlib.suppress(OSError, ValueError):
        for line in (proc / str(tid) / "status").read_bytes().splitlines():
            if line.startswith(b"TracerPid:"):
                return int(line[10:])
    return 0


def blocks(tid: int, number: int, proc: Path = Path("/proc")) -> bool:
    """Say whether a thread blocks a signal now."""
    with contextlib.suppress(OSError, ValueError):
        for line in (proc / str(tid) / "status").read_bytes().splitlines():
            if line.startswith(b"SigBlk:"):
                return bool(int(line[7:], 16) >> (number - 1) & 1)
    return False


def is_told_to_end(tid: int, proc: Path = Path("/proc")) -> bool:
    """Say whether a signal waits for a thread by which somebody wants it to end or stop now."""
    masks = {b"SigPnd": 0, b"ShdPnd": 0, b"SigBlk": 0}
    with contextlib.suppress(OSError, ValueError):
        for line in (proc / str(tid) / "status").read_bytes().splitlines():
            name, _, value = line.partition(b":")
            if name in masks:
                masks[name] = int(value, 16)
    return bool((masks[b"SigPnd"] | masks[b"ShdPnd"]) & ~masks[b"SigBlk"] & _ENDING)


def written_by(tid: int, proc: Path = Path("/proc")) -> int:
    """Return write_bytes of one thread, 0 when it is gone."""
    with contextlib.suppress(OSError, ValueError):
        # Of the thread alone; /proc/TID/io would be the sum of its process.
        for line in (proc / str(tid) / "task" / str(tid) / "io").read_bytes().splitlines():
            if line.startswith(b"write_bytes:"):
                return int(line[12:])
    return 0
