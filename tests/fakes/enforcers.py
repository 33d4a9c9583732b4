"""Mechanisms that act on a small world of their own, with failures where a test wants them.

A world is values (what cgroup files and properties hold), processes, and which of them are stopped
or held by a helper. A test compares `world.state()` before and after: nothing may stay behind.

    world = FakeWorld()
    world.start(42, name="dd")
    core = fake_core(world, directory)
    core.handle(1, Hello(PROTOCOL, AUTHOR))
    core.handle(1, Apply(order(world.target(42))))
    world.fail("hold.tick", EnforcerError("…"))      # once, at the named step
    core.tick()

Steps, each with the mechanism's value in front: rung, apply.look, apply.noted (after the first
note, before its effect), apply.half (after the first effect, before the second note), apply.done,
adjust, adjust.noted, tick, counts, undo; and "pin", "check", "protect", "put_back".
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from iotop_ng.clock import NS_PER_S, Clock, ManualClock
from iotop_ng.enforcers.changes import FileValue, Helper, IoPriority, Stopped
from iotop_ng.enforcers.core import Core
from iotop_ng.enforcers.enforcer import BudgetSpent, Member, Note, Pinned
from iotop_ng.enforcers.journal import Journal
from iotop_ng.enforcers.orders import (
    LADDER,
    Author,
    Counts,
    Event,
    Kind,
    Mechanism,
    Order,
    Rung,
)
from iotop_ng.enforcers.pinner import Own
from iotop_ng.errors import TargetError
from iotop_ng.policy.actions import CgroupTarget, Reason, Target
from tests.fakes.world import Crash, FakeProcess, FakeWorld

__all__ = ["AUTHOR", "Crash", "FakeAudit", "FakeEffect", "FakeEnforcer", "FakePinned",
           "FakePinner", "FakeProcess", "FakeWorld", "fake_core", "fake_enforcers", "fake_journal",
           "order"]  # fmt: skip

BOOT = "00000000-0000-4000-8000-000000000001"
AUTHOR = Author(client="command", pid=5000, uid=0, user="root", terminal="/dev/pts/3")


class FakePinned:
    """A target in the world."""

    def __init__(self, world: FakeWorld, target: Target) -> None:
        self._world = world
        self._target = target
        self.is_pinned = True

    @property
    def target(self) -> Target:
        return self._target

    @property
    def name(self) -> str:
        if isinstance(self._target, CgroupTarget):
            return self._target.path
        process = self._world.processes.get(self._target.pid)
        return f"{process.name if process else '?'}[{self._target.pid}]"

    def check(self) -> None:
        self._world.step("check")
        if not self._is_there():
            raise TargetError(f"{self.name} has ended")

    def members(self) -> tuple[Member, ...]:
        return tuple(
            Member(pid, process.start_ns, f"{process.name}[{pid}]")
            for pid, process in self._world.processes.items()
            if self.covers(pid, process)
        )

    def covers(self, pid: int, process: FakeProcess) -> bool:
        """Say whether it is the process, or in the cgroup."""
        if isinstance(self._target, CgroupTarget):
            return process.cgroup == self._target.path
        return (pid, process.start_ns) == (self._target.pid, self._target.start_ns)

    def _is_there(self) -> bool:
        if isinstance(self._target, CgroupTarget):
            return bool(self.members())
        return self._world.is_alive(self._target.pid, self._target.start_ns)


class FakePinner:
    """Finds targets in the world; `protected` of a process says why it may not be touched."""

    def __init__(self, world: FakeWorld) -> None:
        self._world = world
        self.open: list[FakePinned] = []
        """Held on to now: empty again when nothing is in force."""

    def pin(self, target: Target) -> FakePinned:
        self._world.step("pin")
        pinned = FakePinned(self._world, target)
        pinned.check()
        self.open.append(pinned)
        return pinned

    def unpin(self, pinned: Pinned) -> None:
        self.open = [one for one in self.open if one is not pinned]

    def why_untouchable(self, pinned: Pinned, own: Own) -> str:
        self._world.step("protect")
        for member in pinned.members():
            if member.pid in {*own.clients, *own.helpers}:
                return "iotop-ng runs in it or under it"
            if why := self._world.processes[member.pid].protected:
                return why
        return ""


class FakeEnforcer:
    """One mechanism in the world.

    Applying makes two changes per member: a value (or a stop, or a helper, or a priority, whatever
    the mechanism does), and a second value, so that a failure between the two can be seen.
    """

    def __init__(self, mechanism: Mechanism, world: FakeWorld) -> None:
        self._mechanism = mechanism
        self.world = world
        self.works = True
        self.why = ""

    @property
    def mechanism(self) -> Mechanism:
        return self._mechanism

    def step(self, name: str) -> None:
        """Be at one of its steps."""
        self.world.step(f"{self._mechanism.value}.{name}")

    def rung(self, pinned: Pinned, order: Order) -> Rung:  # noqa: ARG002 - of the protocol
        self.step("rung")
        return Rung(self._mechanism, self.works, self.why, f"{self._mechanism.value} does it")

    def apply(self, pinned: Pinned, order: Order, note: Note) -> FakeEffect:
        self.step("apply.look")
        effect = FakeEffect(self, pinned, note)
        effect.begin(order)
        self.step("apply.done")
        return effect


class FakeEffect:
    """One policy in force in the world."""

    def __init__(self, enforcer: FakeEnforcer, pinned: Pinned, note: Note) -> None:
        self._enforcer = enforcer
        self._world = enforcer.world
        self._pinned = pinned
        self._note = note
        self._budget: int | None = None
        self._helper: int | None = None
        self.refused_bytes = 0
        """A test adds to it; beyond the order's budget the next tick says so."""
        self.charged_bytes = 0
        self.problem = ""
        self.undone = 0

    def begin(self, order: Order) -> None:
        """Do everything for the members of now."""
        self._budget = order.budget_bytes
        for member in self._pinned.members():
            self._act(member, order)
            self._enforcer.step("apply.half")
            if order.kind is not Kind.IONICE:
                self._set(f"/fake/{member.pid}/rate", str(order.rate_bytes_per_s))

    def adjust(self, order: Order) -> None:
        self._enforcer.step("adjust")
        for member in self._pinned.members():
            self._set(f"/fake/{member.pid}/rate", str(order.rate_bytes_per_s), "adjust.noted")

    def tick(self, now_ns: int) -> str:  # noqa: ARG002 - of the protocol
        self._enforcer.step("tick")
        self._pinned.check()
        if self._budget is not None and self.refused_bytes > self._budget:
            raise BudgetSpent(f"{self.refused_bytes} bytes were refused")
        return self.problem

    def counts(self) -> Counts:
        self._enforcer.step("counts")
        return Counts(
            charged_bytes=self.charged_bytes,
            refused_bytes=self.refused_bytes,
            processes=len(self._pinned.members()),
        )

    def descriptors(self) -> tuple[int, ...]:
        return ()

    def undo(self) -> tuple[str, ...]:
        self.undone += 1
        self._enforcer.step("undo")
        if self._helper is not None:
            self._world.helpers.discard(self._helper)
        return ()

    def _act(self, member: Member, order: Order) -> None:
        world, start_ns = self._world, member.start_ns
        world.touched.add((member.pid, start_ns))
        world.writes.append(f"{self._enforcer.mechanism.value} {member.pid}")
        match self._enforcer.mechanism:
            case Mechanism.HOLD:
                # A helper is begun first, told what to hold only when it is in the journal.
                self._helper = world.start_helper()
                self._note(Helper(self._helper, start_ns))
                self._enforcer.step("apply.noted")
            case Mechanism.PAUSE:
                self._note(Stopped(member.pid, start_ns))
                self._enforcer.step("apply.noted")
                world.stopped.add((member.pid, start_ns))
            case Mechanism.IONICE:
                place = (member.pid, start_ns)
                before = world.priorities.get(place, 0)
                self._note(IoPriority(member.pid, start_ns, member.pid, before, order.io_level + 1))
                self._enforcer.step("apply.noted")
                world.priorities[place] = order.io_level + 1
            case _:
                self._set(f"/fake/{member.pid}/{self._enforcer.mechanism.value}", "on")

    def _set(self, path: str, value: str, step: str = "apply.noted") -> None:
        before = self._world.read(path)
        self._note(FileValue(path, 1, "", before, value))
        self._enforcer.step(step)
        self._world.write(path, value)


class FakeAudit:
    """Keeps events."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def write(self, event: Event) -> None:
        self.events.append(event)

    def whats(self) -> list[str]:
        """Return what happened, in order."""
        return [event.what for event in self.events]


def fake_enforcers(world: FakeWorld) -> dict[Mechanism, FakeEnforcer]:
    """Return all that the keeper knows, but for dry run, which is its own."""
    kinds = (*LADDER, Mechanism.DROP, Mechanism.IONICE)
    return {mechanism: FakeEnforcer(mechanism, world) for mechanism in kinds}


def fake_core(
    world: FakeWorld,
    directory: Path,
    *,
    clock: Clock | None = None,
    enforcers: Mapping[Mechanism, FakeEnforcer] | None = None,
    audit: FakeAudit | None = None,
) -> Core:
    """Return the real core over a fake world; its journal, a real file, is in `directory`."""
    return Core(
        enforcers or fake_enforcers(world),
        fake_journal(directory),
        FakePinner(world),
        clock or ManualClock(),
        audit or FakeAudit(),
        undo=world.put_back,
    )


def fake_journal(directory: Path, boot: str = BOOT) -> Journal:
    """Open the journal of a directory, as a keeper does after its start."""
    return Journal(directory / "journal", boot)


def order(
    target: Target,
    kind: Kind = Kind.THROTTLE,
    rate: int | None = 5_000_000,
    *,
    mechanism: Mechanism | None = None,
    dry_run: bool = False,
    lease_s: float = 600,
    budget: int | None = None,
    rule: str = "",
) -> Order:
    """Return an order of a person, or of a rule."""
    return Order(
        kind=kind,
        target=target,
        reason=Reason(rule=rule, text=""),
        rate_bytes_per_s=None if kind is Kind.IONICE else rate,
        lease_ns=int(lease_s * NS_PER_S),
        mechanism=mechanism,
        dry_run=dry_run,
        budget_bytes=budget,
    )
