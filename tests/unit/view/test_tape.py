"""Frames are kept for stepping back, within bounds."""

from __future__ import annotations

from msgspec.structs import replace

from iotop_ng.model.frame import EMPTY_FRAME
from iotop_ng.view.tape import Tape
from tests.fakes import frames


def test_it_shows_the_newest_until_paused() -> None:
    tape = Tape()
    assert tape.frame is EMPTY_FRAME

    first, second = frames.frame(1), frames.frame(2)
    tape.add(first)
    assert tape.frame is first
    tape.pause()
    tape.add(second)

    assert tape.frame is first
    assert tape.newest is second
    assert tape.behind_s == 1.0
    tape.resume()
    assert tape.frame is second


def test_one_late_frame_does_not_change_the_pace() -> None:
    tape = Tape()
    assert tape.pace_s == EMPTY_FRAME.interval_s
    for tick in range(1, 6):
        tape.add(replace(frames.frame(tick), interval_s=2.7 if tick == 5 else 1.0))

    assert tape.pace_s == 1.0


def test_steps_end_at_both_ends() -> None:
    tape = Tape()
    kept = [frames.frame(tick) for tick in range(1, 4)]
    for frame in kept:
        tape.add(frame)
    tape.pause()

    assert [tape.step(-1), tape.step(-1), tape.step(-1)] == [True, True, False]
    assert tape.frame is kept[0]
    assert tape.step(1)
    assert tape.frame is kept[1]


def test_it_keeps_a_bounded_number_of_frames() -> None:
    tape = Tape(frames=10)
    for tick in range(1, 50):
        tape.add(frames.frame(tick, rows=()))
    tape.pause()

    steps = 0
    while tape.step(-1):
        steps += 1
    assert steps == 9


def test_a_paused_frame_stays_however_long_the_pause_is() -> None:
    tape = Tape(frames=10)
    for tick in range(1, 6):
        tape.add(frames.frame(tick, rows=()))
    held = tape.frame
    tape.pause()

    for tick in range(6, 100):
        tape.add(frames.frame(tick, rows=()))

    assert tape.frame is held
    assert tape.newest.tick == 99


def test_rows_that_are_new_are_bounded_and_shared_ones_are_free() -> None:
    shared = frames.processes(1, idle=50)
    sharing, fresh = Tape(rows=200), Tape(rows=200)
    for tick in range(1, 30):
        sharing.add(frames.frame(tick, rows=shared))
        fresh.add(frames.frame(tick, rows=frames.processes(tick, idle=50)))

    assert _length(sharing) == 29
    assert _length(fresh) == 3


def test_one_frame_larger_than_the_bound_is_kept() -> None:
    tape = Tape(rows=10)
    tape.add(frames.frame(1))
    tape.add(frames.frame(2))

    assert tape.frame.tick == 2
    assert _length(tape) == 1


def _length(tape: Tape) -> int:
    tape.pause()
    length = 1
    while tape.step(-1):
        length += 1
    return length


def test_a_pause_before_the_first_frame_holds_the_first() -> None:
    tape = Tape()
    tape.pause()
    first = frames.frame(1)

    tape.add(first)
    assert tape.frame is first
    tape.add(frames.frame(2))
    assert tape.frame is first
