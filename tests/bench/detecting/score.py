"""What the raw results say about each sign: does it tell floods from healthy loads, how soon.

Which loads starved somebody is not taken from their names but from the victim's own log: a phase is
**starved** when the p95 of the victim's fsyncs is five times what it is alone, and 50 ms, or more
(of the 160 calls of a phase, the p99 would be the second worst: chance), **healthy** when it is a
load that is no flood. A flood that did not hurt (a disk that takes it) is neither: silence about it
is right, and an alarm is no proof of anything.

An alarm is a value above the threshold in two ticks in a row (250 ms each): one tick alone can be a
cron job.
"""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Sequence
from typing import NamedTuple

from tests.bench.detecting.direct import percentile
from tests.bench.detecting.records import Result, Results

STARVED_TIMES = 5
STARVED_MS = 50.0
IN_A_ROW = 2

Series = Sequence[tuple[float, float]]
"""(seconds since the load began, value)."""


class Spread(NamedTuple):
    """A metric over the ticks of one phase."""

    low: float
    """5th percentile."""
    middle: float
    high: float
    """95th percentile."""
    most: float


class Verdict(NamedTuple):
    """One metric with one threshold, over all phases of a machine."""

    threshold: float
    detected: int
    starved: int
    """Of so many."""
    false_alarms: int
    healthy: int
    """Of so many."""
    times_s: tuple[float, ...]
    """Time to detect of those that were detected, in the order of phases."""

    @property
    def middle_s(self) -> float | None:
        """Median time to detect."""
        return statistics.median(self.times_s) if self.times_s else None

    @property
    def worst_s(self) -> float | None:
        """Longest time to detect."""
        return max(self.times_s, default=None)


class Separation(NamedTuple):
    """How far the healthy and the starved phases lie apart for one metric."""

    healthy_high: float | None
    """Largest 95th percentile of a healthy phase."""
    healthy_most: float | None
    """Largest value in a healthy phase."""
    starved_low: float | None
    """Least 5th percentile of a starved phase."""
    starved_middle: float | None
    """Least median of a starved phase."""
    area: float | None
    """Chance that a tick of a starved phase lies above one of a healthy phase (ties count half):
    1 tells them apart always, 0.5 is a coin."""


def base_p95_ms(results: Results) -> float | None:
    """Return the victim's p95 alone, the median of the rounds; None: not measured."""
    found = [
        one.p95_ms for one in results.results if one.load == "victim" and one.p95_ms is not None
    ]
    return statistics.median(found) if found else None


def starved(results: Results) -> list[Result]:
    """Return the floods in which the victim waited five times as long as alone."""
    base = base_p95_ms(results)
    return [
        one
        for one in results.results
        if one.is_flood
        and base is not None
        and (one.p95_ms or 0.0) >= max(STARVED_TIMES * base, STARVED_MS)
    ]


def healthy(results: Results) -> list[Result]:
    """Return the loads that are no floods."""
    return [one for one in results.results if not one.is_flood]


def harmless(results: Results) -> list[Result]:
    """Return the floods that did not starve the victim."""
    hurt = starved(results)
    return [one for one in results.results if one.is_flood and one not in hurt]


def spread(series: Series) -> Spread | None:
    """Return how a metric was spread over a phase; None: not measured there."""
    values = [value for _, value in series]
    low, middle, high = (percentile(values, percent) for percent in (5, 50, 95))
    if low is None or middle is None or high is None:
        return None
    return Spread(low, middle, high, max(values))


def alarm_s(series: Series, threshold: float) -> float | None:
    """Return when a value was above the threshold for the second tick in a row; None: never."""
    run = 0
    for at_s, value in series:
        run = run + 1 if value > threshold else 0
        if run >= IN_A_ROW:
            return at_s
    return None


def verdict(results: Results, metric: str, threshold: float) -> Verdict:
    """Return what one threshold would have done."""
    times = [
        at_s
        for one in starved(results)
        if (at_s := alarm_s(results.values(metric, one.load, one.round), threshold)) is not None
    ]
    alarms = [
        one
        for one in healthy(results)
        if alarm_s(results.values(metric, one.load, one.round), threshold) is not None
    ]
    return Verdict(
        threshold, len(times), len(starved(results)), len(alarms), len(healthy(results)),
        tuple(times),
    )  # fmt: skip


def sustained(series: Series) -> float | None:
    """Return the largest value that a threshold has to reach for there to be no alarm."""
    values = [value for _, value in series]
    pairs = [min(pair) for pair in itertools.pairwise(values)]
    return max(pairs, default=None)


def thresholds(results: Results, metric: str) -> list[float]:
    """Return every threshold at which something changes, upwards."""
    found = {
        level
        for one in (*healthy(results), *starved(results))
        if (level := sustained(results.values(metric, one.load, one.round))) is not None
    }
    return sorted(found)


def quiet(results: Results, metric: str) -> Verdict | None:
    """Return the lowest threshold without a false alarm; None: the metric was not measured."""
    levels = [
        level
        for one in healthy(results)
        if (level := sustained(results.values(metric, one.load, one.round))) is not None
    ]
    return verdict(results, metric, max(levels)) if levels else None


def complete(results: Results, metric: str) -> Verdict | None:
    """Return the highest threshold that detects all; None: none does."""
    levels = [sustained(results.values(metric, one.load, one.round)) for one in starved(results)]
    known = [level for level in levels if level is not None]
    if not known or len(known) < len(levels):
        return None
    # Above it by nothing: an alarm needs more than the threshold.
    below = [level for level in thresholds(results, metric) if level < min(known)]
    return verdict(results, metric, below[-1] if below else 0.0)


def separation(results: Results, metric: str) -> Separation:
    """Return how well the two kinds of phases can be told apart by single ticks."""
    sides = []
    for group in (healthy(results), starved(results)):
        series = [results.values(metric, one.load, one.round) for one in group]
        sides.append([one for one in series if one])
    calm, bad = ([spread(one) for one in side] for side in sides)
    return Separation(
        max((one.high for one in calm if one), default=None),
        max((one.most for one in calm if one), default=None),
        min((one.low for one in bad if one), default=None),
        min((one.middle for one in bad if one), default=None),
        _area(*([value for one in side for _, value in one] for side in sides)),
    )


def _area(low: Sequence[float], high: Sequence[float]) -> float | None:
    """Return the area under the curve of hits against false alarms (Mann-Whitney's U)."""
    if not low or not high:
        return None
    wins = sum((b > a) + 0.5 * (b == a) for a in low for b in high)
    return wins / (len(low) * len(high))


class Rules(NamedTuple):
    """What the default rules did in one phase."""

    result: Result
    first_s: float | None
    """When they would have taken hold of somebody first."""
    names: tuple[str, ...]


def of_rules(results: Results) -> list[Rules]:
    """Return what the default rules did, phase by phase."""
    found = []
    for one in results.results:
        mine = [a for a in results.alarms if (a.load, a.round) == (one.load, one.round)]
        names = tuple(dict.fromkeys(alarm.name.partition("[")[0] for alarm in mine))
        found.append(Rules(one, min((a.at_s for a in mine), default=None), names))
    return found
