"""System calls: counted while somebody asks, as strace and fio count them, and free otherwise."""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from iotop_ng.sample import Need, Sample
from iotop_ng.sources.bcc import BccSource
from tests.kernel.beside import fio, histogram
from tests.kernel.disks import Mounted
from tests.kernel.gate import Workload, wait_until_detached
from tests.kernel.rows import find, slots_at

pytestmark = pytest.mark.kernel

NEEDS = frozenset({Need.SYSCALLS})
Workloads = Callable[[str], Path]
Note = Callable[[str], None]


def strace_counts(table: str) -> dict[str, int]:
    """Return call -> number from the table of `strace -c`."""
    found = {}
    for line in table.splitlines():
        fields = line.split()
        if len(fields) >= 5 and fields[3].isdigit():
            found[fields[-1]] = int(fields[3])
    return found


@pytest.mark.parametrize(("way", "count"), [("fsync", 211), ("fdatasync", 101)])
def test_calls_are_those_that_strace_counts(
    way: str, count: int, *, workloads: Workloads, ext4: Mounted, source: BccSource, tmp_path: Path
) -> None:
    """Every write and sync of a traced program is counted, under the program and not strace."""
    table = tmp_path / "table"
    source.read(NEEDS)

    subprocess.run(
        ["strace", "-f", "-c", "-o", table, workloads("writer"), way, ext4.path / "data",
         str(count), "4096"],
        input=b".", stdout=subprocess.DEVNULL, check=True,
    )  # fmt: skip
    counts = strace_counts(table.read_text("utf-8"))
    rows = [p for p in source.read(NEEDS).processes if p.comm == "writer" and p.is_exited]
    process = max(rows, key=lambda row: row.start_ns)

    assert (counts[way], counts["pwrite64"]) == (count, count)
    assert sum(process.totals.fsync or ()) == counts[way]
    assert process.totals.write_calls == counts["pwrite64"]
    assert process.totals.write_sizes is not None
    assert process.totals.write_sizes[12] == count  # 4096 = 2**12
    assert sum(process.totals.write_sizes) == count


def test_fsync_latencies_are_those_that_fio_measures(
    ext4: Mounted, source: BccSource, note: Note
) -> None:
    """p50 and p99 lie in the same power of two, unless the rank itself lies on its edge."""
    syncs = 2003
    source.read(NEEDS)

    job = fio(
        f"--filename={ext4.path / 'data'}", "--rw=write", "--bs=4k", f"--size={syncs * 4096}",
        "--fdatasync=1", "--end_fsync=0", "--thread",
    )  # fmt: skip
    rows = [p for p in source.read(NEEDS).processes if p.comm == "fio" and p.is_exited]
    ours = max(rows, key=lambda row: sum(row.totals.fsync or ())).totals.fsync
    theirs = histogram(job["sync"]["lat_ns"]["bins"])

    assert ours is not None
    note(
        f"fdatasync: ours {sum(ours)} calls, p50 in slot {slots_at(ours, 0.5)}, p99 in "
        f"{slots_at(ours, 0.99)}; fio {sum(theirs)}, {slots_at(theirs, 0.5)}, "
        f"{slots_at(theirs, 0.99)}"
    )
    assert sum(ours) - sum(theirs) in {0, 1}  # fio leaves the last one out of its report
    assert slots_at(ours, 0.5) & slots_at(theirs, 0.5, 0.02)
    assert slots_at(ours, 0.99) & slots_at(theirs, 0.99, 0.002)


def perf_events() -> int:
    """Return how many perf events this process holds."""
    descriptors = [path for path in Path("/proc/self/fd").iterdir() if path.is_symlink()]
    return sum(str(path.readlink()) == "anon_inode:[perf_event]" for path in descriptors)


def attached(sample: Sample) -> set[str]:
    """Return the names of the programs on demand that are attached."""
    return {p.name for p in sample.probes if p.tier == "on demand" and p.is_attached}


def test_programs_on_demand_cost_nothing_once_they_are_not_needed(
    workloads: Workloads, source: BccSource, note: Note
) -> None:
    """They are detached, no perf event is left, and other system calls take what they took."""

    def getppid_ns() -> float:
        with Workload(workloads("getppid")) as program:
            program.run()
            program.end()
        return float(program.output)

    nobody_asks = attached(source.read(frozenset()))
    wait_until_detached()
    idle_events, before_ns = perf_events(), getppid_ns()
    somebody_asks = attached(source.read(NEEDS))
    busy_events, during_ns = perf_events(), getppid_ns()
    nobody_asks_again = attached(source.read(frozenset()))
    wait_until_detached()
    events_again, after_ns = perf_events(), getppid_ns()

    note(
        f"getppid: {before_ns:.0f} ns detached, {during_ns:.0f} attached, "
        f"{after_ns:.0f} detached again"
    )
    assert nobody_asks == nobody_asks_again == set()
    assert {"on_write_exit", "on_fsync_enter", "on_fsync_exit"} <= somebody_asks
    assert busy_events > idle_events == events_again
    assert after_ns < 1.2 * before_ns


def test_programs_on_demand_come_back_at_once_when_they_are_asked_for_again(
    source: BccSource,
) -> None:
    """The kernel takes a second to let go of them, and refuses them meanwhile."""
    for _ in range(2):
        asked = source.read(NEEDS)
        source.read(frozenset())

        assert [probe.problem for probe in asked.probes if probe.problem] == []
        assert {"on_write_exit", "on_fsync_exit"} <= attached(asked)


def test_a_sync_that_was_under_way_when_nobody_counted_is_forgotten(source: BccSource) -> None:
    """Its end was not seen: what that thread syncs next would seem to have begun then."""
    assert source._programs is not None
    started = source._programs.maps["fsync_start"]
    source.read(frozenset())
    thread, long_ago = struct.pack("<I", 1), struct.pack("<Q", 1)
    started.set(thread, long_ago)

    source.read(NEEDS)

    assert started.get(thread) is None


def test_totals_of_calls_are_unknown_while_nobody_counts_them(
    workloads: Workloads, ext4: Mounted, source: BccSource
) -> None:
    """None is "not measured", not nothing."""
    with Workload(workloads("writer"), "write", ext4.path / "data", 7, 4096) as writer:
        writer.run()
        unasked = find(source.read(frozenset()), writer.pid).totals
        writer.end()

    assert (unasked.asked_write_bytes, unasked.write_calls, unasked.fsync) == (None, None, None)
    assert unasked.write_bytes == 7 * 4096
