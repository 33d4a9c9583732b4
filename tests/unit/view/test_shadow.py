from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from textual._compositor import ChopsUpdate, LayoutUpdate
from textual.geometry import Region
from textual.strip import Strip

from iotop_ng.view.framediff import FrameDiffer
from iotop_ng.view.sgr import change, split
from iotop_ng.view.shadow import OutsideError, Shadow

CONSOLE = Console(file=io.StringIO(), color_system="standard", force_terminal=True)
RED = Style(color="red")
BOLD_RED = Style(color="red", bold=True)
LINK = Style(link="https://example.org")
PENS = st.builds(
    lambda attributes, colours: ";".join([*sorted(attributes), *colours]),
    st.sets(st.sampled_from(["1", "2", "3", "4", "5", "7", "9"])),
    st.sampled_from(
        [[], ["31"], ["38;5;9"], ["44"], ["91", "48;2;1;2;3"], ["39", "49"], ["38;2;1;1;1", "107"]]
    ),
)


def strip(*parts: str | tuple[str, Style]) -> Strip:
    return Strip([Segment(p) if isinstance(p, str) else Segment(*p) for p in parts])


def paint(shadow: Shadow, y: int, x: int, *parts: str | tuple[str, Style]) -> str:
    shadow.paint(y, x, [strip(*parts)], CONSOLE)
    return shadow.take()


def after(pen: str, written: str) -> tuple[frozenset[str], str, str]:
    """Return the pen of a terminal that had `pen` and read `written`."""
    codes = written.removeprefix("\x1b[").removesuffix("m")
    if not written:
        return split(pen)
    if codes == "" or codes.startswith("0"):
        pen, codes = "", codes.removeprefix("0").removeprefix(";")
    return split(";".join(part for part in (pen, codes) if part))


@given(PENS, PENS)
def test_a_change_of_pen_has_the_effect_of_the_new_pen(before: str, wanted: str) -> None:
    assert after(before, change(before, wanted)) == split(wanted)


@pytest.mark.parametrize(
    ("before", "wanted", "written"),
    [
        ("1;31", "1;31", ""),
        ("1;31", "1;4;31", "\x1b[4m"),
        ("1;4;31", "1;31", "\x1b[0;1;31m"),
        ("31;44", "31", "\x1b[49m"),
        ("31", "", "\x1b[m"),
        ("31", "39", "\x1b[39m"),
        ("", "39;49", ""),
    ],
)
def test_a_change_of_pen_is_short(before: str, wanted: str, written: str) -> None:
    assert change(before, wanted) == written


def test_the_first_paint_writes_everything() -> None:
    assert paint(Shadow(10, 2), 1, 2, "ab", ("cd", RED)) == "\x1b[2;3Hab\x1b[31mcd\x1b[m"


def test_the_same_again_writes_nothing() -> None:
    shadow = Shadow(10, 2)
    paint(shadow, 0, 0, ("abc", RED))

    assert paint(shadow, 0, 0, ("a", Style(color="red")), ("bc", RED)) == ""


def test_only_cells_that_differ_are_written() -> None:
    shadow = Shadow(20, 1)
    paint(shadow, 0, 0, "0123456789abcdefghij")

    assert paint(shadow, 0, 0, "0x23456789abcdefgh-j") == "\x1b[1;2Hx\x1b[16C-"


def test_a_short_gap_is_written_again_instead_of_moved_over() -> None:
    shadow = Shadow(20, 1)
    paint(shadow, 0, 0, "01234567")

    assert paint(shadow, 0, 0, "x1y34567") == "\x1b[1;1Hx1y"
    assert paint(shadow, 0, 0, "-1y3456-") == "\x1b[1;1H-\x1b[6C-"


def test_a_gap_of_another_pen_is_moved_over() -> None:
    shadow = Shadow(20, 1)
    paint(shadow, 0, 0, "0", ("1", RED), "2")

    assert paint(shadow, 0, 0, "x", ("1", RED), "y") == "\x1b[1;1Hx\x1b[Cy"


def test_a_change_of_style_alone_is_a_change() -> None:
    shadow = Shadow(20, 1)
    paint(shadow, 0, 0, ("ab", RED), "c")

    assert paint(shadow, 0, 0, ("a", RED), ("b", BOLD_RED), "c") == "\x1b[1;2H\x1b[1;31mb\x1b[m"


def test_strips_that_were_cut_elsewhere_are_still_the_same_cells() -> None:
    shadow = Shadow(6, 1)
    paint(shadow, 0, 0, "abcdef")
    paint(shadow, 0, 2, "xy")

    assert paint(shadow, 0, 0, "abxyef") == ""
    assert paint(shadow, 0, 0, "abcdef") == "\x1b[1;3Hcd"


def test_half_of_a_wide_character_is_written_again() -> None:
    """Some terminals blank it when the other half is written over, and some do not."""
    shadow = Shadow(6, 1)
    paint(shadow, 0, 0, "a日bc")

    assert paint(shadow, 0, 2, "xy") == "\x1b[1;3Hxy"
    assert paint(shadow, 0, 0, "a日y") == "\x1b[1;2H日"


def test_the_second_half_of_a_wide_character_is_written_again() -> None:
    shadow = Shadow(6, 1)
    paint(shadow, 0, 0, "a日bc")

    assert paint(shadow, 0, 0, "xy") == "\x1b[1;1Hxy"
    assert paint(shadow, 0, 2, " b") == "\x1b[1;3H "


def test_a_wide_character_before_half_of_another_is_kept() -> None:
    """The left-over half must not be taken for the second cell of the new one."""
    shadow = Shadow(8, 1)
    paint(shadow, 0, 0, "ab日c")
    paint(shadow, 0, 0, "a本")
    paint(shadow, 0, 3, "xy")

    assert paint(shadow, 0, 0, "a本bc") == "\x1b[1;4Hbc"


@given(
    st.lists(
        st.tuples(st.integers(0, 9), st.text("ab日本", min_size=1, max_size=5), st.booleans()),
        max_size=30,
    )
)
def test_a_second_cell_always_belongs_to_the_character_before_it(
    paints: list[tuple[int, str, bool]],
) -> None:
    """What `_changed` relies on: both are known, or the first one is not."""
    shadow = Shadow(20, 1)

    for x, text, is_red in paints:
        paint(shadow, 0, x, (text, RED) if is_red else text)

        row = shadow._rows[0]
        for at, shown in enumerate(row.texts):
            if shown == "":
                assert row.texts[at - 1] in "日本"
                assert row.pens[at - 1] == row.pens[at]


def test_after_a_wide_character_the_cursor_is_put_and_not_moved() -> None:
    shadow = Shadow(30, 1)
    paint(shadow, 0, 0, "日" + "." * 20 + "a")

    assert paint(shadow, 0, 0, "本" + "." * 20 + "b") == "\x1b[1;1H本\x1b[1;23Hb"


@pytest.mark.parametrize("text", ["e\u0301x", "👩\u200d💻", "a\tb", "\x1b[31m"])
def test_a_line_that_has_no_cells_is_written_as_textual_does(text: str) -> None:
    shadow = Shadow(20, 1)
    paint(shadow, 0, 0, "." * 20)
    odd = Strip([Segment(text)], 4)
    whole = f"\x1b[1;1H{text}ab"

    for _ in range(2):
        shadow.paint(0, 0, [odd, strip("ab")], CONSOLE)
        assert shadow.take() == whole
    assert paint(shadow, 0, 10, ".") == "\x1b[1;11H."


def test_a_link_is_opened_and_closed() -> None:
    written = paint(Shadow(20, 1), 0, 0, "a", ("b", LINK), "c")

    assert written.startswith("\x1b[1;1Ha\x1b]8;id=")
    assert written.endswith(";https://example.org\x1b\\b\x1b]8;;\x1b\\c")


@pytest.mark.parametrize(("y", "x"), [(2, 0), (-1, 0), (0, 19), (0, -1)])
def test_what_lies_outside_is_refused(y: int, x: int) -> None:
    with pytest.raises(OutsideError):
        paint(Shadow(20, 2), y, x, "ab")


def layout(*lines: str) -> LayoutUpdate:
    return LayoutUpdate([[strip(line)] for line in lines], Region(0, 0, len(lines[0]), len(lines)))


def test_an_update_for_another_size_goes_out_as_it_is_and_is_forgotten() -> None:
    differ = FrameDiffer()
    differ.render(layout("abc", "def"), CONSOLE, 3, 2)
    larger = layout("abc", "def", "ghi")

    assert differ.render(larger, CONSOLE, 3, 2) == larger.render_segments(CONSOLE)
    assert "abc" in differ.render(layout("abc", "def"), CONSOLE, 3, 2)


def test_forgetting_writes_everything_again() -> None:
    differ = FrameDiffer()
    differ.enter("one screen")
    update = layout("abc", "def")
    first = differ.render(update, CONSOLE, 3, 2)
    assert differ.render(update, CONSOLE, 3, 2) == ""

    differ.forget()
    assert differ.render(update, CONSOLE, 3, 2) == first
    differ.enter("another screen")
    assert differ.render(update, CONSOLE, 3, 2) == first
    assert differ.render(update, CONSOLE, 4, 2) == first


def test_an_update_of_chops_ends_where_its_span_ends() -> None:
    differ = FrameDiffer()
    chops = [{0: strip("abcd"), 4: strip("efgh"), 8: None}]
    update = ChopsUpdate(chops, [(0, 2, 6)], [[4, 8, 12]])

    assert differ.render(update, CONSOLE, 12, 1) == "\x1b[1;1Habcdef"


class OtherUpdate(LayoutUpdate):
    """An update of a Textual that works otherwise."""

    def __init__(self) -> None:
        super().__init__([[None]], Region(0, 0, 3, 1))  # type: ignore[list-item]

    def render_segments(self, console: Console) -> str:
        del console
        return "as Textual made it"


def test_anything_unfamiliar_goes_out_as_textual_made_it() -> None:
    differ = FrameDiffer()
    differ.render(layout("abc"), CONSOLE, 3, 1)

    written = differ.render(OtherUpdate(), CONSOLE, 3, 1)

    assert written == "as Textual made it"
    assert "abc" in differ.render(layout("abc"), CONSOLE, 3, 1)
