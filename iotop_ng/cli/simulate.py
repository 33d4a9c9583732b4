"""`iotop-ng simulate`: policies on a simulated machine, before they touch a real one.

The session, the model and `decide` are those of the live tool; only source, clock and enforcer are
the simulation's.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from pathlib import Path

import msgspec

from iotop_ng.cli.talk import complain
from iotop_ng.errors import UsageError, nearest
from iotop_ng.model.frame import Frame
from iotop_ng.policy import tables
from iotop_ng.policy.actions import NS_PER_S
from iotop_ng.policy.decide import decide, start
from iotop_ng.policy.rule import Rules
from iotop_ng.policy.rules import parse_rules
from iotop_ng.policy.scores import Alone
from iotop_ng.session import Session
from iotop_ng.sim import contestants, scenario
from iotop_ng.sim.enforcer import SimEnforcer
from iotop_ng.sim.scenario import Scenario
from iotop_ng.sim.score import Score, measure_alone, score
from iotop_ng.sim.source import SimClock, SimSource
from iotop_ng.sim.world import World
from iotop_ng.units import clean, duration, human
from iotop_ng.view.renderables.spark import spark

SCHEMA = 1
TICK_S = 0.25
ALONE_NS = 30 * NS_PER_S
DEFAULT_SCENARIO = "steady"
PLOT_WIDTH = 60
HEADER = (
    "POLICY", "ISOL", "ISOL-05", "ISOL-01", "LAT-IMP", "WORK-CSV", "P50", "P99", "MAX", "OVER",
    "PROTECT", "WRITES", "DROPPED", "OTHERS",
)  # fmt: skip
LEGEND = """\
ISOL      the victim's fsyncs per second beside those it does alone; 05, 01: worst 5 and 1 % of time
LAT-IMP   how much longer they took, mean        WORK-CSV  share of the device's work that was done
OVER      fsyncs over the target                 PROTECT   from the hog's start until it was well
WRITES    limits set, changed or taken away      OTHERS    what neighbours wrote of what they wanted
p99       log scale, the target in the middle    hogs      bytes/s that all hogs wrote"""


class Run(msgspec.Struct, frozen=True):
    """One policy in one scenario."""

    score: Score
    hog_bytes_per_s: tuple[int, ...]
    """What all hogs wrote, per second."""
    worst_fsync_ns: tuple[int | None, ...]
    """The slowest fsync that returned in each second; None: none did."""


class Report(msgspec.Struct, frozen=True):
    """Everything that `simulate --json` prints, in this order."""

    schema: int
    scenario: str
    title: str
    seed: int
    target_ns: int
    duration_ns: int
    policies: tuple[Run, ...]


def run(name: str, policies: Sequence[str], seed: int, *, json: bool) -> int:
    """Simulate and print; return 0.

    Raises:
        UsageError: no such scenario or policy, or mistakes in their files.
    """
    world = scenario.load(name or DEFAULT_SCENARIO)
    chosen = [
        (label, rules_of(label, world)) for label in dict.fromkeys(policies or contestants.DEFAULT)
    ]
    alone = alone_in(world, seed)
    runs = []
    for label, rules in chosen:
        if not json and sys.stderr.isatty():
            complain(f"simulating {world.name} with {label}")
        runs.append(play(world, rules, seed, alone, label=label))
    report = Report(
        SCHEMA, world.name, world.title, seed, world.victim.target_ns, world.duration_ns,
        tuple(runs),
    )  # fmt: skip
    encoding = sys.stdout.encoding or "utf-8"
    text = msgspec.json.encode(report).decode() if json else as_text(report, encoding)
    sys.stdout.write(f"{text}\n")
    return 0


def rules_of(policy: str, world: Scenario) -> Rules:
    """Return the rules of a policy, by its name or by the path of a file of rules."""
    if policy in contestants.TEXTS:
        return contestants.rules_of(policy, world)
    if not policy.endswith(".toml"):
        known = list(contestants.TEXTS)
        raise UsageError(
            f"no policy {tables.shown(policy)}{nearest(policy, known)};"
            f" there are {', '.join(known)}, and files of rules (.toml)"
        )
    try:
        text = Path(policy).read_text("utf-8")
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise UsageError(f"{clean(policy, 200)}: cannot be read: {why}") from None
    return parse_rules(text, policy)


def alone_in(world: Scenario, seed: int) -> Alone:
    """Return what the victim does when nobody else writes."""
    quiet = World(world, seed, has_writers=False)
    quiet.run_until(min(ALONE_NS, world.duration_ns))
    return measure_alone(quiet)


def play(
    scene: Scenario,
    rules: Rules,
    seed: int,
    alone: Alone,
    *,
    label: str = "",
    watch: Callable[[Frame, SimEnforcer], None] | None = None,
) -> Run:
    """Return how a policy did.

    Args:
        scene: the scenario.
        rules: the policy.
        seed: for all that is left to chance.
        alone: from the same scenario and seed.
        label: what the policy is called.
        watch: called after each tick.
    """
    world = World(scene, seed)
    enforcer = SimEnforcer(world)
    session = Session(SimSource(world), SimClock(world), TICK_S)
    state = start(rules)
    hogs = []
    for frame in session.frames(duration_s=scene.duration_ns / NS_PER_S):
        enforcer.expire()
        state, actions = decide(state, frame)
        for action in actions:
            enforcer.carry_out(action)
        hogs.append(sum(w.counts.write_bytes for w in world.writers if w.spec.is_hog))
        if watch is not None:
            watch(frame, enforcer)
    return Run(score(label, world, enforcer, alone), _per_second(hogs), _worst(world))


def _per_second(totals: Sequence[int]) -> tuple[int, ...]:
    ends = totals[:: round(1 / TICK_S)]
    return tuple(after - before for before, after in pairwise(ends))


def _worst(world: World) -> tuple[int | None, ...]:
    worst: list[int | None] = [None] * (world.now_ns // NS_PER_S)
    for sync in world.victim.operations:
        second = sync.ended_ns // NS_PER_S
        if second < len(worst):
            worst[second] = max(worst[second] or 0, sync.latency_ns)
    return tuple(worst)


def as_text(report: Report, encoding: str = "utf-8") -> str:
    """Return the report for a person: the table, a plot per policy, what it all means."""
    has_blocks = encoding.lower().replace("-", "").startswith("utf")
    seconds, target = report.duration_ns // NS_PER_S, _ms(report.target_ns)
    lines = [
        f"{report.scenario}: {report.title}",
        f"seed {report.seed}, {seconds} s; the victim needs a p99 of {target}",
        "",
        *_table([HEADER, *(_cells(one.score) for one in report.policies)]),
        "",
    ]
    top = max((max(one.hog_bytes_per_s, default=0) for one in report.policies), default=0)
    width = max((len(one.score.policy) for one in report.policies), default=0)
    for one in report.policies:
        p99 = spark(_logarithmic(one, report.target_ns), PLOT_WIDTH, 1.0, ascii=not has_blocks)
        rates = _fold(one.hog_bytes_per_s, PLOT_WIDTH)
        hogs = spark(rates, PLOT_WIDTH, float(top), ascii=not has_blocks)
        lines += [
            f"{one.score.policy:<{width}}  p99  {p99}  worst {_ms(one.score.fsync_max_ns)}",
            f"{'':<{width}}  hogs {hogs}  of {human(top)}/s",
        ]
    return "\n".join([*lines, "", LEGEND])


def _cells(one: Score) -> tuple[str, ...]:
    return (
        one.policy,
        f"{one.isol_pct:.1f}%",
        f"{one.isol_05_pct:.1f}%",
        f"{one.isol_01_pct:.1f}%",
        f"{one.lat_imp_pct:.0f}%",
        f"{one.work_csv_pct:.1f}%",
        _ms(one.fsync_p50_ns),
        _ms(one.fsync_p99_ns),
        _ms(one.fsync_max_ns),
        f"{one.violations}/{one.fsyncs}",
        "never" if one.protect_ns is None else _ms(one.protect_ns),
        str(one.writes),
        human(one.dropped_bytes),
        "-" if one.neighbour_pct is None else f"{one.neighbour_pct:.1f}%",
    )


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if number == 0 else cell.rjust(width)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]


def _ms(ns: int) -> str:
    return duration(ns / 1000)


def _logarithmic(one: Run, target_ns: int) -> list[float | None]:
    """Return the slowest fsyncs, 0..1: a 32nd of the target is 0, the target 1/2, 32 times 1."""
    folded = _fold(one.worst_fsync_ns, PLOT_WIDTH)
    # Five doublings on each side of the target.
    return [
        None if ns is None else min(max((int(ns * 32 / target_ns).bit_length() - 1) / 10, 0.01), 1)
        for ns in folded
    ]


def _fold(values: Iterable[int | None], width: int) -> list[float | None]:
    """Return at most `width` values: the largest of each group of neighbours."""
    every = list(values)
    step = max(-(-len(every) // width), 1)
    groups = (every[n : n + step] for n in range(0, len(every), step))
    return [max((float(v) for v in group if v is not None), default=None) for group in groups]
