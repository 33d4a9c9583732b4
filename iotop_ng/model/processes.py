"""Rows of processes, from reading to reading.

A process that did nothing costs one look-up per tick: its row is handed out again as it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import NamedTuple

from msgspec.structs import replace

from iotop_ng.model.aggregate import is_nothing
from iotop_ng.model.ended import Ended
from iotop_ng.model.flow import Flow
from iotop_ng.model.frame import Point, Row
from iotop_ng.model.history import History
from iotop_ng.model.rates import Interval, difference, zeros
from iotop_ng.model.rows import Deed, Who, point, row
from iotop_ng.model.submitters import submits_for
from iotop_ng.model.task import Task
from iotop_ng.model.threads import Threads
from iotop_ng.sample import NO_TOTALS, Process, Totals


class Rows(NamedTuple):
    """All rows of one interval."""

    processes: tuple[Row, ...]
    threads: tuple[Row, ...]
    flow: Flow
    ended_hidden: int


class _Turn:
    """One reading on its way to rows."""

    def __init__(self, processes: Sequence[Process], interval: Interval) -> None:
        self._processes = processes
        self.interval = interval
        self.tick = interval.tick
        self.has_length = interval.ns > 0
        self.flow = Flow()

    @cached_property
    def _by_key(self) -> dict[int, Process]:
        return {process.key: process for process in self._processes}

    def find(self, key: int) -> Process | None:
        """Return a process of the reading; they are indexed only when somebody asks."""
        return self._by_key.get(key)


class Processes:
    """All processes that are listed, or that ended within the history."""

    def __init__(self, history_ticks: int) -> None:
        self._listed: dict[int, Task] = {}
        self._gone: dict[int, Task] = {}
        """Ended and no longer listed, but shown."""
        self._ended = Ended(history_ticks)
        self._history: History[int, Point] = History(history_ticks)
        self._threads = Threads(history_ticks)

    def advance(self, processes: Sequence[Process], interval: Interval) -> Rows:
        """Return the rows after the next reading."""
        turn = _Turn(processes, interval)
        self._expire(turn.tick)
        rows: list[Row] = []
        threads: list[Row] = []
        listed, tick, has_length = self._listed, turn.tick, turn.has_length
        for process in processes:
            task = listed.get(process.key)
            if task is None:
                task = self._take(process, turn)
            elif not (
                task.is_still
                and has_length
                and (process is task.process or process == task.process)
            ):
                self._measure(task, process, turn)
            task.seen_tick = tick
            if not task.is_hidden:
                rows.append(task.row)
                if task.threads:
                    threads.extend(task.threads)
        rows.extend(self._gone_rows(turn))
        if len(listed) != len(processes):
            rows.extend(self._newly_gone_rows(turn))
        if has_length:
            turn.flow.settle(rows)
        return Rows(tuple(rows), tuple(threads), turn.flow, self._ended.folded)

    def _expire(self, tick: int) -> None:
        for key in self._history.expire(tick):
            task = self._listed.get(key) or self._gone.get(key)
            if task is not None and not task.is_hidden:
                task.row = replace(task.row, history=self._history.of(key))
        for key in self._threads.expire(tick):
            if key in self._listed:
                self._listed[key].is_still = False
        for task in self._ended.retire(tick):
            # Nobody sees it any more; with 1,000 ends a second it would be the largest thing here.
            self._history.forget(task.process.key)
            self._gone.pop(task.process.key, None)

    def _take(self, process: Process, turn: _Turn) -> Task:
        """Return the state of a process that the reading before did not list."""
        task = self._gone.pop(process.key, None)
        if task is None:
            task = self._listed[process.key] = Task(process, turn.interval)
            self._show(task, process.totals if turn.tick else NO_TOTALS, turn, None)
            return task
        self._listed[process.key] = task
        task.is_unsure = not process.is_exited
        self._measure(task, process, turn)
        return task

    def _measure(self, task: Task, process: Process, turn: _Turn) -> None:
        """Bring one process up to date from its next reading."""
        before, task.process = task.process, process
        is_same = process is before or process == before
        delta = zeros(process.totals) if is_same else difference(before.totals, process.totals)
        if not is_same:
            task.count(delta)
        if task.is_unsure:
            delta, is_same, task.is_unsure = NO_TOTALS, False, False
        self._show(task, delta, turn, before)
        task.is_still = is_same and turn.has_length

    def _show(self, task: Task, delta: Totals, turn: _Turn, before: Process | None) -> None:
        """Make the task's rows; `before` is its reading before, None when there is none."""
        process, interval = task.process, turn.interval
        if turn.has_length:
            turn.flow.add(delta)
        if process.is_exited:
            self._ended.note(task, turn.tick, is_active=not is_nothing(delta))
        elif task.exited_tick is not None:
            self._ended.revive(task)
        task.submits_for = ""
        if process.submits_for and turn.tick:
            earlier = before.submits_for if before is not None else ()
            task.submits_for = submits_for(earlier, process.submits_for, turn.find)
        self._put_row(task, delta, interval)
        is_new = before is None and turn.tick > 0
        task.threads = self._threads.rows(task, delta, interval, is_new=is_new)

    def _put_row(self, task: Task, delta: Totals, interval: Interval) -> None:
        key = task.process.key
        did = point(delta, interval)
        history = self._history.of(key) if did is None else self._history.add(key, did)
        deed = Deed(delta, task.totals, task.first_seen_ns, task.first_tick, task.submits_for)
        who = Who(task.process, exited_tick=task.exited_tick)
        task.row = row(who, deed, interval, history)

    def _gone_rows(self, turn: _Turn) -> Iterator[Row]:
        """Yield the rows of those that were gone before; they do nothing any more."""
        for task in self._gone.values():
            if not (task.is_still and turn.has_length):
                self._rest(task, turn)
            yield task.row

    def _rest(self, task: Task, turn: _Turn) -> None:
        task.submits_for = ""
        self._put_row(task, zeros(task.process.totals), turn.interval)
        task.is_still = turn.has_length

    def _newly_gone_rows(self, turn: _Turn) -> Iterator[Row]:
        """Yield the rows of those that are listed no more.

        Nobody read what a process did between the last reading and its end, unless the source
        listed it as ended: unknown, not 0.
        """
        for key in [k for k, task in self._listed.items() if task.seen_tick != turn.tick]:
            task = self._listed.pop(key)
            self._threads.forget(key)
            task.threads = ()
            if task.is_hidden:
                continue
            self._gone[key] = task
            if task.exited_tick is None:
                self._ended.note(task, turn.tick, is_active=False)
                task.submits_for = ""
                task.is_still = False
                self._put_row(task, NO_TOTALS, turn.interval)
            else:
                self._rest(task, turn)
            yield task.row
