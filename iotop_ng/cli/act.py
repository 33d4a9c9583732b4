"""`iotop-ng throttle` and `iotop-ng drop`: the line is checked whole before anything is touched."""

from __future__ import annotations

from collections.abc import Sequence

from iotop_ng.cli import amounts
from iotop_ng.cli.carry_out import Wish, carry_out
from iotop_ng.cli.desk import Desk
from iotop_ng.cli.targets import parse_targets
from iotop_ng.enforcers.orders import Kind, Mechanism
from iotop_ng.errors import UsageError


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
    desk: Desk,
) -> int:
    """Hold targets to a rate until the lease or they end, or a signal comes; return the exit code.

    Raises:
        IotopError: nothing was done, or nothing of it is left.
    """
    wish = Wish(
        Kind.THROTTLE,
        parse_targets(targets, every=every),
        every,
        amounts.read(amounts.Rate, rate, "--rate"),
        amounts.read(amounts.span, lease, "--for"),
        mechanism=amounts.read(amounts.mechanism, mechanism, "--mechanism") if mechanism else None,
        with_children=children,
        is_dry=dry_run,
        is_json=json,
    )
    return carry_out(checked(wish), desk)


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
    desk: Desk,
) -> int:
    """Let writes of targets fail until the lease or they end, or a signal comes.

    Raises:
        IotopError: nothing was done, or nothing of it is left.
    """
    wish = Wish(
        Kind.DROP,
        parse_targets(targets, every=every),
        every,
        None if passing is None else amounts.read(amounts.Rate, passing, "--pass"),
        amounts.read(amounts.span, lease, "--for"),
        with_children=children,
        errno_name=amounts.read(amounts.errno_name, errno_name, "--errno"),
        budget_bytes=None if budget is None else amounts.read(amounts.size, budget, "--budget"),
        paths=tuple(amounts.read(amounts.pattern, path, "--path") for path in paths),
        is_dry=dry_run,
        is_json=json,
    )
    return carry_out(checked(wish), desk)


def checked(wish: Wish) -> Wish:
    """Return the wish unless it contradicts itself.

    Raises:
        UsageError: naming both sides.
    """
    has_cgroup = any(one.kind in {"cgroup", "container"} for one in wish.targets)
    if has_cgroup and not wish.with_children:
        raise UsageError(
            "--no-children has no meaning with cgroup:PATH and container:NAME: all inside is meant"
        )
    if wish.mechanism is Mechanism.IO_MAX and not wish.with_children:
        raise UsageError("--no-children and --mechanism io_max: io.max limits a whole cgroup")
    return wish
