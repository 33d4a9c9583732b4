"""What was written for rows that did not change is kept for the next interval.

The model hands out the same object for a row that did nothing, and most rows do nothing: writing
1,000 rows anew takes 12 ms of every interval, finding them again 0.2 ms.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from iotop_ng.model.frame import Row

T = TypeVar("T")


class Kept(Generic[T]):
    """Values made from rows; only those of the last interval are kept."""

    def __init__(self) -> None:
        # The row itself is in the entry: while it is, no other object can have its id.
        self._entries: dict[int, tuple[Row, T]] = {}

    def forget(self) -> None:
        """Make everything anew, because more than rows has changed."""
        self._entries = {}

    def values(self, rows: Sequence[Row], make: Callable[[Row], T]) -> list[T]:
        """Return one value for each row."""
        before = self._entries
        entries = {id(row): before.get(id(row)) or (row, make(row)) for row in rows}
        self._entries = entries
        return [entries[id(row)][1] for row in rows]
