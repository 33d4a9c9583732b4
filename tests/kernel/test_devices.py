"""Requests, bytes and latencies of devices, beside the kernel's own counters and other tools."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from iotop_ng.sample import HISTOGRAM_SLOTS, OpTotals, Sample
from iotop_ng.sources.bcc import BccSource
from tests.kernel.beside import bpftrace, device_number, fio, iostat
from tests.kernel.conftest import MakeMount
from tests.kernel.counts import SECTOR, diskstats
from tests.kernel.disks import Disk, run
from tests.kernel.gate import Workload
from tests.kernel.rows import grown, operations, slots_at

pytestmark = pytest.mark.kernel

IOS = 16381  # prime, and fewer than there are blocks in the device
NONE = OpTotals("none", 0, 0, 0, 0, 0, 0, (0,) * HISTOGRAM_SLOTS, (0,) * HISTOGRAM_SLOTS)
Note = Callable[[str], None]


def take(source: BccSource) -> Sample:
    """Return totals now."""
    return source.read(frozenset())


def done(before: Sample, after: Sample, device: str, op: str) -> OpTotals:
    """Return what one operation of a device did in between."""
    new = operations(after, device).get(op, NONE)
    old = operations(before, device).get(op, NONE)
    return OpTotals(
        op=op,
        ios=new.ios - old.ios,
        bytes=new.bytes - old.bytes,
        errors=new.errors - old.errors,
        requeues=new.requeues - old.requeues,
        latency_ns=new.latency_ns - old.latency_ns,
        queued_ns=new.queued_ns - old.queued_ns,
        latency=grown(new.latency, old.latency),
        queued=grown(new.queued, old.queued),
    )


def mean_ms(op: OpTotals) -> float:
    """Return the mean time of a request, from being made to being complete."""
    return (op.latency_ns + op.queued_ns) / op.ios / 1e6


@pytest.fixture
def file_on_disk() -> Iterator[tuple[Path, str]]:
    """Give a file on a real disk of this machine, and the disk's name."""
    path = Path("/var/tmp") / f"iotop-ng-test-{os.getpid()}"
    path.touch()
    try:
        mounted_from = Path(run("findmnt", "-n", "-o", "SOURCE", "-T", path).strip())
        if not mounted_from.is_block_device():
            pytest.skip(f"/var/tmp is not on a disk but on {mounted_from}")
        link = Path("/sys/class/block") / mounted_from.resolve().name
        whole = link.resolve().parent if (link / "partition").exists() else link.resolve()
        yield path, whole.name
    finally:
        path.unlink()


def close_to(expected: float) -> object:
    """Accept 1 % more or less.

    Exact is not to be had: some kernels run no BPF program at all while certain tasks run, and a
    completion interrupts whatever runs. bpftrace misses the same requests.
    """
    return pytest.approx(expected, rel=0.01)


def mean_close_to(expected_ms: float) -> object:
    """Accept 5 % more or less of a mean time.

    The kernel stops its clock after it has told the waiting tasks, the tracepoint comes before: 12
    us of 980 on a busy machine.
    """
    return pytest.approx(expected_ms, rel=0.05)


def test_a_loop_devices_requests_are_fios_and_those_of_diskstats(
    disk: Disk, source: BccSource, note: Note
) -> None:
    """Operations and bytes beside fio, diskstats and iostat within 1 %, mean latency within 5 %."""
    seconds, ios = 6, 4093  # prime
    before, disk_before = take(source), diskstats(disk.name)
    with iostat(disk.name, seconds) as reported:
        time.sleep(0.5)
        job = fio(
            f"--filename={disk.path}", "--rw=randrw", "--bs=256k", "--direct=1", "--size=1G",
            "--ioengine=libaio", "--iodepth=16", f"--number_ios={ios}",
        )  # fmt: skip
    after, counted = take(source), diskstats(disk.name).since(disk_before)
    reads, writes = (done(before, after, disk.name, op) for op in ("read", "write"))

    seen = reported.values
    note(
        f"loop device: reads {reads.ios} (diskstats {counted.reads}, fio "
        f"{job['read']['total_ios']}, iostat {seen['r/s'] * seconds:.0f}), writes {writes.ios} "
        f"({counted.writes}, {job['write']['total_ios']}, {seen['w/s'] * seconds:.0f})"
    )
    note(
        f"loop device, bytes: read {reads.bytes} ({counted.sectors_read * SECTOR}, iostat "
        f"{seen['rkB/s'] * seconds * 1024:.0f}), written {writes.bytes} "
        f"({counted.sectors_written * SECTOR}, {seen['wkB/s'] * seconds * 1024:.0f})"
    )
    note(
        f"loop device, mean ms: read {mean_ms(reads):.4f} (diskstats "
        f"{counted.read_ms / counted.reads:.4f}, iostat r_await {seen['r_await']:.2f}), write "
        f"{mean_ms(writes):.4f} ({counted.write_ms / counted.writes:.4f}, {seen['w_await']:.2f})"
    )
    assert job["read"]["total_ios"] + job["write"]["total_ios"] == ios
    assert reads.bytes == close_to(job["read"]["io_bytes"])
    assert writes.bytes == close_to(job["write"]["io_bytes"])
    assert (reads.ios, writes.ios) == (close_to(counted.reads), close_to(counted.writes))
    assert reads.bytes == close_to(counted.sectors_read * SECTOR)
    assert writes.bytes == close_to(counted.sectors_written * SECTOR)
    assert reads.ios == close_to(seen["r/s"] * seconds)
    assert writes.bytes == close_to(seen["wkB/s"] * seconds * 1024)
    assert mean_ms(reads) == mean_close_to(counted.read_ms / counted.reads)
    assert mean_ms(writes) == mean_close_to(counted.write_ms / counted.writes)


_REQUESTS = """
tracepoint:block:block_rq_complete /args->dev == DEV && strncmp(args->rwbs, "W", 1) == 0/ {
    @ios = count();
    @sectors = sum(args->nr_sector);
}
tracepoint:block:block_rq_requeue /args->dev == DEV/ { @requeues = count(); }
"""


def test_a_disk_with_a_scheduler_and_a_full_queue_is_counted_once(
    file_on_disk: tuple[Path, str], source: BccSource, note: Note
) -> None:
    """Requests that the device refused and that were issued again are one request each."""
    path, name = file_on_disk
    seconds = 5
    script = _REQUESTS.replace("DEV", str(device_number(Path("/dev") / name)))
    # One window in the other, because others use this disk too: bpftrace's in ours in the kernel's.
    disk_before, before = diskstats(name), take(source)
    with bpftrace(script) as traced, iostat(name, seconds) as reported:
        time.sleep(0.5)
        fio(
            f"--filename={path}", "--rw=randwrite", "--bs=256k", "--direct=1", "--size=256M",
            "--ioengine=libaio", "--iodepth=256", "--loops=2",
        )  # fmt: skip
    after, counted = take(source), diskstats(name).since(disk_before)
    writes = done(before, after, name, "write")

    seen, maps = reported.values, traced.maps
    note(
        f"{name}: writes {writes.ios} (diskstats {counted.writes}, iostat "
        f"{seen['w/s'] * seconds:.0f}, bpftrace {maps['@ios']}), bytes {writes.bytes} "
        f"({counted.sectors_written * SECTOR}, {seen['wkB/s'] * seconds * 1024:.0f}, "
        f"{maps['@sectors'] * SECTOR}), requeues {writes.requeues} "
        f"(bpftrace {maps.get('@requeues', 0)}), mean ms {mean_ms(writes):.3f} "
        f"(diskstats {counted.write_ms / counted.writes:.3f}, w_await {seen['w_await']:.2f})"
    )
    # About what bpftrace sees, at most what there was. A busy machine shows programs less of what
    # is there, see close_to, and not each of them the same: bpftrace saw 3 % less and 6 % more.
    assert 0.9 * maps["@ios"] <= writes.ios <= 1.01 * counted.writes
    least, most = maps["@sectors"] * SECTOR, counted.sectors_written * SECTOR
    assert 0.9 * least <= writes.bytes <= 1.01 * most
    # The requests that we did not see have times of their own.
    unseen = max(0.0, 1 - writes.ios / counted.writes)
    mean = pytest.approx(counted.write_ms / counted.writes, rel=0.05 + unseen)
    assert mean_ms(writes) == mean
    assert sum(writes.latency) == sum(writes.queued) == writes.ios


_LATENCY = """
tracepoint:block:block_rq_issue /args->dev == DEV/ { @start[args->sector] = nsecs; }
tracepoint:block:block_rq_complete /args->dev == DEV && @start[args->sector]/ {
    @ns = hist(nsecs - @start[args->sector]);
    delete(@start[args->sector]);
}
END { clear(@start); }
"""


@pytest.mark.parametrize("depth", [1, 16])
def test_latencies_are_those_that_bpftrace_sees(
    depth: int, disk: Disk, source: BccSource, note: Note
) -> None:
    """p50 and p99 lie in the same power of two, unless the rank itself lies on its edge."""
    script = _LATENCY.replace("DEV", str(device_number(disk.path)))
    with bpftrace(script) as traced:
        before = take(source)
        fio(
            f"--filename={disk.path}", "--rw=randwrite", "--bs=4k", "--direct=1", "--size=1G",
            "--ioengine=libaio", f"--iodepth={depth}", f"--number_ios={IOS}",
        )  # fmt: skip
        after = take(source)
    ours = done(before, after, disk.name, "write").latency
    theirs = traced.histogram("@ns")

    note(
        f"latency, queue depth {depth}: ours {sum(ours)} requests, p50 in slot "
        f"{slots_at(ours, 0.5)}, p99 in {slots_at(ours, 0.99)}; bpftrace {sum(theirs)}, "
        f"{slots_at(theirs, 0.5)}, {slots_at(theirs, 0.99)}"
    )
    assert sum(ours) == close_to(sum(theirs))
    assert slots_at(ours, 0.5) & slots_at(theirs, 0.5, 0.02)
    assert slots_at(ours, 0.99) & slots_at(theirs, 0.99, 0.002)


def test_flushes_and_discards_are_counted_as_what_they_are(
    workloads: Callable[[str], Path], mount: MakeMount, source: BccSource, note: Note
) -> None:
    """An fsync loop flushes, fstrim discards; requests and bytes are those of diskstats."""
    fs = mount("ext4")
    name = fs.disk.name
    fs.flush()
    before, disk_before = take(source), diskstats(name)
    with Workload(workloads("writer"), "fsync", fs.path / "data", 101, 4096) as writer:
        writer.run()
        writer.end()
    run("fstrim", fs.path)
    after, counted = take(source), diskstats(name).since(disk_before)

    ours = {op: done(before, after, name, op) for op in ("write", "flush", "discard")}
    note(
        f"flushes {ours['flush'].ios} (diskstats {counted.flushes}), discards "
        f"{ours['discard'].ios} ({counted.discards}), {ours['discard'].bytes} bytes "
        f"({counted.sectors_discarded * SECTOR})"
    )
    assert ours["write"].ios == close_to(counted.writes)
    assert ours["flush"].ios == close_to(counted.flushes)
    assert ours["discard"].ios == pytest.approx(counted.discards, abs=1)
    assert counted.flushes >= 101
    assert counted.discards > 0
    assert ours["discard"].bytes <= counted.sectors_discarded * SECTOR
    assert ours["flush"].bytes == 0
