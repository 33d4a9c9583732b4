"""Debt: what is wanted is written, owed for a second at most, or lost; nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotop_ng.clock import NS_PER_S
from iotop_ng.demo.pacing import MOST_DEBT_NS, Pace

rates = st.integers(1, 1 << 34)
pulses = st.sampled_from([0, NS_PER_S, NS_PER_S // 3])
steps = st.lists(
    st.tuples(st.integers(0, 5 * NS_PER_S), st.integers(0, 100), st.integers(0, 3)), max_size=40
)
"""How long it took, which share of what is due was written (percent), and refused (records)."""


@given(rate=rates, pulse=pulses, record=st.integers(1, 1 << 23), steps=steps)
def test_debt_is_a_second_at_most_and_nothing_that_was_lost_comes_back(
    rate: int, pulse: int, record: int, steps: list[tuple[int, int, int]]
) -> None:
    pace = Pace(rate, pulse)
    now = written = lost = before = 0
    for took, share, refused in steps:
        now += took
        lost_before, lost = lost, pace.lost(now, written, lost)
        wanted = pace.wanted(now)
        due = pace.due(now, written, lost, record)
        assert wanted is not None
        assert due is not None
        assert wanted >= before
        assert lost >= lost_before
        assert wanted - written - lost <= rate * MOST_DEBT_NS // NS_PER_S
        assert due == 0 or record <= due <= rate * MOST_DEBT_NS // NS_PER_S
        written += due * share // 100
        lost += refused * record
        assert due == 0 or written <= wanted
        assert pace.wanted_in_all(now, written, lost) == wanted
        before = wanted


@given(rate=rates, pulse=pulses, record=st.integers(1, 1 << 20), now=st.integers(0, 1 << 40))
def test_a_sleep_is_short_and_ends_not_long_after_something_is_due(
    rate: int, pulse: int, record: int, now: int
) -> None:
    sleep_ns = Pace(rate, pulse).sleep_ns(now, 0, 0, record)

    assert 0 < sleep_ns <= NS_PER_S // 20


def test_who_writes_all_that_is_due_loses_nothing() -> None:
    pace, written, now = Pace(1_000_003), 0, 0
    while now < 10 * NS_PER_S:
        due = pace.due(now, written, 0, 512)
        assert due is not None
        written += due // 512 * 512
        assert pace.lost(now, written, 0) == 0
        now += pace.sleep_ns(now, written, 0, 512)

    assert written == pytest.approx(10_000_030, abs=100_000)


@pytest.mark.parametrize(("seconds", "lost"), [(0, 0), (1, 0), (3, 200), (60, 5900)])
def test_the_worked_example(seconds: int, lost: int) -> None:
    pace = Pace(100)

    assert pace.lost(seconds * NS_PER_S, 0, 0) == lost
    assert pace.due(seconds * NS_PER_S, 0, lost, 1) == min(seconds * 100, 100)


def test_pulses_are_twice_the_rate_and_then_nothing() -> None:
    pace = Pace(100, NS_PER_S)
    tenths = [pace.wanted(tenth * NS_PER_S // 10) for tenth in (0, 5, 10, 15, 20, 25, 30, 40)]

    assert tenths == [0, 100, 200, 200, 200, 300, 400, 400]
    assert Pace(None, NS_PER_S).due(NS_PER_S * 3 // 2, 0, 0, 1) == 0
    assert Pace(None, NS_PER_S).due(NS_PER_S * 5 // 2, 0, 0, 1) is None


def test_who_wants_everything_wants_what_it_got_and_what_was_refused() -> None:
    pace = Pace(None)

    assert pace.due(0, 0, 0, 8) is None
    assert pace.lost(9 * NS_PER_S, 10, 5) == 5
    assert pace.wanted_in_all(9 * NS_PER_S, 10, 5) == 15
