"""Scores of a comparison, computed from raw lines whose scores can be worked out by hand."""

from __future__ import annotations

import math

import pytest

from tests.bench.comparison import scoring
from tests.bench.comparison.raw import Measured, Run, encode, parse
from tests.unit.bench import rows


def _measured(scenario: str = "steady") -> Measured:
    return parse([encode(line) for line in rows.lines(scenario)], "some.jsonl")


def _score(name: str, scenario: str = "steady") -> scoring.Score:
    measured = _measured(scenario)
    return scoring.score(measured.of(name)[0], measured.setting, scoring.base(measured))


def test_the_victim_alone_is_the_base_over_all_rounds() -> None:
    base = scoring.base(_measured())

    assert base.operations_per_s == 20
    assert base.latency_ns == 2_000_000


def test_a_flood_leaves_a_tenth_of_the_victim_and_wastes_nothing() -> None:
    score = _score("none")

    assert score.isol == pytest.approx(10)  # 2 of 20 per second
    assert score.lat_imp == pytest.approx(100 * (500 / 2 - 1))
    assert score.work_csv == 100
    assert (score.p50, score.p99, score.max) == (500, 500, 500)
    assert score.protect == scoring.NEVER
    assert score.hog == pytest.approx(40)
    assert math.isnan(score.writes)


def test_half_of_the_device_wastes_the_other_half() -> None:
    score = _score("io.max at 50 %")

    assert score.isol == 100
    assert score.work_csv == pytest.approx(50)  # unused 20 MB/s, lost 60 MB/s
    assert score.violations == 0  # the late one ended in the first second, which is not judged
    assert score.protect == pytest.approx(0.104)  # the end of the first fast one after it
    assert math.isnan(score.protect_again)


def test_what_a_slow_device_could_not_do_is_no_waste() -> None:
    setting = rows.setting("slow")

    assert scoring.possible_bytes(setting, 1_000_000, 5_000_000) == (1.5 * 40 + 2.5 * 12) * rows.MB
    assert _score("none", "slow").protect_again == scoring.NEVER


def test_a_victim_that_is_stuck_scores_nothing() -> None:
    measured = _measured()
    run = Run(0, "x", (), rows.hog(40), rows.counted(40), under_way=(10_000, 4_990_000))

    score = scoring.score(run, measured.setting, scoring.base(measured))

    assert (score.isol, score.protect, score.max) == (0, scoring.NEVER, 4990)


def test_without_a_base_there_are_no_scores_of_the_victim() -> None:
    lines = [line for line in rows.lines() if line != rows.alone(0) and line != rows.alone(1)]
    measured = parse([encode(line) for line in lines], "some.jsonl")

    found = scoring.spreads(measured, "none")

    assert math.isnan(found["isol"].median)
    assert found["work_csv"].median == 100


def test_totals_are_read_between_two_points() -> None:
    points = [(1_000_000, 10), (2_000_000, 30)]

    assert scoring.between(points, 500_000) == 5
    assert scoring.between(points, 1_500_000) == 20
    assert scoring.between(points, 9_000_000) == 30
    assert scoring.between([], 1) == 0


def test_a_spread_leaves_out_what_was_not_measured() -> None:
    assert scoring.spread([3, float("nan"), 1, 2]) == (2, 1, 3)
    assert scoring.spread([1, 2, scoring.NEVER]) == (2, 1, scoring.NEVER)
    assert math.isnan(scoring.spread([float("nan")]).median)
