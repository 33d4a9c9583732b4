"""The fields of machine output, named by the column registry, a total beside its rate.

What is not measured is None, never 0. A change of the fields raises SCHEMA.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta, timezone

from iotop_ng.clock import NS_PER_S
from iotop_ng.model.column import Column
from iotop_ng.model.fields import BY_ID, COLUMNS
from iotop_ng.model.frame import DeviceRow, Frame, Row

SCHEMA = 1
Scalar = float | int | str | bool | None
Field = tuple[str, Callable[[Row], Scalar]]

_DECIMALS = 3
"""Rates are rounded: totals are what adds up exactly."""
_DEVICE_FIELDS = (
    "name",
    "read_bytes_per_s",
    "read_bytes_total",
    "write_bytes_per_s",
    "write_bytes_total",
    "read_iops",
    "write_iops",
    "flush_iops",
    "latency_p50_us",
    "latency_p99_us",
    "queue_depth",
    "util_pct",
)


def task_fields(columns: Sequence[str], *, threads: bool) -> tuple[Field, ...]:
    """Return name and getter of every field of a task.

    Args:
        columns: ids of the registry; none means all. The pid is always there.
        threads: tasks are threads and have a `tid`.
    """
    chosen = [BY_ID[name] for name in dict.fromkeys(("pid", *columns))] if columns else COLUMNS
    fields: dict[str, Callable[[Row], Scalar]] = {}
    for column in chosen:
        if column.id == "history" or (column.id == "tid" and not threads):
            continue
        fields[column.id] = _getter(column)
        if column.total_id and column.total is not None:
            fields[column.total_id] = column.total
    return tuple(fields.items())


def task(row: Row, fields: Iterable[Field]) -> dict[str, Scalar]:
    """Return one task as a record."""
    return {name: get(row) for name, get in fields}


def device(row: DeviceRow) -> dict[str, Scalar]:
    """Return one device as a record."""
    return {name: _rounded(getattr(row, name)) for name in _DEVICE_FIELDS}


def interval(frame: Frame) -> dict[str, Scalar]:
    """Return what describes the interval itself."""
    return {
        "time": rfc3339(frame.wall_ns),
        "interval_s": round(frame.interval_s, 6),
        "source": frame.source,
        "coverage_pct": _rounded(frame.coverage_pct),
        "lost_events": frame.lost,
    }


def rfc3339(wall_ns: int) -> str:
    """Return a time of day in this machine's zone, with its offset and milliseconds."""
    seconds, rest = divmod(wall_ns, NS_PER_S)
    moment = datetime.fromtimestamp(seconds, timezone.utc) + timedelta(microseconds=rest // 1000)
    return moment.astimezone().isoformat(timespec="milliseconds")


def _getter(column: Column) -> Callable[[Row], Scalar]:
    if column.id == "exited":
        return lambda row: row.exited
    if not column.is_number:
        return column.rate
    return lambda row: _rounded(column.rate(row))


def _rounded(value: Scalar) -> Scalar:
    return round(value, _DECIMALS) if isinstance(value, float) else value
