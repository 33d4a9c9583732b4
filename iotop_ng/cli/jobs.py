"""What does each command. Its modules are imported when it is called: nobody else pays for them."""

from __future__ import annotations

from collections.abc import Sequence

from iotop_ng.cli.commands import Jobs
from iotop_ng.errors import UsageError


def doctor(*, json: bool) -> int:
    """Print what this host allows."""
    from iotop_ng.cli import doctor as job  # noqa: PLC0415 - it reads the sources' modules

    return job.run(json=json)


def simulate(*, scenario: str, policies: Sequence[str], seed: int, json: bool) -> int:
    """Compare policies on a simulated machine."""
    from iotop_ng.cli import simulate as job  # noqa: PLC0415 - the model and the whole simulation

    return job.run(scenario, policies, seed, json=json)


def throttle(
    *,
    targets: Sequence[str],
    rate: str,
    lease: str,
    mechanism: str | None,
    children: bool,
    every: bool,
    dry_run: bool,
    json: bool,
) -> int:
    """Hold targets to a rate."""
    from iotop_ng.cli import act  # noqa: PLC0415 - msgspec and the readers of /proc
    from iotop_ng.cli.desk import Desk  # noqa: PLC0415

    return act.throttle(
        targets=targets, rate=rate, lease=lease, mechanism=mechanism, children=children,
        every=every, dry_run=dry_run, json=json, desk=Desk(),
    )  # fmt: skip


def drop(
    *,
    targets: Sequence[str],
    passing: str | None,
    errno_name: str,
    budget: str | None,
    paths: Sequence[str],
    lease: str,
    children: bool,
    every: bool,
    dry_run: bool,
    json: bool,
) -> int:
    """Let writes fail."""
    from iotop_ng.cli import act  # noqa: PLC0415 - as above
    from iotop_ng.cli.desk import Desk  # noqa: PLC0415

    return act.drop(
        targets=targets, passing=passing, errno_name=errno_name, budget=budget, paths=paths,
        lease=lease, children=children, every=every, dry_run=dry_run, json=json, desk=Desk(),
    )  # fmt: skip


def release(*, targets: Sequence[str], every: bool, dry_run: bool, json: bool) -> int:
    """Take back what is in force."""
    from iotop_ng.cli import in_force  # noqa: PLC0415 - as above
    from iotop_ng.cli.desk import Desk  # noqa: PLC0415

    return in_force.release(targets=targets, every=every, dry_run=dry_run, json=json, desk=Desk())


def policies(*, dry_run: bool, json: bool) -> int:
    """List what is in force."""
    del dry_run  # there is nothing that it could keep from being done
    from iotop_ng.cli import in_force  # noqa: PLC0415 - as above
    from iotop_ng.cli.desk import Desk  # noqa: PLC0415

    return in_force.policies(json=json, desk=Desk())


def undo(*, dry_run: bool, json: bool) -> int:
    """Put back what a dead instance left."""
    from iotop_ng.cli import undo as job  # noqa: PLC0415 - as above
    from iotop_ng.cli.desk import Desk  # noqa: PLC0415

    return job.run(dry_run=dry_run, json=json, desk=Desk())


def guard(*, rules: str, enforce: bool, dry_run: bool, duration: str | None, json: bool) -> int:
    """Throttle by rules."""
    if enforce and dry_run:
        raise UsageError("--enforce and --dry-run contradict each other")
    from iotop_ng.cli import guard as job  # noqa: PLC0415 - the session, the model, the sources
    from iotop_ng.cli.desk import Desk  # noqa: PLC0415

    return job.run(rules, enforce=enforce, duration=duration, json=json, desk=Desk())


JOBS: Jobs = {
    "doctor": doctor,
    "throttle": throttle,
    "drop": drop,
    "release": release,
    "policies": policies,
    "guard": guard,
    "undo": undo,
    "simulate": simulate,
}
