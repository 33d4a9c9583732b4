"""The real core over a fake world, and what can be asked of the two."""

from __future__ import annotations

from pathlib import Path

from iotop_ng.clock import NS_PER_S, ManualClock
from iotop_ng.enforcers.core import Core
from iotop_ng.enforcers.orders import (
    PROTOCOL,
    Answer,
    Applied,
    Apply,
    Event,
    Failed,
    Hello,
    InForce,
    Listing,
    Look,
    Mechanism,
    Order,
    Welcome,
)
from iotop_ng.policy.actions import Reason
from tests.fakes.enforcers import (
    AUTHOR,
    FakeAudit,
    FakeEnforcer,
    FakeWorld,
    fake_core,
    fake_enforcers,
    order,
)

BY_HAND = Reason(rule="", text="too much")
MINUTE = 60 * NS_PER_S


class Stage:
    """A core, its world, and what can be asked of them."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.world = FakeWorld()
        self.world.start(42, "dd")
        self.world.start(43, "tar")
        self.before = self.world.state()
        self.clock = ManualClock()
        self.audit = FakeAudit()
        self.enforcers: dict[Mechanism, FakeEnforcer] = fake_enforcers(self.world)
        self.core = self.new_core()
        assert isinstance(self.core.handle(1, Hello(PROTOCOL, AUTHOR)), Welcome)

    def new_core(self) -> Core:
        return fake_core(
            self.world, self.directory, clock=self.clock, enforcers=self.enforcers, audit=self.audit
        )

    def apply(self, wanted: Order, client: int = 1) -> InForce:
        answer = self.core.handle(client, Apply(wanted))
        assert isinstance(answer, Applied), answer
        return answer.policy

    def refused(self, wanted: Order, client: int = 1) -> Failed:
        answer = self.core.handle(client, Apply(wanted))
        assert isinstance(answer, Failed), answer
        return answer

    def throttle(self, pid: int = 42, **kwargs: object) -> InForce:
        return self.apply(order(self.world.target(pid), **kwargs))  # type: ignore[arg-type]

    def look(self) -> Listing:
        answer = self.core.handle(1, Look())
        assert isinstance(answer, Listing)
        return answer

    def is_as_before(self) -> bool:
        return (
            self.world.state() == self.before
            and self.core.is_idle
            and self.core.in_force() == ()
            and fake_journal_is_empty(self.directory)
        )

    def last(self) -> Event:
        return self.audit.events[-1]

    def wait(self, ns: int) -> None:
        self.clock.advance(ns)
        self.core.tick()


def fake_journal_is_empty(directory: Path) -> bool:
    from iotop_ng.enforcers.journal import replay

    return replay((directory / "journal").read_bytes()) == ({}, 0)


def failed(answer: Answer) -> Failed:
    assert isinstance(answer, Failed), answer
    return answer
