"""What stops a target and lets it run: signals, or the freezer of its cgroup."""

from __future__ import annotations

import contextlib
import signal
from pathlib import Path
from typing import Protocol

from iotop_ng.enforcers import processes

_JOB_STOPS = frozenset({signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU})
_STOPPED = "T"
_OVER = frozenset({"Z", "X"})


class Switch(Protocol):
    """Stops and continues."""

    def add(self, pid: int, start_ns: int) -> None:
        """Take in a process."""
        ...

    def stop(self) -> None:
        """Stop all that run; again is fine."""
        ...

    def go(self) -> None:
        """Continue those that we have stopped."""
        ...

    def left(self) -> tuple[int, ...]:
        """Return the pids of those that somebody else has stopped."""
        ...


class Signals:
    """SIGSTOP and SIGCONT. Who was stopped by somebody else (^Z) is left as it is."""

    def __init__(self) -> None:
        self._handles: dict[int, processes.Handle] = {}
        self._stopped: set[int] = set()
        self._left: set[int] = set()

    def add(self, pid: int, start_ns: int) -> None:
        """Take in a process; one that is gone is none."""
        if pid not in self._handles:
            handle = processes.find(pid, start_ns)
            if handle is not None:
                self._handles[pid] = handle

    def stop(self) -> None:
        """Stop all that run."""
        for pid, handle in [*self._handles.items()]:
            stat = processes.read_stat(pid)
            if stat is None or handle.has_ended():
                self._forget(pid)
            elif stat.state == _STOPPED:
                if pid not in self._stopped:
                    self._left.add(pid)
            elif stat.state not in _OVER or stat.num_threads > 1:
                self._left.discard(pid)
                self._stopped.add(pid)
                self._send(pid, signal.SIGSTOP)

    def go(self) -> None:
        """Continue those that we have stopped, but for those that were to be stopped meanwhile."""
        for pid in [*self._stopped]:
            # SIGCONT would throw away a ^Z that came while the process was stopped already.
            if _has_job_stop_pending(pid):
                self._left.add(pid)
            else:
                self._send(pid, signal.SIGCONT)
        self._stopped.clear()

    def left(self) -> tuple[int, ...]:
        """Return the pids of those that somebody else has stopped."""
        for pid in self._handles.keys() - self._stopped:
            stat = processes.read_stat(pid)
            if stat is not None and stat.state == _STOPPED:
                self._left.add(pid)
            else:
                self._left.discard(pid)
        return tuple(sorted(self._left))

    def _send(self, pid: int, number: signal.Signals) -> None:
        try:
            self._handles[pid].send(number)
        except (OSError, KeyError):
            self._forget(pid)

    def _forget(self, pid: int) -> None:
        handle = self._handles.pop(pid, None)
        if handle is not None:
            handle.close()
        self._stopped.discard(pid)
        self._left.discard(pid)


class Freezer:
    """The freezer of a cgroup: nobody sees it, no shell and no parent."""

    def __init__(self, path: Path, on: str, off: str) -> None:
        self._path = path
        self._on = on
        self._off = off
        self._is_on = False

    def add(self, pid: int, start_ns: int) -> None:
        """All that is in the cgroup is stopped with it."""

    def stop(self) -> None:
        """Freeze."""
        if not self._is_on:
            self._is_on = True
            self._write(self._on)

    def go(self) -> None:
        """Thaw."""
        self._write(self._off)
        self._is_on = False

    def left(self) -> tuple[int, ...]:
        """A cgroup has one state, which is ours."""
        return ()

    def _write(self, value: str) -> None:
        # A cgroup that is gone has nobody in it any more: the keeper finds out.
        with contextlib.suppress(FileNotFoundError):
            self._path.write_text(value, "ascii")


def _has_job_stop_pending(pid: int) -> bool:
    with contextlib.suppress(OSError, ValueError):
        for line in (processes.PROC / f"{pid}/status").read_bytes().splitlines():
            if line.startswith((b"ShdPnd:", b"SigPnd:")):
                mask = int(line[7:], 16)
                if any(mask >> (number - 1) & 1 for number in _JOB_STOPS):
                    return True
    return False
