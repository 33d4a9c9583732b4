"""Two intervals of a small machine with every kind of row, for tests of what is printed."""

from __future__ import annotations

from typing import Any

import msgspec

from iotop_ng.clock import NS_PER_S
from iotop_ng.model.frame import EMPTY_FRAME, DeviceRow, Frame, Row
from iotop_ng.sample import Totals, process_key

WALL_NS = 1_795_185_276_250_000_000
"""2026-11-20 14:34:36.25 UTC."""
MIB = 1024.0 * 1024


def row(pid: int, comm: str, command: str = "", **fields: Any) -> Row:
    """Return a process row; what is not given is a quiet process of root."""
    values: dict[str, Any] = {
        "key": process_key(pid, pid * NS_PER_S),
        "pid": pid,
        "tid": None,
        "start_ns": pid * NS_PER_S,
        "ppid": 1,
        "uid": 0,
        "user": "root",
        "comm": comm,
        "command": command,
        "cgroup": "/system.slice",
        "prio": "be/4",
        "is_kthread": not command,
        "exited": False,
        "read_bytes_per_s": 0.0,
        "write_bytes_per_s": 0.0,
        "cancelled_bytes_per_s": 0.0,
        "first_seen_ns": 90 * NS_PER_S,
        "totals": Totals(read_bytes=0, write_bytes=0, cancelled_write_bytes=0),
    }
    return Row(**values | fields)


def busy(pid: int, comm: str, command: str, read: float, write: float, **more: Any) -> Row:
    """Return a row that did I/O; its totals are ten seconds of its rates."""
    cancelled = more.pop("cancelled", 0.0)
    totals = Totals(
        read_bytes=int(read * 10),
        write_bytes=int(write * 10),
        cancelled_write_bytes=int(cancelled * 10),
        disk_ios=7,
    )
    rates = {
        "read_bytes_per_s": read,
        "write_bytes_per_s": write,
        "cancelled_bytes_per_s": cancelled,
    }
    return row(pid, comm, command, **{"totals": totals} | rates | more)


def with_delays(one: Row, io: float, swapin: float = 0.0) -> Row:
    """Return the row as it is where delay accounting is on."""
    totals = msgspec.structs.replace(one.totals, io_delay_ns=int(io * 1e7), swapin_delay_ns=0)
    return msgspec.structs.replace(one, io_delay_pct=io, swapin_pct=swapin, totals=totals)


PROCESSES = (
    row(1, "systemd", "/sbin/init splash"),
    row(14, "kworker/u8:0-flush-254:0", prio="be/0"),
    busy(14509, "dd", "/usr/bin/dd if=/dev/zero of=/srv/x bs=1M", 0.0, 1850.55 * MIB),
    busy(917, "postgres", "postgres: wal writer", 64 * 1024.0, 1.1 * MIB, user="postgres"),
    busy(4194303, "java", "/opt/j/bin/java -jar a.jar", 2047.99, 2048.0, prio="rt/0"),
    busy(300, "rm", "rm -rf cache", 0.0, 3 * MIB, cancelled=MIB, user="very-long-user-name"),
    busy(301, "a b", './a b [bold red]x[/] "q,uote" ·[31m 日本語', 1.0, 0.0, user="用户名字五六"),
    row(302, "new", "/bin/new", read_bytes_per_s=None, write_bytes_per_s=None, prio=None),
    row(303, "backup", "/usr/bin/backup --all", prio="id/7"),
    busy(304, "gone", "/bin/gone", 0.0, 65536.0, exited=True, exited_tick=2),
    busy(305, "byte", "/bin/byte", 2048.1, 2049 * 1024.0**4),
)
_IO_PCT = (0.0, 0.0, 62.5, 9.994, 100.0, 10.0, 0.004, 0.0, 0.0, 0.0, 99.995)
DELAYED = tuple(
    with_delays(one, io, swapin=10.0 if one.comm == "byte" else 0.0)
    for one, io in zip(PROCESSES, _IO_PCT, strict=True)
)
THREADS = (
    busy(917, "postgres", "postgres: wal writer", 64 * 1024.0, 1 * MIB, tid=917, user="postgres"),
    busy(4194303, "java", "/opt/j/bin/java -jar a.jar", 0.0, 0.0, tid=4194303),
    busy(4194303, "C2 CompilerThre", "/opt/j/bin/java -jar a.jar", 2047.99, 48.0, tid=4194299),
    busy(4194303, "java", "/opt/j/bin/java -jar a.jar", 0.0, 2000.0, tid=0),
    row(14, "kworker/u8:0-flush-254:0", tid=14),
    busy(304, "gone", "/bin/gone", 0.0, 65536.0, tid=0, exited=True, exited_tick=2),
)
DEVICES = (
    DeviceRow(
        name="vda",
        major=254,
        minor=0,
        is_stacked=False,
        read_bytes_per_s=48660.48,
        write_bytes_per_s=1851.49 * MIB,
        discard_bytes_per_s=None,
        read_iops=11.5,
        write_iops=2100.0,
        flush_iops=None,
        discard_iops=None,
        read_await_us=None,
        write_await_us=None,
        flush_await_us=None,
        latency_p50_us=2048.0,
        latency_p99_us=38000.12345,
        latency_max_us=None,
        queue_depth=41.0,
        in_flight=3,
        util_pct=97.25,
        errors=0,
        read_bytes_total=48660,
        write_bytes_total=1941457862,
    ),
)


def interval(tick: int, rows: tuple[Row, ...], threads: tuple[Row, ...] = ()) -> Frame:
    """Return the frame of one interval; tick 0 has no rates."""
    has_rates = tick > 0
    return msgspec.structs.replace(
        EMPTY_FRAME,
        tick=tick,
        source="bcc",
        wall_ns=WALL_NS + tick * NS_PER_S,
        mono_ns=100 * NS_PER_S,
        interval_s=1.0003 if has_rates else 0.0,
        rows=rows,
        threads=threads,
        devices=DEVICES,
        read_bytes_per_s=47.52 * 1024 if has_rates else None,
        write_bytes_per_s=1850.55 * MIB if has_rates else None,
        page_in_bytes_per_s=47.52 * 1024 if has_rates else None,
        page_out_bytes_per_s=1851.49 * MIB if has_rates else None,
        coverage_pct=98.2 if has_rates else None,
        lost=0,
    )
