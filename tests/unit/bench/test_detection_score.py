"""What one sign and threshold would have done, on results by hand."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.bench.detecting import score
from tests.bench.detecting.records import Result
from tests.unit.bench.detections import machine, story, ticks


def series(*values: float) -> list[tuple[float, float]]:
    return [(0.25 * (number + 1), value) for number, value in enumerate(values)]


def test_an_alarm_needs_two_looks_in_a_row() -> None:
    assert score.alarm_s(series(9, 30, 9, 30, 31), 20) == 1.25
    assert score.alarm_s(series(9, 30, 9, 30, 9), 20) is None
    assert score.alarm_s(series(20, 20), 20) is None


def test_who_was_starved_is_told_by_the_victim_and_not_by_the_name() -> None:
    results = story()

    assert [one.load for one in score.starved(results)] == ["lines"]
    assert [one.load for one in score.harmless(results)] == ["bytes"]
    assert [one.load for one in score.healthy(results)] == ["copy", "victim"]


def test_what_nobody_notices_is_no_starvation() -> None:
    alone = Result("victim", 1, False, 80, 1.0, 2.0, 3.0, 4.0)

    def hit(p95_ms: float) -> bool:
        flood = Result("lines", 1, True, 80, p95_ms, p95_ms, p95_ms, p95_ms)
        return bool(score.starved(machine(alone, flood)))

    assert [hit(p95_ms) for p95_ms in (9.0, 49.0, 50.0)] == [False, False, True]


def test_without_the_victim_alone_nobody_was_starved() -> None:
    results = machine(Result("lines", 1, True, 4, 300.0, 900.0, 900.0, 900.0))

    assert score.starved(results) == []


def test_a_threshold_detects_and_alarms() -> None:
    found = score.verdict(story(), "psi_some", 25)

    assert (found.detected, found.starved) == (1, 1)
    assert (found.false_alarms, found.healthy) == (1, 2)
    assert found.times_s == (0.75,)


def test_the_quiet_threshold_is_the_lowest_without_a_false_alarm() -> None:
    quiet = score.quiet(story(), "psi_some")

    assert quiet is not None
    assert (quiet.threshold, quiet.false_alarms, quiet.detected) == (30, 0, 1)
    assert score.verdict(story(), "psi_some", 29.9).false_alarms == 1


def test_the_complete_threshold_is_the_highest_that_detects_all() -> None:
    complete = score.complete(story(), "fsync")

    assert complete is not None
    assert (complete.threshold, complete.detected, complete.false_alarms) == (9, 1, 0)


def test_what_was_never_measured_has_no_thresholds() -> None:
    assert score.quiet(story(), "util") is None
    assert score.complete(story(), "util") is None
    assert score.separation(story(), "util").area is None


def test_the_area_is_one_where_every_look_differs_and_a_half_where_none_does() -> None:
    apart = machine(
        *ticks("victim", psi_some=[1, 2], util=[50, 50]),
        Result("victim", 1, False, 9, 1.0, 1.0, 1.0, 1.0),
        *ticks("big", psi_some=[3, 4], util=[50, 50]),
        Result("big", 1, True, 9, 90.0, 90.0, 90.0, 90.0),
    )

    assert score.separation(apart, "psi_some").area == 1
    assert score.separation(apart, "util").area == 0.5


@given(st.lists(st.floats(0, 100), max_size=12))
def test_a_threshold_is_silent_exactly_from_the_sustained_level_on(values: list[float]) -> None:
    level = score.sustained(series(*values))

    if level is None:
        assert score.alarm_s(series(*values), -1) is None
        return
    assert score.alarm_s(series(*values), level) is None
    assert score.alarm_s(series(*values), level - 1e-9) is not None


def test_what_the_rules_did_is_listed_by_phase() -> None:
    found = {one.result.load: (one.first_s, one.names) for one in score.of_rules(story())}

    assert found["lines"] == (0.75, ("log-flood",))
    assert found["copy"] == (None, ())
