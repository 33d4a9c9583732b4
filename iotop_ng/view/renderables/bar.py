"""Horizontal bars with a label before and a value after: histograms and shares.

Lines are lists of runs (text, part) with part 0 for label and value, 1 for the bar, 2 for the rest
of its track; the texts of a line are together exactly `width` cells.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rich.cells import cell_len, set_cell_size

Run = tuple[str, int]

EIGHTHS = " ▏▎▍▌▋▊▉█"
LABEL, BAR, TRACK = 0, 1, 2
_LEAST_BAR = 4


def bar(fraction: float, width: int, *, ascii: bool = False) -> str:  # noqa: A002 - the option's name
    """Return exactly `width` cells of which `fraction` (0 to 1, else cut) is filled from the left.

    Anything above zero shows: an eighth of a cell, or a whole one in ASCII.
    """
    if width <= 0:
        return ""
    fraction = min(1.0, max(0.0, fraction))
    steps = 1 if ascii else 8
    filled = round(fraction * width * steps)
    if fraction > 0 and filled == 0:
        filled = 1
    whole, part = divmod(filled, steps)
    text = ("#" if ascii else EIGHTHS[-1]) * whole + (EIGHTHS[part] if part else "")
    return text.ljust(width)


def meter(fraction: float, width: int, *, ascii: bool = False) -> str:  # noqa: A002 - as above
    """Return a bar in brackets with its percentage, exactly `width` cells: "[████    ]  47%"."""
    percent = f" {min(1.0, max(0.0, fraction)) * 100:3.0f}%"
    inner = width - len(percent) - 2
    if inner < 1:
        return percent.strip().rjust(width)[: max(0, width)]
    return f"[{bar(fraction, inner, ascii=ascii)}]{percent}"


def bars(
    items: Sequence[tuple[str, float]],
    width: int,
    value_text: Callable[[float], str],
    *,
    top: float | None = None,
    ascii: bool = False,  # noqa: A002 - the name of the option, --ascii
) -> list[list[Run]]:
    """Return one line per item: label, bar, value.

    Args:
        items: (label, value) from top to bottom.
        width: cells of a line; labels are cut before the bar falls below four cells.
        value_text: how to write a value.
        top: the value of a full bar; None takes the largest.
        ascii: draw bars of "#".
    """
    values = [value_text(value) for _, value in items]
    value_width = max((cell_len(text) for text in values), default=0)
    label_width = max((cell_len(label) for label, _ in items), default=0)
    label_width = max(0, min(label_width, width - value_width - 2 - _LEAST_BAR))
    bar_width = width - label_width - value_width - 2
    if top is None:
        top = max((value for _, value in items), default=0.0)
    if bar_width < 1:
        return [[(set_cell_size(text, max(0, width)), LABEL)] for text in values]
    lines = []
    for (label, value), text in zip(items, values, strict=True):
        drawn = bar(value / top if top > 0 else 0.0, bar_width, ascii=ascii)
        filled = drawn.rstrip()
        line = [
            (f"{set_cell_size(label, label_width)} ", LABEL),
            (filled, BAR),
            (" " * (bar_width - len(filled)), TRACK),
            (f" {text:>{value_width}}", LABEL),
        ]
        lines.append([run for run in line if run[0]])
    return lines
