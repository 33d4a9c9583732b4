"""Rows of threads, and of what a process did beyond its live threads."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from msgspec.structs import astuple

from iotop_ng.model.aggregate import is_nothing, residual, total
from iotop_ng.model.frame import Point, Row
from iotop_ng.model.history import History
from iotop_ng.model.rates import Interval, add, difference, zeros
from iotop_ng.model.rows import Deed, Who, point, row
from iotop_ng.model.task import Task
from iotop_ng.sample import NO_TOTALS, Process, Thread, Totals

RESIDUAL_TID = 0


class _Known(NamedTuple):
    """A thread at the last reading."""

    raw: Totals
    deed: Deed


class Threads:
    """Threads of all processes, while they are asked for.

    In each interval, field by field, the rows of a process's threads and its residual row sum up
    to the process's own row.
    """

    def __init__(self, history_ticks: int) -> None:
        self._known: dict[int, dict[int, _Known]] = {}
        self._history: History[tuple[int, int], Point] = History(history_ticks)

    def expire(self, tick: int) -> set[int]:
        """Drop old points; return the keys of the processes whose rows show them."""
        return {key for key, _ in self._history.expire(tick)}

    def forget(self, key: int) -> None:
        """Drop what is known of a process's threads."""
        for tid in (RESIDUAL_TID, *self._known.pop(key, {})):
            self._history.forget((key, tid))

    def rows(
        self, task: Task, delta: Totals, interval: Interval, *, is_new: bool
    ) -> tuple[Row, ...]:
        """Return the rows of a process's threads; `delta` is what the whole process did.

        Of several threads nothing is known in the interval in which they are asked for first.
        """
        process = task.process
        if not process.threads:
            self.forget(process.key)
            return ()
        whole = Deed(delta, task.totals, task.first_seen_ns, task.first_tick)
        if _is_whole(process):
            (thread,) = process.threads
            mine = whole._replace(
                delta=_only(delta, thread.totals), totals=_only(task.totals, thread.totals)
            )
            self._remember(process.key, {thread.tid: _Known(thread.totals, mine)})
            return (self._row(process, thread, whole, interval),)
        earlier = self._known.get(process.key)
        is_unknown = earlier is None and not is_new
        now = {
            thread.tid: _Known(
                thread.totals, _deed(thread, (earlier or {}).get(thread.tid), interval, is_unknown)
            )
            for thread in process.threads
        }
        self._remember(process.key, now)
        rows = [self._row(process, t, now[t.tid].deed, interval) for t in process.threads]
        rest = whole._replace(
            delta=NO_TOTALS if is_unknown else residual(delta, total(_deltas(now))),
            totals=residual(task.totals, total(known.deed.totals for known in now.values())),
        )
        if not (is_nothing(rest.delta) and is_nothing(rest.totals)):
            others = Thread(RESIDUAL_TID, process.comm, NO_TOTALS)
            rows.append(self._row(process, others, rest, interval))
        return tuple(rows)

    def _remember(self, key: int, now: dict[int, _Known]) -> None:
        for tid in self._known.get(key, {}).keys() - now.keys():
            self._history.forget((key, tid))
        self._known[key] = now

    def _row(self, process: Process, thread: Thread, deed: Deed, interval: Interval) -> Row:
        key = (process.key, thread.tid)
        did = point(deed.delta, interval)
        history = self._history.of(key) if did is None else self._history.add(key, did)
        return row(Who(process, thread.tid, thread.comm), deed, interval, history)


def _deed(thread: Thread, known: _Known | None, interval: Interval, is_unknown: bool) -> Deed:
    raw = thread.totals
    if known is not None:
        delta = difference(known.raw, raw)
        return known.deed._replace(delta=delta, totals=add(known.deed.totals, delta))
    if is_unknown:
        return Deed(NO_TOTALS, zeros(raw), interval.end_ns, interval.tick + 1)
    return Deed(raw, raw, interval.start_ns, interval.tick)


def _deltas(now: dict[int, _Known]) -> Iterator[Totals]:
    return (known.deed.delta for known in now.values())


def _is_whole(process: Process) -> bool:
    """Return whether an only thread is the whole process, in all that is counted per thread.

    Then what is counted per process (block I/O) is this thread's too, and its past is known.
    """
    if len(process.threads) != 1:
        return False
    (thread,) = process.threads
    return _only(process.totals, thread.totals) == thread.totals


def _only(totals: Totals, like: Totals) -> Totals:
    """Return the fields that are measured in `like`, None in the others."""
    pairs = zip(astuple(totals), astuple(like), strict=True)
    return Totals(*[None if b is None else a for a, b in pairs])
