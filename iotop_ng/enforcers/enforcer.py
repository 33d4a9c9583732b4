"""The seam between the keeper and the mechanisms.

The keeper owns targets, leases, journal and audit; an enforcer knows one mechanism. It looks before
it acts, notes every change before it makes it, and leaves undoing to the journal where it can.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

from iotop_ng.enforcers.changes import Change
from iotop_ng.enforcers.orders import Counts, Mechanism, Order, Rung
from iotop_ng.errors import EnforcerError
from iotop_ng.policy.actions import Target


class BudgetSpent(EnforcerError):  # noqa: N818 - it is news, not a failure
    """Raised by a drop's `tick`: what may be refused was refused; throttle from now on."""


class Member(NamedTuple):
    """One process that a target covers."""

    pid: int
    start_ns: int
    name: str
    """"dd[4242]", cleaned."""


class Pinned(Protocol):
    """A target that was found, checked, and is held on to by pidfd (or the cgroup's inode)."""

    @property
    def target(self) -> Target:
        """What was asked for."""
        ...

    @property
    def name(self) -> str:
        """For people: "dd[4242]", or the cgroup's path."""
        ...

    def check(self) -> None:
        """Look again.

        Raises:
            TargetError: it is gone, or is another one by now.
        """
        ...

    def members(self) -> tuple[Member, ...]:
        """Return its processes now, one for a process, all inside for a cgroup; never ourselves."""
        ...


Note = Callable[[Change], None]
"""Writes a change to the journal and syncs it; call it before the change is made."""


class Effect(Protocol):
    """One policy in force, by one mechanism."""

    def adjust(self, order: Order) -> None:
        """Go over to another rate.

        Raises:
            EnforcerError: it could not be done; the keeper then releases the policy.
        """
        ...

    def tick(self, now_ns: int) -> str:
        """Do what has to be done 10 times a second; return what is wrong, "" when nothing is.

        Find new members, make sure that the limit is still there.

        Raises:
            EnforcerError: it cannot be kept up; the keeper then releases the policy.
            TargetError: the target has ended, and all that it covers with it.
        """
        ...

    def counts(self) -> Counts:
        """Return totals since it was applied."""
        ...

    def descriptors(self) -> tuple[int, ...]:
        """Return what the keeper's loop shall wait on; when one can be read it calls `tick`."""
        ...

    def undo(self) -> tuple[str, ...]:
        """End what runs (helpers, programs); return what could not be ended.

        The keeper undoes the changes that were noted afterwards. Calling it twice is fine; it never
        raises.
        """
        ...


class Enforcer(Protocol):
    """One mechanism."""

    @property
    def mechanism(self) -> Mechanism:
        """Its name."""
        ...

    def rung(self, pinned: Pinned, order: Order) -> Rung:
        """Say whether it can work here, on this target, for its devices. Changes nothing."""
        ...

    def apply(self, pinned: Pinned, order: Order, note: Note) -> Effect:
        """Do it.

        Raises:
            EnforcerError: with one line; what was noted so far is undone by the keeper.
            TargetError: the target is gone.
            NotPermittedError: a capability is missing.
        """
        ...
