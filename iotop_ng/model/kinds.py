"""How each kind of column is made, and the values that are more than a field of the row."""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Literal

from iotop_ng.model.column import Column, Value
from iotop_ng.model.frame import Row
from iotop_ng.model.histogram import count, percentile_us, summarize
from iotop_ng.sample import Histogram, Need

NO_EVENT = " '-' when no such request ended in the interval, or when it is not measured here."


def _width(title: str) -> int:
    """Return room for five characters of number, and for the title with the arrow of the sort."""
    return max(len(title) + 1, 5)


def name_column(
    column_id: str,
    title: str,
    width: int,
    *,
    priority: int,
    source: str,
    note: str,
    unit: Literal["text", "id"] = "text",
) -> Column:
    """Return a column of names, or of numbers that name something; the same in every mode."""
    return Column(
        id=column_id,
        title=title,
        unit=unit,
        width=width,
        align="right" if unit == "id" else "left",
        priority=priority,
        source=source,
        help=note,
        rate=attrgetter(column_id),
    )


def bytes_column(
    column_id: str,
    title: str,
    *,
    priority: int,
    source: str,
    note: str,
    need: Need | None = None,
) -> Column:
    """Return a column of bytes per second; its total is the field of the same stem."""
    stem = column_id.removesuffix("_per_s")
    field = "cancelled_write_bytes" if stem == "cancelled_bytes" else stem
    return Column(
        id=column_id,
        title=title,
        unit="bytes/s",
        width=_width(title),
        align="right",
        priority=priority,
        source=source,
        help=note,
        rate=attrgetter(column_id),
        total=attrgetter(f"totals.{field}"),
        total_id=f"{stem}_total",
        total_unit="bytes",
        scale=1.0,
        need=need,
    )


def count_column(
    column_id: str,
    title: str,
    *,
    priority: int,
    source: str,
    note: str,
    field: str,
    need: Need | None = None,
) -> Column:
    """Return a column of events per second, counted by `field` (a counter or a histogram)."""
    return Column(
        id=column_id,
        title=title,
        unit="count/s",
        width=_width(title),
        align="right",
        priority=priority,
        source=source,
        help=note,
        rate=attrgetter(column_id),
        total=_fsyncs if field == "fsync" else attrgetter(f"totals.{field}"),
        total_id=f"{field}_total",
        total_unit="count",
        scale=1.0,
        need=need,
    )


def latency_column(
    column_id: str,
    title: str,
    conclude: Callable[[Histogram | None], float | None],
    *,
    priority: int,
    source: str,
    note: str,
    field: Literal["latency", "queued", "fsync"] = "latency",
    need: Need | None = None,
) -> Column:
    """Return a column that concludes a duration from a histogram."""
    get = attrgetter(f"totals.{field}")

    def since_opened(row: Row) -> Value:
        return conclude(get(row))

    return Column(
        id=column_id,
        title=title,
        unit="us",
        width=_width(title),
        align="right",
        priority=priority,
        source=source,
        help=note + NO_EVENT,
        rate=attrgetter(column_id),
        total=since_opened,
        total_unit="us",
        need=need,
    )


def time_column(
    column_id: str,
    title: str,
    unit: Literal["pct", "ms/s"],
    *,
    priority: int,
    source: str,
    note: str,
    field: str,
) -> Column:
    """Return a column of time spent waiting, summed in nanoseconds by `field`."""
    return Column(
        id=column_id,
        title=title,
        unit=unit,
        width=_width(title),
        align="right",
        priority=priority,
        source=source,
        help=note,
        rate=attrgetter(column_id),
        total=attrgetter(f"totals.{field}"),
        total_id=f"{field}_total",
        total_unit="ns",
        # Nanoseconds per second, as a share of the second, or as milliseconds.
        scale=100 / 1e9 if unit == "pct" else 1 / 1e6,
    )


def p50(histogram: Histogram | None) -> float | None:
    """Return the median in microseconds."""
    return percentile_us(histogram, 0.50)


def p99(histogram: Histogram | None) -> float | None:
    """Return the 99th percentile in microseconds."""
    return percentile_us(histogram, 0.99)


def mean_us(histogram: Histogram | None) -> float | None:
    """Return the mean in microseconds."""
    return summarize(histogram).mean_us


def max_us(histogram: Histogram | None) -> float | None:
    """Return the upper edge of the highest slot that was hit, in microseconds."""
    return summarize(histogram).max_us


def exited(row: Row) -> Value:
    """Return the state as a word."""
    return "exited" if row.exited else ""


def peak(row: Row) -> Value:
    """Return the busiest interval of the history: read and written bytes per second."""
    return max((p.write_bytes_per_s + p.read_bytes_per_s for p in row.history), default=0.0)


def _fsyncs(row: Row) -> Value:
    return count(row.totals.fsync)
