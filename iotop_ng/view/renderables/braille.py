"""Line plots of several series in a few cells: 2x4 braille dots each, or ASCII marks.

A plot is a list of lines from top to bottom; a line is a list of runs (text, series), where series
0 is background and n is the n-th series from 1. The texts of a line are together exactly `width`
cells, so a caller needs no measuring to make segments of them.
"""

from __future__ import annotations

from collections.abc import Sequence

Run = tuple[str, int]
Series = Sequence[float | None]

_BLANK = 0x2800
# Bits of U+2800..U+28FF: dots are numbered 1-3 and 7 down the left column, 4-6 and 8 the right.
_DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))
_DOTS_ACROSS = 2
_DOTS_DOWN = 4
ASCII_MARKS = "*+ox#%"
"""The mark of the first, second, ... series; they start again after the last."""


def braille_lines(
    series: Sequence[Series], width: int, height: int, top: float | None = None
) -> list[list[Run]]:
    """Return the plot of all series with two points per cell, newest on the right.

    Args:
        series: each oldest first, None is a gap. The last `2 * width` points are drawn; where two
            series meet in one cell the later one gives the colour.
        width: cells.
        height: cells.
        top: the value at the upper edge (0 is the lower one); None takes the largest drawn.
    """
    if width <= 0 or height <= 0:
        return [[] for _ in range(height)]
    top = _top(series, width * _DOTS_ACROSS, top)
    bits = [[0] * width for _ in range(height)]
    owner = [[0] * width for _ in range(height)]
    for number, points in enumerate(series, 1):
        spans = _spans(points, width * _DOTS_ACROSS, height * _DOTS_DOWN, top)
        for x, first, last in spans:
            cell, column = x >> 1, _DOTS[x & 1]
            for y in range(first, last + 1):
                bits[y >> 2][cell] |= column[y & 3]
                owner[y >> 2][cell] = number
    texts = ["".join(chr(_BLANK + b) if b else " " for b in line) for line in bits]
    return [_runs(text, line) for text, line in zip(texts, owner, strict=True)]


def ascii_lines(
    series: Sequence[Series], width: int, height: int, top: float | None = None
) -> list[list[Run]]:
    """Return the same plot with one point per cell and one mark per series.

    Args:
        series: as for `braille_lines`; the last `width` points are drawn.
        width: cells.
        height: cells.
        top: as for `braille_lines`.
    """
    if width <= 0 or height <= 0:
        return [[] for _ in range(height)]
    top = _top(series, width, top)
    cells = [[" "] * width for _ in range(height)]
    owner = [[0] * width for _ in range(height)]
    for number, points in enumerate(series, 1):
        mark = ASCII_MARKS[(number - 1) % len(ASCII_MARKS)]
        for x, first, last in _spans(points, width, height, top):
            for y in range(first, last + 1):
                cells[y][x] = mark
                owner[y][x] = number
    return [_runs("".join(line), own) for line, own in zip(cells, owner, strict=True)]


def _top(series: Sequence[Series], columns: int, top: float | None) -> float:
    if top is not None:
        return top
    shown = (value for points in series for value in points[-columns:] if value is not None)
    return max(shown, default=0.0)


def _spans(points: Series, columns: int, rows: int, top: float) -> list[tuple[int, int, int]]:
    """Return (column, upper row, lower row) per point, each joined to the point before it.

    Worked example: three rows, top 2, points 0 and 2: the first is (0, 2, 2), at the bottom; the
    second reaches from the top down to just above where the first one was: (1, 0, 1).
    """
    shown = points[-columns:]
    offset = columns - len(shown)
    spans = []
    before: int | None = None
    for index, value in enumerate(shown, offset):
        if value is None:
            before = None
            continue
        share = min(1.0, max(0.0, value / top)) if top > 0 else 0.0
        row = rows - 1 - round(share * (rows - 1))
        if before is None or abs(before - row) <= 1:
            spans.append((index, row, row))
        elif before < row:
            spans.append((index, before + 1, row))
        else:
            spans.append((index, row, before - 1))
        before = row
    return spans


def _runs(text: str, owner: Sequence[int]) -> list[Run]:
    """Cut a line where the series changes."""
    runs = []
    start = 0
    for end in range(1, len(text) + 1):
        if end == len(text) or owner[end] != owner[start]:
            runs.append((text[start:end], owner[start]))
            start = end
    return runs
