"""What was lately: points of active intervals per key, a bounded time back.

An interval without activity leaves no point, so an idle row costs nothing per tick and no memory.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, Protocol, TypeVar


class Ticked(Protocol):
    """Anything that belongs to one interval."""

    @property
    def tick(self) -> int:
        """The number of the interval."""
        ...


K = TypeVar("K", bound=Hashable)
P = TypeVar("P", bound=Ticked)


class History(Generic[K, P]):
    """Points per key, oldest first, none of them `ticks` intervals old or older.

    With ticks = 3, after tick 7 a key has points of the ticks 5, 6 and 7 at most.
    """

    def __init__(self, ticks: int) -> None:
        self._ticks = ticks
        self._points: dict[K, tuple[P, ...]] = {}
        # The keys whose oldest point is of that tick: expiry looks at those and at nobody else.
        self._oldest: dict[int, list[K]] = {}
        self._expired = 0

    def __len__(self) -> int:
        return len(self._points)

    def of(self, key: K) -> tuple[P, ...]:
        """Return the points of a key."""
        return self._points.get(key, ())

    def add(self, key: K, point: P) -> tuple[P, ...]:
        """Append the point of the present tick and return all of the key's points."""
        if self._ticks <= 0:
            return ()
        points = self._points.get(key)
        if points is None:
            self._oldest.setdefault(point.tick, []).append(key)
            points = ()
        points = (*points, point)
        self._points[key] = points
        return points

    def expire(self, tick: int) -> list[K]:
        """Drop what is too old at this tick; return the keys that lost points."""
        limit = tick - self._ticks
        changed: list[K] = []
        while self._expired < limit:
            self._expired += 1
            keys = self._oldest.pop(self._expired, ())
            changed.extend([key for key in keys if self._trim(key, limit)])
        return changed

    def _trim(self, key: K, limit: int) -> bool:
        points = self._points.get(key)
        if points is None:
            return False
        kept = tuple([point for point in points if point.tick > limit])
        if len(kept) == len(points):  # forgotten and back: it is listed under its new oldest tick
            return False
        if kept:
            self._points[key] = kept
            self._oldest.setdefault(kept[0].tick, []).append(key)
        else:
            del self._points[key]
        return True

    def forget(self, key: K) -> None:
        """Drop all points of a key."""
        self._points.pop(key, None)
