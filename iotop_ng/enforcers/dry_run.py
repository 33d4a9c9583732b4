"""The mechanism that does nothing and says what would have been done."""

from __future__ import annotations

from iotop_ng.enforcers.enforcer import Note, Pinned
from iotop_ng.enforcers.orders import Counts, Kind, Mechanism, Order, Rung
from iotop_ng.units import human


class DryRunEnforcer:
    """Stands in for another mechanism, on the same path through the keeper.

    Args:
        stands_for: the one that would do it.
    """

    def __init__(self, stands_for: Mechanism = Mechanism.DRY_RUN) -> None:
        self.stands_for = stands_for

    @property
    def mechanism(self) -> Mechanism:
        """Its own name: nothing is done by the other one."""
        return Mechanism.DRY_RUN

    def rung(self, pinned: Pinned, order: Order) -> Rung:
        """Return that it always works."""
        does = f"nothing; it {describe(order, pinned.name)}"
        return Rung(self.mechanism, works=True, why="", does=does)

    def apply(self, pinned: Pinned, order: Order, note: Note) -> DryRunEffect:  # noqa: ARG002 - of the protocol
        """Do nothing."""
        return DryRunEffect(pinned)


class DryRunEffect:
    """Nothing in force."""

    def __init__(self, pinned: Pinned) -> None:
        self._pinned = pinned

    def adjust(self, order: Order) -> None:
        """Do nothing."""

    def tick(self, now_ns: int) -> str:  # noqa: ARG002 - of the protocol
        """Find nothing wrong while the target is there.

        Raises:
            TargetError: it has ended.
        """
        self._pinned.check()
        return ""

    def counts(self) -> Counts:
        """Return how many it would cover."""
        return Counts(processes=len(self._pinned.members()))

    def descriptors(self) -> tuple[int, ...]:
        """Return nothing to wait for."""
        return ()

    def undo(self) -> tuple[str, ...]:
        """Undo nothing."""
        return ()


def describe(order: Order, name: str) -> str:
    """Return "would hold dd[42] to 5.0M/s"."""
    rate = f"{human(order.rate_bytes_per_s)}/s"
    match order.kind:
        case Kind.THROTTLE:
            return f"would hold {name} to {rate}"
        case Kind.DROP if order.rate_bytes_per_s is None:
            return f"would refuse every write of {name} ({order.errno_name})"
        case Kind.DROP:
            return f"would refuse what {name} writes beyond {rate} ({order.errno_name})"
        case Kind.IONICE:
            return f"would set the I/O priority of {name} to {priority(order)}"


def priority(order: Order) -> str:
    """Return "idle" or "best-effort 7"."""
    return "idle" if order.io_class == "idle" else f"{order.io_class} {order.io_level}"
