"""One line of history: the newest value on the right, zero at the bottom.

The scale starts at zero and never at the smallest value, so a disk that is always busy draws as
full and not as empty. A gap (not measured, not born yet) is a blank; a measured zero is a baseline;
anything above zero stands out from the baseline, however small.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

BLOCKS = "▁▂▃▄▅▆▇█"
"""Zero, then seven heights; the widths are one cell each."""
ASCII_BLOCKS = ".:-=+*#%@"
GAP = " "


def spark(
    values: Sequence[float | None],
    width: int,
    top: float | None,
    *,
    ascii: bool = False,  # noqa: A002 - the name of the option, --ascii
) -> str:
    """Return exactly `width` cells that show the last `width` values.

    Args:
        values: oldest first, any unit; None is a gap. Fewer than `width` are padded on the left.
        width: cells.
        top: the value that fills a cell; None scales to the largest value shown.
        ascii: use `ASCII_BLOCKS` for terminals and fonts without block characters.
    """
    if width <= 0:
        return ""
    shown = values[-width:]
    levels = ASCII_BLOCKS if ascii else BLOCKS
    if top is None:
        top = max((value for value in shown if value is not None), default=0.0)
    last = len(levels) - 1
    # One comprehension, because a screen of 50 rows calls this 50 times per refresh.
    cells = [
        GAP
        if value is None
        else levels[0]
        if value <= 0
        else levels[last if value >= top else int(value / top * last) + 1]
        for value in shown
    ]
    return "".join(cells).rjust(width)


def by_tick(
    points: Iterable[tuple[int, float | None]], last_tick: int, ticks: int, first_tick: int = 0
) -> list[float | None]:
    """Return `ticks` values ending at `last_tick` from a history that leaves quiet intervals out.

    Args:
        points: (tick, value), any order.
        last_tick: the newest interval.
        ticks: how many values to return.
        first_tick: intervals before it are gaps (the row did not exist); later ones without a
            point are 0.
    """
    start = last_tick - ticks + 1
    values: list[float | None] = [None if start + i < first_tick else 0.0 for i in range(ticks)]
    for tick, value in points:
        if start <= tick <= last_tick:
            values[tick - start] = value
    return values
