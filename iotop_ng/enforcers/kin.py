"""Who descends from whom, from /proc."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from iotop_ng.enforcers.processes import NS_PER_TICK, PROC, read_stat
from iotop_ng.sources.identity import Stat

_MAX_CHAIN = 1024


class Relative(NamedTuple):
    """A process that was found."""

    pid: int
    start_ns: int
    """In steps of a clock tick, as /proc has it."""
    name: str
    """"dd[4242]", cleaned."""


def relative(proc: Path, pid: int) -> Relative | None:
    """Return who a pid is now, None when it is gone."""
    stat = read_stat(pid, proc)
    if stat is None:
        return None
    return Relative(pid, stat.start_ticks * NS_PER_TICK, f"{stat.comm}[{pid}]")


def strangers(proc: Path, pids: Iterable[int], ancestor: int) -> tuple[Relative, ...]:
    """Return those of `pids` that neither are `ancestor` nor descend from it."""
    found = []
    for pid in sorted(pids):
        who = relative(proc, pid)
        if who is not None and not _descends(proc, pid, ancestor):
            found.append(who)
    return tuple(found)


def _descends(proc: Path, pid: int, ancestor: int) -> bool:
    for _ in range(_MAX_CHAIN):
        if pid == ancestor:
            return True
        stat = read_stat(pid, proc)
        if stat is None or stat.ppid <= 1:
            return False
        pid = stat.ppid
    return False


def descendants(pid: int, proc: Path = PROC) -> tuple[int, ...]:
    """Return all that descend from a process now, nearest first; only its own family is read."""
    found: list[int] = []
    todo = [pid]
    while todo and len(found) < _MAX_CHAIN:
        for path in (proc / str(todo.pop(0))).glob("task/*/children"):
            with contextlib.suppress(OSError):
                children = [int(word) for word in path.read_bytes().split()]
                todo += children
                found += children
    return tuple(found)


class Kin:
    """Follows who descends from one process from now on; each call reads only pids that are new.

    Its children of before are not followed, nor what they fork. A process whose parent ended
    between two calls is init's child by then and is not found.
    """

    def __init__(self, pid: int, proc: Path = PROC) -> None:
        self._proc = proc
        self.family: dict[int, Relative] = {}
        """The process itself and its new descendants that are alive, by pid."""
        self.elders: frozenset[int] = frozenset()
        """Its children of before."""
        root = relative(proc, pid)
        if root is not None:
            self.family[pid] = root
        self._seen = self._present()
        stats = ((one, read_stat(one, proc)) for one in self._seen)
        self.elders = frozenset(one for one, stat in stats if stat and stat.ppid == pid)

    def look(self) -> tuple[Relative, ...]:
        """Return the descendants that are new since the last call."""
        present = self._present()
        for pid in self.family.keys() - present:
            del self.family[pid]
        new = {pid: stat for pid in present - self._seen if (stat := read_stat(pid, self._proc))}
        self._seen = present
        return tuple(self._adopt(new))

    def _present(self) -> set[int]:
        return {int(name) for name in os.listdir(self._proc) if name.isdecimal()}  # noqa: PTH208 (speed)

    def _adopt(self, new: dict[int, Stat]) -> list[Relative]:
        """Add those whose parent belongs to the family, until nobody is left to add."""
        found: list[Relative] = []
        is_growing = True
        while is_growing:
            is_growing = False
            for pid, stat in new.items():
                if stat.ppid in self.family and pid not in self.family:
                    start_ns = stat.start_ticks * NS_PER_TICK
                    self.family[pid] = Relative(pid, start_ns, f"{stat.comm}[{pid}]")
                    found.append(self.family[pid])
                    is_growing = True
        return found
