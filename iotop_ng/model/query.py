"""Which rows are shown, and in which order. Pure: a frame and a question give a list."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from operator import attrgetter
from typing import Any

import msgspec

from iotop_ng.model.fields import BY_ID, COLUMNS, Column, Mode, Value, value
from iotop_ng.model.filter import Filter, parse_filter
from iotop_ng.model.frame import Frame, Row
from iotop_ng.model.tree import Placed, flat, tree
from iotop_ng.sample import NO_TOTALS

__all__ = ["DEFAULT_SORT", "Filter", "Placed", "Query", "arrange", "is_active", "parse_filter"]

DEFAULT_SORT = "write_bytes_per_s"


class Query(msgspec.Struct, frozen=True):
    """What is asked of a frame."""

    sort: str = DEFAULT_SORT
    """A column's id."""
    reverse: bool = False
    filter: Filter | None = None
    only_active: bool = False
    mode: Mode = Mode.RATE
    threads: bool = False
    """Rows of threads instead of processes."""
    tree: bool = False
    pids: frozenset[int] = frozenset()
    """Only these; all when empty."""
    users: frozenset[str] = frozenset()
    """Only these names; all when empty."""


EVERYTHING = Query()

# Rates that make a row active; latencies and queue times come only with requests.
_RATES = attrgetter(
    "write_bytes_per_s",
    "read_bytes_per_s",
    *[c.id for c in COLUMNS if c.scale is not None and not c.id.startswith(("write_b", "read_b"))],
)
_AMOUNTS = [c.total for c in COLUMNS if c.scale is not None and c.total is not None]
_IDENTITY = attrgetter("pid", "key")


def is_active(row: Row, mode: Mode) -> bool:
    """Return whether a row did anything: in the interval, or else since the source opened."""
    if mode is Mode.RATE:
        return any(_RATES(row))
    return row.totals is not NO_TOTALS and any(amount(row) for amount in _AMOUNTS)


def arrange(frame: Frame, query: Query) -> list[Placed]:
    """Return the rows that the query asks for, in its order.

    Numbers go down and names up; `reverse` turns that round. Rows whose value is None come last
    either way. Among equal numbers, such as 0, rows with I/O in the interval stand above idle ones,
    most bytes first: a mere reader is not lost between sleepers when the order is by writes. Other
    ties go by pid and tid, so that idle rows never change places.

    Raises:
        KeyError: when there is no column with the id of `sort`.
    """
    rows = _chosen(_threads(frame) if query.threads else frame.rows, query)
    rows = _ordered(rows, query, frame.mono_ns)
    return tree(rows) if query.tree else flat(rows)


def _threads(frame: Frame) -> list[Row]:
    """Return threads, and ended processes as a whole: nobody can read their threads any more."""
    return [*frame.threads, *(row for row in frame.rows if row.exited)]


def _chosen(rows: Iterable[Row], query: Query) -> list[Row]:
    if query.pids:
        rows = [row for row in rows if row.pid in query.pids]
    if query.users:
        rows = [row for row in rows if row.user in query.users]
    if query.only_active:
        rows = [row for row in rows if is_active(row, query.mode)]
    if query.filter is not None and query.filter.tests:
        rows = [row for row in rows if query.filter.matches(row)]
    return list(rows)


def _ordered(rows: list[Row], query: Query, now_ns: int) -> list[Row]:
    column = BY_ID[query.sort]
    # Sorting is stable: the tie-breakers first, then the values, most of which are 0.
    rows.sort(key=_tie)
    if column.is_number:
        rows = _busy_first(rows)
    known: list[tuple[Any, Row]] = []
    unknown: list[Row] = []
    get = _getter(column, query.mode, now_ns)
    for row in rows:
        found = get(row)
        if found is None:
            unknown.append(row)
        else:
            known.append((found, row))
    is_downward = column.is_number is not query.reverse
    known.sort(key=_first, reverse=is_downward)
    return [row for _, row in known] + unknown


def _busy_first(rows: list[Row]) -> list[Row]:
    busy = [row for row in rows if _bytes(row) or row.disk_iops]
    if not busy:
        return rows
    idle = [row for row in rows if not (_bytes(row) or row.disk_iops)]
    busy.sort(key=_bytes, reverse=True)
    return busy + idle


def _bytes(row: Row) -> float:
    return (row.write_bytes_per_s or 0.0) + (row.read_bytes_per_s or 0.0)


def _first(pair: tuple[Any, Row]) -> Any:
    return pair[0]


def _tie(row: Row) -> tuple[int, int, int]:
    return row.pid, row.tid or 0, row.key


def _getter(column: Column, mode: Mode, now_ns: int) -> Callable[[Row], Value]:
    if mode is Mode.RATE or column.total is None:
        return column.rate
    return partial(_value, column=column, mode=mode, now_ns=now_ns)


def _value(row: Row, *, column: Column, mode: Mode, now_ns: int) -> Value:
    return value(column, row, mode, now_ns=now_ns)
