"""Worked numbers of iotop_ng.model.rates."""

from __future__ import annotations

import pytest

from iotop_ng.model.histogram import EMPTY
from iotop_ng.model.rates import (
    Interval,
    add,
    change,
    difference,
    per_second,
    rate,
    share_pct,
    zeros,
)
from iotop_ng.sample import Totals
from tests.fakes.samples import slots

SECOND = 1_000_000_000


def test_a_late_tick_divides_by_the_time_that_really_passed() -> None:
    assert rate(1_000_000, 4_000_000, 3 * SECOND // 2) == 2_000_000


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [(5, 8, 3), (5, 5, 0), (8, 5, None), (None, 5, None), (5, None, None)],
)
def test_growth_is_unknown_when_a_total_falls_or_is_missing(
    before: int | None, after: int | None, expected: int | None
) -> None:
    assert change(before, after) == expected


@pytest.mark.parametrize("ns", [0, -1, -SECOND])
def test_there_is_no_rate_without_time(ns: int) -> None:
    assert per_second(100, ns) is None


def test_a_clock_that_goes_back_makes_an_interval_without_length() -> None:
    assert Interval(3, 500, 400).ns == 0


@pytest.mark.parametrize(
    ("part", "whole", "expected"),
    [(1, 4, 25.0), (5, 4, 100.0), (0, 4, 0.0), (1, 0, None), (None, 4, None), (1, None, None)],
)
def test_a_share_is_between_0_and_100(
    part: int | None, whole: int | None, expected: float | None
) -> None:
    assert share_pct(part, whole) == expected


def test_one_falling_field_leaves_the_others_known() -> None:
    before = Totals(read_bytes=100, write_bytes=50, latency=slots(s3=2))
    after = Totals(read_bytes=90, write_bytes=80, latency=slots(s3=2, s5=1), disk_ios=7)

    assert difference(before, after) == Totals(
        read_bytes=None, write_bytes=30, latency=slots(s5=1), disk_ios=None
    )


def test_a_sum_leaves_out_what_is_not_measured() -> None:
    left = Totals(read_bytes=1, latency=slots(s1=1))
    right = Totals(read_bytes=2, write_bytes=3, latency=slots(s1=1, s2=1))

    assert add(left, right) == Totals(read_bytes=3, write_bytes=3, latency=slots(s1=2, s2=1))


def test_zeros_are_only_where_something_is_measured() -> None:
    assert zeros(Totals(read_bytes=9, fsync=slots(s4=4))) == Totals(read_bytes=0, fsync=EMPTY)
