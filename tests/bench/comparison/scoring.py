"""From raw lines to scores: those of `iotop_ng.policy.scores`, and their medians over the rounds.

The first second after the hog's first byte is judged by nobody but the time to protect: what is
queued by then is queued.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import NamedTuple

from iotop_ng.policy.scores import (
    Alone,
    Isolation,
    Operation,
    alone,
    isolation,
    rank,
    time_to_protect,
    windows,
    work_conservation,
)
from tests.bench.comparison.raw import ALONE, Measured, Run, Setting

WARM_UP_US = 1_000_000
NEVER = float("inf")
_MB = 1_000_000
_UNKNOWN = Isolation(*[float("nan")] * 4)
"""Nobody knows what the victim does alone."""


class Score(NamedTuple):
    """One run. Percent, milliseconds, seconds, MB (of a million bytes) per second."""

    isol: float
    isol_05: float
    isol_01: float
    lat_imp: float
    work_csv: float
    p50: float
    p99: float
    max: float
    violations: float
    protect: float
    """Seconds from the hog's first byte; 0: it never suffered; `NEVER`."""
    protect_again: float
    """Seconds from the moment when the device slowed down; nan where it does not."""
    writes: float
    """nan where nobody acts meanwhile."""
    hog: float
    device: float


class Spread(NamedTuple):
    """One score over the rounds."""

    median: float
    least: float
    most: float


def base(measured: Measured) -> Alone:
    """Return what the victim does alone, over all rounds."""
    seconds = measured.setting.seconds - WARM_UP_US / 1e6
    runs = measured.of(ALONE)
    operations = [one for run in runs for one in _judged(_operations(run))]
    return alone(operations, seconds * max(len(runs), 1))


def score(run: Run, setting: Setting, of_alone: Alone) -> Score:
    """Return the scores of one run."""
    operations = _operations(run)
    begin_ns, end_ns = WARM_UP_US * 1000, setting.seconds * 1_000_000_000
    judged = _judged(operations)
    took = sorted(one.latency_ns / 1e6 for one in judged)
    isol = _UNKNOWN
    if of_alone.operations_per_s:
        isol = isolation(windows(operations, begin_ns, end_ns, of_alone))
    limit_ns = setting.limit_ms * 1_000_000
    slow_at_ns = None if setting.slow_at_s is None else int(setting.slow_at_s * 1e9)
    seconds = (end_ns - begin_ns) / 1e9
    device = _grown(run.device_bytes, setting)
    written = _grown([(one.at_us, one.written_bytes) for one in run.hog], setting)
    return Score(
        isol=100 * isol.isol,
        isol_05=100 * isol.isol_05,
        isol_01=100 * isol.isol_01,
        lat_imp=100 * isol.lat_imp,
        work_csv=100 * _work_csv(run, setting),
        p50=rank(took, 50, float("nan")),
        p99=rank(took, 99, float("nan")),
        max=rank(took, 100, float("nan")),
        violations=sum(1e6 * one > limit_ns for one in took),
        protect=_seconds(time_to_protect(operations, 0, limit_ns)),
        protect_again=float("nan")
        if slow_at_ns is None
        else _seconds(time_to_protect(operations, slow_at_ns, limit_ns)),
        writes=float("nan") if run.writes is None else run.writes,
        hog=written / seconds / _MB if run.hog else float("nan"),
        device=device / seconds / _MB,
    )


def spread(values: Sequence[float]) -> Spread:
    """Return median, least and most; of nothing: nan. A run that is nan does not count."""
    known = [value for value in values if value == value]  # noqa: PLR0124  # nan is not itself
    if not known:
        return Spread(*[float("nan")] * 3)
    return Spread(statistics.median(known), min(known), max(known))


def spreads(measured: Measured, contestant: str) -> dict[str, Spread]:
    """Return each score of a contestant over its runs, by its name in `Score`."""
    of_alone = base(measured)
    scores = [score(run, measured.setting, of_alone) for run in measured.of(contestant)]
    return {
        name: spread([one[place] for one in scores]) for place, name in enumerate(Score._fields)
    }


def possible_bytes(setting: Setting, begin_us: int, end_us: int) -> float:
    """Return what the device could have written between two moments."""
    if setting.slow_at_s is None or setting.slow_capacity_bytes_per_s is None:
        return setting.capacity_bytes_per_s * (end_us - begin_us) / 1e6
    slow_us = min(max(int(setting.slow_at_s * 1e6), begin_us), end_us)
    before, after = (slow_us - begin_us) / 1e6, (end_us - slow_us) / 1e6
    return before * setting.capacity_bytes_per_s + after * setting.slow_capacity_bytes_per_s


def between(points: Sequence[tuple[int, int]], moment_us: int) -> float:
    """Return a total at a moment, on the straight line between the two points around it.

    Before the first point the line comes from zero at the begin; after the last one it is level.
    """
    before_us, before = 0, 0
    for at_us, total in points:
        if at_us >= moment_us:
            share = (moment_us - before_us) / max(at_us - before_us, 1)
            return before + share * (total - before)
        before_us, before = at_us, total
    return float(before)


def _work_csv(run: Run, setting: Setting) -> float:
    possible = possible_bytes(setting, WARM_UP_US, setting.seconds * 1_000_000)
    lost = _grown([(one.at_us, one.lost_bytes) for one in run.hog], setting)
    return work_conservation(_grown(run.device_bytes, setting), possible, lost)


def _grown(points: Sequence[tuple[int, int]], setting: Setting) -> float:
    return between(points, setting.seconds * 1_000_000) - between(points, WARM_UP_US)


def _operations(run: Run) -> list[Operation]:
    found = [Operation(1000 * at, 1000 * (at + took)) for at, took in run.fsyncs]
    if run.under_way is not None:
        at, age = run.under_way
        found.append(Operation(1000 * at, 1000 * (at + age), has_ended=False))
    return sorted(found, key=lambda one: one.ended_ns)


def _judged(operations: Sequence[Operation]) -> list[Operation]:
    return [one for one in operations if one.ended_ns >= WARM_UP_US * 1000]


def _seconds(ns: int | None) -> float:
    return NEVER if ns is None else ns / 1e9
