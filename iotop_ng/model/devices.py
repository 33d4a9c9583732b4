"""Rows of block devices: /proc/diskstats and the block tracepoints, from reading to reading."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from iotop_ng.model.frame import DevicePoint, DeviceRow, OpRow
from iotop_ng.model.histogram import EMPTY, merge_all, percentile_us, subtract, summarize
from iotop_ng.model.history import History
from iotop_ng.model.rates import Interval, change, rate, share_pct
from iotop_ng.sample import Device, Histogram, OpTotals

Number: TypeAlias = tuple[int, int]
"""major, minor"""
NS_PER_MS = 1_000_000
US_PER_MS = 1000
NS_PER_US = 1000
NO_OPS = OpTotals("", 0, 0, 0, 0, 0, 0, EMPTY, EMPTY)
_DATA = frozenset({"read", "write"})


class Devices:
    """All whole block devices. One that comes later has no rates in its first interval."""

    def __init__(self, history_ticks: int) -> None:
        self._last: dict[Number, Device] = {}
        self._first: dict[Number, Device] = {}
        self._moved: dict[Number, tuple[int, int]] = {}
        self._history: History[Number, DevicePoint] = History(history_ticks)

    def advance(
        self, devices: Sequence[Device], interval: Interval
    ) -> tuple[tuple[DeviceRow, ...], int]:
        """Return the rows, and the bytes that devices moved which are not stacked on others."""
        self._history.expire(interval.tick)
        rows: list[DeviceRow] = []
        moved = 0
        for device in devices:
            number = (device.major, device.minor)
            before = self._last.get(number)
            if before is None or before.name != device.name:
                before = None
                self._first[number] = device
                self._moved[number] = (0, 0)
                self._history.forget(number)
            self._last[number] = device
            read, written = self._count(number, before, device)
            if not device.is_stacked:
                moved += read + written
            rows.append(self._row(number, before, device, interval))
        return tuple(rows), moved

    def _count(self, number: Number, before: Device | None, after: Device) -> tuple[int, int]:
        """Add to the totals since the source opened and return what was added."""
        if before is None:
            return 0, 0
        read = change(before.read_bytes, after.read_bytes) or 0
        written = change(before.write_bytes, after.write_bytes) or 0
        total_read, total_written = self._moved[number]
        self._moved[number] = (total_read + read, total_written + written)
        return read, written

    def _row(
        self, number: Number, before: Device | None, after: Device, interval: Interval
    ) -> DeviceRow:
        # Without a reading before, everything compares with an unknown: one path for both.
        ns = interval.ns if before is not None else 0
        old = before or after
        ops = _ops(self._first[number], before, after, ns)
        latency = summarize(merge_all(op.latency for op in ops if op.op in _DATA) if ns else None)
        read = rate(old.read_bytes, after.read_bytes, ns)
        written = rate(old.write_bytes, after.write_bytes, ns)
        busy = change(old.busy_ms, after.busy_ms)
        util = share_pct(None if busy is None else busy * NS_PER_MS, ns)
        queue = rate(old.weighted_ms, after.weighted_ms, ns)
        history = self._history.of(number)
        if read or written or util:
            point = DevicePoint(
                interval.tick, written or 0.0, read or 0.0, latency.p99_us, util or 0.0
            )
            history = self._history.add(number, point)
        total_read, total_written = self._moved[number]
        return DeviceRow(
            name=after.name,
            major=after.major,
            minor=after.minor,
            is_stacked=after.is_stacked,
            read_bytes_per_s=read,
            write_bytes_per_s=written,
            discard_bytes_per_s=rate(old.discard_bytes, after.discard_bytes, ns),
            read_iops=rate(old.read_ios, after.read_ios, ns),
            write_iops=rate(old.write_ios, after.write_ios, ns),
            flush_iops=rate(old.flush_ios, after.flush_ios, ns),
            discard_iops=rate(old.discard_ios, after.discard_ios, ns),
            read_await_us=_await_us(old.read_ms, after.read_ms, old.read_ios, after.read_ios),
            write_await_us=_await_us(old.write_ms, after.write_ms, old.write_ios, after.write_ios),
            flush_await_us=_await_us(old.flush_ms, after.flush_ms, old.flush_ios, after.flush_ios),
            latency_p50_us=latency.p50_us,
            latency_p99_us=latency.p99_us,
            latency_max_us=latency.max_us,
            # Milliseconds in flight per second, /1000: 41,000 ms in one second are 41 requests.
            queue_depth=None if queue is None else queue / 1000,
            in_flight=after.in_flight,
            util_pct=util,
            errors=sum(op.errors for op in ops) if after.ops else None,
            read_bytes_total=total_read,
            write_bytes_total=total_written,
            ops=ops,
            history=history,
        )


def _await_us(
    ms_before: int | None, ms_after: int | None, ios_before: int | None, ios_after: int | None
) -> float | None:
    """Return the mean time of the requests that completed: 300 ms for 100 requests is 3000 us."""
    ms, ios = change(ms_before, ms_after), change(ios_before, ios_after)
    return None if ms is None or not ios else ms * US_PER_MS / ios


def _ops(
    first: Device, before: Device | None, after: Device, interval_ns: int
) -> tuple[OpRow, ...]:
    """Return the rows of a device's operations.

    An operation that the probes saw for the first time started at 0: they list what happened.
    """
    at_first = {op.op: op for op in first.ops}
    earlier = {op.op: op for op in (before or after).ops}
    return tuple(
        [_op(at_first.get(op.op), earlier.get(op.op), op, interval_ns) for op in after.ops]
    )


def _op(
    first: OpTotals | None, before: OpTotals | None, after: OpTotals, interval_ns: int
) -> OpRow:
    first = first or NO_OPS
    before = before or NO_OPS
    latency = _grown(before.latency, after.latency)
    queued = _grown(before.queued, after.queued)
    found = summarize(latency)
    ios, spent = change(before.ios, after.ios), change(before.latency_ns, after.latency_ns)
    return OpRow(
        op=after.op,
        iops=rate(before.ios, after.ios, interval_ns),
        bytes_per_s=rate(before.bytes, after.bytes, interval_ns),
        errors=max(after.errors - first.errors, 0),
        requeues=max(after.requeues - first.requeues, 0),
        latency_mean_us=None if spent is None or not ios else spent / ios / NS_PER_US,
        latency_p50_us=found.p50_us,
        latency_p99_us=found.p99_us,
        latency_max_us=found.max_us,
        queued_p99_us=percentile_us(queued, 0.99),
        latency=latency,
    )


def _grown(before: Histogram, after: Histogram) -> Histogram:
    return subtract(before, after) or EMPTY
