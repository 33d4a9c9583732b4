"""Scripted frames for the screen: a fixed clock, a hog, a victim, ended tasks, hostile names."""

from __future__ import annotations

import math
from collections.abc import Sequence

from iotop_ng.model.frame import (
    EMPTY_FRAME,
    DevicePoint,
    DeviceRow,
    Frame,
    OpRow,
    Point,
    Row,
)
from iotop_ng.sample import HISTOGRAM_SLOTS, MapFill, Probe, Totals, process_key

WALL_NS = 1_800_000_000 * 10**9
"""2027-01-15 08:00:00 UTC."""
MIB = 1 << 20
HISTORY = 120
FIRST_TICK = 60
"""A frame in the middle of a run, so that plots have something to draw."""


def wave(pid: int, tick: int) -> float:
    """Return 0.3 to 1.0, a slow wave whose phase depends on the process; the same every time."""
    return 0.65 + 0.35 * math.sin(tick / 5 + pid)


def row(
    pid: int,
    comm: str,
    *,
    command: str | None = None,
    user: str = "root",
    tick: int = FIRST_TICK,
    write: float = 0.0,
    read: float = 0.0,
    p99_us: float | None = None,
    fsync_us: float | None = None,
    exited: bool = False,
    is_kthread: bool = False,
    submits_for: str = "",
    ppid: int = 1,
    tid: int | None = None,
) -> Row:
    """Return a row that writes and reads at about these rates, in bytes per second."""
    first = max(tick - HISTORY + 1, 1)
    is_active = bool(write or read)
    last = tick - 8 if exited else tick
    now = 0.0 if exited else wave(pid, tick)
    history = tuple(
        Point(t, write * wave(pid, t), read * wave(pid, t), p99_us and p99_us * wave(pid, t))
        for t in range(first, last + 1)
        if is_active
    )
    return Row(
        key=process_key(pid, pid << 20),
        pid=pid,
        tid=tid,
        start_ns=pid << 20,
        ppid=ppid,
        uid=0 if user == "root" else 1000,
        user=user,
        comm=comm,
        command=comm if command is None else command,
        cgroup=f"/system.slice/{comm.split('/', maxsplit=1)[0]}.service",
        prio="be/4",
        is_kthread=is_kthread,
        exited=exited,
        exited_tick=tick - 8 if exited else None,
        write_bytes_per_s=write * now,
        read_bytes_per_s=read * now,
        cancelled_bytes_per_s=0.0,
        dirtied_bytes_per_s=write * now,
        disk_write_bytes_per_s=write * now * 0.9,
        disk_read_bytes_per_s=read * now,
        disk_iops=(write + read) * now / (128 << 10),
        latency_p50_us=None if p99_us is None else p99_us / 12,
        latency_p99_us=p99_us,
        latency_max_us=None if p99_us is None else p99_us * 1.6,
        fsync_p99_us=fsync_us,
        io_delay_pct=min(100.0, 60 * now) if is_active else 0.0,
        submits_for=submits_for,
        totals=Totals(write_bytes=int(write * tick), read_bytes=int(read * tick)),
        first_seen_ns=0,
        first_tick=first,
        history=history,
    )


def hostile(pid: int, tick: int = FIRST_TICK) -> tuple[Row, ...]:
    """Return rows whose names would harm a screen that interprets them."""
    names = (
        "[red]not red[/red] [@click=app.quit]no link[/]",
        "\\[escaped] ]] [bold",
        "宽字符 全角 wide 🙂 tail",
        "ÄÖÜ ñ combining?",
        "$(touch /tmp/x) `id` %s %(n)s {0}",
    )
    return tuple(
        row(pid + i, name[:15], command=name, user="app", write=9e3 - i, tick=tick)
        for i, name in enumerate(names)
    )


def processes(tick: int = FIRST_TICK, idle: int = 40) -> tuple[Row, ...]:
    """Return a small host: a flood, a database that suffers, readers, a kworker, idle ones."""
    rows = (
        row(
            4242,
            "log-flood",
            command="log-flood --rate max --out /var/log/app/flood.log",
            user="app",
            write=212 * MIB,
            p99_us=41_000,
            tick=tick,
        ),
        row(
            917,
            "postgres",
            command="postgres: wal writer",
            user="postgres",
            write=1.2 * MIB,
            read=64e3,
            p99_us=310_000,
            fsync_us=412_000,
            tick=tick,
        ),
        row(
            88,
            "kworker/u8:3+fl",
            command="",
            write=0,
            is_kthread=True,
            submits_for="log-flood[4242] 98%",
            tick=tick,
        ),
        row(
            2201,
            "rsync",
            command="rsync -a /srv /backup",
            user="backup",
            read=38e6,
            tick=tick,
            p99_us=9000,
        ),
        row(
            3300,
            "dd",
            command="dd if=/dev/zero of=x bs=1M count=64",
            user="app",
            write=7 * MIB,
            exited=True,
            tick=tick,
        ),
        row(1503, "journald", command="/usr/lib/systemd/systemd-journald", write=12e3, tick=tick),
        *hostile(7000, tick),
    )
    return rows + tuple(
        row(
            10_000 + i,
            f"idle-{i}",
            command=f"/usr/bin/idle-{i} --serve",
            user="www-data",
            tick=tick,
        )
        for i in range(idle)
    )


def histogram(center: int, count: int) -> tuple[int, ...]:
    """Return a bell of counts around a slot."""
    return tuple(
        int(count * math.exp(-((slot - center) ** 2) / 6)) for slot in range(HISTOGRAM_SLOTS)
    )


def device(name: str = "vda", share: float = 1.0, tick: int = FIRST_TICK) -> DeviceRow:
    """Return a device that takes a share of what the flood writes."""
    now = wave(4242, tick)
    write, read = 212 * MIB * share, 39e6 * share
    ops = (
        OpRow(
            "read",
            300 * share,
            read * now,
            0,
            0,
            1200,
            900,
            9000,
            17000,
            400,
            histogram(20, int(300 * share)),
        ),
        OpRow(
            "write",
            1900 * share,
            write * now,
            0,
            2,
            9000,
            4000,
            41000,
            67000,
            12000,
            histogram(23, int(1900 * share)),
        ),
        OpRow("flush", 4 * share, 0.0, 0, 0, 21000, 17000, 34000, 34000, None, histogram(24, 4)),
    )
    return DeviceRow(
        name=name,
        major=254,
        minor=0,
        is_stacked=name.startswith("dm"),
        read_bytes_per_s=read * now,
        write_bytes_per_s=write * now,
        discard_bytes_per_s=0.0,
        read_iops=300 * share,
        write_iops=1900 * share,
        flush_iops=4 * share,
        discard_iops=0.0,
        read_await_us=1600,
        write_await_us=21000,
        flush_await_us=22000,
        latency_p50_us=3800,
        latency_p99_us=38000,
        latency_max_us=67000,
        queue_depth=41.0 * share,
        in_flight=int(38 * share),
        util_pct=97.0 * share,
        errors=0,
        read_bytes_total=int(read * tick),
        write_bytes_total=int(write * tick),
        ops=ops if share else (),
        history=tuple(
            DevicePoint(t, write * wave(4242, t), read * wave(4242, t), 38_000, 97.0)
            for t in range(max(tick - HISTORY + 1, 1), tick + 1)
            if share
        ),
    )


PROBES = (
    Probe("task_totals", "iter/task", "always", True, 60, 60 * 2_000_000),
    Probe("task_exit", "raw_tp/sched_process_exit", "always", True, 420, 420 * 1800),
    Probe(
        "dirty_folio", "raw_tp/writeback_dirty_folio", "default", True, 3_200_000, 3_200_000 * 80
    ),
    Probe("rq_issue", "raw_tp/block_rq_issue", "default", True, 132_000, 132_000 * 420),
    Probe("sys_exit_fsync", "tp/syscalls/sys_exit_fsync", "on demand", False, None, None),
    Probe(
        "old_hook",
        "kprobe/blk_account_io_start",
        "default",
        False,
        None,
        None,
        "this kernel has no such function",
    ),
)
MAPS = (
    MapFill("tasks", "lru_hash", 1210, 16384, 0),
    MapFill("inflight", "hash", 8100, 8192, 12),
    MapFill("folios", "hash", None, 65536, 0),
)


def frame(
    tick: int = FIRST_TICK,
    *,
    rows: Sequence[Row] | None = None,
    devices: Sequence[DeviceRow] | None = None,
    notes: Sequence[str] = (),
    source: str = "bcc",
    idle: int = 40,
    threads: Sequence[Row] = (),
) -> Frame:
    """Return one interval of the scripted host."""
    shown = tuple(rows) if rows is not None else processes(tick, idle)
    has_bpf = source == "bcc"
    return Frame(
        tick=tick,
        source=source,
        wall_ns=WALL_NS + tick * 10**9,
        mono_ns=tick * 10**9 + 1,
        interval_s=1.0003,
        rows=shown,
        threads=tuple(threads),
        devices=tuple(devices) if devices is not None else (device(tick=tick),),
        read_bytes_per_s=sum(r.read_bytes_per_s or 0 for r in shown),
        write_bytes_per_s=sum(r.write_bytes_per_s or 0 for r in shown),
        page_in_bytes_per_s=0.0,
        page_out_bytes_per_s=0.0,
        dirty_bytes=1_150_000_000,
        writeback_bytes=20_000_000,
        kernel_pause_ms_per_s=212.0 if has_bpf else None,
        coverage_pct=98.2 if has_bpf else None,
        lost=12 if has_bpf else 0,
        self_cpu_pct=0.6,
        probes=PROBES if has_bpf else (),
        probe_rates=(
            (
                (1.0, 2_000_000.0),
                (7.0, 1800.0),
                (53_000.0, 80.0),
                (2200.0, 420.0),
                (None, None),
                (None, None),
            )
            if has_bpf
            else ()
        ),
        maps=MAPS if has_bpf else (),
        notes=tuple(notes),
        history_ticks=HISTORY,
    )


def first_frame(source: str = "bcc") -> Frame:
    """Return the frame of the first reading: every rate is unknown."""
    blank = EMPTY_FRAME.__class__
    assert blank is Frame
    rows = tuple(
        Row(
            key=process_key(pid, 1),
            pid=pid,
            tid=None,
            start_ns=1,
            ppid=1,
            uid=0,
            user="root",
            comm=f"task-{pid}",
            command="",
            cgroup=None,
            prio=None,
            is_kthread=False,
            exited=False,
        )
        for pid in range(1, 12)
    )
    return frame(0, rows=rows, devices=(), source=source)
