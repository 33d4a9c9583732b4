"""Totals over time, and which operations belong to a phase."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from iotop_ng.clock import NS_PER_S
from iotop_ng.demo.record import Record, Seen, Series
from iotop_ng.policy.scores import Operation


def series(*readings: tuple[int, int]) -> Series:
    made = Series()
    for time_ns, total in readings:
        made.add(time_ns, total)
    return made


def test_between_readings_a_total_grows_evenly() -> None:
    found = series((100, 0), (200, 50), (400, 250))

    assert found.grown(100, 400) == 250
    assert found.grown(150, 300) == 125
    assert found.grown(0, 1000) == 250


def test_a_new_hog_goes_on_where_the_last_one_stopped() -> None:
    found = series((100, 0), (200, 50))

    found.restart(300)
    found.add(400, 20)

    assert found.grown(200, 300) == 0
    assert found.grown(300, 400) == 20
    assert found.grown(100, 400) == 70


def test_rates_are_of_whole_seconds() -> None:
    found = series((0, 0), (NS_PER_S, 10), (2 * NS_PER_S, 40), (3 * NS_PER_S, 41))

    assert found.rates(0, 3 * NS_PER_S - 1) == [10, 30]


def test_nothing_was_read() -> None:
    assert Series().grown(0, 100) == 0


@given(st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 1000))), st.lists(st.integers(0)))
def test_growth_adds_up_and_is_never_negative(
    readings: list[tuple[int, int]], moments: list[int]
) -> None:
    found = series(*readings)
    moments = sorted(moments)

    parts = [found.grown(a, b) for a, b in pairwise(moments)]

    assert all(part >= 0 for part in parts)
    if moments:
        assert abs(sum(parts) - found.grown(moments[0], moments[-1])) < 1e-6


def test_a_phase_has_what_ended_in_it_and_the_age_of_what_did_not() -> None:
    record = Record()
    record.operations = [
        Operation(0, 50),
        Operation(60, 110),
        Operation(120, 180),
        Operation(190, 400),
        Operation(410, 420),
    ]

    assert record.of(Seen("flood", 100, 200)) == [
        Operation(60, 110),
        Operation(120, 180),
        Operation(190, 200, has_ended=False),
    ]


def test_what_is_under_way_belongs_to_the_last_phase() -> None:
    record = Record()
    record.operations = [Operation(110, 120)]
    record.under_way = Operation(130, 900, has_ended=False)

    assert record.of(Seen("flood", 100, 200))[-1] == Operation(130, 200, has_ended=False)
    assert record.of(Seen("alone", 0, 100)) == []
    assert record.of(Seen("later", 1000, 1100)) == []
