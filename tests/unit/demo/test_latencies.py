"""Percentiles in bounded memory are nearly those of the whole list."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from iotop_ng.demo.latencies import Figures, Latencies
from iotop_ng.policy.scores import rank


def counted(values: list[int]) -> Latencies:
    made = Latencies()
    for value in values:
        made.add(value)
    return made


def test_none_has_no_percentiles() -> None:
    assert counted([]).figures() == Figures(0, None, None, None)


def test_a_worked_example() -> None:
    assert counted([1_000_003] * 2 + [5]).percentile_ns(50) == 1_000_003
    assert counted([1_000_003, 2_000_000, 5]).percentile_ns(50) == (245 << 12) - 1


@given(st.lists(st.integers(0, 1 << 40), min_size=1), st.integers(1, 100))
def test_at_most_one_percent_more(values: list[int], percent: int) -> None:
    exact = rank(sorted(values), percent, 0)

    found = counted(values).percentile_ns(percent)

    assert found is not None
    assert exact <= found <= max(exact * 1.01, exact)
