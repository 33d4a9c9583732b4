"""What the keeper does with orders: everything in force, without sockets and without processes.

Each policy is applied in the same steps: find the target, look whether it may be touched, take the
best mechanism that works, note in the journal, act, tell. A step that fails undoes what the ones
before it did, so an order either is in force or has left nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import assert_never

import msgspec

from iotop_ng.clock import NS_PER_S, Clock
from iotop_ng.enforcers import rungs
from iotop_ng.enforcers.changes import Change, Helper
from iotop_ng.enforcers.chronicle import Audit, Chronicle
from iotop_ng.enforcers.dry_run import DryRunEnforcer, describe, priority
from iotop_ng.enforcers.enforcer import BudgetSpent, Enforcer, Pinned
from iotop_ng.enforcers.held import Held, is_dry, place
from iotop_ng.enforcers.journal import Journal
from iotop_ng.enforcers.orders import (
    PROTOCOL,
    Answer,
    Applied,
    Apply,
    AskLadder,
    Author,
    Failed,
    Hello,
    InForce,
    Kind,
    Ladder,
    Listing,
    Look,
    Mechanism,
    Order,
    Release,
    Released,
    Request,
    Welcome,
)
from iotop_ng.enforcers.orders import Change as ChangeRequest
from iotop_ng.enforcers.outcome import Outcome
from iotop_ng.enforcers.pinner import Own, Pinner
from iotop_ng.enforcers.restore import restore
from iotop_ng.errors import EnforcerError, IotopError, TargetError, UsageError
from iotop_ng.policy.actions import Reason
from iotop_ng.units import clean, human

MAX_POLICIES = 64
RENEWALS_NS = 10 * NS_PER_S
"""A renewal is written down when the last one was so long ago: a rule renews all the time."""


class Core:
    """All policies of this machine.

    Args:
        enforcers: the mechanisms that this installation has.
        journal: open, and already played back.
        pinner: finds and judges targets.
        clock: of leases and events.
        audit: gets every event.
        undo: puts one change back; of the kernel, or of a fake world.
        first_seq: number of the first event.
        pid: of the keeper, for clients.
    """

    def __init__(
        self, enforcers: Mapping[Mechanism, Enforcer], journal: Journal, pinner: Pinner,
        clock: Clock, audit: Audit, *, undo: Callable[[Change], Outcome] = restore,
        first_seq: int = 1, pid: int = 0,
    ) -> None:  # fmt: skip
        self._enforcers = enforcers
        self._journal = journal
        self._pinner = pinner
        self._clock = clock
        self._undo = undo
        self._pid = pid
        self._chronicle = Chronicle(clock, audit, first_seq)
        self._clients: dict[int, Author] = {}
        self._held: dict[int, Held] = {}
        self._next = max((one.policy for one in journal.entries()), default=0) + 1
        self._recovered: tuple[str, ...] = ()

    # -- what the keeper's loop asks ------------------------------------------------------------

    @property
    def is_idle(self) -> bool:
        """Nothing is in force."""
        return not self._held

    def descriptors(self) -> frozenset[int]:
        """Return what shall lead to a tick when it can be read."""
        found: set[int] = set()
        for held in self._held.values():
            try:
                found.update(fd for fd in held.effect.descriptors() if fd >= 0)
            except Exception:  # noqa: BLE001, S112 - it is looked at again 10 times a second
                continue
        return frozenset(found)

    def in_force(self) -> tuple[InForce, ...]:
        """Return every policy, oldest first."""
        return tuple(held.in_force() for held in self._held.values())

    def tell_recovered(self, sentences: tuple[str, ...]) -> None:
        """Take down what a dead keeper left; the first client is told."""
        self._recovered = sentences
        for sentence in sentences:
            self._chronicle.recovered(sentence)

    # -- requests -------------------------------------------------------------------------------

    def handle(self, client: int, request: Request) -> Answer:
        """Do what a client asks. Never raises."""
        try:
            return self._answer(client, request)
        except rungs.NoRungError as error:
            return Failed(clean(str(error)), error.exit_code, error.rungs)
        except IotopError as error:
            return Failed(clean(str(error)), error.exit_code)
        except Exception as error:  # noqa: BLE001 - one bad order must not end all policies
            return Failed(clean(f"unexpected {type(error).__name__}: {error}"), 1)

    def _answer(self, client: int, request: Request) -> Answer:
        if isinstance(request, Hello):
            return self._welcome(client, request)
        if client not in self._clients:
            raise UsageError("the first message has to be hello")
        match request:
            case AskLadder():
                return self._ladder(client, request.order)
            case Apply():
                return Applied(self._apply(client, request.order).in_force())
            case ChangeRequest():
                return Applied(self._change(client, request).in_force())
            case Release():
                return self._release_these(client, request)
            case Look():
                events = self._chronicle.after(request.after_seq)
                return Listing(self._clock.mono_ns(), self.in_force(), events)
            case _:
                assert_never(request)

    def _welcome(self, client: int, hello: Hello) -> Welcome:
        if hello.protocol != PROTOCOL:
            raise EnforcerError(
                f"the keeper in charge speaks protocol {PROTOCOL}, not {hello.protocol}: it is of"
                " another version of iotop-ng; release everything there first"
            )
        self._clients[client] = _cleaned(hello.author)
        self._spare_ancestors()
        recovered, self._recovered = self._recovered, ()
        return Welcome(PROTOCOL, self._pid, recovered)

    def _spare_ancestors(self) -> None:
        """Release what covers a new client: a shell may be held when iotop-ng is started in it."""
        for held in tuple(self._held.values()):
            if not held.is_dry and (why := self._why_untouchable(held.pinned)):
                self._let_go(held, "released", f"must not be touched any more: {why}")

    def _ladder(self, client: int, order: Order) -> Ladder:
        rungs.check(order)
        pinned = self._pin(client, order)
        try:
            return Ladder(rungs.ladder(self._enforcers, pinned, order))
        finally:
            self._pinner.unpin(pinned)

    # -- apply ----------------------------------------------------------------------------------

    def _apply(self, client: int, order: Order) -> Held:
        rungs.check(order)
        author = self._clients[client]
        if len(self._held) >= MAX_POLICIES:
            raise EnforcerError(f"{MAX_POLICIES} policies are in force: release some first")
        self._refuse_second(client, order)
        pinned = self._pin(client, order)
        number = self._next
        self._next += 1
        try:
            held = self._enforce(number, client, author, order, pinned)
        except Exception as error:
            undone = self._undo_changes(number)
            self._pinner.unpin(pinned)
            text = f"{_said(error)}; nothing is left of it" if not undone else _said(error)
            self._chronicle.order(
                "failed", order, author, text, name=pinned.name, undone="; ".join(undone)
            )
            raise
        self._held[number] = held
        text = _sentence(held, order.reason)
        what = "would" if held.is_dry else "applied"
        self._chronicle.policy(what, held, text, new=order.rate_bytes_per_s)
        return held

    def _pin(self, client: int, order: Order) -> Pinned:
        """Find the target and judge it.

        Raises:
            TargetError: gone, or nobody may touch it.
        """
        pinned = self._pinner.pin(order.target)
        why = self._why_untouchable(pinned)
        if why:
            self._pinner.unpin(pinned)
            author = self._clients[client]
            self._chronicle.order("refused", order, author, why, name=pinned.name)
            raise TargetError(f"{pinned.name} is protected: {why}")
        return pinned

    def _why_untouchable(self, pinned: Pinned) -> str:
        changes = (one.change for one in self._journal.entries())
        helpers = tuple(change.pid for change in changes if isinstance(change, Helper))
        clients = tuple(author.pid for author in self._clients.values())
        return self._pinner.why_untouchable(pinned, Own(helpers, clients))

    def _refuse_second(self, client: int, order: Order) -> None:
        wanted = place(order, client)
        for held in self._held.values():
            if place(held.order, held.client) == wanted:
                raise EnforcerError(
                    f"{held.name}: already {held.order.kind.value} (policy {held.id} of"
                    f" {by(held.author)}): use change, or release it first"
                )

    def _enforce(
        self, number: int, client: int, author: Author, order: Order, pinned: Pinned
    ) -> Held:
        mechanism = rungs.choose(self._enforcers, pinned, order)
        enforcer = DryRunEnforcer(mechanism) if is_dry(order) else self._enforcers[mechanism]

        def note(change: Change) -> None:
            self._note(number, change)

        pinned.check()
        effect = enforcer.apply(pinned, order, note)
        now_ns = self._clock.mono_ns()
        return Held(number, client, author, order, pinned, enforcer.mechanism, effect, now_ns)

    def _note(self, number: int, change: Change) -> None:
        """Write to the journal, unless the place is another policy's.

        Raises:
            EnforcerError: it is, or the journal cannot be written.
        """
        holder = self._journal.holder(change)
        if holder is not None and holder.policy != number and holder.policy in self._held:
            other = self._held[holder.policy]
            raise EnforcerError(
                f"policy {other.id} of {by(other.author)} on {other.name} has set the same value:"
                " release it first"
            )
        self._journal.note(number, change)

    # -- change ---------------------------------------------------------------------------------

    def _change(self, client: int, request: ChangeRequest) -> Held:
        held = self._held.get(request.id)
        if held is None:
            raise TargetError(f"policy {request.id} is not in force any more")
        rungs.check_lease(request.lease_ns)
        rate = request.rate_bytes_per_s
        now_ns = self._clock.mono_ns()
        if rate is not None and rate != held.order.rate_bytes_per_s:
            self._adjust(client, held, rate, request.reason)
        elif now_ns - held.renewed_ns >= RENEWALS_NS:
            held.renewed_ns = now_ns
            author = self._clients[client]
            text = request.reason.text or "the lease starts anew"
            self._chronicle.policy("renewed", held, text, author=author, rule=request.reason.rule)
        held.order = msgspec.structs.replace(held.order, lease_ns=request.lease_ns)
        held.until_ns = now_ns + request.lease_ns
        return held

    def _adjust(self, client: int, held: Held, rate: int, reason: Reason) -> None:
        rungs.check_rate(rate)
        if held.order.kind is Kind.IONICE:
            raise UsageError("an I/O priority has no rate")
        order = msgspec.structs.replace(held.order, rate_bytes_per_s=rate)
        measured = held.measured(self._clock.mono_ns())
        old = held.order.rate_bytes_per_s
        try:
            held.pinned.check()
            held.effect.adjust(order)
        except Exception as error:
            self._let_go(held, _ending(error), f"adjusting to {human(rate)}/s: {_said(error)}")
            if isinstance(error, IotopError):
                raise
            raise EnforcerError(f"{held.name}: {_said(error)}; it was released") from error
        held.order = order
        held.begin_anew(self._clock.mono_ns())
        text = f"{_doing(held)}{_because(reason)}"
        self._chronicle.policy(
            "adjusted", held, text, author=self._clients[client], rule=reason.rule, old=old,
            new=rate, after=measured,
        )  # fmt: skip

    # -- release --------------------------------------------------------------------------------

    def _release_these(self, client: int, request: Release) -> Released:
        author = self._clients[client]
        wanted = tuple(self._held) if request.ids is None else tuple(dict.fromkeys(request.ids))
        names, problems = [], []
        for number in reversed(wanted):
            held = self._held.get(number)
            if held is None:
                problems.append(f"policy {number} is not in force any more")
                continue
            text = request.reason.text or f"released by {by(author)}"
            names.append(held.name)
            problems += self._let_go(held, "released", text, author=author, reason=request.reason)
        return Released(tuple(names), tuple(problems))

    def gone(self, client: int) -> None:
        """Take back everything that a client applied. Never raises."""
        author = self._clients.pop(client, None)
        for held in reversed(tuple(self._held.values())):
            if held.client == client:
                self._let_go(held, "released", f"its client has ended: {by(author)}")

    def release_all(self, why: str) -> tuple[str, ...]:
        """Take back everything; return what could not be. Never raises."""
        problems: list[str] = []
        for held in reversed(tuple(self._held.values())):
            problems += self._let_go(held, "released", why)
        # What could not be put back earlier may be possible by now.
        for intent in reversed(self._journal.entries()):
            if self._undo_one(intent.seq, intent.change).is_settled:
                continue
        return tuple(problems)

    def _let_go(
        self, held: Held, what: str, text: str, *, author: Author | None = None,
        reason: Reason | None = None,
    ) -> tuple[str, ...]:  # fmt: skip
        """End one policy and undo it. Never raises."""
        held.counts()
        after = held.measured(self._clock.mono_ns())
        if reason is not None and reason.written_bytes_per_s is not None:
            after = reason.written_bytes_per_s
        del self._held[held.id]
        problems = self._end(held)
        self._pinner.unpin(held.pinned)
        self._chronicle.policy(
            what, held, text, author=author, rule=reason.rule if reason else "",
            old=held.order.rate_bytes_per_s, after=after,
            undone="; ".join(problems) or ("nothing was done" if held.is_dry else "completely"),
        )  # fmt: skip
        return tuple(f"{held.name}: {problem}" for problem in problems)

    def _end(self, held: Held) -> tuple[str, ...]:
        """Undo what a policy did; return what could not be. Never raises."""
        try:
            problems = held.effect.undo()
        except Exception as error:  # noqa: BLE001 - its changes are undone all the same
            problems = (_said(error),)
        return (*problems, *self._undo_changes(held.id))

    def _undo_changes(self, number: int) -> tuple[str, ...]:
        outcomes = [
            self._undo_one(one.seq, one.change) for one in reversed(self._journal.of(number))
        ]
        return tuple(outcome.problem for outcome in outcomes if outcome.problem)

    def _undo_one(self, seq: int, change: Change) -> Outcome:
        try:
            outcome = self._undo(change)
        except Exception as error:  # noqa: BLE001 - the others are undone all the same
            return Outcome(is_settled=False, problem=_said(error))
        if outcome.is_settled:
            self._journal.settle(seq)
        return outcome

    # -- time -----------------------------------------------------------------------------------

    def tick(self) -> None:
        """Look after every policy; end what has expired, ended or failed. Never raises."""
        for held in tuple(self._held.values()):
            if held.id in self._held:
                self._tick_one(held)

    def _tick_one(self, held: Held) -> None:
        now_ns = self._clock.mono_ns()
        if now_ns >= held.until_ns:
            self._let_go(held, "expired", "the lease has ended")
            return
        try:
            held.pinned.check()
            held.problem = clean(held.effect.tick(now_ns))
        except BudgetSpent as error:
            self._throttle_instead(held, _said(error))
        except Exception as error:  # noqa: BLE001 - fail open: whatever it is, let go
            self._let_go(held, _ending(error), _said(error))

    def _throttle_instead(self, held: Held, spent: str) -> None:
        """Let go of a drop whose budget is spent, and throttle under the same number."""
        rate = held.order.rate_bytes_per_s
        if rate is None:
            self._let_go(held, "released", f"{spent}; there is no rate to throttle to")
            return
        order = msgspec.structs.replace(
            held.order, kind=Kind.THROTTLE, mechanism=None, budget_bytes=None
        )
        if is_dry(held.order):
            order = msgspec.structs.replace(order, dry_run=True)
        problems = self._end(held)
        try:
            after = self._enforce(held.id, held.client, held.author, order, held.pinned)
        except Exception as error:  # noqa: BLE001 - fail open
            self._let_go(held, "failed", f"{spent}; throttling instead: {_said(error)}")
            return
        after.since_ns, after.until_ns = held.since_ns, held.until_ns
        self._held[held.id] = after
        self._chronicle.policy(
            "adjusted", after, f"{spent}; {_doing(after)} from now on", old=rate, new=rate,
            undone="; ".join(problems),
        )  # fmt: skip


def by(author: Author | None) -> str:
    """Return "screen of root on pts/3"."""
    if author is None:
        return "a client without a name"
    place_of = f" on {author.terminal.removeprefix('/dev/')}" if author.terminal else ""
    return f"{author.client} of {author.user or author.uid}{place_of}"


def _doing(held: Held) -> str:
    order, how = held.order, held.mechanism.value
    if held.is_dry:
        return describe(order, held.name)
    if order.kind is Kind.IONICE:
        return f"{held.name} has I/O priority {priority(order)}"
    rate = "nothing" if order.rate_bytes_per_s is None else f"{human(order.rate_bytes_per_s)}/s"
    if order.kind is Kind.DROP:
        return f"{held.name} may write {rate}, the rest is refused ({order.errno_name})"
    return f"{held.name} is held to {rate} by {how}"


def _because(reason: Reason) -> str:
    return f": {reason.text}" if reason.text else ""


def _sentence(held: Held, reason: Reason) -> str:
    return _doing(held) + _because(reason)


def _said(error: Exception) -> str:
    if isinstance(error, IotopError):
        return str(error)
    return f"unexpected {type(error).__name__}: {error}"


def _ending(error: Exception) -> str:
    return "ended" if isinstance(error, TargetError) else "failed"


def _cleaned(author: Author) -> Author:
    return msgspec.structs.replace(
        author,
        client=clean(author.client, 20),
        user=clean(author.user, 40),
        terminal=clean(author.terminal, 60),
    )
