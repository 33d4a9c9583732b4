"""Frames for policies: a few processes, one device."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from iotop_ng.model.frame import EMPTY_FRAME, DeviceRow, Frame, Row
from iotop_ng.sample import process_key

SECOND = 1_000_000_000


def process(
    pid: int,
    comm: str,
    *,
    write: float | None = 0.0,
    fsync_ms: float | None = None,
    cgroup: str | None = "/system.slice/app.service",
    ppid: int = 1,
    start: int = 1,
    command: str | None = None,
    uid: int = 0,
    age_ms: float | None = None,
    is_kthread: bool = False,
    exited: bool = False,
) -> Row:
    """Return a row that writes bytes/s; with `fsync_ms` it calls fsync ten times a second."""
    start_ns = start << 30
    return Row(
        key=process_key(pid, start_ns), pid=pid, tid=None, start_ns=start_ns, ppid=ppid, uid=uid,
        user="root", comm=comm, command=comm if command is None else command, cgroup=cgroup,
        prio=None, is_kthread=is_kthread, exited=exited, write_bytes_per_s=write,
        fsync_per_s=0.0 if fsync_ms is None else 10.0,
        fsync_p99_us=None if fsync_ms is None else fsync_ms * 1000,
        fsync_age_us=None if age_ms is None else age_ms * 1000,
    )  # fmt: skip


def device(write: float, await_ms: float | None) -> DeviceRow:
    return DeviceRow(
        name="vda", major=252, minor=0, is_stacked=False, read_bytes_per_s=0.0,
        write_bytes_per_s=write, discard_bytes_per_s=None, read_iops=0.0, write_iops=100.0,
        flush_iops=None, discard_iops=None, read_await_us=None,
        write_await_us=None if await_ms is None else await_ms * 1000, flush_await_us=None,
        latency_p50_us=None, latency_p99_us=None, latency_max_us=None, queue_depth=None,
        in_flight=0, util_pct=None, errors=None, read_bytes_total=0, write_bytes_total=0,
    )  # fmt: skip


def frame(
    tick: int, now_ns: int, rows: Sequence[Row], *, lost: int = 0, await_ms: float | None = None,
    interval_s: float = 1.0,
) -> Frame:  # fmt: skip
    written = sum(row.write_bytes_per_s or 0 for row in rows)
    return replace(
        EMPTY_FRAME, tick=tick, mono_ns=now_ns, interval_s=interval_s, rows=tuple(rows),
        devices=(device(written, await_ms),), lost=lost,
    )  # fmt: skip
