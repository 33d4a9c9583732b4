"""Everything in force: applied in steps that undo each other, kept up, and taken back.

Each policy is applied in the same steps: find the target, look whether it may be touched, take the
best mechanism that works, note in the journal, act, tell. A step that fails undoes what the ones
before it did, so an order either is in force or has left nothing.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from iotop_ng.clock import Clock
from iotop_ng.enforcers import rungs
from iotop_ng.enforcers.changes import Change
from iotop_ng.enforcers.chronicle import Chronicle
from iotop_ng.enforcers.dry_run import DryRunEnforcer
from iotop_ng.enforcers.enforcer import BudgetSpent, Enforcer, Pinned
from iotop_ng.enforcers.held import Held, is_dry, place
from iotop_ng.enforcers.orders import Author, Kind, Mechanism, Order, Rung
from iotop_ng.enforcers.pinner import Own, Pinner
from iotop_ng.enforcers.sentences import because, by, doing, ending, said
from iotop_ng.enforcers.undoing import Undoing
from iotop_ng.errors import EnforcerError, IotopError, TargetError, UsageError
from iotop_ng.policy.actions import Reason
from iotop_ng.units import clean, human

MAX_POLICIES = 64


class Policies:
    """All policies of this machine.

    Args:
        enforcers: the mechanisms that this installation has.
        undoing: the journal.
        pinner: finds and judges targets.
        clock: of leases.
        chronicle: is told what happens.
    """

    def __init__(
        self, enforcers: Mapping[Mechanism, Enforcer], undoing: Undoing, pinner: Pinner,
        clock: Clock, chronicle: Chronicle,
    ) -> None:  # fmt: skip
        self._enforcers = enforcers
        self._undoing = undoing
        self._pinner = pinner
        self._clock = clock
        self._chronicle = chronicle
        self._held: dict[int, Held] = {}
        self._next = undoing.last_policy + 1
        self.clients: dict[int, Author] = {}
        """Who is connected; they and their ancestors are never touched."""

    def all(self) -> tuple[Held, ...]:
        """Return every policy, oldest first."""
        return tuple(self._held.values())

    def get(self, number: int) -> Held | None:
        """Return a policy that is in force."""
        return self._held.get(number)

    def ladder(self, client: int, order: Order) -> tuple[Rung, ...]:
        """Return what would work. Changes nothing.

        Raises:
            UsageError: the order makes no sense.
            TargetError: the target is gone, or nobody may touch it.
        """
        rungs.check(order)
        pinned = self._pin(client, order)
        try:
            return rungs.ladder(self._enforcers, pinned, order)
        finally:
            self._pinner.unpin(pinned)

    def apply(self, client: int, order: Order) -> Held:
        """Put an order in force.

        Raises:
            UsageError: the order makes no sense.
            TargetError: the target is gone, or nobody may touch it.
            NoRungError: no mechanism can do it here.
            IotopError: as the mechanism says; nothing is left of what it did.
        """
        rungs.check(order)
        self._check_room(client, order)
        pinned = self._pin(client, order)
        number = self._next
        self._next += 1
        author = self.clients[client]
        try:
            held = self._enforce(number, client, author, order, pinned)
        except Exception as error:
            left = self._undoing.undo_policy(number)
            self._pinner.unpin(pinned)
            self._chronicle.order(
                "failed", order, author, said(error), name=pinned.name, undone="; ".join(left)
            )
            raise
        self._held[number] = held
        what = "would" if held.is_dry else "applied"
        text = doing(held) + because(order.reason)
        self._chronicle.policy(what, held, text, new=order.rate_bytes_per_s)
        return held

    def adjust(self, client: int, held: Held, rate: int, reason: Reason) -> None:
        """Go over to another rate.

        Raises:
            UsageError: there is no such rate.
            IotopError: it could not be done; the policy was released.
        """
        rungs.check_rate(rate)
        if held.order.kind is Kind.IONICE:
            raise UsageError("an I/O priority has no rate")
        order = msgspec.structs.replace(held.order, rate_bytes_per_s=rate)
        measured = held.measured(self._clock.mono_ns())
        old = held.order.rate_bytes_per_s
        try:
            held.effect.adjust(order)
        except Exception as error:
            self.let_go(held, ending(error), f"adjusting to {human(rate)}/s: {said(error)}")
            if isinstance(error, IotopError):
                raise
            raise EnforcerError(f"{held.name}: {said(error)}; it was released") from error
        held.order = order
        held.begin_anew(self._clock.mono_ns())
        self._chronicle.policy(
            "adjusted", held, doing(held) + because(reason), author=self.clients[client],
            rule=reason.rule, old=old, new=rate, after=measured,
        )  # fmt: skip

    def let_go(
        self, held: Held, what: str, text: str, *, author: Author | None = None,
        reason: Reason | None = None,
    ) -> tuple[str, ...]:  # fmt: skip
        """End one policy and undo it; return what could not be undone. Never raises."""
        held.counts()
        after = held.measured(self._clock.mono_ns())
        if reason is not None and reason.written_bytes_per_s is not None:
            after = reason.written_bytes_per_s
        self._held.pop(held.id, None)
        problems = self._end(held)
        self._pinner.unpin(held.pinned)
        undone = "; ".join(problems) or ("nothing was done" if held.is_dry else "completely")
        self._chronicle.policy(
            what, held, text, author=author, rule=reason.rule if reason else "",
            old=held.order.rate_bytes_per_s, after=after, undone=undone,
        )  # fmt: skip
        return tuple(f"{held.name}: {problem}" for problem in problems)

    def spare_ancestors(self) -> None:
        """Release what covers a new client: a shell may be held when iotop-ng is begun in it."""
        for held in self.all():
            if not held.is_dry and (why := self._why_not_any_more(held)):
                self.let_go(held, "released", f"it must not be touched any more: {why}")

    def tick(self) -> None:
        """Look after every policy; end what has expired, ended or failed. Never raises."""
        for held in self.all():
            self._tick(held)

    def _tick(self, held: Held) -> None:
        now_ns = self._clock.mono_ns()
        if now_ns >= held.until_ns:
            self.let_go(held, "expired", "the lease has ended")
            return
        try:
            # Which of its processes have to live is the mechanism's to say: children go on.
            held.problem = clean(held.effect.tick(now_ns))
        except BudgetSpent as error:
            self._throttle_instead(held, said(error))
        except Exception as error:  # noqa: BLE001 - fail open: whatever it is, let go
            self.let_go(held, ending(error), said(error))

    def _throttle_instead(self, held: Held, spent: str) -> None:
        """Let go of a drop whose budget is spent, and throttle under the same number."""
        rate = held.order.rate_bytes_per_s
        if rate is None:
            self.let_go(held, "released", f"{spent}; there is no rate to throttle to")
            return
        order = msgspec.structs.replace(
            held.order, kind=Kind.THROTTLE, mechanism=None, budget_bytes=None,
            dry_run=held.is_dry,
        )  # fmt: skip
        left = self._end(held)
        try:
            after = self._enforce(held.id, held.client, held.author, order, held.pinned)
        except Exception as error:  # noqa: BLE001 - fail open
            self.let_go(held, "failed", f"{spent}; throttling instead: {said(error)}")
            return
        after.since_ns, after.until_ns = held.since_ns, held.until_ns
        self._held[held.id] = after
        self._chronicle.policy(
            "adjusted", after, f"{spent}; {doing(after)} from now on", old=rate, new=rate,
            undone="; ".join(left),
        )  # fmt: skip

    def _pin(self, client: int, order: Order) -> Pinned:
        pinned = self._pinner.pin(order.target)
        try:
            why = self._why_untouchable(pinned)
        except Exception:
            self._pinner.unpin(pinned)
            raise
        if why:
            self._pinner.unpin(pinned)
            author = self.clients[client]
            self._chronicle.order("refused", order, author, why, name=pinned.name)
            raise TargetError(f"{pinned.name} is protected: {why}")
        return pinned

    def _why_not_any_more(self, held: Held) -> str:
        try:
            return self._why_untouchable(held.pinned)
        except Exception as error:  # noqa: BLE001 - fail open, and serve the client all the same
            return said(error)

    def _why_untouchable(self, pinned: Pinned) -> str:
        clients = tuple(author.pid for author in self.clients.values())
        return self._pinner.why_untouchable(pinned, Own(self._undoing.helpers(), clients))

    def _check_room(self, client: int, order: Order) -> None:
        if len(self._held) >= MAX_POLICIES:
            raise EnforcerError(f"{MAX_POLICIES} policies are in force: release some first")
        wanted = place(order, client)
        for held in self._held.values():
            if place(held.order, held.client) == wanted:
                raise EnforcerError(
                    f"already: {doing(held)} (policy {held.id} of {by(held.author)}):"
                    " use change, or release it first"
                )

    def _enforce(
        self, number: int, client: int, author: Author, order: Order, pinned: Pinned
    ) -> Held:
        mechanism = rungs.choose(self._enforcers, pinned, order)
        enforcer = DryRunEnforcer(mechanism) if is_dry(order) else self._enforcers[mechanism]

        def note(change: Change) -> None:
            self._undoing.note(number, change, self._held)

        pinned.check()
        effect = enforcer.apply(pinned, order, note)
        now_ns = self._clock.mono_ns()
        return Held(number, client, author, order, pinned, enforcer.mechanism, effect, now_ns)

    def _end(self, held: Held) -> tuple[str, ...]:
        """Undo what a policy did; return what could not be. Never raises."""
        try:
            problems = held.effect.undo()
        except Exception as error:  # noqa: BLE001 - its changes are undone all the same
            problems = (said(error),)
        return (*problems, *self._undoing.undo_policy(held.id))
