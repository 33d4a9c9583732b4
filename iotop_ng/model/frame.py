"""What readers get: one immutable frame per interval, made of rows with rates.

``None`` is "not measured here or not known for this interval", 0 is "measured, none".
"""

from __future__ import annotations

import msgspec

from iotop_ng.sample import NO_TOTALS, Histogram, Host, MapFill, Probe, Totals


class Point(msgspec.Struct, frozen=True, gc=False):
    """One interval in a row's history. Intervals without activity are left out (they are 0)."""

    tick: int
    write_bytes_per_s: float
    read_bytes_per_s: float
    latency_p99_us: float | None


class Row(msgspec.Struct, frozen=True, gc=False):
    """One process, thread or cgroup in one interval. Rates are per second of the interval.

    Field names are the ids of the column registry (`iotop_ng.model.fields`).
    """

    key: int
    """Identity of the process (`iotop_ng.sample.process_key`)."""
    pid: int
    tid: int | None
    """None for a process row; 0 for what a process did beyond its live threads: threads that ended,
    and what is counted per process only."""
    start_ns: int
    ppid: int
    uid: int
    user: str
    comm: str
    command: str
    cgroup: str | None
    prio: str | None
    is_kthread: bool
    exited: bool
    container: str = ""
    """The name of the container that its cgroup is of; "" without."""
    exited_tick: int | None = None
    """The tick in which the row was first seen as ended."""
    read_bytes_per_s: float | None = None
    write_bytes_per_s: float | None = None
    cancelled_bytes_per_s: float | None = None
    asked_read_bytes_per_s: float | None = None
    asked_write_bytes_per_s: float | None = None
    read_calls_per_s: float | None = None
    write_calls_per_s: float | None = None
    dirtied_bytes_per_s: float | None = None
    disk_read_bytes_per_s: float | None = None
    disk_write_bytes_per_s: float | None = None
    disk_iops: float | None = None
    submitted_bytes_per_s: float | None = None
    latency_mean_us: float | None = None
    latency_p50_us: float | None = None
    latency_p99_us: float | None = None
    latency_max_us: float | None = None
    """Upper edge of the highest log2 bucket that was hit in the interval."""
    queued_p99_us: float | None = None
    fsync_per_s: float | None = None
    fsync_p99_us: float | None = None
    fsync_durations: Histogram | None = None
    """Of the fsync and fdatasync calls that returned in this interval, ns."""
    fsync_age_us: float | None = None
    """Of the oldest fsync that had not returned at the end of the interval; 0: there was none."""
    io_delay_pct: float | None = None
    """Share of the interval waiting for block I/O, 0..100 (per thread; summed, capped at 100)."""
    swapin_pct: float | None = None
    kernel_pause_ms_per_s: float | None = None
    submits_for: str = ""
    """For kernel threads: for whom they submitted in this interval, "dd[4242] 98%"."""
    policy: str = ""
    totals: Totals = NO_TOTALS
    """Since the source opened (what came before is subtracted)."""
    first_seen_ns: int = 0
    """Monotonic start of the first interval that has the row: averages divide by the frame's
    `mono_ns` minus this. A point in time, so that an idle row need not be made anew."""
    first_tick: int = 1
    """The first interval that has the row; what lies before it in a plot is unknown, not 0."""
    history: tuple[Point, ...] = ()
    """Oldest first, at most the frame's `history_ticks` old."""


class OpRow(msgspec.Struct, frozen=True, gc=False):
    """One operation of one device in one interval."""

    op: str
    iops: float | None
    bytes_per_s: float | None
    errors: int
    """Since the source opened, as `requeues`: one error must stay visible."""
    requeues: int
    latency_mean_us: float | None
    latency_p50_us: float | None
    latency_p99_us: float | None
    latency_max_us: float | None
    queued_p99_us: float | None
    latency: tuple[int, ...]
    """Counts per log2(ns) slot in this interval."""


class DevicePoint(msgspec.Struct, frozen=True, gc=False):
    """One interval in a device's history."""

    tick: int
    write_bytes_per_s: float
    read_bytes_per_s: float
    latency_p99_us: float | None
    util_pct: float


class DeviceRow(msgspec.Struct, frozen=True, gc=False):
    """One whole block device in one interval."""

    name: str
    major: int
    minor: int
    is_stacked: bool
    read_bytes_per_s: float | None
    write_bytes_per_s: float | None
    discard_bytes_per_s: float | None
    read_iops: float | None
    write_iops: float | None
    flush_iops: float | None
    discard_iops: float | None
    read_await_us: float | None
    """/proc/diskstats: mean time from allocation to completion."""
    write_await_us: float | None
    flush_await_us: float | None
    latency_p50_us: float | None
    """Block tracepoints, reads and writes: issue to completion."""
    latency_p99_us: float | None
    latency_max_us: float | None
    queue_depth: float | None
    """Mean number of requests in flight (aqu-sz)."""
    in_flight: int
    util_pct: float | None
    errors: int | None
    """Failed requests since the source opened; None without block probes."""
    read_bytes_total: int
    write_bytes_total: int
    """Since the source opened."""
    ops: tuple[OpRow, ...] = ()
    history: tuple[DevicePoint, ...] = ()


class PolicyRow(msgspec.Struct, frozen=True, gc=False):
    """One policy in force in one interval."""

    id: int
    key: int | None
    """Process key of the target; None for a cgroup."""
    cgroup: str | None
    pid: int | None
    name: str
    kind: str
    """throttle, drop or ionice."""
    mechanism: str
    rate_bytes_per_s: int | None
    """What may pass; None: nothing (drop), or no rate (ionice)."""
    by: str
    """Who asked: "root on pts/3", "rule flood"."""
    rule: str
    since_ns: int
    remaining_s: float
    """Of the lease."""
    processes: int | None = None
    written_bytes_per_s: float | None = None
    """Of everything that it covers, in this interval."""
    before_bytes_per_s: int | None = None
    """When it was applied."""
    held_pct: float | None = None
    """Time that the writing threads were made to wait, share of the interval, summed over threads:
    above 100 when several waited."""
    refused_calls_per_s: float | None = None
    refused_bytes_per_s: float | None = None
    refused_calls_total: int | None = None
    refused_bytes_total: int | None = None
    charged_bytes_total: int | None = None
    effect: str = ""
    """effective, partly, no effect; "" while it is too early to say."""
    why: str = ""
    """For partly and no effect; also what the mechanism reports as wrong."""
    is_dry: bool = False
    text: str = ""
    """For the row's policy column: "throttle 5M"."""


class PolicyEvent(msgspec.Struct, frozen=True, gc=False):
    """One thing that was done, or would have been."""

    seq: int
    wall_ns: int
    what: str
    name: str
    text: str
    by: str


class Frame(msgspec.Struct, frozen=True, gc=False):
    """One interval of the whole machine."""

    tick: int
    """Counts intervals from 1; 0 is the first sample, where every rate is None."""
    source: str
    wall_ns: int
    mono_ns: int
    interval_s: float
    """Measured; 0.0 in tick 0."""
    rows: tuple[Row, ...]
    """One per process (alive, or ended within the history), any order."""
    threads: tuple[Row, ...]
    """One per live thread, and one with tid 0 per process whose threads do not sum up; only while
    threads are asked for."""
    devices: tuple[DeviceRow, ...]
    read_bytes_per_s: float | None
    """Sum over processes."""
    write_bytes_per_s: float | None
    page_in_bytes_per_s: float | None
    """/proc/vmstat: what block devices really did."""
    page_out_bytes_per_s: float | None
    dirty_bytes: int | None
    writeback_bytes: int | None
    kernel_pause_ms_per_s: float | None
    coverage_pct: float | None
    """Share of the (not stacked) devices' bytes that rows explain; None without block probes or
    without traffic."""
    lost: int
    self_cpu_pct: float | None
    probes: tuple[Probe, ...]
    probe_rates: tuple[tuple[float | None, float | None], ...]
    """(hits per second, ns per run in this interval), in the order of `probes`."""
    maps: tuple[MapFill, ...]
    notes: tuple[str, ...]
    history_ticks: int
    ended_hidden: int = 0
    """Ended processes that were folded away because too many ended within the history."""
    host: Host = Host()
    io_some_pct: float | None = None
    """Pressure, share of the interval in which somebody waited for I/O; None: not measured."""
    io_full_pct: float | None = None
    """Share in which everybody who was not idle did."""
    policies: tuple[PolicyRow, ...] = ()
    """In force now, of all who act on this machine, oldest first."""
    policy_events: tuple[PolicyEvent, ...] = ()
    """The last ones, oldest first."""
    policy_problem: str = ""
    """Why nothing can be done to processes here, or what went wrong last."""


EMPTY_FRAME = Frame(
    tick=0,
    source="",
    wall_ns=0,
    mono_ns=0,
    interval_s=0.0,
    rows=(),
    threads=(),
    devices=(),
    read_bytes_per_s=None,
    write_bytes_per_s=None,
    page_in_bytes_per_s=None,
    page_out_bytes_per_s=None,
    dirty_bytes=None,
    writeback_bytes=None,
    kernel_pause_ms_per_s=None,
    coverage_pct=None,
    lost=0,
    self_cpu_pct=None,
    probes=(),
    probe_rates=(),
    maps=(),
    notes=(),
    history_ticks=0,
)
"""The frame before the first reading."""
