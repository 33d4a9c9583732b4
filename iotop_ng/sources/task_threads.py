"""The live threads of one process, read only while somebody looks at threads."""

from __future__ import annotations

import os
from pathlib import Path

from iotop_ng.sample import NO_TOTALS, Thread
from iotop_ng.sources.kept_file import read_small
from iotop_ng.sources.own_io import parse_io
from iotop_ng.sources.task_file import DescriptorBudget, TaskFile, totals_of
from iotop_ng.sources.taskstats import DelayReader, Delays, known
from iotop_ng.units import clean

_RECHECK = 10
_COMM_LIMIT = 64


class _Kept:
    """What is kept of one thread between readings."""

    __slots__ = ("checked", "comm", "delays", "file", "raw", "thread")

    def __init__(self, tid: int, file: TaskFile) -> None:
        self.file = file
        self.raw = b""
        self.delays: Delays | None = None
        self.comm = ""
        self.checked = 0
        self.thread = Thread(tid, "", NO_TOTALS)


class ThreadReader:
    """Reads /proc/PID/task; an unchanged thread is the same object again."""

    def __init__(self, directory: str, budget: DescriptorBudget) -> None:
        self._directory = directory
        self._budget = budget
        self._kept: dict[str, _Kept] = {}
        self._links = 0
        self._due = 0

    def is_stale(self, reading: int) -> bool:
        """Say whether threads came or went although the process did no I/O.

        The directory's link count follows the number of threads, so mostly one stat tells.
        """
        try:
            links = os.stat(self._directory).st_nlink  # noqa: PTH116 (speed)
        except OSError:
            return True
        return links != self._links or reading >= self._due

    def read(
        self, reading: int, delay_reader: DelayReader | None, *, is_complete: bool
    ) -> tuple[Thread, ...]:
        """Return the threads that live now, in the order of the kernel.

        Args:
            reading: number of this reading.
            delay_reader: None while delays are not counted.
            is_complete: they were counted when the process started.
        """
        # Spread over the readings, so that none of them meets all processes.
        self._due = reading + _RECHECK + hash(self._directory) % _RECHECK
        try:
            self._links = os.stat(self._directory).st_nlink  # noqa: PTH116 (speed)
            names = [n for n in os.listdir(self._directory) if n.isdecimal()]  # noqa: PTH208
        except OSError:
            names = []
        delays = delay_reader.of_threads([int(n) for n in names]) if delay_reader else {}
        kept: dict[str, _Kept] = {}
        for name in names:
            entry = self._kept.pop(name, None) or _Kept(int(name), self._file(name))
            waits = known(delays.get(entry.thread.tid), is_complete=is_complete)
            if self._update(entry, name, waits, reading):
                kept[name] = entry
        self.close()
        self._kept = kept
        return tuple(entry.thread for entry in kept.values())

    def close(self) -> None:
        """Close every descriptor."""
        for entry in self._kept.values():
            entry.file.close()
        self._kept = {}

    def _file(self, name: str) -> TaskFile:
        return TaskFile(f"{self._directory}/{name}/io", self._budget)

    def _update(self, entry: _Kept, name: str, delays: Delays | None, reading: int) -> bool:
        """Bring one thread up to date; False when it is gone."""
        try:
            raw = entry.file.read()
        except ProcessLookupError:
            return False
        except PermissionError:
            raw = b""
        is_due = not entry.comm or reading - entry.checked >= _RECHECK
        if raw == entry.raw and delays == entry.delays and not is_due:
            return True
        if is_due:
            comm = read_small(Path(f"{self._directory}/{name}/comm"), _COMM_LIMIT) or b""
            entry.comm = clean(comm.removesuffix(b"\n"), _COMM_LIMIT) or "?"
            entry.checked = reading
        entry.raw, entry.delays = raw, delays
        thread = Thread(entry.thread.tid, entry.comm, totals_of(parse_io(raw), delays))
        if thread != entry.thread:
            entry.thread = thread
        return True
