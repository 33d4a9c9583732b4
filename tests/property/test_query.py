"""No text breaks the filter, and no order loses a row."""

from __future__ import annotations

from contextlib import suppress
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from iotop_ng.errors import UsageError
from iotop_ng.model.fields import BY_ID, COLUMNS, Column, Mode, text, value
from iotop_ng.model.frame import EMPTY_FRAME, Frame, Row
from iotop_ng.model.query import Query, arrange, parse_filter
from tests.property.strategies import filter_text, lists_of_rows, rates, rows

queries = st.builds(
    Query,
    sort=st.sampled_from(sorted(BY_ID)),
    reverse=st.booleans(),
    mode=st.sampled_from(Mode),
    tree=st.booleans(),
)
NOW_NS = 1 << 41


def frame(found: list[Row]) -> Frame:
    return replace(EMPTY_FRAME, rows=tuple(found), mono_ns=NOW_NS)


@given(filter_text, rows())
def test_any_text_is_a_filter_or_a_usage_error(words: str, row: Row) -> None:
    with suppress(UsageError):
        assert parse_filter(words).matches(row) in {True, False}


@given(filter_text, rows())
def test_not_is_the_opposite(word: str, row: Row) -> None:
    with suppress(UsageError):
        plain = parse_filter(word)
        if len(plain.tests) == 1 and word == word.strip():
            assert parse_filter(f"!{word}").matches(row) is not plain.matches(row)


@given(st.sampled_from([c for c in COLUMNS if c.is_number]), rows(), rates)
def test_a_row_is_above_below_or_at_a_number_or_unknown(
    column: Column, row: Row, shown: float | None
) -> None:
    if column.id != "history":
        row = replace(row, **{column.id: shown})
    unit = {"us": "ms", "bytes/s": "K"}.get(column.unit, "")
    answers = [parse_filter(f"{column.id}{sign}5{unit}").matches(row) for sign in ("<", "=", ">")]

    assert answers.count(True) == (0 if column.rate(row) is None else 1)


@given(lists_of_rows(), queries)
def test_every_row_is_shown_once_in_any_order(found: list[Row], query: Query) -> None:
    placed = arrange(frame(found), query)

    assert sorted(p.row.key for p in placed) == sorted(row.key for row in found)


@given(lists_of_rows(), queries, st.randoms(use_true_random=False))
def test_the_order_is_the_same_however_the_frame_is_shuffled(
    found: list[Row], query: Query, random: object
) -> None:
    mixed = found[:]
    random.shuffle(mixed)  # type: ignore[attr-defined] # hypothesis types it as Random only inside

    assert arrange(frame(found), query) == arrange(frame(mixed), query)


@given(lists_of_rows(), queries)
def test_a_flat_order_is_sorted_with_unknown_last(found: list[Row], query: Query) -> None:
    query = replace(query, tree=False)
    column = BY_ID[query.sort]
    shown = [
        value(column, placed.row, query.mode, now_ns=NOW_NS)
        for placed in arrange(frame(found), query)
    ]
    known = [item for item in shown if item is not None]

    assert shown[len(known) :] == [None] * (len(shown) - len(known))
    assert known == sorted(known, reverse=column.is_number is not query.reverse)


@given(lists_of_rows(), queries)
def test_a_tree_goes_down_one_step_at_a_time(found: list[Row], query: Query) -> None:
    placed = arrange(frame(found), replace(query, tree=True))

    depths = [p.depth for p in placed]
    assert not depths or depths[0] == 0
    assert all(b <= a + 1 for a, b in pairwise(depths))


@given(rows(), st.sampled_from(COLUMNS), st.sampled_from(Mode), st.booleans())
def test_a_cell_fits_its_column(row: Row, column: Column, mode: Mode, si: bool) -> None:
    shown = text(column, row, mode, si=si, now_ns=NOW_NS)

    assert column.width == 0 or len(shown) <= column.width
