"""The one registry of columns, and how a value is taken from a row and written.

Table, sort keys, filter words, batch, CSV, JSON and help all come from here. None becomes "-":
not measured here, or, for latencies, no event in the interval. 0 is "measured, none".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from iotop_ng.model.column import Column, Getter, Mode, Value
from iotop_ng.model.frame import Row
from iotop_ng.model.registry import COLUMNS
from iotop_ng.units import count, duration, human

__all__ = [
    "BY_ID",
    "COLUMNS",
    "DEFAULT",
    "Column",
    "Getter",
    "Mode",
    "Value",
    "text",
    "title",
    "value",
]

BY_ID: Mapping[str, Column] = MappingProxyType({column.id: column for column in COLUMNS})
DEFAULT: tuple[str, ...] = (
    "pid",
    "user",
    "write_bytes_per_s",
    "read_bytes_per_s",
    "disk_write_bytes_per_s",
    "disk_read_bytes_per_s",
    "disk_iops",
    "latency_p50_us",
    "latency_p99_us",
    "fsync_p99_us",
    "io_delay_pct",
    "history",
    "command",
)
"""The table's columns, left to right, where there is room for all."""

_CUT = "+"
"""Last character of a name that is longer than its column; ASCII, as in top."""
NS_PER_S = 1_000_000_000
NS_PER_US = 1000


def title(column: Column, mode: Mode) -> str:
    """Return the heading; totals are not per second."""
    return column.title.removesuffix("/s") if mode is Mode.TOTAL else column.title


def value(column: Column, row: Row, mode: Mode, *, now_ns: int = 0) -> Value:
    """Return what the column says about the row, in the column's unit, or its total's.

    `now_ns` is the frame's `mono_ns`; without it the average of a sum is not known (None).
    """
    if mode is Mode.RATE or column.total is None:
        return column.rate(row)
    total = column.total(row)
    if mode is Mode.TOTAL or column.scale is None or not isinstance(total, int | float):
        return total
    seen_ns = now_ns - row.first_seen_ns
    return None if seen_ns <= 0 else total * column.scale * NS_PER_S / seen_ns


def text(column: Column, row: Row, mode: Mode, *, si: bool = False, now_ns: int = 0) -> str:
    """Return the cell, at most `column.width` characters (any length where that is 0).

    With `si`, bytes are in multiples of 1000 instead of 1024; `now_ns` is the frame's `mono_ns`.
    """
    if column.id == "command":
        return row.command or f"[{row.comm}]"
    found = value(column, row, mode, now_ns=now_ns)
    if not column.is_number:
        return _cut(_words(found), column.width)
    if found is None or isinstance(found, str):
        return "-"
    unit = column.total_unit if mode is Mode.TOTAL and column.total is not None else column.unit
    return human(found, si=si) if unit.startswith("bytes") else _WRITERS[unit](found)


def _words(found: Value) -> str:
    if isinstance(found, bool):
        return "yes" if found else ""
    return "" if found is None else str(found)


def _cut(name: str, width: int) -> str:
    return name if not width or len(name) <= width else name[: width - 1] + _CUT


def _nanoseconds(ns: float) -> str:
    return duration(ns / NS_PER_US)


_WRITERS: Mapping[str, Callable[[float], str]] = MappingProxyType(
    {
        "count/s": count,
        "count": count,
        "ms/s": count,
        "pct": count,
        "us": duration,
        "ns": _nanoseconds,
    }
)
