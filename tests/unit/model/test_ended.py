"""What becomes of processes that end, sample by sample."""

from __future__ import annotations

from typing import Any

import pytest

from iotop_ng.model.ended import LIMIT
from iotop_ng.model.tracker import Tracker
from iotop_ng.sample import Process, Totals
from tests.fakes.samples import (
    MIB,
    by_pid,
    process,
    sample,
    wrote,
)


@pytest.mark.parametrize("is_listed_on", [True, False])
def test_an_ended_row_stays_with_zero_rates_for_the_history(is_listed_on: bool) -> None:
    """Ended in tick 2 with a history of 3: shown up to tick 5, listed by the source or not."""
    tracker = Tracker(history_ticks=3)
    ended = wrote(7, 2 * MIB, is_exited=True)
    tracker.advance(sample(0, [wrote(7, 0)]))
    tracker.advance(sample(1, [wrote(7, MIB)]))
    tracker.advance(sample(2, [ended]))
    later = [tracker.advance(sample(at, [ended] if is_listed_on else [])) for at in range(3, 20)]

    assert [len(frame.rows) for frame in later[:4]] == [1, 1, 1, 0]
    assert all(not frame.rows for frame in later[3:])
    (row,) = later[0].rows
    assert (row.exited, row.exited_tick, row.write_bytes_per_s) == (True, 2, 0.0)
    assert row.totals.write_bytes == 2 * MIB


def test_what_a_vanished_process_did_last_is_unknown_and_then_zero() -> None:
    tracker = Tracker()
    tracker.advance(sample(0, [wrote(7, 0), wrote(8, 0)]))
    tracker.advance(sample(1, [wrote(7, MIB), wrote(8, MIB)]))
    gone = tracker.advance(sample(2, [wrote(8, 2 * MIB)]))
    after = tracker.advance(sample(3, [wrote(8, 2 * MIB)]))

    assert (by_pid(gone)[7].exited, by_pid(gone)[7].write_bytes_per_s) == (True, None)
    assert gone.write_bytes_per_s == MIB
    assert (by_pid(after)[7].exited, by_pid(after)[7].write_bytes_per_s) == (True, 0.0)
    assert by_pid(after)[7].totals.write_bytes == MIB


def test_data_that_reaches_the_disk_after_the_end_is_still_the_owners() -> None:
    def buffered(disk: int, *, is_exited: bool) -> Process:
        return process(7, Totals(write_bytes=MIB, disk_write_bytes=disk), is_exited=is_exited)

    tracker = Tracker(history_ticks=3)
    tracker.advance(sample(0, [buffered(0, is_exited=False)]))
    for at in range(1, 10):
        frame = tracker.advance(sample(at, [buffered(0, is_exited=True)]))
    assert frame.rows == ()
    flushed = tracker.advance(sample(10, [buffered(MIB, is_exited=True)]))

    (row,) = flushed.rows
    assert (row.exited, row.exited_tick, row.disk_write_bytes_per_s) == (True, 1, MIB)
    assert len(tracker.advance(sample(13, [buffered(MIB, is_exited=True)])).rows) == 1


def test_a_process_that_was_away_and_is_back_is_alive_with_an_unknown_interval() -> None:
    tracker = Tracker()
    tracker.advance(sample(0, [wrote(7, 0)]))
    tracker.advance(sample(1, []))
    back = tracker.advance(sample(2, [wrote(7, MIB)]))
    after = tracker.advance(sample(3, [wrote(7, 3 * MIB)]))

    (row,) = back.rows
    assert (row.exited, row.write_bytes_per_s, row.totals.write_bytes) == (False, None, MIB)
    assert after.rows[0].write_bytes_per_s == 2 * MIB


def test_every_ended_process_shows_in_its_interval_and_the_smallest_are_folded_then() -> None:
    tracker = Tracker(history_ticks=5)
    tracker.advance(sample(0, []))
    ended = [wrote(pid, pid, is_exited=True) for pid in range(1, LIMIT + 501)]
    first = tracker.advance(sample(1, ended))
    second = tracker.advance(sample(2, []))

    assert (len(first.rows), first.ended_hidden) == (LIMIT + 500, 0)
    assert first.write_bytes_per_s == sum(range(1, LIMIT + 501))
    assert (len(second.rows), second.ended_hidden) == (LIMIT, 500)
    assert min(row.pid for row in second.rows) == 501
    frames = [tracker.advance(sample(at, [])) for at in range(3, 8)]
    assert [f.ended_hidden for f in frames] == [500, 500, 500, 500, 0]
    assert frames[-1].rows == ()


def test_a_folded_process_that_stays_listed_is_not_taken_for_a_new_one() -> None:
    tracker = Tracker(history_ticks=50)
    tracker.advance(sample(0, []))
    ended = [wrote(pid, pid, is_exited=True) for pid in range(1, LIMIT + 11)]
    for at in range(1, 5):
        frame = tracker.advance(sample(at, ended))

    assert (len(frame.rows), frame.ended_hidden) == (LIMIT, 10)
    assert frame.write_bytes_per_s == 0.0


def test_who_moved_least_in_any_way_is_folded_first() -> None:
    def ended(pid: int, **moved: Any) -> Process:
        everything: dict[str, Any] = dict.fromkeys(("read_bytes", "write_bytes"), 0) | moved
        return process(pid, Totals(disk_write_bytes=0, **everything), is_exited=True)

    tracker = Tracker()
    tracker.advance(sample(0, []))
    crowd = [ended(pid, write_bytes=9) for pid in range(10, LIMIT + 9)]
    few = [ended(1, read_bytes=99), ended(2, disk_read_bytes=99), ended(3, write_bytes=8)]
    tracker.advance(sample(1, crowd + few))
    frame = tracker.advance(sample(2, []))

    assert frame.ended_hidden == 2
    assert {1, 2} <= set(by_pid(frame))
    assert 3 not in by_pid(frame)


def test_a_folded_process_that_does_something_is_shown_again() -> None:
    def ended(pid: int, disk: int) -> Process:
        return process(pid, Totals(write_bytes=pid, disk_write_bytes=disk), is_exited=True)

    tracker = Tracker(history_ticks=50)
    tracker.advance(sample(0, []))
    crowd = [ended(pid, 0) for pid in range(1, LIMIT + 11)]
    for at in range(1, 4):
        frame = tracker.advance(sample(at, crowd))
    assert (1 in by_pid(frame), frame.ended_hidden) == (False, 10)
    frame = tracker.advance(sample(4, [ended(1, 4096), *crowd[1:]]))

    assert by_pid(frame)[1].disk_write_bytes_per_s == 4096
    assert by_pid(frame)[1].history == ()
    assert frame.ended_hidden == 9
