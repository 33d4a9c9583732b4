"""`iotop-ng demo --headless`: the whole story in numbers, and whether the policies helped."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from iotop_ng.cli import amounts
from iotop_ng.cli.demo_stage import Cast, EndedError, RealStage
from iotop_ng.cli.desk import Desk, Signals
from iotop_ng.cli.talk import complain
from iotop_ng.config.checks import quoted
from iotop_ng.demo import outcome
from iotop_ng.demo.figures import figures, verdicts
from iotop_ng.demo.modes import DEMO_MODE
from iotop_ng.demo.outcome import Outcome
from iotop_ng.demo.own_files import own_directory
from iotop_ng.demo.story import FLOOD, Plan, Stage, Told, play
from iotop_ng.errors import UsageError
from iotop_ng.export.records import rfc3339
from iotop_ng.policy import scores
from iotop_ng.units import clean, parse_rate

INTERRUPTED = 130
NOT_HELPED = 1
PERIOD_NS = 20_000_000
"""Of the victim: in 10 s its p99 is the fifth-slowest of 500, not the slowest of a few."""
SECONDS, CAP = 10, "5M"
MEMORY = Path("/dev/shm")  # noqa: S108 - a log on the flooded disk would wait for it


class OpenStage(Stage, Protocol):
    """A stage that has to be opened."""

    @property
    def disks(self) -> frozenset[str]:
        """Whose bytes are counted."""
        ...

    def opened(self) -> AbstractContextManager[object]:
        """Start the victim, and end everything in the end."""
        ...


def run(
    *,
    directory: str,
    rate: str,
    seconds: int | None,
    cap: str | None,
    limit: float | None,
    engine: str | None,
    mode: str | None,
    seed: int,
    json: bool,
    desk: Desk,
    make_stage: Callable[[Cast, Desk, Signals, Callable[[str], None]], OpenStage] = RealStage,
) -> int:
    """Play the story and print what was measured; return the exit code.

    Raises:
        IotopError: an option is wrong, or it cannot be played here.
    """
    plan = Plan(
        seconds or SECONDS,
        amounts.read(parse_rate, cap or CAP, "--cap"),
        None if limit is None else _limit_ns(limit),
    )
    where = Path(directory).resolve()
    if not where.is_dir():
        raise UsageError(f"--directory {quoted(directory)}: no such directory")
    desk.need_root("demo")
    began = rfc3339(desk.clock.wall_ns())
    memory = MEMORY if os.access(MEMORY, os.W_OK) else where
    with desk.signals() as signals, own_directory(memory, "demo") as own:
        cast = Cast(where, own, mode or DEMO_MODE, engine or "own", rate, seed, PERIOD_NS)
        stage = make_stage(cast, desk, signals, complain)
        try:
            told = _played(stage, plan, signals)
        except EndedError:
            return INTERRUPTED
    found = _outcome(told, stage, cast, plan, began)
    desk.write(outcome.as_json(found) if json else outcome.as_text(found).encode())
    return 0 if found.helped else NOT_HELPED


def _played(stage: OpenStage, plan: Plan, signals: Signals) -> Told:
    with stage.opened():
        told = play(stage, plan, complain)
    if signals.is_set:
        raise EndedError
    return told


def _outcome(told: Told, stage: OpenStage, cast: Cast, plan: Plan, began: str) -> Outcome:
    record, baseline = stage.record, told.phases[0]
    base = scores.alone(record.of(baseline), baseline.seconds)
    floods = [seen for seen in told.phases if seen.name == FLOOD]
    capacity = record.capacity(floods)
    phases = tuple(figures(record, seen, base, told.limit_ns, capacity) for seen in told.phases)
    found = verdicts(phases, told.limit_ns)
    return Outcome(
        schema=outcome.SCHEMA,
        time=began,
        directory=clean(str(cast.directory)),
        disks=tuple(sorted(stage.disks)),
        mode=cast.mode,
        engine=cast.engine,
        seed=cast.seed,
        seconds=plan.seconds,
        period_ns=cast.period_ns,
        cap_bytes_per_s=plan.cap,
        limit_ns=told.limit_ns,
        capacity_bytes_per_s=capacity,
        failed_operations=record.failed,
        phases=phases,
        verdicts=found,
        helped=all(one.holds for one in found),
    )


def _limit_ns(limit_ms: float) -> int:
    if not 0.1 <= limit_ms <= 60_000:
        raise UsageError(f"--limit {limit_ms:g}: expected milliseconds, 0.1 to 60000")
    return round(limit_ms * 1e6)
