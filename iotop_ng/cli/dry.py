"""--dry-run: the same questions to the same keeper, and nothing done."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from iotop_ng.cli.desk import Desk
from iotop_ng.cli.foreground import Offer
from iotop_ng.cli.policy_lines import SCHEMA, deed
from iotop_ng.cli.targets import shown
from iotop_ng.clock import NS_PER_S
from iotop_ng.control.link import Keeper
from iotop_ng.enforcers.orders import Order, Rung
from iotop_ng.errors import IotopError
from iotop_ng.policy.actions import Reason
from iotop_ng.units import human, span

_NOTHING = "nothing"


class Would(msgspec.Struct, frozen=True):
    """What would be done to one target."""

    target: str
    name: str
    kind: str
    mechanism: str | None
    """None: it would not be done, and `problem` says why."""
    rate_bytes_per_s: int | None
    present_bytes_per_s: int | None
    """What it writes now."""
    lease_s: float
    problem: str
    ladder: tuple[Rung, ...]


class Rehearsal(msgspec.Struct, frozen=True):
    """What --dry-run --json prints."""

    schema: int
    dry_run: bool
    would: tuple[Would, ...]


def rehearse(offers: Sequence[Offer], keeper: Keeper, desk: Desk, *, is_json: bool) -> int:
    """Print what would be done and by which mechanism; return 0.

    Raises:
        IotopError: the one that the real command would end with; what is known was printed before.
    """
    told: list[Would] = []
    failed: IotopError | None = None
    for offer in offers:
        problem = ""
        try:
            policy = keeper.apply(offer.order)
            keeper.release((policy.id,), Reason("", "it was a dry run"))
        except IotopError as error:
            failed, problem = failed or error, str(error)
        told.append(_would(offer, problem))
    if is_json:
        text = msgspec.json.encode(Rehearsal(SCHEMA, True, tuple(told))).decode()
    else:
        pairs = zip(told, offers, strict=True)
        text = "\n".join(line for one, offer in pairs for line in _lines(one, offer.order))
    desk.write(f"{text}\n".encode("utf-8", "replace"))
    if failed is not None:
        raise failed
    return 0


def _would(offer: Offer, problem: str) -> Would:
    order = offer.order
    works = [rung.mechanism for rung in offer.rungs if rung.works]
    best = order.mechanism or next(iter(works), None)
    return Would(
        target=shown(order.target),
        name=offer.name,
        kind=order.kind.value,
        mechanism=None if problem or best is None else best.value,
        rate_bytes_per_s=order.rate_bytes_per_s,
        present_bytes_per_s=order.before_bytes_per_s,
        lease_s=order.lease_ns / NS_PER_S,
        problem=problem,
        ladder=offer.rungs,
    )


def _lines(one: Would, order: Order) -> list[str]:
    what = deed(order, one.name)
    present = one.present_bytes_per_s
    now = "" if present is None else f"; it writes {human(present)}/s now"
    head = (
        f"nothing would be done: {one.problem}"
        if one.mechanism is None
        else f"would {what} by {one.mechanism}, for {span(one.lease_s)}{now}"
    )
    return [head, *(line for rung in one.ladder for line in _rung(rung))]


def _rung(rung: Rung) -> list[str]:
    """Return a mechanism, what it does, who else is hit and what would survive us."""
    head = f"  {rung.mechanism.value:<7}"
    if not rung.works:
        return [f"{head}does not work: {rung.why}"]
    lines = [f"{head}works: {rung.does}"]
    if rung.why:
        lines.append(f"{'':9}{rung.why}")
    if rung.others:
        lines.append(f"{'':9}also limited: {', '.join(rung.others)}")
    if rung.survives not in {"", _NOTHING}:
        lines.append(f"{'':9}survives our death: {rung.survives}")
    return lines
