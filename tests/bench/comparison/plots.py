"""Pictures of scores as SVG, drawn by hand: two kinds are all that is needed."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from html import escape
from typing import NamedTuple

from tests.bench.comparison.scoring import Spread

WIDTH = 720
_LEFT, _RIGHT, _TOP, _BOTTOM = 60, 20, 40, 48
_SQUARE = 420
_BAR, _GAP = 18, 8
_NAMES = 150
_NAME_FITS = 80
"""Percent across, up to which a name fits beside its point."""
_COLORS = {
    "none": "#8a8a8a",
    "io.max": "#3477b5",
    "BFQ": "#b5812f",
    "io.latency": "#7d5bb5",
    "io.cost": "#a8467f",
    "hold": "#3a9660",
    "guard": "#c33c2e",
}
_STYLE = (
    "<style>text{font:12px sans-serif;fill:#222}.title{font-weight:bold}.axis{stroke:#999}"
    ".grid{stroke:#ddd}.goal{fill:#c33c2e;fill-opacity:.07}</style>"
)


class Point(NamedTuple):
    """One contestant in the scatter, percent."""

    name: str
    across: Spread
    up: Spread


def scatter(title: str, points: Sequence[Point], goal: tuple[float, float]) -> str:
    """Return work-csv across against isol upwards, with the spread of each as a cross.

    Args:
        title: above.
        points: the contestants.
        goal: both at least so many percent; that corner is tinted.
    """
    height = _TOP + _SQUARE + _BOTTOM

    def x(value: float) -> float:
        return _LEFT + value / 100 * (WIDTH - _LEFT - _RIGHT)

    def y(value: float) -> float:
        return _TOP + (1 - value / 100) * _SQUARE

    parts = [
        (
            f'<rect class="goal" x="{x(goal[0]):.1f}" y="{y(100):.1f}"'
            f' width="{x(100) - x(goal[0]):.1f}" height="{y(goal[1]) - y(100):.1f}"/>'
        )
    ]
    for value in range(0, 101, 20):
        parts += [
            _line("grid", x(value), y(0), x(value), y(100)),
            _line("grid", x(0), y(value), x(100), y(value)),
            _text(x(value), y(0) + 16, f"{value}", "middle"),
            _text(x(0) - 6, y(value) + 4, f"{value}", "end"),
        ]
    parts += [
        _text(x(50), height - 10, "work-csv, % (what the disk was used for)", "middle"),
        (
            f'<text transform="rotate(-90)" x="{-y(50):.1f}" y="16" text-anchor="middle">'
            "isol, % (what is left of the victim)</text>"
        ),
    ]
    for point, name_y, is_left in _labels(points, y):
        color = color_of(point.name)
        cx, cy = x(point.across.median), y(point.up.median)
        parts += [
            _stroke(color, x(point.across.least), cy, x(point.across.most), cy),
            _stroke(color, cx, y(point.up.least), cx, y(point.up.most)),
            f'<circle cx="{cx:.1f}" cy="{cy:.1f}" r="5" fill="{color}"/>',
            _text(cx + (-9 if is_left else 9), name_y, point.name, "end" if is_left else "start"),
        ]
    return _svg(height, title, parts)


def bars(title: str, values: Mapping[str, Spread], limit: float) -> str:
    """Return one bar per name on a logarithmic scale, with its spread, and a line at the limit.

    Args:
        title: above; says the unit.
        values: name -> value; one that is nan has no bar.
        limit: where the line is.
    """
    height = _TOP + len(values) * (_BAR + _GAP) + _BOTTOM
    known = [one for spread in values.values() for one in spread if one > 0]
    low = math.floor(math.log10(min([*known, limit])))
    high = max(math.ceil(math.log10(max([*known, limit]))), low + 1)

    def x(value: float) -> float:
        share = (math.log10(max(value, 10**low)) - low) / (high - low)
        return _NAMES + share * (WIDTH - _NAMES - _RIGHT - 60)

    bottom = height - _BOTTOM
    parts: list[str] = []
    for power in range(low, high + 1):
        parts += [
            _line("grid", x(10**power), _TOP, x(10**power), bottom),
            _text(x(10**power), bottom + 16, f"{10**power:g}", "middle"),
        ]
    for number, (name, spread) in enumerate(values.items()):
        top = _TOP + number * (_BAR + _GAP) + _GAP / 2
        parts.append(_text(_NAMES - 8, top + 13, name, "end"))
        if math.isnan(spread.median):
            parts.append(_text(_NAMES + 6, top + 13, "no result", "start"))
            continue
        middle = top + _BAR / 2
        parts += [
            (
                f'<rect x="{_NAMES}" y="{top:.1f}" width="{x(spread.median) - _NAMES:.1f}"'
                f' height="{_BAR}" fill="{color_of(name)}"/>'
            ),
            _stroke("#222", x(spread.least), middle, x(spread.most), middle),
            _text(x(spread.most) + 6, top + 13, _short(spread.median), "start"),
        ]
    parts += [
        _stroke("#c33c2e", x(limit), _TOP, x(limit), bottom),
        _text(x(limit), height - 14, f"limit {limit:g}", "middle"),
    ]
    return _svg(height, title, parts)


def _short(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def color_of(name: str) -> str:
    """Return the color of a contestant: one for each kind."""
    return next((color for start, color in _COLORS.items() if name.startswith(start)), "#222")


def _labels(
    points: Sequence[Point], y: Callable[[float], float]
) -> Iterator[tuple[Point, float, bool]]:
    """Give each point a height for its name, so that no two names lie on each other.

    Also whether the name stands to the left of the point, as there is no room on the right.
    """
    # From the edges inwards, so that no name leaves the picture.
    for is_upper in (True, False):
        sign = 1 if is_upper else -1
        last = dict.fromkeys((True, False), -math.inf)
        here = (one for one in points if (one.up.median >= 50) is is_upper)
        for point in sorted(here, key=lambda one: -sign * one.up.median):
            is_left = point.across.median > _NAME_FITS
            last[is_left] = max(sign * (y(point.up.median) + 4), last[is_left] + 13)
            yield point, sign * last[is_left], is_left


def _line(kind: str, x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _stroke(color: str, x1: float, y1: float, x2: float, y2: float) -> str:
    return (
        f'<line stroke="{color}" stroke-width="1.5" x1="{x1:.1f}" y1="{y1:.1f}"'
        f' x2="{x2:.1f}" y2="{y2:.1f}"/>'
    )


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _svg(height: float, title: str, parts: Sequence[str]) -> str:
    lines = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}"'
            f' width="{WIDTH}" height="{height:.0f}">'
        ),
        _STYLE,
        f'<rect width="{WIDTH}" height="{height:.0f}" fill="#fff"/>',
        f'<text class="title" x="{WIDTH / 2}" y="22" text-anchor="middle">{escape(title)}</text>',
        *parts,
        "</svg>",
    ]
    return "\n".join(lines) + "\n"
