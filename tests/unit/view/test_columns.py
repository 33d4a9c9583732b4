"""Columns are dropped by priority and the command line never is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotop_ng.model.fields import BY_ID, COLUMNS, DEFAULT
from iotop_ng.view.widgets.columns import COMMAND, COMMAND_MIN, GUTTER, at, place

ALL = tuple(BY_ID[name] for name in DEFAULT)


def test_all_default_columns_fit_a_wide_terminal() -> None:
    assert tuple(spot.column.id for spot in place(ALL, 200)) == DEFAULT


def test_80_columns_keep_who_how_much_and_how_slow() -> None:
    kept = [spot.column.id for spot in place(ALL, 80)]

    assert kept[0] == "pid"
    assert kept[-1] == COMMAND
    assert {"user", "write_bytes_per_s", "read_bytes_per_s", "latency_p99_us"} <= set(kept)


def test_columns_without_any_value_make_room_for_others() -> None:
    empty = frozenset({"io_delay_pct", "fsync_p99_us"})
    usual = {spot.column.id for spot in place(ALL, 100)}
    kept = {spot.column.id for spot in place(ALL, 100, empty=empty)}

    assert not kept & empty
    assert kept - usual
    assert tuple(spot.column.id for spot in place(ALL, 200, empty=empty)) == DEFAULT


@given(
    st.lists(st.sampled_from(COLUMNS), min_size=1, unique_by=lambda column: column.id),
    st.integers(1, 400),
)
def test_columns_never_overlap_nor_leave_the_line(columns: list[object], width: int) -> None:
    chosen = [column for column in COLUMNS if column in columns]
    if BY_ID[COMMAND] not in chosen:
        chosen.append(BY_ID[COMMAND])
    places = place(chosen, width)

    assert any(spot.column.id == COMMAND for spot in places)
    x = GUTTER
    for spot in places:
        assert spot.x == x
        x += spot.width + 1
    fixed = sum(spot.width + 1 for spot in places if spot.column.id != COMMAND)
    if width >= GUTTER + COMMAND_MIN:
        assert GUTTER + fixed < width


@pytest.mark.parametrize("sort", [name for name in DEFAULT if name != COMMAND])
def test_what_is_sorted_by_stays_on_a_narrow_screen(sort: str) -> None:
    assert sort in {spot.column.id for spot in place(ALL, 60, keep=sort)}


def test_a_click_finds_its_column_and_a_gap_belongs_to_the_right_one() -> None:
    places = place(ALL, 200)
    for spot in places:
        for x in (spot.x - 1, spot.x, spot.x + spot.width - 1):
            assert at(places, x) is spot.column
    assert at(places, 0) is None
