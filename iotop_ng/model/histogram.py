"""Log2 histograms of durations: difference, merge, and what one may conclude from them.

Slot i counts durations of [2**i, 2**(i+1)) ns; slot 0 also holds 0 ns and the last slot everything
above. Counters go in, microseconds come out.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from iotop_ng.sample import HISTOGRAM_SLOTS, Histogram

EMPTY: Histogram = (0,) * HISTOGRAM_SLOTS
NS_PER_US = 1000.0


def bounds_us(slot: int) -> tuple[float, float]:
    """Return the lower and upper edge of a slot in microseconds.

    The last slot has no upper edge; twice its lower edge stands in for it.
    """
    low = 0 if slot == 0 else 1 << slot
    return low / NS_PER_US, (1 << (slot + 1)) / NS_PER_US


def subtract(before: Histogram, after: Histogram) -> Histogram | None:
    """Return the events between two readings; None when any slot fell (the counters were reset)."""
    if before is after or before == after:
        return EMPTY
    counts = tuple([a - b for b, a in zip(before, after, strict=True)])
    return None if min(counts) < 0 else counts


def merge(left: Histogram, right: Histogram) -> Histogram:
    """Return the histogram of both sets of events."""
    if right is EMPTY:
        return left
    if left is EMPTY:
        return right
    return tuple([a + b for a, b in zip(left, right, strict=True)])


def merge_all(parts: Iterable[Histogram | None]) -> Histogram | None:
    """Return the histogram of all known parts; None when none is known."""
    total: Histogram | None = None
    for part in parts:
        if part is not None:
            total = part if total is None else merge(total, part)
    return total


def count(histogram: Histogram | None) -> int | None:
    """Return the number of events."""
    return None if histogram is None else sum(histogram)


def percentile_us(histogram: Histogram | None, share: float) -> float | None:
    """Return the duration that `share` (0..1) of the events did not exceed.

    With n events, the one of rank r = share * n is looked for. In the slot [low, high) that holds
    it, with c events before the slot and k in it, events are taken as evenly spread:
    low + (high - low) * (r - c) / k. Ten events in slot 10 ([1.024, 2.048) us): p50 is 1.536 us.

    None when nothing was measured or no event happened. The true value is in the same slot, so
    the answer is at most a factor of two away from it.
    """
    if histogram is None:
        return None
    events = sum(histogram)
    if events == 0:
        return None
    return _at_rank(histogram, min(max(share, 0.0), 1.0) * events)


def _at_rank(histogram: Histogram, rank: float) -> float:
    before = 0
    high = 0.0
    for slot, inside in enumerate(histogram):
        if inside:
            low, high = bounds_us(slot)
            if before + inside >= rank:
                return low + (high - low) * (rank - before) / inside
            before += inside
    return high


def kth_us(histogram: Histogram, k: int) -> float:
    """Return the duration of the k-th fastest event, k from 1; more than there are is the last.

    For few events, where a percentile has no meaning of its own. k events in a slot are taken as
    evenly spread in its middle: low + (high - low) * (k - c - 1/2) / events in the slot, with c
    before it. One event in slot 10 ([1.024, 2.048) us): 1.536 us. 0 for no event.
    """
    return _at_rank(histogram, min(max(k, 1), sum(histogram)) - 0.5)


class Summary(NamedTuple):
    """What a row says about the requests of one interval, in microseconds; None: no event."""

    mean_us: float | None
    """Events counted at the middle of their slot: up to half too much."""
    p50_us: float | None
    p99_us: float | None
    max_us: float | None
    """Upper edge of the highest slot that was hit."""


NO_SUMMARY = Summary(None, None, None, None)


def summarize(histogram: Histogram | None) -> Summary:
    """Return mean, median, 99th percentile and upper edge."""
    if histogram is None or histogram is EMPTY:
        return NO_SUMMARY
    events = sum(histogram)
    if events == 0:
        return NO_SUMMARY
    highest = 0
    total_us = 0.0
    for slot, inside in enumerate(histogram):
        if inside:
            highest = slot
            low, high = bounds_us(slot)
            total_us += inside * (low + high) / 2
    return Summary(
        mean_us=total_us / events,
        p50_us=_at_rank(histogram, 0.50 * events),
        p99_us=_at_rank(histogram, 0.99 * events),
        max_us=bounds_us(highest)[1],
    )
