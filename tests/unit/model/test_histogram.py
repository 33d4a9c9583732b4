"""Worked numbers of iotop_ng.model.histogram."""

from __future__ import annotations

import pytest

from iotop_ng.model.histogram import (
    EMPTY,
    NO_SUMMARY,
    bounds_us,
    count,
    kth_us,
    merge_all,
    percentile_us,
    subtract,
    summarize,
)
from tests.fakes.samples import slots


@pytest.mark.parametrize(
    ("slot", "expected"),
    [(0, (0.0, 0.002)), (10, (1.024, 2.048)), (39, (549755813.888, 1099511627.776))],
)
def test_edges_of_a_slot_are_powers_of_two(slot: int, expected: tuple[float, float]) -> None:
    assert bounds_us(slot) == expected


def test_percentiles_are_interpolated_inside_the_slot() -> None:
    histogram = slots(s10=10)

    assert percentile_us(histogram, 0.5) == pytest.approx(1.536)
    assert percentile_us(histogram, 0.0) == pytest.approx(1.024)
    assert percentile_us(histogram, 1.0) == pytest.approx(2.048)


def test_of_few_events_each_lies_in_its_part_of_the_slot() -> None:
    assert kth_us(slots(s10=1), 1) == pytest.approx(1.536)
    assert kth_us(slots(s10=2), 1) == pytest.approx(1.024 * 1.25)
    assert kth_us(slots(s10=1, s20=1), 9) == pytest.approx(1572.864)
    assert kth_us(slots(), 1) == 0


def test_a_percentile_falls_into_the_slot_that_holds_its_rank() -> None:
    """90 events in [1.024, 2.048) us, 10 from 1048.576 us: rank 99 is the 9th of the 10."""
    histogram = slots(s10=90, s20=10)

    assert percentile_us(histogram, 0.99) == pytest.approx(1048.576 * 1.9)


@pytest.mark.parametrize("histogram", [None, EMPTY, tuple([0] * 40)])
def test_nothing_is_concluded_from_no_event(histogram: tuple[int, ...] | None) -> None:
    assert percentile_us(histogram, 0.99) is None
    assert summarize(histogram) == NO_SUMMARY


def test_a_summary_names_mean_median_tail_and_upper_edge() -> None:
    """Middles 1.536 and 3.072 us."""
    found = summarize(slots(s10=3, s11=1))

    assert tuple(found) == pytest.approx(
        ((3 * 1.536 + 3.072) / 4, 1.024 * (1 + 2 / 3), 2.048 * 1.96, 4.096)
    )


def test_a_histogram_that_falls_was_reset() -> None:
    assert subtract(slots(s3=5, s4=5), slots(s3=9, s4=4)) is None
    assert subtract(slots(s3=5), slots(s3=9, s4=1)) == slots(s3=4, s4=1)
    assert subtract(slots(s3=5), slots(s3=5)) == EMPTY


def test_unknown_parts_are_left_out_of_a_merge() -> None:
    assert merge_all([None, slots(s1=1), slots(s1=2, s2=1)]) == slots(s1=3, s2=1)
    assert merge_all([None, None]) is None


def test_events_are_counted_over_all_slots() -> None:
    assert count(slots(s1=3, s39=4)) == 7
    assert count(None) is None
