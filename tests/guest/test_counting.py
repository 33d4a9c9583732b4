"""On every kernel, the counters hold exactly what was done; each is compared with another count."""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from iotop_ng.sample import Need, Process, Sample
from iotop_ng.sources.bcc import BccSource
from tests.kernel.counts import SECTOR, diskstats
from tests.kernel.gate import Workload
from tests.kernel.rows import children, find, number, operations

pytestmark = pytest.mark.guest(every_kernel=True)

Workloads = Callable[[str], Path]
SIZE = 65536
COUNT = 211  # a prime number of operations: 13 MiB
ALL = COUNT * SIZE
DISK = "vda"
NOTHING: frozenset[Need] = frozenset()
SYSCALLS = frozenset({Need.SYSCALLS})


@pytest.fixture(scope="module")
def source() -> Iterator[BccSource]:
    """Give the BPF source, compiled in this guest, counting."""
    opened = BccSource()
    opened.open()
    try:
        yield opened
    finally:
        opened.close()


@pytest.fixture
def kind() -> str:
    """Give the kind of file system of the guest's disk."""
    mounts = (line.split() for line in Path("/proc/mounts").read_text("utf-8").splitlines())
    return next(mount[2] for mount in mounts if mount[1] == "/data")


def flush() -> None:
    """Write back everything that is dirty; kernel threads do the writing."""
    os.sync()


def test_the_guest_has_what_the_tests_stand_on() -> None:
    """Control groups with io and memory, tracefs, bpffs, the BPF LSM, delay accounting."""
    controllers = Path("/sys/fs/cgroup/cgroup.subtree_control").read_text("ascii").split()
    mounts = [line.split()[2] for line in Path("/proc/mounts").read_text("utf-8").splitlines()]

    assert {"io", "memory"} <= set(controllers)
    assert {"tracefs", "bpf", "securityfs", "cgroup2"} <= set(mounts)
    assert "bpf" in Path("/sys/kernel/security/lsm").read_text("ascii").split(",")
    assert Path("/proc/sys/kernel/task_delayacct").read_text("ascii").strip() == "1"


def test_probes_load_without_problems_and_nothing_is_missing(source: BccSource) -> None:
    """All programs of all tiers are attached, and the source has nothing to say."""
    sample = source.read(frozenset(Need))

    assert {probe.name: probe.problem for probe in sample.probes if probe.problem} == {}
    assert [probe.name for probe in sample.probes if not probe.is_attached] == []
    assert sample.notes == ()
    assert sample.lost == 0


def test_syscall_probes_are_attached_only_while_they_are_asked_for(source: BccSource) -> None:
    """They cost every system call of the machine."""

    def attached(needs: frozenset[Need]) -> set[bool]:
        probes = source.read(needs).probes
        assert not [probe.problem for probe in probes if probe.problem]
        return {probe.is_attached for probe in probes if probe.tier == "on demand"}

    assert [attached(needs) for needs in (NOTHING, SYSCALLS, NOTHING)] == [{False}, {True}, {False}]


def pids() -> set[int]:
    """Return the processes that /proc lists."""
    return {int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()}


def test_every_process_of_proc_is_in_the_reading(source: BccSource) -> None:
    """Kernel threads too; those that come or go meanwhile may be in it or not."""
    before = pids()
    sample = source.read(NOTHING)
    after = pids()
    alive = {process.pid for process in sample.processes if not process.is_exited}

    assert before & after <= alive <= before | after
    init = find(sample, 1)
    assert (init.comm, init.ppid, init.user) == ("init", 0, "root")


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


WAYS = {
    "write": Columns(ALL, ALL, 0, ALL, ALL),
    "mmap": Columns(0, ALL, 0, ALL, ALL),
    "direct": Columns(ALL, ALL, 0, 0, ALL),
    "fsync": Columns(ALL, ALL, 0, ALL, ALL),
    "sendfile": Columns(ALL, ALL, 0, ALL, ALL),
    "truncate": Columns(ALL, ALL, ALL, ALL, 0),
}
CHANGES = {("xfs", "fsync"): ALL // 50} | {
    ("btrfs", way): 2 * ALL if way == "fsync" else ALL // 5 for way in WAYS
}
"""(file system, way) -> the most bytes that it may add."""


@pytest.mark.parametrize("way", WAYS)
def test_every_way_of_writing_is_counted_where_it_should_be(
    way: str, kind: str, workloads: Workloads, directory: Path, source: BccSource
) -> None:
    """The columns hold exactly the bytes, as /proc/PID/io says where it counts the same."""
    origin = directory / "origin"
    if way == "sendfile":
        origin.write_bytes(b"s" * ALL)
    flush()
    from_file = [origin] if origin.exists() else []

    with Workload(workloads("writer"), way, directory / "data", COUNT, SIZE, *from_file) as writer:
        source.read(SYSCALLS)
        writer.run()
        io = writer.io()
        flush()
        found = columns(find(source.read(SYSCALLS), writer.pid))
        writer.end()

    expected = WAYS[way]
    assert (found.asked, found.cancelled) == (expected.asked, expected.cancelled)
    assert (found.written, found.cancelled) == (io.write_bytes, io.cancelled_write_bytes)
    if (kind, way) in CHANGES:
        # What a file system writes of its own in the writer's name: pages of trees, or of the log.
        trees = found.written - expected.written
        assert 0 <= trees <= CHANGES[kind, way]
        assert found.dirtied == expected.dirtied + trees
        assert expected.disk <= found.disk <= expected.disk + CHANGES[kind, way]
    else:
        assert found == expected


def test_a_kworker_says_for_whom_it_writes(
    workloads: Workloads, directory: Path, source: BccSource
) -> None:
    """The pages are on the writer's row, though kernel threads submitted them."""
    with Workload(workloads("writer"), "write", directory / "data", COUNT, SIZE) as writer:
        before = source.read(NOTHING)
        writer.run()
        flush()
        after = source.read(NOTHING)
        owner = find(after, writer.pid)
        writer.end()

    behalf = submitted_for(after, owner) - submitted_for(before, owner)
    assert number(owner.totals.disk_write_bytes) >= ALL
    assert behalf >= 0.99 * ALL
    assert number(owner.totals.submitted_bytes) <= 0.01 * ALL


def submitted_for(sample: Sample, owner: Process) -> int:
    """Return the bytes that kernel threads submitted for a process."""
    return sum(dict(p.submits_for).get(owner.key, 0) for p in sample.processes if p.is_kthread)


def test_processes_that_live_for_milliseconds_are_counted_and_named(
    kind: str, workloads: Workloads, directory: Path, source: BccSource
) -> None:
    """Each has its command line, user and bytes, though it was gone before the reading."""
    count, uid = 101, 65534
    with Workload(workloads("shorties"), directory, count, uid) as parent:
        directory.chmod(0o777)
        source.read(NOTHING)
        parent.run()
        sample = source.read(NOTHING)
        parent.end()
    lines = [line.split() for line in parent.output.decode("ascii").splitlines()]
    nobody = pwd.getpwuid(uid).pw_name

    expected = {
        (int(pid), f"shorties {directory}/{index}", nobody if int(index) % 2 else "root")
        for index, pid, _ in lines
    }
    ended = children(sample, parent.pid)
    assert len(lines) == count
    assert {(process.pid, process.command, process.user) for process in ended} == expected
    sizes = {number(process.totals.write_bytes) for process in ended}
    assert sizes == {SIZE} if kind != "btrfs" else min(sizes) == SIZE
    assert sample.lost == 0


def test_device_bytes_are_those_of_diskstats(
    workloads: Workloads, directory: Path, source: BccSource
) -> None:
    """Writes, bytes and requests, from the tracepoints and from the kernel's own counters.

    A flush without data is a write of nothing to /proc/diskstats, and here a flush only.
    """
    flush()
    before, counted_before = operations(source.read(NOTHING), DISK), diskstats(DISK)
    with Workload(workloads("writer"), "direct", directory / "data", COUNT, SIZE) as writer:
        writer.run()
        writer.end()
    flush()
    counted = diskstats(DISK).since(counted_before)
    after = operations(source.read(NOTHING), DISK)

    bytes_written = after["write"].bytes - before["write"].bytes
    assert bytes_written >= ALL
    assert bytes_written == counted.sectors_written * SECTOR
    assert 0 <= counted.writes - (after["write"].ios - before["write"].ios) <= counted.flushes
    assert sum(after["write"].latency) == after["write"].ios
    assert after["write"].errors == 0


def test_calls_are_counted_one_by_one(
    workloads: Workloads, directory: Path, source: BccSource
) -> None:
    """Write calls, their sizes, and each fsync with its duration."""
    count = 53
    with Workload(workloads("writer"), "fsync", directory / "data", count, SIZE) as writer:
        source.read(SYSCALLS)
        writer.run()
        totals = find(source.read(SYSCALLS), writer.pid).totals
        writer.end()

    assert (totals.write_calls, totals.asked_write_bytes) == (count, count * SIZE)
    assert sum(totals.fsync or ()) == count
    assert (totals.write_sizes or ())[16] == count
    assert number(totals.io_delay_ns) > 0
