"""The supervisor: reports on a crew, ends it, and says why; on a clock that only waiting moves."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from iotop_ng.clock import NS_PER_S, ManualClock
from iotop_ng.demo.counts import Counts
from iotop_ng.demo.hog import Job, Outside, Supervisor
from iotop_ng.demo.modes import MODES, layout
from iotop_ng.demo.pacing import Pace
from iotop_ng.demo.space import Space
from iotop_ng.errors import IotopError
from tests.fakes.crews import FakeCrew, TimedEnding, idle

RATE = 1000
ROOMY = Space(1 << 40, 1 << 39)
FULL = Space(1 << 40, 1 << 30)


def steady(seconds: float) -> list[Counts]:
    """Return what one does who writes as fast as it wants."""
    return [Counts(int(RATE * seconds), int(seconds), 0, 0, 0)]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(mono_ns=100 * NS_PER_S)


def job(seconds: float = 3.0, *, stops: bool = False) -> Job:
    """Return a small job with JSON."""
    return Job(
        directory=Path("/data"),
        layout=layout(MODES["lines"], 1 << 20, None, None),
        rate=RATE,
        behind_bytes=1 << 20,
        for_ns=int(seconds * NS_PER_S),
        calls=None,
        seed=1,
        stops_at_error=stops,
        uses_fio=False,
        until_stdin_ends=False,
        is_json=True,
    )


def supervise(
    clock: ManualClock,
    crew: FakeCrew,
    asked: Job,
    ending: TimedEnding | None = None,
    room: Callable[[Path], Space] = lambda _: ROOMY,
) -> tuple[list[dict[str, Any]], str]:
    """Return the objects after the first, and what went wrong."""
    out: list[bytes] = []
    outside = Outside(
        ending or TimedEnding(clock), clock, out.append, lambda _: None, room, clock.mono_ns
    )
    problem = ""
    try:
        Supervisor(asked, outside, crew).run()
    except IotopError as error:
        problem = str(error)
    return [json.loads(line) for line in out[1:]], problem


def seconds_of(lines: list[dict[str, Any]]) -> list[float]:
    """Return when each was said, from the start."""
    return [round(line["time_ns"] / NS_PER_S - 100, 3) for line in lines]


def test_a_report_a_second_and_one_at_the_end(clock: ManualClock) -> None:
    crew = FakeCrew(clock, steady, [Pace(RATE)])

    lines, problem = supervise(clock, crew, job(2.5))

    assert problem == ""
    assert [line["ended"] for line in lines] == [False, False, True]
    assert seconds_of(lines)[:2] == [1.0, 2.0]
    assert [line["written_bytes_total"] for line in lines[:2]] == [1000, 2000]
    assert crew.calls == ["stop", "end"]


def test_those_who_do_not_stop_are_ended_after_a_grace(clock: ManualClock) -> None:
    crew = FakeCrew(clock, lambda seconds: steady(min(seconds, 1.0)), [Pace(RATE)])

    lines, _ = supervise(clock, crew, job(1.0))

    assert seconds_of(lines)[-1] == 3.0
    # What is wanted is counted up to the time that they were told.
    assert lines[-1]["wanted_bytes_total"] == 1000


def test_who_wrote_more_since_the_clock_was_read_wanted_it(clock: ManualClock) -> None:
    crew = FakeCrew(clock, lambda seconds: steady(seconds + 0.05), [Pace(RATE)])

    lines, _ = supervise(clock, crew, job(2.0))

    assert all(line["wanted_bytes_total"] >= line["written_bytes_total"] for line in lines)


def test_late_reports_are_not_made_up_for(clock: ManualClock) -> None:
    crew = FakeCrew(clock, steady, [Pace(RATE)])

    lines, _ = supervise(clock, crew, job(6.0), TimedEnding(clock, late_s=1.3))

    assert seconds_of(lines)[:2] == [2.3, 4.3]


def test_what_a_held_crew_does_not_count_is_counted_for_it(clock: ManualClock) -> None:
    def held(seconds: float) -> list[Counts]:
        return [*steady(min(seconds, 1.0)), *idle(1)]

    crew = FakeCrew(clock, held, [Pace(RATE), Pace(RATE)])

    lines, _ = supervise(clock, crew, job(5.0))

    assert [line["lost_bytes_total"] for line in lines[:4]] == [0, 1000, 3000, 5000]
    for line in lines:
        owed = line["wanted_bytes_total"] - line["written_bytes_total"] - line["lost_bytes_total"]
        assert 0 <= owed <= 2 * RATE


def test_a_wish_to_end_ends_it_at_once(clock: ManualClock) -> None:
    crew = FakeCrew(clock, steady, [Pace(RATE)])

    lines, problem = supervise(clock, crew, job(9.0), TimedEnding(clock, at_s=1.5))

    assert (seconds_of(lines), problem) == ([1.0, 1.5], "")
    assert crew.calls == ["stop", "end"]


def test_it_stops_when_others_fill_the_disk(clock: ManualClock) -> None:
    crew = FakeCrew(clock, steady, [Pace(RATE)])

    def room(_: Path) -> Space:
        return ROOMY if clock.mono_ns() < 102 * NS_PER_S else FULL

    lines, problem = supervise(clock, crew, job(9.0), room=room)

    assert [line["ended"] for line in lines] == [False, False, True]
    assert problem.startswith("stopped: /data: 1.0G are free, needed are 0 and 51G")
    assert crew.calls[-1] == "end"


@pytest.mark.parametrize("why", ["", "the writers were ended by SIGKILL"])
def test_a_crew_that_ends_ends_it(clock: ManualClock, why: str) -> None:
    crew = FakeCrew(clock, steady, [Pace(RATE)], lives_s=1.5)
    crew.why = why

    lines, problem = supervise(clock, crew, job(9.0))

    assert (lines[-1]["ended"], problem) == (True, why)


def test_a_refused_write_is_the_reason_where_it_shall_stop(clock: ManualClock) -> None:
    def refused(_: float) -> list[Counts]:
        return [Counts(0, 1, 1, errno.EDQUOT, 512)]

    crew = FakeCrew(clock, refused, [Pace(RATE)], lives_s=0.5)

    lines, problem = supervise(clock, crew, job(9.0, stops=True))

    assert problem == "a write was refused: EDQUOT"
    assert lines[-1]["last_error"] == "EDQUOT"
