"""How well a policy did: resctl-bench's scores, with fsyncs in place of requests.

Names and formulas of resctl-bench 2.2 (facebookexperimental/resctl-demo)::

    isol      per second: min(1, fsyncs finished / those of the victim alone); mean, 5th and 1st
              percentile
    lat_imp   per second: max(0, mean latency / that of the victim alone - 1); mean
    work_csv  used / (used + min(unused, lost)): what the device did, what it could have done
              besides, and what the hogs would have written and could not

Differences: a victim with few fsyncs is judged by longer windows, of about ten each, and windows in
which it rests do not count. The first second after the hog starts is not judged: what is queued by
then is queued; how long it takes until the victim is well is told as time to protect.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import msgspec

from iotop_ng.policy.actions import NS_PER_S
from iotop_ng.sim.actors import Sync, is_on
from iotop_ng.sim.enforcer import SimEnforcer
from iotop_ng.sim.world import World

N = TypeVar("N", int, float)

WARM_UP_NS = NS_PER_S
SYNCS_PER_WINDOW = 10
CALM_NS = NS_PER_S
"""The victim is protected when 90 % of its fsyncs in this time were fast enough."""


class Alone(msgspec.Struct, frozen=True):
    """What the victim does when nobody else writes."""

    syncs_per_s: float
    latency_ns: int


class Score(msgspec.Struct, frozen=True):
    """One policy in one scenario. Percent, nanoseconds, bytes."""

    policy: str
    isol_pct: float
    isol_05_pct: float
    isol_01_pct: float
    lat_imp_pct: float
    work_csv_pct: float
    fsync_p50_ns: int
    fsync_p99_ns: int
    fsync_max_ns: int
    fsyncs: int
    violations: int
    """fsyncs that took longer than the target."""
    protect_ns: int | None
    """From the hog's start until the victim is well; 0: it always was; None: it never is."""
    writes: int
    """How often a limit was set, changed or taken away."""
    dropped_bytes: int
    neighbour_pct: float | None
    """What those who are no hogs wrote, of what they wanted to; None: there are none."""


def measure_alone(world: World) -> Alone:
    """Return what the victim did in a world without writers."""
    spec = world.scenario.victim
    share = spec.on_ns / (spec.on_ns + spec.off_ns) if spec.off_ns else 1.0
    syncs = world.victim.syncs
    latency_ns = sum(one.latency_ns for one in syncs) // max(len(syncs), 1)
    return Alone(len(syncs) / (share * world.now_ns / NS_PER_S), latency_ns)


def score(policy: str, world: World, enforcer: SimEnforcer, alone: Alone) -> Score:
    """Return the scores of a run that is over."""
    scenario = world.scenario
    begin_ns = scenario.begin_ns + WARM_UP_NS
    syncs = [one for one in _with_stuck(world) if one.end_ns >= begin_ns]
    latencies = sorted(one.latency_ns for one in syncs)
    windows = _windows(world, syncs, begin_ns, alone)
    isol = sorted(min(1.0, done) for done, _ in windows)
    lat_imp = [max(0.0, latency_ns / alone.latency_ns - 1) for _, latency_ns in windows]
    target_ns = scenario.victim.target_ns
    return Score(
        policy=policy,
        isol_pct=100 * _mean(isol),
        isol_05_pct=100 * rank(isol, 5, 0.0),
        isol_01_pct=100 * rank(isol, 1, 0.0),
        lat_imp_pct=100 * _mean(lat_imp),
        work_csv_pct=100 * _work_conservation(world),
        fsync_p50_ns=rank(latencies, 50, 0),
        fsync_p99_ns=rank(latencies, 99, 0),
        fsync_max_ns=latencies[-1] if latencies else 0,
        fsyncs=len(syncs),
        violations=sum(latency_ns > target_ns for latency_ns in latencies),
        protect_ns=time_to_protect(_with_stuck(world), scenario.begin_ns, target_ns),
        writes=enforcer.writes,
        dropped_bytes=enforcer.dropped_bytes,
        neighbour_pct=_neighbours(world),
    )


def rank(ordered: Sequence[N], percent: int, empty: N) -> N:
    """Return the value that so many percent of them do not exceed (nearest rank)."""
    if not ordered:
        return empty
    return ordered[max(-(-percent * len(ordered) // 100), 1) - 1]


def time_to_protect(syncs: Sequence[Sync], begin_ns: int, target_ns: int) -> int | None:
    """Return how long after `begin_ns` the victim was well, having suffered."""
    after = [one for one in syncs if one.end_ns >= begin_ns]
    first = next((n for n, one in enumerate(after) if one.latency_ns > target_ns), None)
    if first is None:
        return 0
    for number in range(first, len(after)):
        one = after[number]
        if one.latency_ns > target_ns:
            continue
        calm = [other for other in after[number:] if other.start_ns <= one.end_ns + CALM_NS]
        good = sum(other.latency_ns <= target_ns for other in calm)
        if good * 10 >= len(calm) * 9:
            return one.end_ns - begin_ns
    return None


def _with_stuck(world: World) -> list[Sync]:
    """Return all fsyncs; one that has not returned counts with its age."""
    victim, now_ns = world.victim, world.now_ns
    age_ns = victim.age_ns(now_ns)
    stuck = [Sync(now_ns - age_ns, now_ns)] if age_ns > victim.spec.target_ns else []
    return [*victim.syncs, *stuck]


def _windows(
    world: World, syncs: Sequence[Sync], begin_ns: int, alone: Alone
) -> list[tuple[float, float]]:
    """Return (share of the fsyncs that it does alone, mean latency) per window."""
    spec = world.scenario.victim
    seconds = max(1, -(-SYNCS_PER_WINDOW // max(round(alone.syncs_per_s), 1)))
    length_ns = seconds * NS_PER_S
    expected = alone.syncs_per_s * seconds
    counts = max((world.now_ns - begin_ns) // length_ns, 0)
    inside: list[list[Sync]] = [[] for _ in range(counts)]
    for one in syncs:
        number = (one.end_ns - begin_ns) // length_ns
        if number < counts:
            inside[number].append(one)
    found = []
    for number, group in enumerate(inside):
        start_ns = begin_ns + number * length_ns
        works = (is_on(start_ns + n * NS_PER_S // 2, spec.on_ns, spec.off_ns)
                 for n in range(2 * seconds))  # fmt: skip
        if group:
            mean_ns = _mean([one.latency_ns for one in group])
            found.append((len(group) / expected, mean_ns))
        elif all(works):
            # Nothing finished: it waits at least as long as the window is.
            found.append((0.0, float(length_ns)))
    return found


def _work_conservation(world: World) -> float:
    device = world.device
    unused = max(device.possible_bytes - device.served_bytes, 0)
    lost = sum(writer.lost_bytes for writer in world.writers)
    used = device.served_bytes
    waste = min(unused, lost)
    return used / (used + waste) if used + waste else 1.0


def _neighbours(world: World) -> float | None:
    others = [writer for writer in world.writers if not writer.spec.is_hog]
    wanted = sum(writer.wanted_bytes for writer in others)
    written = sum(writer.counts.write_bytes for writer in others)
    return min(100 * written / wanted, 100.0) if wanted else None


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0
