"""The control's end of the line to the keeper: opened when first needed, errors as values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

from iotop_ng.enforcers.orders import Failed, InForce, Listing, Order, Released, Rung, Welcome
from iotop_ng.errors import EnforcerError, IotopError
from iotop_ng.policy.actions import Reason
from iotop_ng.units import clean

T = TypeVar("T")
_NO_EVENTS = 1 << 62
"""A number that no event has."""


class Keeper(Protocol):
    """One connection: `iotop_ng.enforcers.client.KeeperClient`.

    Every call raises an IotopError of the kind that the keeper's answer has. When the keeper has
    died nothing is in force any more: the client has seen to that before it raises.
    """

    @property
    def welcome(self) -> Welcome:
        """What the keeper said first."""
        ...

    def fileno(self) -> int:
        """Return the connection's descriptor, less than 0 when the keeper is not there any more."""
        ...

    def ladder(self, order: Order) -> tuple[Rung, ...]:
        """Look at all mechanisms; nothing is done."""
        ...

    def apply(self, order: Order) -> InForce:
        """Do it."""
        ...

    def change(
        self, number: int, reason: Reason, lease_ns: int, rate: int | None = None
    ) -> InForce:
        """Set another rate, or only start the lease anew."""
        ...

    def release(self, ids: tuple[int, ...] | None, reason: Reason) -> Released:
        """Take back these, or everything."""
        ...

    def look(self, after_seq: int = 0) -> Listing:
        """Return what is in force, and what happened since."""
        ...

    def close(self) -> None:
        """End the connection; what was applied through it is taken back."""
        ...


class Link:
    """Keeps the connection.

    Args:
        open_keeper: connects, and starts a keeper where none is; raises IotopError.
        find_keeper: connects to one that is there already; None when there is none.

    Attributes:
        losses: how often a connection ended under us: what was in force is gone then.
    """

    def __init__(
        self, open_keeper: Callable[[], Keeper], find_keeper: Callable[[], Keeper | None]
    ) -> None:
        self._open_keeper = open_keeper
        self._find_keeper = find_keeper
        self._keeper: Keeper | None = None
        self._mine: set[int] = set()
        self.losses = 0

    @property
    def is_open(self) -> bool:
        """There is a connection."""
        return self._keeper is not None

    @property
    def keeper_pid(self) -> int | None:
        """The keeper's process, None without a connection."""
        return None if self._keeper is None else self._keeper.welcome.pid

    def warm(self) -> Failed | None:
        """Connect now, so that the next order need not wait for a process to start."""
        had_one = self._keeper is not None
        found = self._call(lambda keeper: keeper.look(_NO_EVENTS))
        if isinstance(found, Failed) and had_one and self._keeper is None:
            found = self._call(lambda keeper: keeper.look(_NO_EVENTS))  # that one had died
        return found if isinstance(found, Failed) else None

    def ladder(self, order: Order) -> tuple[Rung, ...] | Failed:
        """Look at all mechanisms; nothing is done."""
        return self._call(lambda keeper: keeper.ladder(order))

    def apply(self, order: Order) -> InForce | Failed:
        """Do it."""
        found = self._call(lambda keeper: keeper.apply(order))
        if isinstance(found, InForce):
            self._mine.add(found.id)
        return found

    def change(
        self, number: int, reason: Reason, lease_ns: int, rate: int | None = None
    ) -> InForce | Failed:
        """Set another rate, or only start the lease anew."""
        return self._call(lambda keeper: keeper.change(number, reason, lease_ns, rate))

    def release(self, ids: tuple[int, ...] | None, reason: Reason) -> Released | Failed:
        """Take back these, or everything; without a keeper there is nothing."""
        if self._keeper is None and self._found() is None:
            return Released(())
        found = self._call(lambda keeper: keeper.release(ids, reason))
        if ids is None and isinstance(found, Failed) and self._keeper is None and self._found():
            # The one that we knew has died, and there is another: "everything" means that one's.
            found = self._call(lambda keeper: keeper.release(None, reason))
        if isinstance(found, Released) and not found.problems:
            self._mine.difference_update(self._mine if ids is None else ids)
        return found

    def look(self, after_seq: int) -> Listing | Failed | None:
        """Return what is in force; None when there is no keeper, and so nothing."""
        if self._keeper is None and self._found() is None:
            return None
        return self._call(lambda keeper: keeper.look(after_seq))

    def close(self, reason: Reason) -> None:
        """Take back what was applied here, and end the connection; twice is fine."""
        if self._keeper is None:
            return
        if self._mine:
            self._call(lambda keeper: keeper.release(tuple(self._mine), reason))
        if self._keeper is not None:
            self._keeper.close()
        self._keeper = None
        self._mine.clear()

    def _found(self) -> Keeper | None:
        try:
            self._keeper = self._find_keeper()
        except IotopError:
            # One that has just ended, or not ours: there is nothing to see.
            return None
        return self._keeper

    def _call(self, ask: Callable[[Keeper], T]) -> T | Failed:
        try:
            if self._keeper is None:
                self._keeper = self._open_keeper()
            return ask(self._keeper)
        except IotopError as error:
            if self._keeper is not None and self._keeper.fileno() < 0:
                self._leave()
            return Failed(str(error), error.exit_code, getattr(error, "rungs", ()))
        except Exception as error:  # noqa: BLE001 - what it did is not known, so all is taken back
            self._leave()
            text = clean(f"unexpected {type(error).__name__}: {error}", 200)
            return Failed(f"{text}; everything was released", EnforcerError.exit_code)

    def _leave(self) -> None:
        """Give up the connection, dead or not: a keeper that lives takes back what came from it."""
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            self._mine.clear()
            self.losses += 1
            keeper.close()
