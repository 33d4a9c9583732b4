"""One row out of what happened in an interval: the only place where rates get their names."""

from __future__ import annotations

from typing import NamedTuple

from iotop_ng.model.frame import Point, Row
from iotop_ng.model.histogram import count, percentile_us, summarize
from iotop_ng.model.rates import Interval, per_second, share_pct
from iotop_ng.sample import NO_TOTALS, Process, Totals

NS_PER_MS = 1_000_000
NS_PER_US = 1000


class Deed(NamedTuple):
    """What a task did: in the interval, and since the source opened."""

    delta: Totals
    """In the interval; None where it is not known."""
    totals: Totals
    first_seen_ns: int
    first_tick: int
    submits_for: str = ""


class Who(NamedTuple):
    """Whose row it is."""

    process: Process
    tid: int | None = None
    comm: str = ""
    """A thread's own name; "" takes the process's."""
    exited_tick: int | None = None


def point(delta: Totals, interval: Interval) -> Point | None:
    """Return the interval's entry for the history; None when nothing happened in it."""
    written, read = delta.write_bytes or 0, delta.read_bytes or 0
    p99_us = percentile_us(delta.latency, 0.99)
    if interval.ns <= 0 or not (written or read or p99_us is not None):
        return None
    return Point(
        tick=interval.tick,
        write_bytes_per_s=per_second(written, interval.ns) or 0.0,
        read_bytes_per_s=per_second(read, interval.ns) or 0.0,
        latency_p99_us=p99_us,
    )


def row(who: Who, deed: Deed, interval: Interval, history: tuple[Point, ...] = ()) -> Row:
    """Return the row; every rate is None when the interval has no length."""
    process, ns = who.process, interval.ns
    delta = deed.delta if ns > 0 else NO_TOTALS
    latency = summarize(delta.latency)
    pauses = per_second(delta.kernel_pause_ns, ns)
    age_ns = process.fsync_age_ns if who.exited_tick is None else None
    return Row(
        key=process.key,
        pid=process.pid,
        tid=who.tid,
        start_ns=process.start_ns,
        ppid=process.ppid,
        uid=process.uid,
        user=process.user,
        comm=who.comm or process.comm,
        command=process.command,
        cgroup=process.cgroup,
        prio=process.prio,
        is_kthread=process.is_kthread,
        exited=who.exited_tick is not None,
        container=process.container,
        exited_tick=who.exited_tick,
        read_bytes_per_s=per_second(delta.read_bytes, ns),
        write_bytes_per_s=per_second(delta.write_bytes, ns),
        cancelled_bytes_per_s=per_second(delta.cancelled_write_bytes, ns),
        asked_read_bytes_per_s=per_second(delta.asked_read_bytes, ns),
        asked_write_bytes_per_s=per_second(delta.asked_write_bytes, ns),
        read_calls_per_s=per_second(delta.read_calls, ns),
        write_calls_per_s=per_second(delta.write_calls, ns),
        dirtied_bytes_per_s=per_second(delta.dirtied_bytes, ns),
        disk_read_bytes_per_s=per_second(delta.disk_read_bytes, ns),
        disk_write_bytes_per_s=per_second(delta.disk_write_bytes, ns),
        disk_iops=per_second(delta.disk_ios, ns),
        submitted_bytes_per_s=per_second(delta.submitted_bytes, ns),
        latency_mean_us=latency.mean_us,
        latency_p50_us=latency.p50_us,
        latency_p99_us=latency.p99_us,
        latency_max_us=latency.max_us,
        queued_p99_us=percentile_us(delta.queued, 0.99),
        fsync_per_s=per_second(count(delta.fsync), ns),
        fsync_p99_us=percentile_us(delta.fsync, 0.99),
        fsync_durations=delta.fsync,
        fsync_age_us=None if who.tid is not None or age_ns is None else age_ns / NS_PER_US,
        # Several threads can wait at once; more than the whole interval says no more than that.
        io_delay_pct=share_pct(delta.io_delay_ns, ns),
        swapin_pct=share_pct(delta.swapin_delay_ns, ns),
        kernel_pause_ms_per_s=None if pauses is None else pauses / NS_PER_MS,
        submits_for=deed.submits_for,
        totals=deed.totals,
        first_seen_ns=deed.first_seen_ns,
        first_tick=deed.first_tick,
        history=history,
    )
