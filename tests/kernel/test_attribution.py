"""Block bytes go to the process that caused them, whoever submits them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from iotop_ng.sample import Process, Sample
from iotop_ng.sources.bcc import BccSource
from tests.kernel.conftest import MakeMount
from tests.kernel.counts import SECTOR, diskstats
from tests.kernel.disks import MKFS, Mounted
from tests.kernel.gate import Workload
from tests.kernel.rows import find, named, number

pytestmark = pytest.mark.kernel

SIZE = 65536
COUNT = 1009  # prime: 63 MiB
ALL = COUNT * SIZE
Workloads = Callable[[str], Path]
Note = Callable[[str], None]


def take(source: BccSource) -> Sample:
    """Return totals now."""
    return source.read(frozenset())


def disk_written(sample: Sample, pid: int) -> int:
    """Return the block bytes that a process owns."""
    return number(find(sample, pid).totals.disk_write_bytes)


def submitted_for(before: Sample, after: Sample, owner: Process) -> dict[str, int]:
    """Return name of a kernel thread -> bytes that it submitted for `owner` in between."""
    earlier = {process.key: dict(process.submits_for) for process in before.processes}
    found: dict[str, int] = {}
    for process in after.processes:
        grown = dict(process.submits_for).get(owner.key, 0)
        grown -= earlier.get(process.key, {}).get(owner.key, 0)
        if grown:
            found[process.comm] = found.get(process.comm, 0) + grown
            assert process.is_kthread
    return found


def assert_share(bytes_seen: int, expected: int, most: float = 1.01) -> None:
    """Demand at least 99 %, and no more than metadata can explain."""
    assert 0.99 * expected <= bytes_seen <= most * expected


@pytest.mark.parametrize("kind", MKFS)
@pytest.mark.parametrize("way", ["write", "mmap"])
def test_pages_that_a_kworker_flushes_are_on_the_writers_row(
    kind: str, way: str, *, workloads: Workloads, mount: MakeMount, source: BccSource, note: Note
) -> None:
    """The writer has them all, and the kworker's row says for whom it submitted them."""
    fs = mount(kind)
    with Workload(workloads("writer"), way, fs.path / "data", COUNT, SIZE) as writer:
        before = take(source)
        writer.run()
        fs.flush()
        after = take(source)

        owner = find(after, writer.pid)
        seen = disk_written(after, writer.pid)
        behalf = submitted_for(before, after, owner)
        note(
            f"{kind} {way}: {ALL} bytes, on its row {seen} ({100 * seen / ALL:.2f} %), "
            f"kworkers for it {sum(behalf.values())}, by {', '.join(sorted(behalf))}"
        )
        assert_share(seen, ALL)
        assert sum(behalf.values()) >= 0.99 * ALL
        assert all(name.startswith("kworker/") for name in behalf)
        # What a tool shows that asks who submits: nothing for the writer.
        assert number(owner.totals.submitted_bytes) <= 0.01 * ALL
        writer.end()


@pytest.mark.parametrize("kind", MKFS)
def test_a_writer_that_has_ended_owns_what_is_flushed_later(
    kind: str, workloads: Workloads, mount: MakeMount, source: BccSource, note: Note
) -> None:
    """Its row stays, exited, and still grows."""
    fs = mount(kind)
    with Workload(workloads("writer"), "write", fs.path / "data", COUNT, SIZE) as writer:
        writer.run()
        writer.end()
    unflushed = find(take(source), writer.pid)
    fs.flush()
    flushed = find(take(source), writer.pid)

    seen = number(flushed.totals.disk_write_bytes)
    note(f"{kind}, writer has ended: {seen} of {ALL} ({100 * seen / ALL:.2f} %)")
    assert unflushed.is_exited
    assert flushed.is_exited
    assert number(unflushed.totals.disk_write_bytes) < 0.01 * ALL
    assert_share(seen, ALL)


@pytest.mark.parametrize("kind", MKFS)
def test_two_writers_at_once_keep_their_own_bytes(
    kind: str, workloads: Workloads, mount: MakeMount, source: BccSource, note: Note
) -> None:
    """Neither is credited with the other's pages."""
    fs = mount(kind)
    program, less = workloads("writer"), 499
    with (
        Workload(program, "write", fs.path / "one", COUNT, SIZE) as one,
        Workload(program, "write", fs.path / "two", less, SIZE) as two,
    ):
        one.let_through()
        two.let_through()
        one.wait_done()
        two.wait_done()
        fs.flush()
        after = take(source)

        seen = disk_written(after, one.pid), disk_written(after, two.pid)
        note(f"{kind}, two writers: {seen[0]} of {ALL}, {seen[1]} of {less * SIZE}")
        assert_share(seen[0], ALL)
        # The trees of btrfs belong to whoever changed them last.
        assert_share(seen[1], less * SIZE, most=1.03)
        one.end()
        two.end()


@pytest.mark.parametrize("kind", MKFS)
def test_buffered_direct_and_synchronous_writers_at_once(
    kind: str, workloads: Workloads, mount: MakeMount, source: BccSource, note: Note
) -> None:
    """Each way finds its own owner while the others run."""
    fs = mount(kind)
    program = workloads("writer")
    counts = {"write": COUNT, "direct": 509, "fsync": 67}
    # btrfs writes an fsynced page twice: in place and, with the tree, to its log.
    most = {"write": 1.02, "direct": 1.02, "fsync": 1.05 if kind != "btrfs" else 3.0}
    writers = {
        way: Workload(program, way, fs.path / way, count, SIZE) for way, count in counts.items()
    }
    try:
        for writer in writers.values():
            writer.let_through()
        for writer in writers.values():
            writer.wait_done()
        fs.flush()
        after = take(source)
        seen = {way: disk_written(after, writer.pid) for way, writer in writers.items()}
    finally:
        for writer in writers.values():
            writer.__exit__(None, None, None)

    for way, count in counts.items():
        share = 100 * seen[way] / (count * SIZE)
        note(f"{kind}, three at once, {way}: {seen[way]} of {count * SIZE} ({share:.2f} %)")
        assert_share(seen[way], count * SIZE, most[way])


@pytest.mark.parametrize("kind", ["ext4", "xfs"])
def test_direct_io_out_of_a_mapped_file_belongs_to_who_writes(
    kind: str, workloads: Workloads, mount: MakeMount, source: BccSource
) -> None:
    """The pages of the buffer were made dirty by another process, which does not write now."""
    fs = mount(kind)
    program, count = workloads("writer"), 101
    with Workload(program, "write", fs.path / "origin", 1, SIZE) as other:
        other.run()
        fs.flush()
        with Workload(program, "direct", fs.path / "data", count, SIZE, fs.path / "origin") as one:
            one.run()
            after = take(source)
            seen = disk_written(after, one.pid), disk_written(after, other.pid)
            one.end()
        other.end()

    assert seen == (count * SIZE, SIZE)


def test_the_journals_own_bytes_are_credited_to_nobody_else(
    workloads: Workloads, ext4: Mounted, source: BccSource, note: Note
) -> None:
    """An fsync loop: the writer owns its data to the byte, jbd2 the journal, and all is there."""
    page, syncs = 4096, 499
    with Workload(workloads("writer"), "fsync", ext4.path / "data", syncs, page) as writer:
        ext4.flush()
        before, disk_before = take(source), diskstats(ext4.disk.name)
        writer.run()
        after, disk = take(source), diskstats(ext4.disk.name).since(disk_before)
        writer.end()

    journal = f"jbd2/{ext4.disk.name}-8"
    own = number(named(after, journal).totals.disk_write_bytes)
    own -= number(named(before, journal).totals.disk_write_bytes)
    data = disk_written(after, writer.pid)
    device = disk.sectors_written * SECTOR
    note(f"fsync loop: writer {data} of {syncs * page}, jbd2 {own}, device {device}")
    assert data == syncs * page
    assert own > 0
    assert 0.99 * device <= data + own <= device
