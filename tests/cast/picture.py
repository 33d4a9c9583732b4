"""Screens as one SVG that shows them in turn: a picture for a page that plays no recordings."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple
from xml.sax.saxutils import escape

import pyte

SHOW_S = 4.0
"""How long each screen stays."""
CELL_W, CELL_H, SIZE = 8.4, 17, 14
MARGIN = 8
FONTS = "'DejaVu Sans Mono','Menlo','Consolas',monospace"
GROUND, INK = "#1c1c1c", "#d0d0d0"


Cells = Sequence[Sequence[pyte.screens.Char]]
"""The lines of one screen."""


class Look(NamedTuple):
    """How a cell looks."""

    foreground: str
    background: str
    is_bold: bool
    is_underlined: bool


def picture(screens: Sequence[Cells]) -> str:
    """Return the SVG.

    Args:
        screens: lines of cells, all of one size; `cells` makes them.
    """
    height, width = len(screens[0]), len(screens[0][0])
    wide, high = width * CELL_W + 2 * MARGIN, height * CELL_H + 2 * MARGIN
    whole_s = SHOW_S * len(screens)
    share = 100 / len(screens)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide:.0f} {high:.0f}">',
        "<style>",
        # Not the short "font:", which would also set the weight that a text has of its own.
        f"text{{font-family:{FONTS};font-size:{SIZE}px;white-space:pre}}",
        f".s{{opacity:0;animation:show {whole_s:g}s step-end infinite}}",
        f"@keyframes show{{0%{{opacity:1}}{share:.3f}%{{opacity:0}}}}",
        # Where nothing moves the first screen stays.
        ".s:first-of-type{opacity:1}",
        "</style>",
        f'<rect width="100%" height="100%" rx="6" fill="{GROUND}"/>',
    ]
    for number, lines in enumerate(screens):
        parts.append(f'<g class="s" style="animation-delay:{number * SHOW_S:g}s">')
        for y, line in enumerate(lines):
            parts += _line(line, y)
        parts.append("</g>")
    return "\n".join([*parts, "</svg>", ""])


def cells(screen: pyte.Screen) -> Cells:
    """Return what a screen shows now; the screen itself changes."""
    return [[screen.buffer[y][x] for x in range(screen.columns)] for y in range(screen.lines)]


def _line(line: Sequence[pyte.screens.Char], y: int) -> list[str]:
    parts: list[str] = []
    x = 0
    top = MARGIN + y * CELL_H
    for look, group in groupby(line, _look):
        text = "".join(cell.data for cell in group)
        left, long = MARGIN + x * CELL_W, len(text) * CELL_W
        x += len(text)
        if look.background != GROUND:
            parts.append(
                f'<rect x="{left:.1f}" y="{top}" width="{long:.1f}" height="{CELL_H}"'
                f' fill="{look.background}"/>'
            )
        if text.strip():
            parts.append(_text(text, look, left, top))
    return parts


def _text(text: str, look: Look, left: float, top: int) -> str:
    bare = text.rstrip()
    more = ' font-weight="bold"' if look.is_bold else ""
    more += ' text-decoration="underline"' if look.is_underlined else ""
    return (
        f'<text x="{left:.1f}" y="{top + 13}" fill="{look.foreground}"'
        f' textLength="{len(bare) * CELL_W:.1f}" xml:space="preserve"{more}>{escape(bare)}</text>'
    )


def _look(cell: pyte.screens.Char) -> Look:
    ink, ground = _color(cell.fg, INK), _color(cell.bg, GROUND)
    if cell.reverse:
        ink, ground = ground, ink
    return Look(ink, ground, cell.bold, cell.underscore)


def _color(name: str, other: str) -> str:
    return f"#{name}" if len(name) == 6 and all(c in "0123456789abcdef" for c in name) else other
