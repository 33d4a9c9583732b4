"""A control beside the readers: its own pace, the same samples."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from iotop_ng.clock import ManualClock
from iotop_ng.errors import SourceError
from iotop_ng.model.frame import Frame
from iotop_ng.sample import Need, Totals
from iotop_ng.session import Session
from tests.fakes.samples import SECOND, process, sample
from tests.fakes.scripted import ScriptedSource
from tests.unit.test_session import START, session, times


class FakeControl:
    """Writes down what it is told, and when."""

    def __init__(self, clock: ManualClock, interval_s: float | None) -> None:
        self._clock = clock
        self.interval_s = interval_s
        self.needs: frozenset[Need] = frozenset({Need.SYSCALLS})
        self.frames: list[Frame] = []
        self.reasons: list[str] = []
        self.marked: list[int] = []

    def tick(self, frame: Frame) -> None:
        self.frames.append(frame)

    def blind(self, why: str) -> None:
        self.reasons.append(why)

    def mark(self, frame: Frame) -> Frame:
        self.marked.append(frame.tick)
        return replace(frame, policy_problem=f"{len(self.frames)} looks")

    def close(self) -> None:
        raise AssertionError("who made the control closes it")


def controlled(
    interval_s: float, looks_s: float | None, costs_ns: Sequence[int] = ()
) -> tuple[Session, ScriptedSource, FakeControl]:
    plain, source, clock = session(costs_ns, interval_s)
    control = FakeControl(clock, looks_s)
    plain.close()
    return Session(source, clock, interval_s, control=control), source, control


def test_a_control_looks_between_two_frames_and_one_reading_serves_both() -> None:
    looked_at, source, control = controlled(1.0, 0.25)

    frames = list(looked_at.frames(count=2))

    assert times(source) == [0, 0.25, 0.5, 0.75, 1, 1.25, 1.5, 1.75, 2]
    assert [frame.interval_s for frame in frames] == [0, 1, 1]
    assert [frame.interval_s for frame in control.frames] == [0.25] * 8


def test_both_paces_see_all_of_what_was_written() -> None:
    """A sample's process has written 1000 bytes more than in the one before."""
    looked_at, _, control = controlled(1.0, 0.25)

    frames = list(looked_at.frames(count=2))

    assert [frame.rows[0].write_bytes_per_s for frame in frames[1:]] == [4000, 4000]
    assert [frame.rows[0].write_bytes_per_s for frame in control.frames] == [4000] * 8


def test_a_control_may_look_less_often_than_readers() -> None:
    looked_at, source, control = controlled(0.25, 1.0)

    list(looked_at.frames(count=8))

    assert times(source) == [0, 0.25, 0.5, 0.75, 1, 1.25, 1.5, 1.75, 2]
    assert [frame.interval_s for frame in control.frames] == [1, 1]


def test_paces_that_do_not_meet_are_both_kept() -> None:
    looked_at, source, control = controlled(0.5, 0.2)

    frames = list(looked_at.frames(count=2))

    assert times(source) == pytest.approx([0, 0.2, 0.4, 0.5, 0.6, 0.8, 1.0])
    assert [frame.interval_s for frame in frames] == [0, 0.5, 0.5]
    assert [frame.interval_s for frame in control.frames] == pytest.approx([0.2] * 5)


def test_a_control_without_a_pace_costs_no_reading_and_still_marks() -> None:
    looked_at, source, control = controlled(1.0, None)

    frames = list(looked_at.frames(count=2))

    assert times(source) == [0, 1, 2]
    assert control.frames == []
    assert control.marked == [0, 1, 2]
    assert [frame.policy_problem for frame in frames] == ["0 looks"] * 3


def test_a_control_may_begin_and_stop_looking() -> None:
    looked_at, source, control = controlled(1.0, None)

    for frame in looked_at.frames(count=4):
        control.interval_s = 0.5 if frame.tick in {1, 2} else None

    # The first look has nothing to compare with.
    assert times(source) == [0, 1, 1, 1.5, 2, 2.5, 3, 4]
    assert [frame.interval_s for frame in control.frames] == [0.5, 0.5, 0.5, 0.5]


def test_looks_that_were_missed_are_left_out() -> None:
    looked_at, source, control = controlled(1.0, 0.25, [0, SECOND * 6 // 10])

    list(looked_at.frames(count=1))

    assert times(source) == [0, 0.25, 1]
    assert [frame.interval_s for frame in control.frames] == [0.25, 0.75]


def test_what_the_control_needs_is_read_too() -> None:
    looked_at, source, _ = controlled(1.0, None)
    looked_at.needs = frozenset({Need.THREADS})

    list(looked_at.frames(count=1))

    assert source.asked == [{Need.THREADS, Need.SYSCALLS}] * 2


@pytest.mark.parametrize("fails_at", [2, 4])
def test_a_source_that_fails_makes_the_control_blind(fails_at: int) -> None:
    """The second reading is the control's own, the fourth serves both."""
    looked_at, source, control = controlled(1.0, 0.25)

    def fail(number: int) -> None:
        if number == fails_at:
            raise SourceError("the maps are gone")

    source.before_read = fail
    with pytest.raises(SourceError):
        list(looked_at.frames())

    assert control.reasons == ["the maps are gone"]


def test_frames_show_what_the_control_did_in_the_same_interval() -> None:
    looked_at, _, _ = controlled(1.0, 0.25)

    frames = list(looked_at.frames(count=2))

    assert [frame.policy_problem for frame in frames] == ["0 looks", "4 looks", "8 looks"]


def test_who_ended_between_two_frames_is_not_lost_to_readers() -> None:
    """/proc lists who has ended in one reading only, and that was the control's."""
    clock = ManualClock(mono_ns=START)
    before = [process(7, Totals(write_bytes=0)), process(8, Totals(write_bytes=0))]
    ended = [process(7, Totals(write_bytes=0)), process(8, Totals(write_bytes=500), is_exited=True)]
    after = [process(7, Totals(write_bytes=0))]
    source = ScriptedSource(
        clock, [sample(0, before), sample(1, ended), sample(2, after), sample(3, after)]
    )
    control = FakeControl(clock, 0.5)
    looked_at = Session(source, clock, 1.0, control=control)

    frames = list(looked_at.frames(count=2))

    assert [frame.write_bytes_per_s for frame in frames] == [None, 500, 0]
    assert [(row.pid, row.exited) for row in frames[1].rows] == [(7, False), (8, True)]
