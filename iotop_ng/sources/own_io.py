"""A process's own I/O, without that of the children it waited for.

When a process waits for an ended child, the kernel adds the child's I/O to the waiter's
(wait_task_zombie in kernel/exit.c), and /proc/PID/io shows the sum. Counted as it stands, all that
a command wrote would be written again by its shell, at once, in the moment it ends.

Waiting also adds the child's page faults and times, which /proc/PID/stat shows apart. While those
stand still, all that /proc/PID/io grew by is the process's own. When they move, the live threads
are asked one by one: their own counters never hold anybody else's I/O.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from iotop_ng.sources.kept_file import read_small

# cminflt, cmajflt, cutime, cstime: proc_pid_stat(5) numbers minus 3.
_OF_CHILDREN = (8, 10, 13, 14)
_TRIES = 3

Inherited = tuple[int, ...]
"""What a process got from children it waited for: faults and times."""

NOTHING_INHERITED: Inherited = (0, 0, 0, 0)


class IoCounters(NamedTuple):
    """/proc/PID/io in the kernel's order (proc_pid_io(5))."""

    rchar: int
    wchar: int
    syscr: int
    syscw: int
    read_bytes: int
    write_bytes: int
    cancelled_write_bytes: int

    def plus(self, other: IoCounters) -> IoCounters:
        """Return the sum, counter by counter."""
        return IoCounters(*(a + b for a, b in zip(self, other, strict=True)))

    def minus(self, other: IoCounters) -> IoCounters:
        """Return the difference, counter by counter, never below 0."""
        return IoCounters(*(max(a - b, 0) for a, b in zip(self, other, strict=True)))

    def at_least(self, other: IoCounters) -> IoCounters:
        """Return the larger of each counter."""
        return IoCounters(*map(max, self, other))


NO_IO = IoCounters(0, 0, 0, 0, 0, 0, 0)


def parse_io(raw: bytes) -> IoCounters | None:
    """Return the counters of an io file, None when it is not one."""
    fields = raw.split()
    try:
        if fields[8] != b"read_bytes:" or fields[12] != b"cancelled_write_bytes:":
            return None
        return IoCounters(*(int(field) for field in fields[1:14:2]))
    except (IndexError, ValueError):
        return None


def parse_inherited(stat: bytes) -> Inherited | None:
    """Return what /proc/PID/stat shows of ended children, None when it is not such a line."""
    fields = stat[stat.rfind(b")") + 1 :].split()
    try:
        return tuple(int(fields[position]) for position in _OF_CHILDREN)
    except (IndexError, ValueError):
        return None


class OwnIo:
    """Follows one process from reading to reading.

    Example, in bytes written: a shell that wrote 10 waits for a child that wrote 500, and writes
    3 more. Its io file goes from 10 to 513, its faults of children from 0 to 97, the io of its one
    thread from 10 to 13: its own goes from 10 to 13.

    What a thread wrote between the last reading and its end is lost when the process also waited
    for a child in that interval; else it is counted.
    """

    __slots__ = ("_base", "_base_own", "_directory", "_inherited", "_whole", "own")

    def __init__(self, directory: str, whole: IoCounters) -> None:
        """Begin with all that a process without ended children has; else with its live threads'.

        Args:
            directory: its /proc/PID.
            whole: its io file, as it was just read.
        """
        self._directory = directory
        self._whole = whole
        self._inherited = self._read_inherited() or NOTHING_INHERITED
        self._base: Mapping[int, IoCounters] = {}
        self._base_own = NO_IO
        self.own = whole
        if self._inherited != NOTHING_INHERITED:
            self._base = self._read_threads()
            self.own = self._base_own = _grown({}, self._base)

    def advance(self, whole: IoCounters, read_again: Callable[[], IoCounters | None]) -> None:
        """Bring `own` up to date.

        Args:
            whole: the io file now.
            read_again: reads it once more; None when the process is gone.
        """
        inherited = self._read_inherited()
        # Read after `whole`: if nothing was inherited until now, nothing was when that was read.
        if inherited is None or inherited == self._inherited:
            self.own = self.own.plus(whole.minus(self._whole))
            self._whole = whole
            return
        # Whole and inherited must belong together: nothing may be inherited between the two.
        for _ in range(_TRIES):
            whole = read_again() or whole
            again = self._read_inherited() or inherited
            if again == inherited:
                break
            inherited = again
        threads = self._read_threads()
        since_base = self._base_own.plus(_grown(self._base, threads))
        self.own = self.own.at_least(since_base)
        self._base, self._base_own = threads, self.own
        self._whole, self._inherited = whole, inherited

    def _read_inherited(self) -> Inherited | None:
        return parse_inherited(read_small(Path(f"{self._directory}/stat"), 4096) or b"")

    def _read_threads(self) -> dict[int, IoCounters]:
        """Return the own counters of every live thread."""
        directory = f"{self._directory}/task"
        try:
            names = os.listdir(directory)  # noqa: PTH208 (speed)
        except OSError:
            return {}
        threads: dict[int, IoCounters] = {}
        for name in names:
            counters = parse_io(read_small(Path(f"{directory}/{name}/io"), 1024) or b"")
            if counters is not None and name.isdecimal():
                threads[int(name)] = counters
        return threads


def _grown(before: Mapping[int, IoCounters], after: Mapping[int, IoCounters]) -> IoCounters:
    """Return by how much the threads that live now grew; a new one grew from 0."""
    total = NO_IO
    for tid, counters in after.items():
        total = total.plus(counters.minus(before.get(tid, NO_IO)))
    return total
