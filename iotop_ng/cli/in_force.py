"""`iotop-ng policies` and `iotop-ng release`: what all clients have in force, and its end.

Neither starts a keeper: where none runs, nothing is in force.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing

import msgspec

from iotop_ng.cli.course import Course, Disks
from iotop_ng.cli.desk import Desk, Signals
from iotop_ng.cli.meter import Meter
from iotop_ng.cli.policy_lines import SCHEMA, Record, table
from iotop_ng.cli.talk import complain
from iotop_ng.cli.targets import Asked, parse_targets
from iotop_ng.cli.undo import described, still_left
from iotop_ng.clock import NS_PER_S
from iotop_ng.control.link import Keeper
from iotop_ng.enforcers.orders import InForce
from iotop_ng.errors import UsageError
from iotop_ng.export.records import rfc3339
from iotop_ng.policy.actions import CgroupTarget, ProcessTarget, Reason
from iotop_ng.sources.containers import Containers

NOTHING = "nothing is in force"
INTERRUPTED = 130
_MEASURED_NS = NS_PER_S
"""Between the two looks that rates are made of."""


class InForceNow(msgspec.Struct, frozen=True):
    """What `policies --json` prints."""

    schema: int
    time: str
    policies: tuple[Record, ...]


class Taken(msgspec.Struct, frozen=True):
    """What `release --json` prints."""

    schema: int
    dry_run: bool = False
    """Nothing was done: it says what would be."""
    released: tuple[str, ...] = ()
    """Names."""
    undone: tuple[str, ...] = ()
    """What a dead keeper had left and was put back, one sentence each."""
    problems: tuple[str, ...] = ()


def policies(*, json: bool, desk: Desk) -> int:
    """Print what is in force; return the exit code."""
    desk.need_root("policies")
    records: tuple[Record, ...] = ()
    with desk.signals() as signals:
        keeper = desk.keeper(spawn=False)
        if keeper is not None:
            with closing(keeper):
                records = _looked_at(keeper, desk, signals)
        if signals.is_set:
            return INTERRUPTED
    if not records:
        complain(NOTHING)
    if json:
        now = InForceNow(SCHEMA, rfc3339(desk.clock.wall_ns()), records)
        desk.write(msgspec.json.encode(now) + b"\n")
    elif records:
        desk.write("".join(f"{line}\n" for line in table(records)).encode("utf-8", "replace"))
    return 0


def _looked_at(keeper: Keeper, desk: Desk, signals: Signals) -> tuple[Record, ...]:
    """Look twice: rates are made of totals."""
    first = keeper.look(0)
    if not first.policies:
        return ()
    disks = Disks(desk.clock, desk.root)
    courses = {
        policy.id: Course(
            policy, first.now_ns, Meter(policy.order.target, desk.clock, desk.root), disks
        )
        for policy in first.policies
    }
    signals.wait(desk.clock.mono_ns() + _MEASURED_NS, keeper.fileno())
    second = keeper.look(first.events[-1].seq if first.events else 0)
    disks.read()
    disks.close()
    return tuple(
        courses[policy.id].take(policy, second.now_ns)
        for policy in second.policies
        if policy.id in courses
    )


def release(*, targets: Sequence[str], every: bool, dry_run: bool, json: bool, desk: Desk) -> int:
    """Take back what is in force on the targets, or all; return the exit code.

    Raises:
        UsageError: neither targets nor --all, or both.
    """
    if every == bool(targets):
        raise UsageError("release needs either TARGETs or --all, which takes back everything")
    asked = parse_targets(targets, every=False)
    desk.need_root("release")
    keeper = desk.keeper(spawn=False)
    if keeper is None:
        # Without a keeper nothing is in force but what a dead one may have left in the kernel.
        taken, unmatched = Taken(SCHEMA, dry_run), asked
        if every:
            undone = _undo(desk, dry_run=dry_run)
            left = () if dry_run else desk.left_behind()
            taken = msgspec.structs.replace(
                taken, undone=undone, problems=tuple(map(still_left, left))
            )
    else:
        with closing(keeper):
            taken, unmatched = _release(
                keeper, asked, Containers(desk.root), every=every, dry_run=dry_run
            )
    if every and taken == Taken(SCHEMA, dry_run):
        complain(NOTHING)
    for one in unmatched:
        complain(f"{one}: {NOTHING} on it")
    for problem in taken.problems:
        complain(problem)
    if json:
        desk.write(msgspec.json.encode(taken) + b"\n")
    else:
        verb = "would release" if dry_run else "released"
        lines = [*(f"{verb} {name}" for name in taken.released), *taken.undone]
        desk.write("".join(f"{line}\n" for line in lines).encode("utf-8", "replace"))
    return 1 if unmatched or taken.problems else 0


def _undo(desk: Desk, *, dry_run: bool) -> tuple[str, ...]:
    return tuple(map(described, desk.left_behind())) if dry_run else desk.recover()


def _release(
    keeper: Keeper,
    asked: Sequence[Asked],
    containers: Containers,
    *,
    every: bool,
    dry_run: bool,
) -> tuple[Taken, tuple[Asked, ...]]:
    """Release what is meant, and return with it those that nothing is in force on."""
    present = keeper.look(0).policies
    meant = [p for p in present if every or any(_is_meant(one, p, containers) for one in asked)]
    unmatched = tuple(one for one in asked if not any(_is_meant(one, p, containers) for p in meant))
    if dry_run or not meant:
        return Taken(SCHEMA, dry_run, tuple(policy.name for policy in meant)), unmatched
    ids = None if every else tuple(policy.id for policy in meant)
    released = keeper.release(ids, Reason("", "released on the command line"))
    return Taken(SCHEMA, dry_run, released.names, problems=released.problems), unmatched


def _is_meant(asked: Asked, policy: InForce, containers: Containers) -> bool:
    """Say whether a policy is on what a TARGET names; releasing too much harms nobody."""
    match policy.order.target:
        case ProcessTarget(pid=pid):
            by_name = asked.kind == "comm" and policy.name.rpartition("[")[0] == asked.value
            return by_name or (asked.kind == "pid" and int(asked.value) == pid)
        case CgroupTarget(path=path):
            if asked.kind == "container":
                # One that has ended is known by the name that its policy was given.
                container = containers.of(path)
                is_called = container is not None and container.is_called(asked.value)
                return is_called or policy.name == asked.value
            return asked.kind == "cgroup" and path.rstrip("/") == asked.value.rstrip("/")
