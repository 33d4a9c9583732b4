"""Rows of threads and of the rest of their process, sample by sample."""

from __future__ import annotations

from iotop_ng.model.tracker import Tracker
from iotop_ng.sample import Process, Totals
from tests.fakes.samples import (
    process,
    sample,
    thread,
    wrote,
)


def test_a_reused_tid_does_not_inherit_a_history() -> None:
    def shot(*threads: tuple[int, int]) -> Process:
        parts = tuple([thread(tid, write_bytes=count) for tid, count in threads])
        return wrote(7, 1000, threads=parts)

    tracker = Tracker()
    tracker.advance(sample(0, [shot((7, 0), (8, 0))]))
    tracker.advance(sample(1, [shot((7, 0), (8, 50))]))
    tracker.advance(sample(2, [shot((7, 0))]))
    frame = tracker.advance(sample(3, [shot((7, 0), (8, 5))]))

    assert {row.tid: [p.tick for p in row.history] for row in frame.threads}[8] == [3]


def test_threads_and_a_residual_row_sum_up_to_the_process() -> None:
    def shot(whole: int, *parts: int, disk: int = 0) -> Process:
        threads = tuple([thread(7 + i, write_bytes=part) for i, part in enumerate(parts)])
        return process(7, Totals(write_bytes=whole, disk_write_bytes=disk), threads=threads)

    tracker = Tracker()
    tracker.advance(sample(0, [shot(100, 60, 30)]))
    frame = tracker.advance(sample(1, [shot(200, 80, 70, disk=512)]))

    rows = {row.tid: row for row in frame.threads}
    assert {tid: row.write_bytes_per_s for tid, row in rows.items()} == {7: 20, 8: 40, 0: 40}
    assert rows[0].disk_write_bytes_per_s == 512
    assert rows[7].disk_write_bytes_per_s is None
    assert {row.pid for row in rows.values()} == {7}


def test_an_only_thread_is_the_whole_process() -> None:
    def shot(count: int) -> Process:
        totals = Totals(write_bytes=count, disk_write_bytes=count // 2)
        return process(7, totals, threads=(thread(7, write_bytes=count),))

    tracker = Tracker()
    tracker.advance(sample(0, [shot(100)]))
    frame = tracker.advance(sample(1, [shot(300)]))

    (row,) = frame.threads
    assert (row.tid, row.write_bytes_per_s, row.disk_write_bytes_per_s) == (7, 200, 100)


def test_an_only_thread_has_the_past_of_the_process_when_threads_are_asked_for() -> None:
    def shot(count: int, *threads: int) -> Process:
        parts = tuple([thread(7 + i, write_bytes=part) for i, part in enumerate(threads)])
        totals = Totals(write_bytes=count, disk_write_bytes=count)
        return process(7, totals, threads=parts)

    tracker = Tracker()
    tracker.advance(sample(0, [shot(100)]))
    tracker.advance(sample(1, [shot(150)]))
    asked = tracker.advance(sample(2, [shot(180, 180)]))
    forked = tracker.advance(sample(3, [shot(200, 190, 10)]))

    (row,) = asked.threads
    assert (row.write_bytes_per_s, row.totals.write_bytes, row.first_tick) == (30, 80, 1)
    assert row.totals.disk_write_bytes == 80
    assert {
        row.tid: (row.write_bytes_per_s, row.totals.write_bytes, row.totals.disk_write_bytes)
        for row in forked.threads
    } == {7: (10, 90, None), 8: (10, 10, None), 0: (0, 0, 100)}


def test_nothing_is_known_of_threads_in_the_interval_that_asks_for_them_first() -> None:
    tracker = Tracker()
    tracker.advance(sample(0, [wrote(7, 100)]))
    threads = (thread(7, write_bytes=90), thread(8, write_bytes=20))
    frame = tracker.advance(sample(1, [wrote(7, 110, threads=threads)]))

    assert [(row.tid, row.write_bytes_per_s) for row in frame.threads] == [
        (7, None),
        (8, None),
        (0, None),
    ]
    assert [(row.first_tick, row.first_seen_ns) for row in frame.threads] == [
        (2, sample(1).mono_ns),
        (2, sample(1).mono_ns),
        (1, sample(0).mono_ns),
    ]


def test_nothing_is_known_of_threads_that_were_away() -> None:
    def shot(count: int) -> Process:
        threads = (thread(7, write_bytes=count), thread(8, write_bytes=0))
        return wrote(7, count, threads=threads)

    tracker = Tracker()
    tracker.advance(sample(0, [shot(0)]))
    tracker.advance(sample(1, []))
    frame = tracker.advance(sample(2, [shot(100)]))

    assert {row.write_bytes_per_s for row in frame.threads} == {None}


def test_a_new_thread_starts_at_zero_and_an_ended_one_leaves_its_last_bytes() -> None:
    tracker = Tracker()
    at = [
        wrote(7, 100, threads=(thread(7, write_bytes=60), thread(8, write_bytes=40))),
        wrote(7, 190, threads=(thread(7, write_bytes=80), thread(9, write_bytes=50))),
    ]
    for number, shot in enumerate(at):
        frame = tracker.advance(sample(number, [shot]))

    assert {row.tid: row.write_bytes_per_s for row in frame.threads} == {7: 20, 9: 50, 0: 20}


def test_idle_threads_are_handed_out_again() -> None:
    tracker = Tracker()
    idle = wrote(7, 100, threads=(thread(7, write_bytes=60), thread(8, write_bytes=40)))
    frames = [tracker.advance(sample(at, [idle])) for at in range(4)]

    assert frames[3].threads[0] is frames[2].threads[0]
    assert [row.write_bytes_per_s for row in frames[3].threads] == [0, 0]
