from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from iotop_ng.view.renderables.bar import bar, bars, meter
from iotop_ng.view.renderables.braille import ascii_lines, braille_lines
from iotop_ng.view.renderables.spark import by_tick, spark

VALUES = st.lists(st.none() | st.floats(0, 1e15), max_size=60)


def joined(lines: list[list[tuple[str, int]]]) -> list[str]:
    return ["".join(text for text, _ in line) for line in lines]


def test_a_sparkline_starts_at_zero_and_ends_at_the_top() -> None:
    assert spark([0, 1, 2, 3, 4, 5, 6, 7], 8, 7) == "▁▃▄▅▆▇██"
    assert spark([0, 4, 8], 3, 8) == "▁▅█"


def test_a_disk_that_is_always_busy_draws_as_full() -> None:
    assert spark([200e6] * 4, 4, None) == "████"


def test_a_gap_differs_from_a_measured_zero_and_that_from_a_little() -> None:
    assert spark([None, 0, 0.001, 1000], 4, None) == " ▁▂█"


def test_the_newest_value_is_on_the_right() -> None:
    assert spark([9, 0, 8], 2, 8) == "▁█"
    assert spark([8], 3, 8) == "  █"


def test_a_sparkline_has_an_ascii_form() -> None:
    line = spark([None, 0, 1, 2, 3, 4, 5, 6, 7, 8], 10, 8, ascii=True)

    assert line == " .-=+*#%@@"
    assert spark([None, 0, 0.1, 8], 4, 8, ascii=True) == " .:@"


def test_nothing_but_zero_is_a_baseline() -> None:
    assert spark([0, 0], 2, None) == "▁▁"
    assert spark([0, 5], 2, 0) == "▁█"


@given(VALUES, st.integers(0, 40), st.none() | st.floats(0, 1e15), st.booleans())
def test_a_sparkline_is_as_wide_as_asked(
    values: list[float | None], width: int, top: float | None, is_ascii: bool
) -> None:
    line = spark(values, width, top, ascii=is_ascii)

    assert cell_len(line) == width
    assert not is_ascii or line.isascii()


def test_quiet_intervals_are_zero_and_those_before_the_start_gaps() -> None:
    assert by_tick([(5, 2.0), (7, None)], 8, 6, first_tick=4) == [None, 0.0, 2.0, 0.0, None, 0.0]


def test_points_outside_are_left_out() -> None:
    assert by_tick([(1, 9.0), (9, 9.0)], 5, 2) == [0.0, 0.0]


def test_a_braille_plot_joins_its_points() -> None:
    lines = joined(braille_lines([[0, 7, 0, 7]], 2, 2, 7))

    assert lines == ["⢸⣾", "⡸⡿"]


def test_a_rising_line_is_drawn_dot_by_dot() -> None:
    assert joined(braille_lines([[0, 1, 2, 3]], 2, 1, 3)) == ["⡠⠊"]


def test_a_gap_breaks_the_line() -> None:
    assert joined(braille_lines([[3, 3, None, None, 0, 0]], 3, 1, 3)) == ["⠉ ⣀"]


def test_runs_name_their_series() -> None:
    lines = braille_lines([[0] * 4, [None, None, 3, 3]], 4, 1, 3)

    assert lines == [[("  ", 0), ("⣀", 1), ("⣉", 2)]]


def test_a_value_above_the_top_stays_inside() -> None:
    assert joined(braille_lines([[9, 9]], 1, 1, 3)) == ["⠉"]


def test_series_have_marks_of_their_own_in_ascii() -> None:
    lines = ascii_lines([[0, 1, 2], [2, 2, None]], 4, 3, 2)

    assert lines == [
        [(" ", 0), ("++", 2), ("*", 1)],
        [("  ", 0), ("*", 1), (" ", 0)],
        [(" ", 0), ("*", 1), ("  ", 0)],
    ]


@given(
    st.lists(VALUES, max_size=3),
    st.integers(0, 30),
    st.integers(0, 6),
    st.none() | st.floats(0, 1e15),
)
def test_a_plot_has_the_size_that_was_asked_for(
    series: list[list[float | None]], width: int, height: int, top: float | None
) -> None:
    for draw in (braille_lines, ascii_lines):
        lines = draw(series, width, height, top)

        assert len(lines) == height
        assert {len(line) for line in joined(lines)} <= {width}
        assert all(0 <= number <= len(series) for line in lines for _, number in line)


@pytest.mark.parametrize(
    ("fraction", "text"),
    [(0, "    "), (0.5, "██  "), (1, "████"), (7, "████"), (-1, "    "), (1e-9, "▏   ")],
)
def test_a_bar_is_filled_from_the_left(fraction: float, text: str) -> None:
    assert bar(fraction, 4) == text


def test_a_bar_has_an_ascii_form() -> None:
    assert bar(0.01, 4, ascii=True) == "#   "


def test_a_meter_shows_its_percentage() -> None:
    assert meter(0.5, 11) == "[██  ]  50%"
    assert meter(2, 11, ascii=True) == "[####] 100%"


@given(st.floats(-1, 2), st.integers(0, 40), st.booleans())
def test_a_meter_is_as_wide_as_asked(fraction: float, width: int, is_ascii: bool) -> None:
    assert cell_len(meter(fraction, width, ascii=is_ascii)) == width


def test_bars_have_label_and_value() -> None:
    lines = bars([("1us", 2), ("1ms", 4)], 13, lambda value: f"{value:.0f}")

    assert lines == [
        [("1us ", 0), ("███▌", 1), ("   ", 2), (" 2", 0)],
        [("1ms ", 0), ("███████", 1), (" 4", 0)],
    ]


@given(
    st.lists(st.tuples(st.text("ab 日", max_size=12), st.floats(0, 1e9)), max_size=5),
    st.integers(0, 40),
    st.booleans(),
)
def test_bars_are_as_wide_as_asked(
    items: list[tuple[str, float]], width: int, is_ascii: bool
) -> None:
    for line in joined(bars(items, width, "{:.0f}".format, ascii=is_ascii)):
        assert cell_len(line) == width
