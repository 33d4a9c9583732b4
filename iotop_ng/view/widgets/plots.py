"""Small plots beside each other: a name, the present value, the peak, and a line over time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from iotop_ng import units
from iotop_ng.view.renderables.braille import ascii_lines, braille_lines
from iotop_ng.view.widgets.ink import Ink, Line, Run, fit

Values = Sequence[float | None]

PLOT_HEIGHT = 5
TALL_PLOT_HEIGHT = 9
"""Where the pane has more than TALL_PANE lines."""
TALL_PANE = 24
PLOT_MIN_WIDTH = 24


class Series(NamedTuple):
    """One plot; values are oldest first, one per interval, None is a gap."""

    label: str
    role: str
    values: Values
    now: str
    peak: str


def bytes_series(label: str, values: Values, now: float | None, *, si: bool) -> Series:
    """Return a plot of bytes per second; the label is also its role."""
    return Series(label, label, values, _rate(now, si=si), _rate(_peak(values), si=si))


def latency_series(label: str, values: Values, now_us: float | None) -> Series:
    """Return a plot of a latency in microseconds."""
    return Series(label, "latency", values, units.duration(now_us), units.duration(_peak(values)))


def plot_height(height: int) -> int:
    """Return the lines of a plot in a pane of so many lines."""
    return TALL_PLOT_HEIGHT if height > TALL_PANE else PLOT_HEIGHT


def plots(all_series: tuple[Series, ...], ink: Ink, width: int, height: int) -> list[Line]:
    """Return the plots beside each other, as many as are at least PLOT_MIN_WIDTH wide."""
    count = min(len(all_series), max(width // PLOT_MIN_WIDTH, 1))
    each = (width - 1) // count - 1
    draw = ascii_lines if ink.is_ascii else braille_lines
    heads: list[Run] = []
    bodies: list[list[Run]] = [[] for _ in range(height)]
    for one in all_series[:count]:
        head = f"{one.label} {one.now}  peak {one.peak}"
        heads += [(" ", ""), (fit(ink.safe(head), each, ink.glyphs.cut), one.role)]
        for body, drawn in zip(bodies, draw([one.values], each, height), strict=True):
            body.append((" ", ""))
            body.extend((run, one.role if number else "axis") for run, number in drawn)
    return [heads, *bodies]


def _rate(value: float | None, *, si: bool) -> str:
    return "-" if value is None else f"{units.human(value, si=si)}/s"


def _peak(values: Values) -> float | None:
    return max((value for value in values if value is not None), default=None)
