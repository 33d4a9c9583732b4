"""The loop on a clock that only moves when told to."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import pytest

from iotop_ng.clock import ManualClock, SystemClock
from iotop_ng.model.frame import Frame
from iotop_ng.sample import Need, Totals
from iotop_ng.session import Session, next_due
from tests.fakes.samples import SECOND, process, sample
from tests.fakes.scripted import ScriptedSource

START = 500 * SECOND


def session(
    costs_ns: Sequence[int] = (), interval_s: float = 1.0
) -> tuple[Session, ScriptedSource, ManualClock]:
    clock = ManualClock(mono_ns=START)
    source = ScriptedSource(
        clock, [sample(at, [process(7, Totals(write_bytes=at * 1000))]) for at in range(50)]
    )
    source.costs_ns = list(costs_ns)
    return Session(source, clock, interval_s), source, clock


def times(source: ScriptedSource) -> list[float]:
    return [(at - START) / SECOND for at in source.readings]


def test_the_first_frame_comes_at_once_and_count_more_follow() -> None:
    looked_at, source, _ = session()

    frames = list(looked_at.frames(count=3))

    assert [frame.tick for frame in frames] == [0, 1, 2, 3]
    assert times(source) == [0, 1, 2, 3]
    assert [frame.rows[0].write_bytes_per_s for frame in frames] == [None, 1000, 1000, 1000]


def test_readings_that_take_time_do_not_add_up() -> None:
    looked_at, source, _ = session([SECOND // 3] * 20)

    list(looked_at.frames(count=5))

    assert times(source) == [0, 1, 2, 3, 4, 5]


def test_an_interval_that_is_no_round_number_does_not_drift() -> None:
    looked_at, source, _ = session([SECOND // 50] * 200, interval_s=0.1)

    list(looked_at.frames(count=30))

    assert source.readings[-1] == START + 3 * SECOND


def test_missed_ticks_are_left_out_without_a_burst() -> None:
    """The reading of 2 s takes until 4.3 s: the ticks of 3 and 4 s are gone, 5 s is next."""
    looked_at, source, _ = session([0, 0, 23 * SECOND // 10])

    frames = list(looked_at.frames(count=4))

    assert times(source) == [0, 1, 2, 5, 6]
    assert [frame.interval_s for frame in frames] == [0, 1, 1, 3, 1]
    assert [frame.tick for frame in frames] == [0, 1, 2, 3, 4]


def test_a_slow_reader_of_frames_is_no_burst_either() -> None:
    looked_at, source, clock = session()

    for frame in looked_at.frames(count=3):
        if frame.tick == 1:
            clock.advance(25 * SECOND // 10)

    assert times(source) == [0, 1, 4, 5]


@pytest.mark.parametrize(
    ("duration_s", "expected"),
    [(3.0, [0, 1, 2, 3]), (2.5, [0, 1, 2, 2.5]), (0.4, [0, 0.4]), (0.0, [0])],
)
def test_a_duration_ends_with_a_frame_at_its_end(duration_s: float, expected: list[float]) -> None:
    looked_at, source, _ = session()

    list(looked_at.frames(duration_s=duration_s))

    assert times(source) == expected


def test_a_new_interval_counts_from_the_last_tick() -> None:
    looked_at, source, _ = session()

    for frame in looked_at.frames(count=4):
        if frame.tick == 2:
            looked_at.interval_s = 0.25

    assert times(source) == [0, 1, 2, 2.25, 2.5]


def test_needs_reach_the_next_reading() -> None:
    looked_at, source, _ = session()

    for frame in looked_at.frames(count=2):
        if frame.tick == 0:
            looked_at.needs = frozenset({Need.THREADS})

    assert source.asked == [frozenset(), frozenset({Need.THREADS}), frozenset({Need.THREADS})]


def test_a_stop_ends_after_the_frame_at_hand() -> None:
    looked_at, source, _ = session()
    seen = []

    for frame in looked_at.frames():
        seen.append(frame.tick)
        if frame.tick == 2:
            looked_at.request_stop()

    assert seen == [0, 1, 2]
    assert len(source.readings) == 3


def test_a_stop_before_the_start_gives_one_frame() -> None:
    looked_at, _, _ = session()
    looked_at.request_stop()

    assert [frame.tick for frame in looked_at.frames()] == [0]


def test_the_source_is_opened_and_closed_once() -> None:
    looked_at, source, _ = session()
    looked_at.open()
    list(looked_at.frames(count=1))
    looked_at.close()
    looked_at.close()

    assert source.calls == ["open", "close"]


def test_a_source_that_did_not_open_is_not_closed() -> None:
    looked_at, source, _ = session()
    looked_at.close()

    assert source.calls == []


def test_a_step_reads_without_sleeping() -> None:
    looked_at, source, _ = session()
    looked_at.open()

    assert [looked_at.step().tick, looked_at.step().tick] == [0, 1]
    assert times(source) == [0, 0]


@pytest.mark.parametrize(
    ("last", "now", "step", "expected"),
    [
        (0, 400, 1000, 1000),
        (0, 1000, 1000, 1000),
        (0, 1001, 1000, 2000),
        (0, 3500, 1000, 4000),
        (500, 0, 1000, 1500),
        (0, 7, 0, 7),
    ],
)
def test_the_next_tick_is_the_first_that_is_not_past(
    last: int, now: int, step: int, expected: int
) -> None:
    assert next_due(last, now, step) == expected


class _Sleeper:
    """A session in a thread of its own, on the machine's clock, with an hour between ticks."""

    def __init__(self) -> None:
        source = ScriptedSource(ManualClock(), [sample(0)])
        self.session = Session(source, SystemClock(), 3600.0)
        self.frames: list[Frame] = []
        self.has_frame = threading.Semaphore(0)
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self) -> None:
        for frame in self.session.frames():
            self.frames.append(frame)
            self.has_frame.release()

    def stop(self) -> None:
        self.session.request_stop()
        self.thread.join(30)


def test_a_stop_wakes_a_sleeping_session() -> None:
    sleeper = _Sleeper()
    sleeper.has_frame.acquire(timeout=30)

    sleeper.stop()

    assert not sleeper.thread.is_alive()
    assert len(sleeper.frames) == 1


def test_a_shorter_interval_counts_as_soon_as_the_session_is_woken() -> None:
    sleeper = _Sleeper()
    sleeper.has_frame.acquire(timeout=30)

    sleeper.session.interval_s = 0.001
    sleeper.session.wake()
    is_there = sleeper.has_frame.acquire(timeout=30)
    sleeper.stop()

    assert is_there
    assert not sleeper.thread.is_alive()


def test_a_session_that_is_woken_for_nothing_sleeps_on() -> None:
    class Restless(ManualClock):
        wakes = 3

        def sleep_until(self, mono_ns: int, wake: threading.Event | None = None) -> None:
            if self.wakes:
                self.wakes -= 1
                self.advance(1000)
            else:
                super().sleep_until(mono_ns, wake)

    clock = Restless(mono_ns=START)
    source = ScriptedSource(clock, [sample(0)])

    list(Session(source, clock, 1.0).frames(count=1))

    assert times(source) == [0, 1]
    assert clock.wakes == 0


def test_a_wake_counts_once() -> None:
    class Watchful(ManualClock):
        def sleep_until(self, mono_ns: int, wake: threading.Event | None = None) -> None:
            assert wake is not None
            assert not wake.is_set()
            super().sleep_until(mono_ns, wake)

    clock = Watchful(mono_ns=START)
    looked_at = Session(ScriptedSource(clock, [sample(0)]), clock, 1.0)
    looked_at.wake()

    assert [frame.tick for frame in looked_at.frames(count=2)] == [0, 1, 2]


def test_jobs_are_done_in_the_sessions_thread_between_readings() -> None:
    looked_at, source, _ = session()
    done: list[tuple[str, float, int]] = []

    def job(name: str) -> None:
        done.append((name, len(source.readings), threading.get_ident()))

    looked_at.ask(lambda: job("before"))
    for frame in looked_at.frames(count=2):
        if frame.tick == 1:
            looked_at.ask(lambda: job("first"))
            looked_at.ask(lambda: job("second"))

    me = threading.get_ident()
    assert done == [("before", 1, me), ("first", 2, me), ("second", 2, me)]
    assert times(source) == [0, 1, 2]


def test_a_job_wakes_a_sleeping_session_and_no_frame_comes_of_it() -> None:
    sleeper = _Sleeper()
    sleeper.has_frame.acquire(timeout=30)
    done = threading.Event()

    sleeper.session.ask(done.set)
    is_done = done.wait(30)
    sleeper.stop()

    assert is_done
    assert len(sleeper.frames) == 1
