"""Every way of writing shows in the columns that should count it, to the byte, and in no other."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from iotop_ng.sample import Need, Process
from iotop_ng.sources.bcc import BccSource
from tests.kernel.disks import Mounted
from tests.kernel.gate import Workload
from tests.kernel.rows import children, find, number

pytestmark = pytest.mark.kernel

SIZE = 65536
COUNT = 509  # a prime number of operations: 31.8 MiB
ALL = COUNT * SIZE
NEEDS = frozenset({Need.SYSCALLS})


class Columns(NamedTuple):
    """Bytes by the counter that saw them."""

    asked: int
    written: int
    cancelled: int
    dirtied: int
    disk: int


def columns(process: Process) -> Columns:
    """Return what the source says of a process."""
    totals = process.totals
    return Columns(
        asked=number(totals.asked_write_bytes),
        written=number(totals.write_bytes),
        cancelled=number(totals.cancelled_write_bytes),
        dirtied=number(totals.dirtied_bytes),
        disk=number(totals.disk_write_bytes),
    )


CALLS = {
    "write": Columns(ALL, ALL, 0, ALL, ALL),
    "pwritev": Columns(ALL, ALL, 0, ALL, ALL),
    "sendfile": Columns(ALL, ALL, 0, ALL, ALL),
    "copy_file_range": Columns(ALL, ALL, 0, ALL, ALL),
    # Both ends of the pipe are calls that return bytes.
    "splice": Columns(2 * ALL, ALL, 0, ALL, ALL),
    "mmap": Columns(0, ALL, 0, ALL, ALL),
    "direct": Columns(ALL, ALL, 0, 0, ALL),
    "truncate": Columns(ALL, ALL, ALL, ALL, 0),
    "unlink": Columns(ALL, ALL, ALL, ALL, 0),
    "rewrite": Columns(ALL, SIZE, 0, SIZE, SIZE),
    "fallocate": Columns(0, 0, 0, 0, 0),
}


@pytest.mark.parametrize("way", CALLS)
def test_every_way_of_writing_is_counted_where_it_should_be(
    way: str,
    workloads: Callable[[str], Path],
    ext4: Mounted,
    source: BccSource,
    note: Callable[[str], None],
) -> None:
    """The columns hold exactly the bytes, and /proc/PID/io agrees where it counts the same."""
    origin = ext4.path / "origin"
    if way in {"sendfile", "copy_file_range", "splice"}:
        origin.write_bytes(b"s" * ALL)
        ext4.flush()
    from_file = [origin] if origin.exists() else []
    program = workloads("writer")

    with Workload(program, way, ext4.path / "data", COUNT, SIZE, *from_file) as writer:
        source.read(NEEDS)
        writer.run()
        io = writer.io()
        ext4.flush()
        process = find(source.read(NEEDS), writer.pid)
        writer.end()

    note(f"{way}: {columns(process)}")
    assert columns(process) == CALLS[way]
    assert (io.write_bytes, io.cancelled_write_bytes) == columns(process)[1:3]


ENGINES = {
    "libaio O_DIRECT": (("--ioengine=libaio", "--direct=1"), Columns(0, ALL, 0, 0, ALL)),
    "io_uring buffered": (("--ioengine=io_uring",), Columns(0, ALL, 0, ALL, ALL)),
    "io_uring O_DIRECT": (("--ioengine=io_uring", "--direct=1"), Columns(0, ALL, 0, 0, ALL)),
    "io_uring SQPOLL": (
        ("--ioengine=io_uring", "--direct=1", "--sqthread_poll=1"),
        Columns(0, ALL, 0, 0, ALL),
    ),
}


@pytest.mark.parametrize("engine", ENGINES)
def test_asynchronous_writes_are_counted_though_no_call_returns_their_bytes(
    engine: str,
    ext4: Mounted,
    source: BccSource,
    note: Callable[[str], None],
) -> None:
    """fio's own count of operations and bytes is what the row of its job says."""
    options, expected = ENGINES[engine]
    source.read(NEEDS)

    with subprocess.Popen(
        ["fio", "--name=job", f"--filename={ext4.path / 'data'}", "--rw=write", f"--bs={SIZE}",
         f"--size={ALL}", "--iodepth=8", "--fallocate=none", "--output-format=json", *options],
        stdout=subprocess.PIPE,
    ) as fio:  # fmt: skip
        report, _ = fio.communicate()
    ext4.flush()
    sample = source.read(NEEDS)
    jobs = [job for job in children(sample, fio.pid) if number(job.totals.write_bytes)]

    written = json.loads(report)["jobs"][0]["write"]
    assert (written["total_ios"], written["io_bytes"]) == (COUNT, ALL)
    assert len(jobs) == 1
    note(f"{engine}: {columns(jobs[0])}")
    assert columns(jobs[0]) == expected
