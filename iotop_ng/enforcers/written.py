"""How much a group of processes has written, from /proc/PID/io, without BPF.

When a process waits for an ended child, the child's I/O is added to its own. So the sum over parent
and child stays what it was when the child ends, and nothing is lost or counted twice as long as
both are read. A child that is not to be charged is read all the same, and its growth taken off.

Example, in bytes: a shell with 10 has a child of before with 500, not charged. The child writes 100
more and ends, the shell writes 3: the sum goes from 510 to 613, and 613 - 510 = 103. If the child
was seen at 600 before it ended, 100 of these are taken off.

A parent that ignores SIGCHLD inherits nothing; then nothing may be taken off for its children.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from iotop_ng.enforcers.processes import PROC
from iotop_ng.sources.kept_file import read_small
from iotop_ng.sources.own_io import NOTHING_INHERITED, Inherited, parse_inherited, parse_io


class Written:
    """Follows two sets of processes: those that are charged, and those that are only watched."""

    def __init__(self, proc: Path = PROC) -> None:
        self._proc = proc
        self._totals: dict[int, int] = {}
        self._inherited: dict[int, Inherited] = {}
        self._charged: set[int] = set()
        self._carry = 0
        """What was taken off too early: its heir was read before it inherited; never above 0."""

    @property
    def charged(self) -> frozenset[int]:
        """Those that are counted and were alive at the last look."""
        return frozenset(self._charged)

    def charge(self, pid: int, *, from_birth: bool) -> None:
        """Count what a process writes from now on, or all that it has ever written."""
        if pid not in self._charged and self._enter(pid, from_birth=from_birth):
            self._charged.add(pid)

    def watch(self, pids: Iterable[int]) -> None:
        """Read these only to know what somebody inherits from them."""
        for pid in pids:
            if pid not in self._totals:
                self._enter(pid, from_birth=False)

    def look(self) -> int:
        """Return the bytes that the charged ones have written since the last look."""
        grown = self._carry
        gone = 0
        for pid, before in [*self._totals.items()]:
            now = self._read(pid)
            if now is None:
                gone += before
                self._forget(pid)
            else:
                self._totals[pid] = now
                grown += now - before if pid in self._charged else 0
        if gone and self._has_inherited():
            grown -= gone
        self._carry = min(grown, 0)
        return max(grown, 0)

    def _has_inherited(self) -> bool:
        """Say whether anybody has waited for a child since this was asked last."""
        before, self._inherited = (
            self._inherited,
            {pid: self._inherited_by(pid) for pid in self._totals},
        )
        return any(before.get(pid) != now for pid, now in self._inherited.items())

    def _enter(self, pid: int, *, from_birth: bool) -> bool:
        now = self._read(pid)
        if now is None:
            return False
        self._totals[pid] = 0 if from_birth else now
        self._inherited[pid] = NOTHING_INHERITED if from_birth else self._inherited_by(pid)
        return True

    def _forget(self, pid: int) -> None:
        del self._totals[pid]
        self._inherited.pop(pid, None)
        self._charged.discard(pid)

    def _read(self, pid: int) -> int | None:
        """Return write_bytes with all that was inherited, None when the process is gone."""
        counters = parse_io(read_small(self._proc / f"{pid}/io", 1024) or b"")
        return None if counters is None else counters.write_bytes

    def _inherited_by(self, pid: int) -> Inherited:
        raw = read_small(self._proc / f"{pid}/stat", 4096) or b""
        return parse_inherited(raw) or NOTHING_INHERITED
