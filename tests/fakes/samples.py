"""Samples by hand: only what a test is about has to be named."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from iotop_ng.model.frame import Frame, Row
from iotop_ng.sample import (
    HISTOGRAM_SLOTS,
    Device,
    Histogram,
    OpTotals,
    Process,
    Sample,
    Thread,
    Totals,
    process_key,
)

SECOND = 1_000_000_000
MIB = 1 << 20
BOOTED_NS = 1000 * SECOND
"""Monotonic time of a test's first reading."""


def slots(**counts: int) -> Histogram:
    """Return a histogram: slots(s10=3) has three events in slot 10."""
    values = [0] * HISTOGRAM_SLOTS
    for name, count in counts.items():
        values[int(name.removeprefix("s"))] = count
    return tuple(values)


def process(pid: int, totals: Totals | None = None, **changes: Any) -> Process:
    start_ns = changes.pop("start_ns", pid * SECOND)
    base = Process(
        key=process_key(pid, start_ns),
        pid=pid,
        start_ns=start_ns,
        ppid=1,
        uid=0,
        user="root",
        comm=f"p{pid}",
        command=f"/bin/p{pid} --run",
        cgroup="/",
        prio="be/4",
        is_kthread=False,
        is_exited=False,
        totals=totals if totals is not None else Totals(read_bytes=0, write_bytes=0),
    )
    return replace(base, **changes)


def wrote(pid: int, count: int, **changes: Any) -> Process:
    """Return a process that has written so many bytes and read none."""
    return process(pid, Totals(read_bytes=0, write_bytes=count), **changes)


def thread(tid: int, **totals: Any) -> Thread:
    return Thread(tid, f"t{tid}", Totals(**totals))


def device(name: str = "vda", **changes: Any) -> Device:
    base = Device(
        name=name,
        major=254,
        minor=0,
        is_stacked=False,
        read_ios=0,
        read_bytes=0,
        write_ios=0,
        write_bytes=0,
        discard_ios=None,
        discard_bytes=None,
        flush_ios=None,
        in_flight=0,
        read_ms=0,
        write_ms=0,
        flush_ms=None,
        busy_ms=0,
        weighted_ms=0,
    )
    return replace(base, **changes)


def op(name: str = "write", **changes: Any) -> OpTotals:
    base = OpTotals(
        op=name,
        ios=0,
        bytes=0,
        errors=0,
        requeues=0,
        latency_ns=0,
        queued_ns=0,
        latency=slots(),
        queued=slots(),
    )
    return replace(base, **changes)


def sample(
    at_s: float, processes: Sequence[Process] = (), devices: Sequence[Device] = (), **changes: Any
) -> Sample:
    """Return the reading `at_s` seconds after the test's start."""
    mono_ns = BOOTED_NS + round(at_s * SECOND)
    base = Sample(
        source="sim",
        wall_ns=1_800_000_000 * SECOND + mono_ns,
        mono_ns=mono_ns,
        processes=tuple(processes),
        devices=tuple(devices),
    )
    return replace(base, **changes)


def by_pid(frame: Frame) -> dict[int, Row]:
    return {row.pid: row for row in frame.rows}
