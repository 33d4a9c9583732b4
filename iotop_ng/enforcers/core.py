"""What the keeper answers: requests, clients and leases, without sockets and without processes."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import assert_never

import msgspec

from iotop_ng.clock import NS_PER_S, Clock
from iotop_ng.enforcers import rungs
from iotop_ng.enforcers.chronicle import Audit, Chronicle
from iotop_ng.enforcers.enforcer import Enforcer
from iotop_ng.enforcers.journal import Journal
from iotop_ng.enforcers.orders import (
    PROTOCOL,
    Answer,
    Applied,
    Apply,
    AskLadder,
    Author,
    Change,
    Failed,
    Hello,
    InForce,
    Ladder,
    Listing,
    Look,
    Mechanism,
    Release,
    Released,
    Request,
    Welcome,
)
from iotop_ng.enforcers.pinner import Pinner
from iotop_ng.enforcers.policies import Policies
from iotop_ng.enforcers.restore import restore
from iotop_ng.enforcers.sentences import by, said
from iotop_ng.enforcers.undoing import Undo, Undoing
from iotop_ng.errors import EnforcerError, IotopError, TargetError, UsageError
from iotop_ng.units import clean

RENEWALS_NS = 10 * NS_PER_S
"""A renewal is written down when the last one was so long ago: a rule renews all the time."""


class Core:
    """All policies of this machine and who asked for them.

    Args:
        enforcers: the mechanisms that this installation has.
        journal: open.
        pinner: finds and judges targets.
        clock: of leases and events.
        audit: gets every event.
        undo: puts one change back; of the kernel, or of a fake world.
        first_seq: number of the first event.
        pid: of the keeper, for clients.
    """

    def __init__(
        self, enforcers: Mapping[Mechanism, Enforcer], journal: Journal, pinner: Pinner,
        clock: Clock, audit: Audit, *, undo: Undo = restore, first_seq: int = 1, pid: int = 0,
    ) -> None:  # fmt: skip
        self._clock = clock
        self._pid = pid
        self._undoing = Undoing(journal, undo)
        self._chronicle = Chronicle(clock, audit, first_seq)
        self._policies = Policies(enforcers, self._undoing, pinner, clock, self._chronicle)
        self._clients = self._policies.clients
        self._recovered: tuple[str, ...] = journal.said

    @property
    def is_idle(self) -> bool:
        """Nothing is in force."""
        return not self._policies.all()

    def recover(self) -> tuple[str, ...]:
        """Put back what a dead keeper left; the first client is told, too."""
        self._recovered += self._undoing.undo_all()
        for sentence in self._recovered:
            self._chronicle.recovered(sentence)
        return self._recovered

    def in_force(self) -> tuple[InForce, ...]:
        """Return every policy, oldest first."""
        return tuple(held.in_force() for held in self._policies.all())

    def descriptors(self) -> frozenset[int]:
        """Return what shall lead to a tick when it can be read."""
        found: set[int] = set()
        for held in self._policies.all():
            # One that cannot say it is looked at 10 times a second all the same.
            with contextlib.suppress(Exception):
                found.update(fd for fd in held.effect.descriptors() if fd >= 0)
        return frozenset(found)

    def handle(self, client: int, request: Request) -> Answer:
        """Do what a client asks. Never raises."""
        try:
            return self._answer(client, request)
        except rungs.NoRungError as error:
            return Failed(clean(str(error)), error.exit_code, error.rungs)
        except IotopError as error:
            return Failed(clean(str(error)), error.exit_code)
        except Exception as error:  # noqa: BLE001 - one bad order must not end all policies
            return Failed(clean(said(error)), EnforcerError.exit_code)

    def gone(self, client: int) -> None:
        """Take back everything that a client applied. Never raises."""
        author = self._clients.pop(client, None)
        for held in reversed(self._policies.all()):
            if held.client == client:
                self._policies.let_go(held, "released", f"its client has ended: {by(author)}")

    def tick(self) -> None:
        """Look after every policy; end what has expired, ended or failed. Never raises."""
        self._policies.tick()

    def release_all(self, why: str) -> tuple[str, ...]:
        """Take back everything; return what could not be. Never raises."""
        for held in reversed(self._policies.all()):
            self._policies.let_go(held, "released", why)
        # What could not be put back at first may be possible by now.
        return self._undoing.undo_all()

    def _answer(self, client: int, request: Request) -> Answer:
        if isinstance(request, Hello):
            return self._welcome(client, request)
        if client not in self._clients:
            raise UsageError("the first message has to be hello")
        match request:
            case AskLadder():
                return Ladder(self._policies.ladder(client, request.order))
            case Apply():
                return Applied(self._policies.apply(client, request.order).in_force())
            case Change():
                return self._change(client, request)
            case Release():
                return self._release(client, request)
            case Look():
                events = self._chronicle.after(request.after_seq)
                return Listing(self._clock.mono_ns(), self.in_force(), events)
            case _:
                assert_never(request)

    def _welcome(self, client: int, hello: Hello) -> Welcome:
        if hello.protocol != PROTOCOL:
            raise EnforcerError(
                f"the keeper in charge speaks protocol {PROTOCOL}, not {hello.protocol}: it is of"
                " another version of iotop-ng, and ends when its clients have ended"
            )
        self._clients[client] = _cleaned(hello.author)
        self._policies.spare_ancestors()
        recovered, self._recovered = self._recovered, ()
        return Welcome(PROTOCOL, self._pid, recovered)

    def _change(self, client: int, request: Change) -> Applied:
        held = self._policies.get(request.id)
        if held is None:
            raise TargetError(f"policy {request.id} is not in force any more")
        rungs.check_lease(request.lease_ns)
        rate = request.rate_bytes_per_s
        now_ns = self._clock.mono_ns()
        if rate is not None and rate != held.order.rate_bytes_per_s:
            self._policies.adjust(client, held, rate, request.reason)
        elif now_ns - held.renewed_ns >= RENEWALS_NS:
            held.renewed_ns = now_ns
            text = request.reason.text or "the lease starts anew"
            author, rule = self._clients[client], request.reason.rule
            self._chronicle.policy("renewed", held, text, author=author, rule=rule)
        held.order = msgspec.structs.replace(held.order, lease_ns=request.lease_ns)
        held.until_ns = now_ns + request.lease_ns
        return Applied(held.in_force())

    def _release(self, client: int, request: Release) -> Released:
        author = self._clients[client]
        everything = tuple(held.id for held in self._policies.all())
        wanted = everything if request.ids is None else tuple(dict.fromkeys(request.ids))
        names: list[str] = []
        problems: list[str] = []
        for number in reversed(wanted):
            held = self._policies.get(number)
            if held is None:
                problems.append(f"policy {number} is not in force any more")
                continue
            text = request.reason.text or f"released by {by(author)}"
            names.append(held.name)
            problems += self._policies.let_go(
                held, "released", text, author=author, reason=request.reason
            )
        return Released(tuple(names), tuple(problems))


def _cleaned(author: Author) -> Author:
    return msgspec.structs.replace(
        author,
        client=clean(author.client, 20),
        user=clean(author.user, 40),
        terminal=clean(author.terminal, 60),
    )
