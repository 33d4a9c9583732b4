"""A large plot with axes, legend and time, drawn by plotext 6; for the page that is rarely open.

Everything that is always on the screen is drawn by `renderables`, which cost a tenth. Here the
result is text with SGR sequences of exactly the size that was asked for, to be wrapped with
`rich.text.Text.from_ansi`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from rich.cells import set_cell_size
from rich.color import Color

from iotop_ng.units import duration, human
from iotop_ng.view.theme_file import ANSI_COLOURS, DEFAULT_COLOUR

Series = Sequence[float | None]

MIN_WIDTH = 24
MIN_HEIGHT = 6
"""Below this there is no room for axes."""
MARKS = "*+ox#%"
"""What tells series apart where colour does not."""
_SGR = re.compile(r"\x1b\[[0-9;]*m")
# plotext gives a series without colour one of its own; this one is replaced afterwards.
_DEFAULT_RGB = (1, 2, 3)
_DEFAULT_SGR = "\x1b[38;2;1;2;3m"
_TO_ASCII = str.maketrans("┌┐└┘├┤┬┴┼─│", "+++++++++-|")
_TICK_WIDTH = 7
_LINES_PER_TICK = 4
_LEAST_TOP = {"bytes/s": 1024.0, "us": 100.0}
"""So that the parts of the axis have different labels."""
_STEPS = (1, 2, 5, 10, 20, 50, 100, 200, 500)


def draw(  # noqa: PLR0917 - what every plot has, in the order of reading
    series: Sequence[Series],
    width: int,
    height: int,
    colors: Sequence[str],
    labels: Sequence[str],
    title: str = "",
    x_labels: Sequence[tuple[int, str]] = (),
    y_unit: str = "",
    *,
    top: float | None = None,
    ascii: bool = False,  # noqa: A002 - the name of the option, --ascii
    has_color: bool = True,
    si: bool = False,
) -> str:
    """Return a plot of `height` lines of `width` cells.

    Args:
        series: values oldest first, all of one length; None is a gap.
        width: cells, never the terminal's own.
        height: lines.
        colors: one per series, as in a theme: "#rrggbb", "red", "bright_red", "default".
        labels: the legend, one per series.
        title: above the plot.
        x_labels: (index of a point, text), see `time_labels`.
        y_unit: "bytes/s", "us", "pct", "count/s" or "".
        top: the least value at the upper edge; it is rounded up, and up to the largest value.
        ascii: draw nothing but ASCII.
        has_color: off under NO_COLOR: no SGR sequence at all, and series differ by their marks.
        si: decimal units.
    """
    if width < MIN_WIDTH or height < MIN_HEIGHT:
        note = set_cell_size("too small for a graph", max(0, width))
        return "\n".join([note, *[" " * max(0, width)] * (height - 1)][: max(0, height)])
    # 115 ms and 20 MiB, so only when a graph is really drawn.
    import plotext  # noqa: PLC0415

    plotext.terminal.limit(False, False)
    figure = plotext.figure
    figure.clear.all()
    figure.theme("simple")  # the default one paints a white background
    figure.plot_size(width, height)
    has_marks = ascii or not has_color
    symbols = [MARKS[n % len(MARKS)] if has_marks else "braille" for n in range(len(series))]
    for values, color, label, symbol in zip(series, colors, labels, symbols, strict=True):
        _draw_series(plotext, values, plotext.marker(symbol, _pixel(plotext, color)), label)
    # plotext's own legend is a box over the oldest points: it stands in the title instead.
    figure.legend(active=False)
    names = [
        f"{mark} {name}" if has_marks else name for mark, name in zip(symbols, labels, strict=True)
    ]
    legend = ", ".join(names)
    title = set_cell_size(title, max(0, width - 6 - len(legend))).rstrip()
    title = f"{title}: {legend}" if title else legend
    if title:
        figure.title(set_cell_size(title, width - 4).rstrip())
    count = max((len(values) for values in series), default=0)
    _set_axes(figure, count, x_labels, _ticks(series, top, height, y_unit, si=si))
    text = str(figure.build()).rstrip("\n").replace(_DEFAULT_SGR, "\x1b[39m")
    text = _paint_names(text, names, colors)
    if ascii:
        text = text.translate(_TO_ASCII).encode("ascii", "replace").decode("ascii")
    return text if has_color else _SGR.sub("", text)


def _paint_names(text: str, names: Sequence[str], colors: Sequence[str]) -> str:
    """Give the names of the series in the first line, the title, the colours of their points."""
    head, newline, rest = text.partition("\n")
    left, colon, legend = head.rpartition(": ")
    for name, color in zip(names, colors, strict=False):
        codes = ";".join(Color.parse(color).get_ansi_codes())
        legend = legend.replace(name, f"\x1b[{codes}m{name}\x1b[39m", 1)
    return left + colon + legend + newline + rest


def time_labels(count: int, interval_s: float, width: int) -> list[tuple[int, str]]:
    """Return labels like "-2m", "-30s", "now" for `count` points that end now.

    Their distance is the smallest round time that leaves 12 cells for each.
    """
    if count < 2 or interval_s <= 0:
        return [(0, "now")] if count else []
    span_s = (count - 1) * interval_s
    most = max(1, (width - _TICK_WIDTH) // 12)
    rounds = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21600, 86400)
    step_s = next((step for step in rounds if span_s / step <= most), span_s)
    labels = []
    for number in range(int(span_s // step_s), -1, -1):
        index = count - 1 - round(number * step_s / interval_s)
        labels.append((index, _ago(number * step_s)))
    return labels


def _ago(seconds: float) -> str:
    if seconds == 0:
        return "now"
    minutes, rest_s = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    parts = ((hours, "h"), (minutes, "m"), (rest_s, "s"))
    return "-" + "".join(f"{count}{name}" for count, name in parts if count)


def nice_top(value: float, unit: str, *, si: bool = False) -> float:
    """Return the least round number that is not below `value`.

    Worked example: 3,000,000 "bytes/s" is 2.86 MiB and becomes 5 MiB, 5242880; as "us" it is 3 s
    and becomes 5,000,000.
    """
    if unit == "pct":
        return 100.0
    value = max(value, _LEAST_TOP.get(unit, 10.0))
    base = 1000 if unit != "bytes/s" or si else 1024
    scale = 1.0
    while value > scale * base:
        scale *= base
    return next((step * scale for step in _STEPS if step * scale >= value), scale * base)


def _ticks(
    series: Sequence[Series], top: float | None, height: int, unit: str, *, si: bool
) -> list[tuple[float, str]]:
    """Return (value, label) from 0 to the upper edge."""
    largest = max((v for values in series for v in values if v is not None), default=0.0)
    edge = nice_top(max(largest, top or 0.0), unit, si=si)
    parts = 4 if height >= 4 * _LINES_PER_TICK else 2
    values = [edge * part / parts for part in range(parts + 1)]
    # One width for all plots, so that several of them are aligned.
    return [(value, _value_text(value, unit, si=si).rjust(_TICK_WIDTH)) for value in values]


def _value_text(value: float, unit: str, *, si: bool) -> str:
    match unit:
        case "bytes/s":
            return f"{human(value, si=si)}/s" if value else "0"
        case "us":
            return duration(value) if value else "0"
        case "pct":
            return f"{value:.0f}%"
        case _:
            return f"{value:g}" if value < 100 else human(value, si=True)


def _set_axes(
    figure: Any,
    count: int,
    x_labels: Sequence[tuple[int, str]],
    ticks: Sequence[tuple[float, str]],
) -> None:
    y_axis, x_axis = figure.ruler("y"), figure.ruler("x")
    y_axis.lim(0, ticks[-1][0])
    y_axis.ticks([value for value, _ in ticks], [label for _, label in ticks])
    x_axis.lim(0, max(1, count - 1))
    x_axis.ticks([index for index, _ in x_labels], [label for _, label in x_labels])


def _draw_series(plotext: Any, values: Series, marker: Any, label: str) -> None:
    """Draw each run of points between two gaps as one line; the first one carries the label."""
    figure = plotext.figure
    # A series without any point still has its place in the legend.
    runs = _runs(values) or [([0], [-1.0])]
    for number, (xs, ys) in enumerate(runs):
        signal = figure.signal(xs, ys, marker=marker).lines()
        figure.draw(signal if number else signal.label(label))


def _runs(values: Series) -> list[tuple[list[int], list[float]]]:
    runs: list[tuple[list[int], list[float]]] = []
    is_open = False
    for index, value in enumerate(values):
        if value is None:
            is_open = False
            continue
        if not is_open:
            runs.append(([], []))
            is_open = True
        runs[-1][0].append(index)
        runs[-1][1].append(float(value))
    return runs


def _pixel(plotext: Any, color: str) -> Any:
    if color == DEFAULT_COLOUR:
        return plotext.pixel(_DEFAULT_RGB)
    if color in ANSI_COLOURS:
        return plotext.pixel(ANSI_COLOURS.index(color))
    return plotext.pixel((int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)))
