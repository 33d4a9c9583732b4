"""What happened, numbered: kept for clients that ask, and handed to the audit log."""

from __future__ import annotations

from collections import deque
from typing import Protocol

from iotop_ng.clock import Clock
from iotop_ng.enforcers.held import Held
from iotop_ng.enforcers.orders import Author, Event, Order
from iotop_ng.policy.actions import CgroupTarget
from iotop_ng.units import clean

KEPT = 256
MAX_TEXT = 400
"""Characters of one sentence: reasons come from rules and names that anybody may choose."""
NOBODY = Author(client="keeper", pid=0, uid=0, user="", terminal="")


class Audit(Protocol):
    """Where events go."""

    def write(self, event: Event) -> None:
        """Take one; never waits and never raises."""
        ...


class Chronicle:
    """The last events.

    Args:
        clock: of their times.
        audit: gets each of them.
        first_seq: number of the first one. A client may ask several keepers in turn for what came
            after the last one that it saw, so a later keeper begins higher.
    """

    def __init__(self, clock: Clock, audit: Audit, first_seq: int = 1) -> None:
        self._clock = clock
        self._audit = audit
        self._next = first_seq
        self._events: deque[Event] = deque(maxlen=KEPT)

    def after(self, seq: int) -> tuple[Event, ...]:
        """Return the events after one, oldest first."""
        return tuple(event for event in self._events if event.seq > seq)

    def policy(
        self, what: str, held: Held, text: str, *, author: Author | None = None, rule: str = "",
        old: int | None = None, new: int | None = None, after: int | None = None, undone: str = "",
    ) -> None:  # fmt: skip
        """Write what happened to a policy."""
        order = held.order
        self._write(
            Event(
                seq=self._next,
                wall_ns=self._clock.wall_ns(),
                mono_ns=self._clock.mono_ns(),
                what=what,
                id=held.id,
                kind=order.kind.value,
                mechanism=held.mechanism.value,
                name=held.name,
                target=order.target,
                rule=clean(rule or order.reason.rule, 100),
                author=author or held.author,
                old_bytes_per_s=old,
                new_bytes_per_s=new,
                before_bytes_per_s=order.before_bytes_per_s,
                after_bytes_per_s=after,
                text=clean(text, MAX_TEXT),
                counts=held.counts(),
                undone=clean(undone, MAX_TEXT),
            )
        )

    def order(
        self, what: str, order: Order, author: Author, text: str, *, name: str = "",
        undone: str = "",
    ) -> None:  # fmt: skip
        """Write what became of an order that is not in force."""
        self._write(
            Event(
                seq=self._next,
                wall_ns=self._clock.wall_ns(),
                mono_ns=self._clock.mono_ns(),
                what=what,
                id=0,
                kind=order.kind.value,
                mechanism="" if order.mechanism is None else order.mechanism.value,
                name=name or clean(order.reason.name, 100),
                target=order.target,
                rule=clean(order.reason.rule, 100),
                author=author,
                old_bytes_per_s=None,
                new_bytes_per_s=order.rate_bytes_per_s,
                before_bytes_per_s=order.before_bytes_per_s,
                after_bytes_per_s=None,
                text=clean(text, MAX_TEXT),
                undone=clean(undone, MAX_TEXT),
            )
        )

    def recovered(self, text: str) -> None:
        """Write what a dead keeper had left behind."""
        self._write(
            Event(
                seq=self._next,
                wall_ns=self._clock.wall_ns(),
                mono_ns=self._clock.mono_ns(),
                what="recovered",
                id=0,
                kind="",
                mechanism="",
                name="",
                target=CgroupTarget(""),
                rule="",
                author=NOBODY,
                old_bytes_per_s=None,
                new_bytes_per_s=None,
                before_bytes_per_s=None,
                after_bytes_per_s=None,
                text=clean(text, MAX_TEXT),
            )
        )

    def _write(self, event: Event) -> None:
        self._next += 1
        self._events.append(event)
        self._audit.write(event)
