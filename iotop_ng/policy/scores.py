"""resctl-bench's scores, with a victim's operations in place of requests.

Names and formulas of resctl-bench 2.2 (facebookexperimental/resctl-demo)::

    isol      per second: min(1, operations finished / those of the victim alone); mean, 5th and
              1st percentile
    lat_imp   per second: max(0, mean latency / mean latency of the victim alone - 1); mean
    work_csv  used / (used + min(unused, lost)): what the device did, what it could have done
              besides, and what the hogs would have written and could not

What the victim does alone is its own offered load: for one with a pace, the pace. Differences: a
victim with few operations is judged by longer windows, of about ten each. An operation that does
not end counts with its age, so that who waits for ever has no good latencies.

Worked: alone 20 operations/s of 2 ms each. A second with 15 of 5 ms: isol 0.75, lat_imp 1.5. The
next with none, as one that began 1.2 s ago does not end: isol 0, lat_imp 599. A disk that could
write 100 MB wrote 60 while the hogs lost 30: work_csv = 60 / (60 + min(40, 30)) = 0.67.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

import msgspec

from iotop_ng.policy.actions import NS_PER_S

N = TypeVar("N", int, float)

OPERATIONS_PER_WINDOW = 10
CALM_NS = NS_PER_S
"""The victim is protected when 90 % of its operations in this time were fast enough."""


class Operation(NamedTuple):
    """One operation of a victim, such as an append with its fsync. Any one clock."""

    began_ns: int
    ended_ns: int
    """When it ended; of one that has not, when somebody looked."""
    has_ended: bool = True

    @property
    def latency_ns(self) -> int:
        """How long it took; how old it is, when it has not ended."""
        return self.ended_ns - self.began_ns


class Alone(msgspec.Struct, frozen=True):
    """What the victim does when nobody else writes."""

    operations_per_s: float
    latency_ns: int
    """Mean."""


class Window(NamedTuple):
    """One point of the scores: a second, or more for a victim with few operations."""

    isol: float
    """0..1."""
    lat_imp: float
    """0 and more."""


class Isolation(NamedTuple):
    """The scores over all windows; shares, not percent."""

    isol: float
    """Mean."""
    isol_05: float
    isol_01: float
    lat_imp: float
    """Mean."""


def alone(operations: Sequence[Operation], seconds: float) -> Alone:
    """Return what a victim did in a time in which nobody else wrote."""
    ended = [one for one in operations if one.has_ended]
    latency_ns = sum(one.latency_ns for one in ended) // max(len(ended), 1)
    return Alone(len(ended) / seconds if seconds > 0 else 0.0, latency_ns)


def windows(
    operations: Sequence[Operation],
    begin_ns: int,
    end_ns: int,
    base: Alone,
    rests: Callable[[int, int], bool] = lambda *_: False,
) -> list[Window]:
    """Return the whole windows between two moments.

    Args:
        operations: of the victim, in the order of their ends.
        begin_ns: of the first window.
        end_ns: the last window ends then or before.
        base: what the victim does alone.
        rests: says whether a victim that did nothing between two moments did not want to either;
            such a window does not count.
    """
    seconds = max(1, -(-OPERATIONS_PER_WINDOW // max(round(base.operations_per_s), 1)))
    length_ns = seconds * NS_PER_S
    ends = [one.ended_ns for one in operations]
    found = []
    for start_ns in range(begin_ns, end_ns - length_ns + 1, length_ns):
        until_ns = start_ns + length_ns
        inside = operations[_first_from(ends, start_ns) : _first_from(ends, until_ns)]
        ended = [one for one in inside if one.has_ended]
        if ended:
            latency_ns = mean([one.latency_ns for one in ended])
        elif rests(start_ns, until_ns):
            continue
        else:
            latency_ns = _age(operations, start_ns, until_ns)
        share = len(ended) / (base.operations_per_s * seconds) if base.operations_per_s else 1.0
        found.append(Window(min(1.0, share), max(0.0, latency_ns / max(base.latency_ns, 1) - 1)))
    return found


def isolation(found: Sequence[Window]) -> Isolation:
    """Return the scores of windows; of none: as bad as can be."""
    isol = sorted(one.isol for one in found)
    return Isolation(
        mean(isol), rank(isol, 5, 0.0), rank(isol, 1, 0.0), mean([one.lat_imp for one in found])
    )


def work_conservation(used: float, possible: float, lost: float) -> float:
    """Return work_csv, 0..1.

    Args:
        used: bytes that the device wrote, for whomever.
        possible: bytes that it could have written in this time.
        lost: bytes that hogs would have written and could not, beyond a second of debt.
    """
    waste = min(max(possible - used, 0.0), max(lost, 0.0))
    return used / (used + waste) if used + waste > 0 else 1.0


def time_to_protect(operations: Sequence[Operation], begin_ns: int, limit_ns: int) -> int | None:
    """Return how long after `begin_ns` the victim was well, having suffered.

    That is the end of the first operation within the limit, after the first one beyond it, that
    90 % of what began up to a second later was within the limit too. 0: it never suffered. None: it
    was never well.
    """
    after = [one for one in operations if one.ended_ns >= begin_ns]
    began = [one.began_ns for one in after]
    good_before = [0]
    for one in after:
        good_before.append(good_before[-1] + (one.latency_ns <= limit_ns))
    first = next((n for n, one in enumerate(after) if one.latency_ns > limit_ns), None)
    if first is None:
        return 0
    for number in range(first, len(after)):
        one = after[number]
        if one.latency_ns > limit_ns or not one.has_ended:
            continue
        last = bisect_right(began, one.ended_ns + CALM_NS)
        if (good_before[last] - good_before[number]) * 10 >= (last - number) * 9:
            return one.ended_ns - begin_ns
    return None


def settling_time(
    operations: Sequence[Operation], begin_ns: int, limit_ns: int, period_ns: int
) -> int | None:
    """Return how long after `begin_ns` it took until all that followed was well.

    That is the earliest moment with a p99 within the limit of everything that was due from then on;
    stricter than `time_to_protect`, which a good second is enough for. 0: it was well at once.
    None: it never was.

    A victim that waits does not do what is due meanwhile: by operations alone a second of waiting
    would be one of thousands ("coordinated omission"). So one that took L stands for those that
    were due within it, one per period P, and of which ceil((L - limit) / P) would have been late.

    Worked: limit 20 ms, period 50 ms. One of 200 ms stands for 4, all late; with 396 others that
    are well that is the 1 % that p99 leaves out, with 395 it is not.

    Args:
        operations: of the victim.
        begin_ns: from when on.
        limit_ns: what is well.
        period_ns: of what it does alone; 0: nothing is due while one is under way.
    """
    by_begin = sorted((one for one in operations if one.ended_ns >= begin_ns), reverse=True)
    due, late, best = 0, 0, None
    for one in by_begin:
        due += _times(one.latency_ns, period_ns)
        late += _times(one.latency_ns - limit_ns, period_ns) if one.latency_ns > limit_ns else 0
        # Nearest rank: the ceil(0.99 n)th of n is within the limit, so those above may be late.
        if late <= due - -(-99 * due // 100):
            best = one.began_ns
    return None if best is None else max(best - begin_ns, 0)


def rank(ordered: Sequence[N], percent: int, empty: N) -> N:
    """Return the value that so many percent of them do not exceed (nearest rank)."""
    if not ordered:
        return empty
    return ordered[max(-(-percent * len(ordered) // 100), 1) - 1]


def mean(values: Sequence[float]) -> float:
    """Return the mean; 0 of none."""
    return sum(values) / len(values) if values else 0.0


def _times(duration_ns: int, period_ns: int) -> int:
    """Return how often something with a period begins within a time, once at least."""
    return max(-(-duration_ns // period_ns), 1) if period_ns else 1


def _first_from(ends: Sequence[int], moment_ns: int) -> int:
    """Return the place of the first operation that ended at a moment or after it."""
    return bisect_right(ends, moment_ns - 1)


def _age(operations: Sequence[Operation], start_ns: int, until_ns: int) -> float:
    """Return the age, at the end of a window, of what nothing ended in.

    Nobody may have looked at the end; and a victim that is gone waits as long as the window.
    """
    under_way = [
        one.began_ns
        for one in operations
        if one.began_ns < until_ns
        and (one.ended_ns >= until_ns or (not one.has_ended and one.ended_ns >= start_ns))
    ]
    return float(until_ns - min(under_way, default=start_ns))
