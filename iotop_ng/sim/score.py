"""How well a policy did in a simulation, by the scores that a real disk is judged by too.

The first second after the hog starts is not judged: what is queued by then is queued; how long it
takes until the victim is well is told as time to protect. Windows in which the victim rests do not
count.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from iotop_ng.policy import scores
from iotop_ng.policy.actions import NS_PER_S
from iotop_ng.policy.scores import Alone, Operation, rank
from iotop_ng.sim.actors import is_on
from iotop_ng.sim.enforcer import SimEnforcer
from iotop_ng.sim.world import World

WARM_UP_NS = NS_PER_S


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
    return scores.alone(world.victim.operations, share * world.now_ns / NS_PER_S)


def score(policy: str, world: World, enforcer: SimEnforcer, alone: Alone) -> Score:
    """Return the scores of a run that is over."""
    scenario = world.scenario
    begin_ns = scenario.begin_ns + WARM_UP_NS
    every = _with_stuck(world)
    judged = [one for one in every if one.ended_ns >= begin_ns]
    latencies = sorted(one.latency_ns for one in judged)
    found = scores.isolation(
        scores.windows(judged, begin_ns, world.now_ns, alone, rests=_rests(world))
    )
    target_ns = scenario.victim.target_ns
    return Score(
        policy=policy,
        isol_pct=100 * found.isol,
        isol_05_pct=100 * found.isol_05,
        isol_01_pct=100 * found.isol_01,
        lat_imp_pct=100 * found.lat_imp,
        work_csv_pct=100 * _work_conservation(world),
        fsync_p50_ns=rank(latencies, 50, 0),
        fsync_p99_ns=rank(latencies, 99, 0),
        fsync_max_ns=latencies[-1] if latencies else 0,
        fsyncs=len(judged),
        violations=sum(latency_ns > target_ns for latency_ns in latencies),
        protect_ns=scores.time_to_protect(every, scenario.begin_ns, target_ns),
        writes=enforcer.writes,
        dropped_bytes=enforcer.dropped_bytes,
        neighbour_pct=_neighbours(world),
    )


def _with_stuck(world: World) -> list[Operation]:
    """Return all fsyncs; one that has not returned counts with its age."""
    victim, now_ns = world.victim, world.now_ns
    age_ns = victim.age_ns(now_ns)
    is_stuck = age_ns > victim.spec.target_ns
    stuck = [Operation(now_ns - age_ns, now_ns, has_ended=False)] if is_stuck else []
    return [*victim.operations, *stuck]


def _rests(world: World) -> Callable[[int, int], bool]:
    """Return what says whether the victim had a pause within a window."""
    spec = world.scenario.victim

    def rests(start_ns: int, until_ns: int) -> bool:
        halves = range(start_ns, until_ns, NS_PER_S // 2)
        return not all(is_on(moment, spec.on_ns, spec.off_ns) for moment in halves)

    return rests


def _work_conservation(world: World) -> float:
    device = world.device
    lost = sum(writer.lost_bytes for writer in world.writers)
    return scores.work_conservation(device.served_bytes, device.possible_bytes, lost)


def _neighbours(world: World) -> float | None:
    others = [writer for writer in world.writers if not writer.spec.is_hog]
    wanted = sum(writer.wanted_bytes for writer in others)
    written = sum(writer.counts.write_bytes for writer in others)
    return min(100 * written / wanted, 100.0) if wanted else None
