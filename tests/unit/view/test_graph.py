from __future__ import annotations

import re

import pytest
from rich.cells import cell_len
from rich.style import Style
from rich.text import Text

from iotop_ng.view.graph import draw, nice_top, time_labels

MIB = 1024**2


def plain(text: str) -> list[str]:
    return Text.from_ansi(text).plain.split("\n")


def test_a_plot_has_axes_legend_title_and_time() -> None:
    text = draw(
        [[10 * MIB] * 61],
        80,
        16,
        ["#e69f00"],
        ["write"],
        "log-flood",
        time_labels(61, 1.0, 80),
        "bytes/s",
    )

    lines = plain(text)
    assert "log-flood" in lines[0]
    assert lines[2].startswith("  10M/s┤")
    assert lines[-3].startswith("      0┤")
    assert lines[0].rstrip().endswith("log-flood: write")
    assert lines[-1].split() == ["-1m", "-50s", "-40s", "-30s", "-20s", "-10s", "now"] or (
        lines[-1].split() == ["-1m", "-45s", "-30s", "-15s", "now"]
    )
    assert "\x1b[38;2;230;159;0m" in text


@pytest.mark.parametrize("size", [(24, 6), (80, 16), (200, 60), (23, 6), (24, 5), (3, 2), (0, 0)])
def test_a_plot_has_the_size_that_was_asked_for(size: tuple[int, int]) -> None:
    width, height = size
    text = draw([[1.0, None, 3.0]], width, height, ["red"], ["read"], "日本語 " * 30, y_unit="us")

    lines = plain(text)
    assert len(lines) == max(1, height)
    assert {cell_len(line) for line in lines} == {width}


def test_the_terminal_that_runs_the_tests_has_no_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("LINES", "10")

    lines = plain(draw([[1.0, 2.0]], 150, 30, ["red"], ["read"]))

    assert (len(lines), cell_len(lines[0])) == (30, 150)


def test_a_gap_is_not_drawn_over() -> None:
    values = [5.0] * 20 + [None] * 20 + [5.0] * 20

    lines = plain(draw([values], 80, 12, ["red"], ["x"], y_unit="pct", ascii=True))

    assert any(re.search(r"\*{15,} {15,}\*{15,}", line) for line in lines)


def test_without_colour_series_differ_by_their_marks() -> None:
    text = draw([[1.0] * 9, [2.0] * 9], 60, 20, ["red", "blue"], ["a", "b"], has_color=False)

    assert "\x1b" not in text
    assert "* a" in text
    assert "+ b" in text


def test_the_ascii_form_is_ascii() -> None:
    text = draw([[1.0] * 9], 60, 12, ["default"], ["日"], "größe", ascii=True)

    assert text.isascii()


def test_the_default_colour_is_the_terminals() -> None:
    text = draw([[1.0, 9.0]], 60, 12, ["default"], ["a"])

    assert "\x1b[39m" in text
    assert "\x1b[38" not in text


def test_the_legend_has_the_colours_of_the_series() -> None:
    text = draw([[1.0], [2.0]], 60, 20, ["#e69f00", "bright_red"], ["write", "read"], "vda")

    title = Text.from_ansi(text.split("\n")[0])
    colours = {
        title.plain[span.start : span.end]: span.style.color.name
        for span in title.spans
        if isinstance(span.style, Style) and span.style.color
    }
    assert colours["write"] == "#e69f00"
    assert colours["read"] in {"bright_red", "color(9)"}


def test_a_long_title_leaves_room_for_the_legend() -> None:
    lines = plain(draw([[1.0]] * 3, 40, 8, ["red"] * 3, ["write", "read", "wait"], "vda " * 30))

    assert lines[0].rstrip().endswith(": write, read, wait")


@pytest.mark.parametrize("series", [[], [[]], [[None, None]], [[0.0]]])
def test_nothing_to_draw_is_an_empty_plot(series: list[list[float | None]]) -> None:
    lines = plain(draw(series, 40, 8, ["red"] * len(series), ["x"] * len(series), "t"))

    assert len(lines) == 8


@pytest.mark.parametrize(
    ("value", "unit", "top"),
    [
        (3_000_000, "bytes/s", 5 * MIB),
        (3_000_000, "us", 5_000_000),
        (MIB, "bytes/s", MIB),
        (MIB + 1, "bytes/s", 2 * MIB),
        (600 * MIB, "bytes/s", 1024 * MIB),
        (0, "bytes/s", 1024),
        (3, "pct", 100),
        (0, "count/s", 10),
    ],
)
def test_the_upper_edge_is_round(value: float, unit: str, top: float) -> None:
    assert nice_top(value, unit) == top


def test_ticks_carry_their_unit() -> None:
    for unit, tick in (("bytes/s", "5.0M/s"), ("us", "5.0s"), ("pct", "100%"), ("count/s", "5.0M")):
        lines = plain(draw([[4_000_000.0] * 3], 60, 12, ["red"], ["x"], "t", y_unit=unit))
        assert lines[2].split("┤")[0].strip() == tick


@pytest.mark.parametrize(
    ("count", "interval_s", "labels"),
    [
        (0, 1.0, []),
        (1, 1.0, [(0, "now")]),
        (61, 1.0, [(0, "-1m"), (15, "-45s"), (30, "-30s"), (45, "-15s"), (60, "now")]),
        (121, 0.5, [(0, "-1m"), (30, "-45s"), (60, "-30s"), (90, "-15s"), (120, "now")]),
        (101, 1.0, [(10, "-1m30s"), (40, "-1m"), (70, "-30s"), (100, "now")]),
        (7201, 1.0, [(0, "-2h"), (1800, "-1h30m"), (3600, "-1h"), (5400, "-30m"), (7200, "now")]),
    ],
)
def test_time_labels_are_round(
    count: int, interval_s: float, labels: list[tuple[int, str]]
) -> None:
    assert time_labels(count, interval_s, 60) == labels
