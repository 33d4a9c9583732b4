"""What throttle and drop do: find, measure, ask what works, act, stay until it ends."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from typing import NamedTuple

from iotop_ng.cli.amounts import Rate
from iotop_ng.cli.desk import Desk, Signals
from iotop_ng.cli.dry import rehearse
from iotop_ng.cli.foreground import Foreground, Offer
from iotop_ng.cli.meter import Meter
from iotop_ng.cli.policy_lines import deed
from iotop_ng.cli.talk import complain
from iotop_ng.cli.targets import Asked, Finder, Found, shown
from iotop_ng.clock import NS_PER_S
from iotop_ng.control.link import Keeper
from iotop_ng.enforcers.orders import InForce, Kind, Mechanism, Order
from iotop_ng.errors import IotopError, TargetError, UsageError
from iotop_ng.policy.actions import Reason
from iotop_ng.units import span

INTERRUPTED = 130
_SHARE_NS = NS_PER_S
"""For how long the present rate is measured that a share is of."""
_BEFORE_NS = NS_PER_S // 5
"""Before any other rate: enough to tell afterwards whether it fell."""


class Wish(NamedTuple):
    """A checked command line."""

    kind: Kind
    targets: tuple[Asked, ...]
    every: bool
    """A name may stand for several processes."""
    rate: Rate | None
    lease_ns: int
    mechanism: Mechanism | None = None
    with_children: bool = True
    errno_name: str = "ENOSPC"
    budget_bytes: int | None = None
    paths: tuple[str, ...] = ()
    is_dry: bool = False
    is_json: bool = False


def carry_out(wish: Wish, desk: Desk) -> int:
    """Do it until it ends, and return the exit code.

    Raises:
        IotopError: it could not be done; nothing of it is left.
    """
    desk.need_root(wish.kind.value)
    found = Finder(desk.root).find(wish.targets, every=wish.every)
    meters = [Meter(one.target, desk.clock, desk.root) for one in found]
    with desk.signals() as signals:
        keeper = desk.keeper(spawn=True)
        if keeper is None:
            raise IotopError("iotop-ng could not start its keeper")
        with closing(keeper):
            _measure(wish, meters, signals)
            if signals.is_set:
                return INTERRUPTED
            offers = [*_offers(wish, found, meters, keeper)]
            if wish.is_dry:
                return rehearse(offers, keeper, desk, is_json=wish.is_json)
            with _undone_on_error(keeper) as ids:
                policies = [*_apply(offers, keeper, ids, signals)]
                return Foreground(desk, keeper, signals, policies, is_json=wish.is_json).run()


def _measure(wish: Wish, meters: Sequence[Meter], signals: Signals) -> None:
    """Learn what the targets write now."""
    is_share = wish.rate is not None and wish.rate.is_share
    until_ns = max(meter.start_ns for meter in meters) + (_SHARE_NS if is_share else _BEFORE_NS)
    signals.wait(until_ns, -1)
    for meter in meters:
        meter.read()


def _offers(
    wish: Wish, found: Sequence[Found], meters: Sequence[Meter], keeper: Keeper
) -> Iterator[Offer]:
    """Yield an order for each target, with what would work.

    One that a name stood for and that must not be touched is left out, and named; one that was
    named itself is an error.
    """
    refused: TargetError | None = None
    is_any = False
    for one, meter in zip(found, meters, strict=True):
        order = _order(wish, one, meter)
        try:
            rungs = keeper.ladder(order)
        except TargetError as error:
            if not one.is_swept:
                raise
            refused = error
            complain(f"{one.name} is left out: {error}")
            continue
        is_any = True
        yield Offer(order, one.name, meter, rungs)
    if refused is not None and not is_any:
        raise refused


def _order(wish: Wish, found: Found, meter: Meter) -> Order:
    present = meter.bytes_per_s
    try:
        rate = None if wish.rate is None else wish.rate.of(present)
    except UsageError as error:
        raise UsageError(f"{found.name}: {error}") from None
    return Order(
        kind=wish.kind,
        target=found.target,
        reason=Reason("", "asked for on the command line", found.name, present),
        rate_bytes_per_s=rate,
        lease_ns=wish.lease_ns,
        mechanism=wish.mechanism,
        with_children=wish.with_children,
        errno_name=wish.errno_name,
        budget_bytes=wish.budget_bytes,
        paths=wish.paths,
        dry_run=wish.is_dry,
        before_bytes_per_s=present,
    )


@contextmanager
def _undone_on_error(keeper: Keeper) -> Iterator[list[int]]:
    """Yield a list for ids: their policies are taken back before an error goes on.

    The keeper would do that by itself when the connection ends, but after we have ended too.
    """
    ids: list[int] = []
    try:
        yield ids
    except BaseException:
        if ids:
            with suppress(IotopError):
                keeper.release(tuple(ids), Reason("", "the command failed"))
        raise


def _apply(
    offers: Sequence[Offer], keeper: Keeper, ids: list[int], signals: Signals
) -> Iterator[tuple[InForce, Meter]]:
    for offer in offers:
        if signals.is_set:
            return
        policy = keeper.apply(offer.order)
        ids.append(policy.id)
        # What it wrote until now was before.
        offer.meter.read()
        _announce(policy, offer)
        yield policy, offer.meter


def _announce(policy: InForce, offer: Offer) -> None:
    ending = f"Ctrl-C or `iotop-ng release {shown(policy.order.target)}` ends it"
    lease = span(policy.order.lease_ns / NS_PER_S)
    how = policy.mechanism.value
    complain(f"{deed(policy.order, policy.name)} by {how}, for {lease}; {ending}")
    for rung in offer.rungs:
        if rung.mechanism is policy.mechanism:
            if rung.why:
                complain(f"{policy.name}: {rung.why}")
            if rung.others:
                complain(f"{policy.name}: also limited: {', '.join(rung.others)}")
