"""One policy in force, as the keeper keeps it."""

from __future__ import annotations

import contextlib

from iotop_ng.clock import NS_PER_S
from iotop_ng.enforcers import processes
from iotop_ng.enforcers.enforcer import Effect, Pinned
from iotop_ng.enforcers.orders import Author, Counts, InForce, Kind, Mechanism, Order
from iotop_ng.policy.actions import CgroupTarget, Target

LEAST_NS = NS_PER_S // 10
"""Over less time a rate says nothing."""


class Held:
    """One policy in force: its target, its effect, its lease, its client."""

    def __init__(  # noqa: PLR0917 - made in one place
        self, number: int, client: int, author: Author, order: Order, pinned: Pinned,
        mechanism: Mechanism, effect: Effect, now_ns: int,
    ) -> None:  # fmt: skip
        self.id = number
        self.client = client
        self.author = author
        self.order = order
        self.pinned = pinned
        self.mechanism = mechanism
        self.effect = effect
        self.since_ns = now_ns
        self.until_ns = now_ns + order.lease_ns
        self.problem = ""
        self.renewed_ns = now_ns
        """When a renewal was last written down."""
        self._counts = Counts()
        self._base_ns = now_ns
        self._base_bytes = 0

    @property
    def name(self) -> str:
        """Of the target."""
        return self.pinned.name

    @property
    def is_dry(self) -> bool:
        """Nothing is really done."""
        return self.mechanism is Mechanism.DRY_RUN

    def counts(self) -> Counts:
        """Return totals since it was applied; the last ones when they cannot be read any more."""
        # Numbers never end a policy.
        with contextlib.suppress(Exception):
            self._counts = self.effect.counts()
        return self._counts

    def in_force(self) -> InForce:
        """Return what clients see."""
        return InForce(
            id=self.id,
            order=self.order,
            mechanism=self.mechanism,
            name=self.name,
            author=self.author,
            since_ns=self.since_ns,
            until_ns=self.until_ns,
            counts=self.counts(),
            problem=self.problem,
        )

    def measured(self, now_ns: int) -> int | None:
        """Return bytes per second since the last new rate; None where none are counted."""
        charged = self._counts.charged_bytes
        took = now_ns - self._base_ns
        if charged is None or took < LEAST_NS:
            return None
        return max(charged - self._base_bytes, 0) * NS_PER_S // took

    def begin_anew(self, now_ns: int) -> None:
        """Measure from now on: another rate is in force."""
        self._base_ns = now_ns
        self._base_bytes = self.counts().charged_bytes or 0


def place(order: Order, client: int) -> tuple[object, ...]:
    """Return what only one policy may have at a time.

    Throttle and drop act on the same writes and exclude each other. What only would be done takes
    nobody's place but that of the same client.
    """
    family = "priority" if order.kind is Kind.IONICE else "writes"
    owner = client if is_dry(order) else None
    return (*identity(order.target), family, owner)


def identity(target: Target) -> tuple[object, ...]:
    """Return the same for two targets that are the same, whichever source found them."""
    if isinstance(target, CgroupTarget):
        return ("cgroup", "/" + "/".join(part for part in target.path.split("/") if part))
    return ("process", target.pid, processes.ticks(target.start_ns))


def is_dry(order: Order) -> bool:
    """Say whether nothing is to be done."""
    return order.dry_run or order.mechanism is Mechanism.DRY_RUN
