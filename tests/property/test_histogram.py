"""What is concluded from a histogram is in order, and in the right slot."""

from __future__ import annotations

from math import ceil

from hypothesis import given
from hypothesis import strategies as st

from iotop_ng.model.histogram import (
    EMPTY,
    bounds_us,
    count,
    merge,
    merge_all,
    percentile_us,
    subtract,
    summarize,
)
from iotop_ng.sample import HISTOGRAM_SLOTS, Histogram
from tests.property.strategies import histogram_of, histograms


@given(histograms(), histograms())
def test_a_difference_is_what_was_merged_in(before: Histogram, more: Histogram) -> None:
    assert subtract(before, merge(before, more)) == more
    assert merge(before, more) == merge(more, before)


@given(histograms(), histograms())
def test_a_difference_is_never_negative(before: Histogram, after: Histogram) -> None:
    found = subtract(before, after)

    assert found is None or min(found) >= 0
    assert (found is None) is any(a < b for b, a in zip(before, after, strict=True))


@given(st.lists(st.none() | histograms(), max_size=5))
def test_merging_keeps_every_event(parts: list[Histogram | None]) -> None:
    known = [part for part in parts if part is not None]

    assert (count(merge_all(parts)) or 0) == sum(map(sum, known))


@given(histograms(), st.floats(0, 1), st.floats(0, 1))
def test_percentiles_rise_with_their_share(histogram: Histogram, one: float, two: float) -> None:
    low = percentile_us(histogram, min(one, two))
    high = percentile_us(histogram, max(one, two))

    if sum(histogram) == 0:
        assert low is None
        assert high is None
    else:
        assert low is not None
        assert high is not None
        assert low <= high * (1 + 1e-12)


@given(histograms())
def test_a_summary_is_in_order(histogram: Histogram) -> None:
    found = summarize(histogram)

    if sum(histogram) == 0:
        assert found == summarize(EMPTY)
        return
    assert found.p50_us is not None
    assert found.p99_us is not None
    assert found.max_us is not None
    assert found.mean_us is not None
    assert 0 <= found.p50_us <= found.p99_us <= found.max_us
    assert 0 < found.mean_us <= found.max_us
    assert found.p99_us == percentile_us(histogram, 0.99)


@given(
    st.lists(st.integers(0, (1 << HISTOGRAM_SLOTS) - 1), min_size=1, max_size=50),
    st.floats(0.01, 1),
)
def test_a_percentile_is_in_the_slot_of_the_true_one(durations: list[int], share: float) -> None:
    slots = sorted(max(ns.bit_length() - 1, 0) for ns in durations)
    low, high = bounds_us(slots[ceil(share * len(slots)) - 1])

    found = percentile_us(histogram_of(slots), share)

    assert found is not None
    assert low <= found <= high * (1 + 1e-12)
