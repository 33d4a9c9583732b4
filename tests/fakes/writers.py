"""Processes of which only the written bytes matter."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from iotop_ng.clock import NS_PER_S
from iotop_ng.sample import Process, Sample, Thread, Totals, process_key


def sample(processes: Iterable[Process], **fields: Any) -> Sample:
    """Return a reading; its times are the scripted source's business."""
    return Sample(source="sim", wall_ns=0, mono_ns=0, processes=tuple(processes), **fields)


def process(
    pid: int, written: int, comm: str = "dd", *, threads: tuple[Thread, ...] = (), **fields: Any
) -> Process:
    """Return a process that has written so many bytes and read none."""
    values: dict[str, Any] = {
        "key": process_key(pid, pid * NS_PER_S),
        "pid": pid,
        "start_ns": pid * NS_PER_S,
        "ppid": 1,
        "uid": 0,
        "user": "root",
        "comm": comm,
        "command": f"/usr/bin/{comm} --all",
        "cgroup": "/",
        "prio": "be/4",
        "is_kthread": False,
        "is_exited": False,
        "totals": counted(written),
        "threads": threads,
    }
    return Process(**values | fields)


def counted(written: int, io_delay_ns: int | None = None) -> Totals:
    """Return totals of a task that wrote."""
    return Totals(
        read_bytes=0, write_bytes=written, cancelled_write_bytes=0, io_delay_ns=io_delay_ns
    )
