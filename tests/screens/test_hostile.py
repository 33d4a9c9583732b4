"""What other programs call themselves is drawn and never interpreted."""

from __future__ import annotations

import pytest
from textual.app import App

from iotop_ng.units import clean, clean_command
from iotop_ng.view.app import IotopApp
from tests.fakes import frames
from tests.screens.conftest import Show
from tests.screens.looking import line_with, lines_of, text_of

RAW = (
    b"\x1b[2J\x1b[31mred\x1b]0;title\x07",
    b"two\nlines\r\tand a tab",
    b"\xe2\x80\xaeright to left\xe2\x81\xa6",
    b"a\x00b\x00--long\x00" + b"x" * 5000,
    b"\xff\xfe invalid \xc3(",
    "e\u0301\u0301\u0301\u0301 zalgo".encode(),
    "\U000e0041 tag \u2028 separator".encode(),
)
MARKUP = (
    "[red]not red[/red]",
    "[@click=app.quit]no link[/]",
    "\\[escaped] ]] [bold",
    "{0} %s %(n)s",
)


def is_clean(app: App[object]) -> bool:
    return all(character.isprintable() for line in lines_of(app) for character in line)


@pytest.mark.parametrize("raw", RAW, ids=range(len(RAW)))
@pytest.mark.parametrize("keys", [[], ["enter"], ["enter", "enter"], ["c"]], ids="".join)
async def test_every_line_is_as_wide_as_the_terminal(
    show: Show, raw: bytes, keys: list[str]
) -> None:
    rows = [frames.row(7, clean(raw, 15), command=clean_command(raw), write=1e6)]
    async with show(frames.frame(rows=rows), size=(100, 30)) as pilot:
        await pilot.press(*keys)

        assert is_clean(pilot.app)
        assert {len(line) for line in lines_of(pilot.app) if line.isascii()} == {100}


@pytest.mark.parametrize("name", MARKUP)
async def test_markup_is_text(show: Show, name: str) -> None:
    rows = [frames.row(7, name[:15], command=name, user=name[:8], write=1e6)]
    async with show(frames.frame(rows=rows), size=(160, 40)) as pilot:
        assert name in text_of(pilot.app)
        await pilot.press("enter")
        assert text_of(pilot.app).count(name) >= 2
        await pilot.click("#table", offset=(120, 1))
        assert not pilot.app._exit


@pytest.mark.parametrize("name", MARKUP)
async def test_markup_in_notes_filters_devices_and_threads_is_text(show: Show, name: str) -> None:
    threads = [frames.row(4242, name[:15], tid=5, write=1.0)]
    devices = [frames.device(name[:8])]
    frame = frames.frame(notes=[name], devices=devices, threads=threads)
    async with show(frame, size=(160, 40)) as pilot:
        assert name in lines_of(pilot.app)[1]
        await pilot.press("enter")
        assert name[:15] in text_of(pilot.app)
        await pilot.press("3")
        assert name[:8] in text_of(pilot.app)
        assert isinstance(pilot.app, IotopApp)
        pilot.app.main.say(name)
        await pilot.pause()
        assert name in lines_of(pilot.app)[-1]


async def test_wide_characters_do_not_move_the_columns(show: Show) -> None:
    wide = "宽字符全角" * 30
    rows = [frames.row(7, wide[:7], command=wide, user=wide, write=1e6), frames.row(8, "plain")]
    async with show(frames.frame(rows=rows), size=(100, 30)) as pilot:
        for strip in pilot.app.screen._compositor.render_strips():
            assert strip.cell_length == 100
        plain = line_with(pilot.app, "plain")
        wide_line = next(line for line in lines_of(pilot.app) if wide[:4] in line)
        # The user's column takes nine cells: four wide characters and the mark of the cut.
        assert wide_line.startswith(plain[:2].replace(" ", "▶", 1))
        assert wide[:4] + "…" in wide_line


async def test_ascii_screens_are_ascii(show: Show) -> None:
    async with show(ascii=True, size=(200, 60)) as pilot:
        pages: tuple[list[str], ...] = (
            [],
            ["enter"],
            ["escape", "3"],
            ["8"],
            ["1", "T"],
            ["question_mark"],
        )
        more = (["escape", "f2"], ["escape", "g"], ["escape", "colon"], [*"sort"])
        for keys in (*pages, *more):
            await pilot.press(*keys)
            await pilot.pause(0.3)
            bad = {c for c in text_of(pilot.app) if not c.isascii()}
            assert not bad, (keys, bad)
