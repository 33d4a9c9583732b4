"""What reaches a terminal of 256 colours, such as tmux without COLORTERM."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator

import pytest
from rich.color import Color, ColorSystem

from iotop_ng.view.themes import load_themes
from tests.screens.test_terminal import Terminal

THEMES = load_themes(None)
PAINTED = tuple(name for name in THEMES if not THEMES[name].is_native)
NAVY = {17, 18, 19, 20, 21}
"""#00005f to #0000ff."""
GREYS = set(range(232, 256))
"""Textual lightens and darkens surfaces; a grey stays one."""
SGR = re.compile(r"\x1b\[([0-9;]*)m([^\x1b]*)")


class Used:
    """The colours of some output; a blank shows no foreground."""

    def __init__(self, output: str) -> None:
        self.indexes: set[int] = set()
        self.others: set[str] = set()
        foreground = ""
        for codes, text in SGR.findall(output):
            for kind, colour in _colours(codes):
                if kind == "48":
                    self._add(colour)
                else:
                    foreground = colour
            if not codes or codes.startswith("0"):
                foreground = ""
            if text.strip() and foreground:
                self._add(foreground)

    def _add(self, colour: str) -> None:
        if colour.startswith("5;"):
            self.indexes.add(int(colour[2:]))
        else:
            self.others.add(colour)


def _colours(codes: str) -> Iterator[tuple[str, str]]:
    """Yield ("38" or "48", colour) of one SGR sequence."""
    left = codes.split(";")
    while left:
        code = left.pop(0)
        if code in {"38", "48"}:
            length = 2 if left[0] == "5" else 4
            yield code, ";".join(left[:length])
            del left[:length]
        elif code.isdigit() and int(code) not in {39, 49} and 30 <= int(code) % 60 <= 47:
            yield ("38" if int(code) % 10 < 8 and str(code)[-2] in "39" else "48"), code


def own(name: str) -> set[int | None]:
    """Return the theme's colours as a terminal of 256 colours shows them."""
    theme = THEMES[name]
    looks = [theme.look(look) for look in theme.looks]
    colours = {colour for look in looks for colour in (look.foreground, look.background)}
    colours |= {*theme.ground.values(), *theme.series}
    return {Color.parse(colour).downgrade(ColorSystem.EIGHT_BIT).number for colour in colours}


def type_keys(terminal: Terminal, *keys: bytes) -> None:
    for key in keys:
        os.write(terminal.fd, key)
        for _ in range(4):
            terminal.read(0.1)


@pytest.mark.parametrize("name", PAINTED)
def test_the_screen_has_the_colours_of_the_theme_and_no_navy(name: str) -> None:
    command = [sys.executable, "-m", "iotop_ng", "--source", "procfs", "--theme", name]
    terminal = Terminal(command, TERM="screen-256color")
    try:
        terminal.until(lambda: terminal.shows("COMMAND"), "the table")
        type_keys(terminal, b"3", b"8", b"1", b"\x1b[B", b"/", b"\x1b", b"g", b"\x1b")
        pages = Used(terminal.output.decode(errors="replace"))
        # These lie over a dimmed screen, with shades that no theme can name.
        type_keys(terminal, b":", b"th", b"\x1b", b"?", b"\x1b")
        everything = Used(terminal.output.decode(errors="replace"))
    finally:
        terminal.close()

    assert pages.indexes - GREYS <= own(name)
    assert len(pages.indexes) > 5
    assert not everything.indexes & NAVY
    assert everything.others == set()


def test_the_check_would_see_navy() -> None:
    used = Used("\x1b[38;5;252;48;5;17m  x\x1b[0m\x1b[38;5;46m   \x1b[91ma")

    assert used.indexes == {252, 17}
    assert used.others == {"91"}
