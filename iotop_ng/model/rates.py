"""Subtraction: from totals to what happened in one interval. Done here and nowhere else.

Four rules hold for every counter:

* The divisor is the measured time between two readings on the monotonic clock, so a late tick
  or a step of the wall clock changes nothing: 3 MB in 1.5 s is 2 MB/s.
* A total that falls was reset: what happened is unknown (None), never negative, never huge.
* A counter that was not measured at the start of the interval says nothing about it (None).
* No time, no rate: an interval of 0 ns or less gives None.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from msgspec.structs import astuple

from iotop_ng.model import histogram
from iotop_ng.sample import NO_TOTALS, Totals

NS_PER_S = 1_000_000_000


class Interval(NamedTuple):
    """One step from reading to reading."""

    tick: int
    """Counts intervals from 1; 0 is the first reading."""
    start_ns: int
    """Monotonic time of the reading before; in tick 0 of this one."""
    end_ns: int

    @property
    def ns(self) -> int:
        """Length; 0 when there is no reading before, or when the clock did not move on."""
        return max(self.end_ns - self.start_ns, 0)


def change(before: int | None, after: int | None) -> int | None:
    """Return how much a total grew; None when either end is unknown or it fell."""
    if before is None or after is None or after < before:
        return None
    return after - before


def per_second(amount: float | None, interval_ns: int) -> float | None:
    """Return amount / seconds.

    3,000,000 in 1,500,000,000 ns is 2,000,000 per second.
    """
    if amount is None or interval_ns <= 0:
        return None
    if not amount:
        return 0.0  # one object for all idle rows
    return amount * NS_PER_S / interval_ns


def rate(before: int | None, after: int | None, interval_ns: int) -> float | None:
    """Return the growth of a total per second, or None where it is not known."""
    return per_second(change(before, after), interval_ns)


def share_pct(part: float | None, whole: float | None) -> float | None:
    """Return part / whole in percent, 0..100; None when either is unknown or the whole is 0.

    Capped at 100: the two ends are read one after the other, not at one instant.
    """
    if part is None or whole is None or whole <= 0:
        return None
    return min(100.0 * part / whole, 100.0)


# Values of one field of Totals: int, Histogram or None, and never an int beside a Histogram. Any,
# because msgspec hands fields over as a tuple, and because asking each for its type costs more
# than the arithmetic.
def _minus(before: Any, after: Any) -> Any:
    if before is None or after is None:
        return None
    if isinstance(after, tuple):
        return histogram.subtract(before, after)
    return after - before if after >= before else None


def _plus(left: Any, right: Any) -> Any:
    if left is None:
        return right
    if right is None:
        return left
    return histogram.merge(left, right) if isinstance(left, tuple) else left + right


def difference(before: Totals, after: Totals) -> Totals:
    """Return what happened between two readings of one task, field by field."""
    return Totals(*[_minus(b, a) for b, a in zip(astuple(before), astuple(after), strict=True)])


def add(left: Totals, right: Totals) -> Totals:
    """Return the sum, field by field; what is None on one side only is the other side's."""
    if right is NO_TOTALS:
        return left
    if left is NO_TOTALS:
        return right
    return Totals(*[_plus(a, b) for a, b in zip(astuple(left), astuple(right), strict=True)])


def zeros(like: Totals) -> Totals:
    """Return 0 for each field that is measured in `like`."""
    return Totals(*[_zero(value) for value in astuple(like)])


def _zero(value: Any) -> Any:
    if value is None:
        return None
    return histogram.EMPTY if isinstance(value, tuple) else 0
