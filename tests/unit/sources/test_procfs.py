"""The source without BPF, over a /proc that we write ourselves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from iotop_ng.clock import NS_PER_S, ManualClock
from iotop_ng.errors import NotPermittedError, SourceError
from iotop_ng.sample import NO_TOTALS, Need, Process, Sample, process_key
from iotop_ng.sources.procfs import (
    NOTE_DELAYS,
    NOTE_DELAYS_YOUNG,
    NOTE_DENIED,
    NOTE_PROTECTED,
    NOTE_SHORT,
    ProcfsSource,
)
from iotop_ng.sources.task_file import DescriptorBudget
from iotop_ng.sources.taskstats import Delays
from tests.fakes.delays import FakeDelays
from tests.fakes.procfs import FakeIo, FakeProc

NOTHING: frozenset[Need] = frozenset()
THREADS = frozenset({Need.THREADS})
HOUR_NS = 3600 * NS_PER_S


@pytest.fixture
def fake(tmp_path: Path) -> FakeProc:
    fake = FakeProc(tmp_path)
    fake.start(100, "writer", io=FakeIo(read_bytes=4096, write_bytes=8192, wchar=99, syscw=3))
    fake.start(200, "idler")
    return fake


@pytest.fixture
def source(fake: FakeProc) -> Iterator[ProcfsSource]:
    source = open_source(fake)
    yield source
    source.close()


def open_source(
    fake: FakeProc, delays: FakeDelays | None = None, limit: int = 100, notes: tuple[str, ...] = ()
) -> ProcfsSource:
    source = ProcfsSource(
        root=fake.root,
        clock=ManualClock(wall_ns=1, mono_ns=HOUR_NS),
        delays=delays,
        notes=notes,
        budget=DescriptorBudget(limit),
    )
    source.open()
    return source


def by_pid(sample: Sample) -> dict[int, Process]:
    return {process.pid: process for process in sample.processes}


def test_totals_are_the_kernels(source: ProcfsSource) -> None:
    sample = source.read(NOTHING)

    totals = by_pid(sample)[100].totals
    assert (totals.read_bytes, totals.write_bytes, totals.cancelled_write_bytes) == (4096, 8192, 0)
    assert (totals.asked_write_bytes, totals.write_calls) == (99, 3)
    assert totals.disk_write_bytes is None
    assert totals.io_delay_ns is None
    assert sample.source == "procfs"
    assert (sample.wall_ns, sample.mono_ns) == (1, HOUR_NS)
    assert sample.self_cpu_ns > 0


def test_an_unchanged_process_is_the_same_object(fake: FakeProc, source: ProcfsSource) -> None:
    before = by_pid(source.read(NOTHING))
    fake.set_io(100, FakeIo(write_bytes=12288))

    after = by_pid(source.read(NOTHING))

    assert after[200] is before[200]
    assert after[100].totals.write_bytes == 12288


def test_identity_is_pid_and_start(fake: FakeProc, source: ProcfsSource) -> None:
    fake.start(300, start_ticks=777)

    process = by_pid(source.read(NOTHING))[300]

    assert process.start_ns == 7_770_000_000
    assert process.key == process_key(300, 7_770_000_000)


def test_an_ended_process_is_told_once(fake: FakeProc, source: ProcfsSource) -> None:
    alive = by_pid(source.read(NOTHING))[100]
    fake.end(100)

    ended = by_pid(source.read(NOTHING))[100]
    later = by_pid(source.read(NOTHING))

    assert ended.is_exited
    assert (ended.key, ended.totals) == (alive.key, alive.totals)
    assert set(later) == {200}


@pytest.mark.parametrize("limit", [100, 0], ids=["kept descriptors", "no descriptors"])
def test_a_reused_pid_is_another_process(fake: FakeProc, limit: int) -> None:
    source = open_source(fake, limit=limit)
    source.read(NOTHING)
    fake.end(100)
    fake.start(100, "heir", start_ticks=5000, io=FakeIo(write_bytes=1))

    processes = [process for process in source.read(NOTHING).processes if process.pid == 100]
    source.close()

    assert [(process.comm, process.is_exited) for process in processes] == [
        ("writer", True), ("heir", False),
    ]  # fmt: skip
    assert processes[0].key != processes[1].key
    assert processes[1].totals.write_bytes == 1


def test_keys_are_unique_through_many_lives(fake: FakeProc, source: ProcfsSource) -> None:
    for life in range(5):
        fake.end(100)
        fake.start(100, f"life{life}", start_ticks=2000 + life)
        keys = [process.key for process in source.read(NOTHING).processes]

        assert len(keys) == len(set(keys))


def test_a_young_process_is_asked_its_name_again(fake: FakeProc) -> None:
    """Between fork and exec a child bears its parent's name; it may do no I/O ever after."""
    fake.start(300, "bash", start_ticks=HOUR_NS // 10_000_000 - 10)
    source = open_source(fake)
    first = by_pid(source.read(NOTHING))[300]
    fake.set_stat(300, "sleep", start_ticks=HOUR_NS // 10_000_000 - 10)
    fake.write("proc/300/cmdline", b"sleep\x00100\0")

    second = by_pid(source.read(NOTHING))[300]
    source.close()

    assert first.comm == "bash"
    assert (second.comm, second.command) == ("sleep", "sleep 100")


def test_a_busy_process_is_asked_its_name_now_and_then(
    fake: FakeProc, source: ProcfsSource
) -> None:
    source.read(NOTHING)
    fake.set_stat(100, "renamed")

    names = []
    for step in range(6):
        fake.set_io(100, FakeIo(write_bytes=10_000 + step))
        names.append(by_pid(source.read(NOTHING))[100].comm)

    assert names[0] == "writer"
    assert names[-1] == "renamed"


def test_children_of_the_ended_have_a_new_parent(fake: FakeProc, source: ProcfsSource) -> None:
    fake.start(300, "child", ppid=100)
    assert by_pid(source.read(NOTHING))[300].ppid == 100
    fake.end(100)
    fake.set_stat(300, "child", ppid=1)
    source.read(NOTHING)

    assert by_pid(source.read(NOTHING))[300].ppid == 1


def test_unreadable_counters_are_none_not_zero(fake: FakeProc) -> None:
    fake.forbid_io(100)
    fake.write("proc/self/status", "CapEff:\t0000000000000000\n")
    source = open_source(fake)

    sample = source.read(NOTHING)
    again = source.read(NOTHING)
    fake.end(100)
    ended = by_pid(source.read(NOTHING))[100]
    source.close()

    assert by_pid(sample)[100].totals == NO_TOTALS
    assert by_pid(sample)[100].comm == "writer"
    assert by_pid(again)[100] is by_pid(sample)[100]
    assert NOTE_DENIED in sample.notes
    assert ended.is_exited


def test_root_is_not_told_to_become_root(fake: FakeProc, source: ProcfsSource) -> None:
    fake.forbid_io(200)

    notes = source.read(NOTHING).notes

    assert NOTE_PROTECTED in notes
    assert NOTE_DENIED not in notes


def test_counters_that_become_unreadable_are_none(fake: FakeProc, source: ProcfsSource) -> None:
    source.read(NOTHING)
    (fake.proc / "100" / "io").write_bytes(b"")
    fake.forbid_io(100)

    processes = [process for process in source.read(NOTHING).processes if process.pid == 100]

    assert processes[-1].totals == NO_TOTALS


def test_more_processes_than_descriptors(fake: FakeProc) -> None:
    for pid in range(1000, 1040):
        fake.start(pid, io=FakeIo(write_bytes=pid))
    source = open_source(fake, limit=10)
    source.read(NOTHING)
    for pid in range(1000, 1040):
        fake.set_io(pid, FakeIo(write_bytes=pid * 2))

    processes = by_pid(source.read(NOTHING))
    source.close()

    assert [processes[pid].totals.write_bytes for pid in range(1000, 1040)] == [
        pid * 2 for pid in range(1000, 1040)
    ]


def test_descriptors_are_given_back(fake: FakeProc) -> None:
    budget = DescriptorBudget(100)
    source = ProcfsSource(root=fake.root, budget=budget)
    source.open()
    source.read(THREADS)
    used = budget.used
    fake.end(100)
    source.read(THREADS)
    after_end = budget.used
    source.read(NOTHING)
    without_threads = budget.used
    source.close()
    source.close()

    assert (used, after_end, without_threads, budget.used) == (4, 2, 1, 0)


def test_threads_only_when_asked(fake: FakeProc, source: ProcfsSource) -> None:
    fake.start_thread(100, 101, "helper", FakeIo(write_bytes=5000))

    without = by_pid(source.read(NOTHING))[100]
    with_threads = by_pid(source.read(THREADS))[100]
    again = by_pid(source.read(NOTHING))[100]

    assert without.threads == ()
    assert {thread.tid: thread.comm for thread in with_threads.threads} == {
        100: "writer", 101: "helper",
    }  # fmt: skip
    assert {t.tid: t.totals.write_bytes for t in with_threads.threads}[101] == 5000
    assert again.threads == ()


def test_threads_come_and_go(fake: FakeProc, source: ProcfsSource) -> None:
    before = by_pid(source.read(THREADS))[100].threads
    fake.start_thread(100, 101, "helper", FakeIo(write_bytes=7))
    fake.set_io(100, FakeIo(write_bytes=8199))
    during = by_pid(source.read(THREADS))[100].threads
    fake.end_thread(100, 101)
    fake.set_io(100, FakeIo(write_bytes=8200))
    after = by_pid(source.read(THREADS))[100].threads

    assert [thread.tid for thread in before] == [100]
    assert sorted(thread.tid for thread in during) == [100, 101]
    assert [thread.tid for thread in after] == [100]
    assert after[0] is before[0]


def test_a_process_with_unchanged_threads_is_the_same_object(source: ProcfsSource) -> None:
    before = by_pid(source.read(THREADS))
    after = by_pid(source.read(THREADS))

    assert after[100] is before[100]


def test_without_io_files_there_is_no_source(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="CONFIG_TASK_IO_ACCOUNTING"):
        ProcfsSource(root=tmp_path).open()


def test_a_proc_that_vanishes_is_an_error_of_ours(fake: FakeProc, source: ProcfsSource) -> None:
    fake.proc.rename(fake.root / "gone")

    with pytest.raises(SourceError, match="/proc"):
        source.read(NOTHING)


def test_short_lives_and_given_notes_are_said(fake: FakeProc) -> None:
    source = open_source(fake, notes=("no BPF: because",))

    notes = source.read(NOTHING).notes
    source.close()

    assert notes[0] == "no BPF: because"
    assert NOTE_SHORT in notes


def test_delays_are_asked_while_they_are_counted(fake: FakeProc) -> None:
    delays = FakeDelays()
    delays.processes[100] = Delays(3, 5_000_000, 1, 70_000)
    fake.write("proc/sys/kernel/task_delayacct", "0\n")
    source = open_source(fake, delays)
    off = source.read(NOTHING)
    was_asked = list(delays.asked)
    fake.write("proc/sys/kernel/task_delayacct", "1\n")
    on = source.read(NOTHING)
    source.close()

    assert by_pid(off)[100].totals.io_delay_ns is None
    assert NOTE_DELAYS in off.notes
    assert was_asked == []
    assert by_pid(on)[100].totals.io_delay_ns == 5_000_000
    assert by_pid(on)[100].totals.swapin_delay_ns == 70_000
    assert NOTE_DELAYS not in on.notes


def test_a_change_of_delays_alone_is_news(fake: FakeProc) -> None:
    delays = FakeDelays()
    delays.processes[100] = Delays(3, 5_000_000, 0, 0)
    source = open_source(fake, delays)
    before = by_pid(source.read(NOTHING))
    delays.processes[100] = Delays(4, 6_000_000, 0, 0)
    after = by_pid(source.read(NOTHING))
    source.close()

    assert before[100].totals.io_delay_ns == 5_000_000
    assert after[100].totals.io_delay_ns == 6_000_000
    assert after[200] is before[200]


def test_no_delay_of_an_old_process_is_not_known(fake: FakeProc) -> None:
    """The sysctl counts only tasks that start after it: their 0 is measured, others' is not."""
    delays = FakeDelays()
    delays.processes |= {100: Delays(0, 0, 0, 0), 200: Delays(2, 30, 0, 0)}
    delays.processes[300] = Delays(0, 0, 0, 0)
    fake.start(300, "new", start_ticks=HOUR_NS // 10_000_000 + 1)
    fake.write("proc/sys/kernel/task_delayacct", "1\n")
    source = open_source(fake, delays)

    sample = source.read(NOTHING)
    source.close()

    waits = {pid: process.totals.io_delay_ns for pid, process in by_pid(sample).items()}
    assert waits == {100: None, 200: 30, 300: 0}
    assert NOTE_DELAYS_YOUNG in sample.notes


def test_accounting_from_boot_knows_every_zero(fake: FakeProc) -> None:
    delays = FakeDelays()
    delays.processes[100] = Delays(0, 0, 0, 0)
    fake.write("proc/sys/kernel/task_delayacct", "1\n")
    fake.write("proc/cmdline", "root=/dev/vda delayacct quiet\n")
    source = open_source(fake, delays)

    sample = source.read(NOTHING)
    source.close()

    assert by_pid(sample)[100].totals.io_delay_ns == 0
    assert NOTE_DELAYS_YOUNG not in sample.notes


def test_threads_have_their_own_delays(fake: FakeProc) -> None:
    delays = FakeDelays()
    fake.start_thread(100, 101, "helper")
    delays.processes[100] = Delays(5, 90, 0, 0)
    delays.threads |= {100: Delays(2, 30, 0, 0), 101: Delays(3, 60, 0, 0)}
    source = open_source(fake, delays)

    process = by_pid(source.read(THREADS))[100]
    source.close()

    assert process.totals.io_delay_ns == 90
    assert {t.tid: t.totals.io_delay_ns for t in process.threads} == {100: 30, 101: 60}


def test_without_permission_for_taskstats_the_rest_works(fake: FakeProc) -> None:
    source = open_source(fake, FakeDelays(NotPermittedError("task accounting needs CAP_X")))

    sample = source.read(NOTHING)
    source.close()

    assert by_pid(sample)[100].totals.write_bytes == 8192
    assert by_pid(sample)[100].totals.io_delay_ns is None
    assert "no IO%: task accounting needs CAP_X" in sample.notes
    assert NOTE_DELAYS not in sample.notes
