"""Whose fsync has not returned, and for how long."""

from __future__ import annotations

from pathlib import Path

from iotop_ng.sources.fsyncs import Call, by_process, oldest_ns, waiting
from iotop_ng.sources.overlay import Overlay
from iotop_ng.sources.roster import Roster
from iotop_ng.sources.wire import KEY, U32
from tests.fakes.maps import ALL, NOTHING, START, FakeDescriber, FakeMaps
from tests.unit.sources.test_overlay import process

S = 1_000_000_000


def entry(tid: int, start_ns: int) -> tuple[bytes, bytes]:
    return U32.pack(tid), KEY.pack(start_ns)


def test_a_call_that_has_returned_is_none() -> None:
    assert waiting([entry(7, 0)], 9 * S, 9 * S) == {}


def test_ages_are_of_the_programs_clock_and_starts_are_since_boot() -> None:
    """The machine slept 100 s: the programs' clock stood still."""
    found = waiting([entry(7, 5 * S)], 9 * S, 109 * S)

    assert found == {7: Call(start_ns=105 * S, age_ns=4 * S)}


def test_a_process_waits_as_long_as_the_oldest_of_its_threads() -> None:
    calls = {7: Call(50, 30), 8: Call(40, 40), 9: Call(10, 70)}

    assert oldest_ns(calls, (7, 8), 5) == 40
    assert oldest_ns(calls, (1, 2), 5) == 0
    assert oldest_ns({}, (7, 8), 5) == 0
    assert oldest_ns(None, (7, 8), 5) is None


def test_a_call_from_before_the_process_is_somebody_elses() -> None:
    assert oldest_ns({7: Call(50, 30)}, (7,), 51) == 0


def test_the_roster_gives_each_process_its_own() -> None:
    maps = FakeMaps()
    maps.task(10, 5)
    maps.task(10, tid=11)
    maps.task(20)
    roster = Roster(FakeDescriber(), str)

    def ages() -> dict[int, int | None]:
        found = roster.update(maps.reading(), ALL, S, threads=False)
        return {one.pid: one.fsync_age_ns for one in found}

    assert ages() == {10: None, 20: None}
    maps.fsyncs = {}
    assert ages() == {10: 0, 20: 0}
    maps.fsyncs = {11: Call(START + 1, 3 * S)}
    assert ages() == {10: 3 * S, 20: 0}
    maps.fsyncs = {}
    assert ages() == {10: 0, 20: 0}
    maps.tasks.clear()
    assert ages() == {10: None}


def test_without_a_task_iterator_proc_says_whose_thread_it_is(tmp_path: Path) -> None:
    for tid, tgid in ((10, 10), (11, 10)):
        (tmp_path / f"proc/{tid}").mkdir(parents=True)
        (tmp_path / f"proc/{tid}/status").write_text(f"Name:\tx\nTgid:\t{tgid}\nPid:\t{tid}\n")
    calls = {11: Call(START + 5, 40), 10: Call(START + 9, 30), 99: Call(START, 50)}

    found = by_process(calls, tmp_path)

    assert found == {10: Call(START + 5, 40)}
    assert by_process(None, tmp_path) is None
    empty = FakeMaps().reading()
    tables = (empty.exits, empty.owners, empty.calls, empty.behalf)
    rows = Overlay(str).update((process(10), process(20)), tables, ALL, 1, found)
    assert [row.fsync_age_ns for row in rows] == [40, 0]
    rows = Overlay(str).update((process(10),), tables, NOTHING, 1)
    assert rows[0].fsync_age_ns is None
