"""Which columns fit, and where: pure arithmetic over the column registry."""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import NamedTuple

from iotop_ng.model.fields import Column

GUTTER = 2
"""Cursor and mark, left of the first column."""
COMMAND = "command"
COMMAND_MIN = 18
COMMAND_SHARE = 4
"""COMMAND gets at least this part of the line, or COMMAND_MIN cells."""
HISTORY = "history"
POLICY = "policy"
"""Shown by itself while anything is in force."""


class Place(NamedTuple):
    """One column on the screen."""

    column: Column
    x: int
    """First cell of the column; the cell before it is a gap."""
    width: int


def place(
    columns: Sequence[Column], width: int, keep: str = "", empty: AbstractSet[str] = frozenset()
) -> tuple[Place, ...]:
    """Return the columns that fit into `width` cells, in their order.

    The ones with the highest priority number go first, the rightmost among equals. COMMAND stays
    and takes what is left; `keep`, the column that is sorted by, goes only before COMMAND. Columns
    in `empty`, which nobody has a value for, go before all others.

    Worked example: widths 7, 9, 9 and COMMAND in 40 cells: 2 + (7+1) + 2 * (9+1) leaves 10 for
    COMMAND, which is under COMMAND_MIN, so the third column goes and COMMAND has 20.
    """
    kept = list(columns)

    def command_width() -> int:
        return width - GUTTER - sum(c.width + 1 for c in kept if c.id != COMMAND)

    enough = max(COMMAND_MIN, width // COMMAND_SHARE)
    while command_width() < enough and len(kept) > 1:
        droppable = [c for c in kept if c.id not in {COMMAND, keep}]
        if not droppable:
            break
        kept.remove(max(reversed(droppable), key=lambda c: (c.id in empty, c.priority)))
    places = []
    x = GUTTER
    for column in kept:
        cells = max(command_width(), 1) if column.id == COMMAND else column.width
        places.append(Place(column, x, cells))
        x += cells + 1
    return tuple(places)


def at(places: Sequence[Place], x: int) -> Column | None:
    """Return the column whose cells, or the gap before them, hold `x`."""
    for spot in places:
        if spot.x - 1 <= x < spot.x + spot.width:
            return spot.column
    return None
