"""What was seen while the demo ran: totals over time, and the victim's operations. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import NamedTuple

from iotop_ng.clock import NS_PER_S
from iotop_ng.policy.scores import Operation, rank


class Series:
    """A total that only grows, as it was read at moments; between them it grew evenly."""

    def __init__(self) -> None:
        self._times: list[int] = []
        self._totals: list[int] = []
        self._base = 0

    def add(self, time_ns: int, total: int) -> None:
        """Take down a reading; one that is not later than the last is left out."""
        if not self._times or time_ns > self._times[-1]:
            self._times.append(time_ns)
            self._totals.append(max(self._base + total, self._last))

    def restart(self, time_ns: int) -> None:
        """Say that the total counts from 0 again, at a moment."""
        self._base = self._last
        self.add(time_ns, 0)

    @property
    def _last(self) -> int:
        return self._totals[-1] if self._totals else 0

    def grown(self, begin_ns: int, end_ns: int) -> float:
        """Return by how much it grew between two moments."""
        return self._at(end_ns) - self._at(begin_ns)

    def rates(self, begin_ns: int, end_ns: int) -> list[float]:
        """Return how much it grew in each whole second between two moments."""
        starts = range(begin_ns, end_ns - NS_PER_S + 1, NS_PER_S)
        return [self.grown(start_ns, start_ns + NS_PER_S) for start_ns in starts]

    def _at(self, time_ns: int) -> float:
        place = bisect_left(self._times, time_ns)
        if place == len(self._times):
            return float(self._last)
        if place == 0 or self._times[place] == time_ns:
            return float(self._totals[place])
        before_ns, after_ns = self._times[place - 1], self._times[place]
        share = (time_ns - before_ns) / (after_ns - before_ns)
        before, after = self._totals[place - 1], self._totals[place]
        return before + share * (after - before)


class Seen(NamedTuple):
    """One phase: when it was, and what was done at its beginning."""

    name: str
    begin_ns: int
    """Of the request, or of the flood's first byte."""
    end_ns: int
    has_hog: bool = True
    how: str = ""
    """The mechanism that was used."""
    why_not: str = ""
    """Why it could not be done here; then there is nothing else to say of it."""

    @property
    def seconds(self) -> float:
        """How long it took."""
        return (self.end_ns - self.begin_ns) / NS_PER_S


class Record:
    """Everything that was seen of victim, hog and disk. One clock: CLOCK_MONOTONIC.

    Attributes:
        wants_all: the hog has no rate: it would write whatever the disk takes.
    """

    def __init__(self) -> None:
        self.written = Series()
        self.lost = Series()
        self.refused = Series()
        self.device = Series()
        self.operations: list[Operation] = []
        self.under_way: Operation | None = None
        self.failed = 0
        self.wants_all = True
        self.has_device = False

    def of(self, seen: Seen) -> list[Operation]:
        """Return what ended within a phase, and what did not end before its end, with its age."""
        found = []
        for one in [*self.operations, *([self.under_way] if self.under_way else [])]:
            if one.ended_ns < seen.begin_ns or one.began_ns >= seen.end_ns:
                continue
            if one.ended_ns > seen.end_ns or not one.has_ended:
                one = Operation(one.began_ns, seen.end_ns, has_ended=False)  # noqa: PLW2901
            found.append(one)
        return found

    def capacity(self, floods: Sequence[Seen]) -> float | None:
        """Return what the disk can write, bytes per second: the median second of free floods."""
        if not self.has_device:
            return None
        seconds = [
            rate for seen in floods for rate in self.device.rates(seen.begin_ns, seen.end_ns)
        ]
        return rank(sorted(seconds), 50, 0.0)
