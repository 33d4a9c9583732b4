"""What is asked of the keeper and what it answers: the messages of its socket.

A client (the screen, a command, guard) is one connection. Everything that it applied is taken back
when the connection ends, however it ends. Whole bytes and nanoseconds; times are those of
`iotop_ng.clock`, which go on while the machine sleeps. Names of processes and
cgroups were cleaned (`iotop_ng.units.clean`) and may be drawn as they are.
"""

from __future__ import annotations

from enum import Enum

import msgspec

from iotop_ng.policy.actions import MANUAL_LEASE_NS, Reason, Target

PROTOCOL = 1


class Kind(Enum):
    """What is done to a target."""

    THROTTLE = "throttle"
    DROP = "drop"
    IONICE = "ionice"


class Mechanism(Enum):
    """How it is done."""

    HOLD = "hold"
    """BPF token bucket; the writing thread waits in a ptrace stop."""
    IO_MAX = "io_max"
    """cgroup v2, the target's own cgroup."""
    PAUSE = "pause"
    """Stop and continue (signals, or the freezer), with the same bucket where BPF works."""
    DROP = "drop"
    """BPF LSM refuses writes."""
    IONICE = "ionice"
    DRY_RUN = "dry_run"
    """Does nothing, and says what would have been done."""


LADDER = (Mechanism.HOLD, Mechanism.IO_MAX, Mechanism.PAUSE)
"""Throttling, best first. What a rung cannot do here, the next may."""


class Order(msgspec.Struct, frozen=True):
    """What a person or a rule wants."""

    kind: Kind
    target: Target
    reason: Reason
    rate_bytes_per_s: int | None = None
    """Written bytes that may pass; None only for a drop that lets nothing pass, and for ionice."""
    lease_ns: int = MANUAL_LEASE_NS
    mechanism: Mechanism | None = None
    """None: the best rung that works here."""
    with_children: bool = True
    """Processes that it has forked (hold, drop) and those that it forks from now on go with it."""
    errno_name: str = "ENOSPC"
    budget_bytes: int | None = None
    """Drop: what may be refused within an hour; then the target is throttled. None: no end."""
    paths: tuple[str, ...] = ()
    """Drop: shell patterns of files whose writes may be refused; () for every regular file."""
    io_class: str = "idle"
    """Ionice: idle, best-effort or realtime."""
    io_level: int = 7
    dry_run: bool = False
    before_bytes_per_s: int | None = None
    """What the target wrote when this was asked, as its client measured it."""


class Rung(msgspec.Struct, frozen=True):
    """One mechanism for one target, looked at before anything is done."""

    mechanism: Mechanism
    works: bool
    why: str
    """Why it cannot work here; where it works, what to know, or ""."""
    does: str
    """What it does to the process, one sentence."""
    others: tuple[str, ...] = ()
    """Who else is hit: "nginx[917]"."""
    survives: str = "nothing"
    """What of it survives the death of iotop-ng."""


class Author(msgspec.Struct, frozen=True):
    """Who asks."""

    client: str
    """screen, command or guard."""
    pid: int
    uid: int
    user: str
    terminal: str
    """Path of the controlling terminal, "" without one."""


class Counts(msgspec.Struct, frozen=True):
    """What a policy did since it was applied: totals, None where its mechanism counts none."""

    charged_bytes: int | None = None
    """Written bytes that were counted against the rate."""
    held_ns: int | None = None
    """Time that threads were made to wait, summed over threads."""
    holds: int | None = None
    refused_calls: int | None = None
    refused_bytes: int | None = None
    """Asked bytes of refused calls; None where a call does not say (io_uring)."""
    waiting: int | None = None
    """Threads that wait now."""
    processes: int | None = None
    """Processes that it covers now."""


class InForce(msgspec.Struct, frozen=True):
    """One policy in force."""

    id: int
    order: Order
    mechanism: Mechanism
    name: str
    """Of the process ("dd[4242]") or cgroup."""
    author: Author
    since_ns: int
    until_ns: int
    counts: Counts = Counts()
    problem: str = ""
    """What does not work as asked: "2 of 5 threads are traced by strace"."""


class Event(msgspec.Struct, frozen=True):
    """One line of the audit log."""

    seq: int
    wall_ns: int
    mono_ns: int
    what: str
    """applied, adjusted, renewed, released, expired, ended, failed, refused, recovered, would."""
    id: int
    kind: str
    mechanism: str
    name: str
    target: Target
    rule: str
    author: Author
    old_bytes_per_s: int | None
    new_bytes_per_s: int | None
    before_bytes_per_s: int | None
    after_bytes_per_s: int | None
    text: str
    counts: Counts = Counts()
    undone: str = ""
    """How it was undone; what could not be."""


# -- requests -------------------------------------------------------------------------------------


class Hello(msgspec.Struct, frozen=True, tag="hello"):
    """First message of a connection."""

    protocol: int
    author: Author


class AskLadder(msgspec.Struct, frozen=True, tag="ladder"):
    """What would work? Nothing is done."""

    order: Order


class Apply(msgspec.Struct, frozen=True, tag="apply"):
    """Do it."""

    order: Order


class Change(msgspec.Struct, frozen=True, tag="change"):
    """Another rate, or only a new lease."""

    id: int
    reason: Reason
    lease_ns: int
    rate_bytes_per_s: int | None = None


class Release(msgspec.Struct, frozen=True, tag="release"):
    """Take back these, or everything that is in force, whoever applied it."""

    reason: Reason
    ids: tuple[int, ...] | None = None


class Look(msgspec.Struct, frozen=True, tag="look"):
    """What is in force, and what happened since an event."""

    after_seq: int = 0


Request = Hello | AskLadder | Apply | Change | Release | Look


# -- answers --------------------------------------------------------------------------------------


class Welcome(msgspec.Struct, frozen=True, tag="welcome"):
    """The keeper is ready."""

    protocol: int
    pid: int
    recovered: tuple[str, ...] = ()
    """What a dead instance had left behind and was put back, one sentence each."""


class Ladder(msgspec.Struct, frozen=True, tag="rungs"):
    """Best first."""

    rungs: tuple[Rung, ...]


class Applied(msgspec.Struct, frozen=True, tag="applied"):
    """It is in force from now on."""

    policy: InForce


class Released(msgspec.Struct, frozen=True, tag="released"):
    """What was taken back."""

    names: tuple[str, ...]
    problems: tuple[str, ...] = ()
    """What could not be, one sentence each."""


class Listing(msgspec.Struct, frozen=True, tag="listing"):
    """Everything in force, of all clients, and the events asked for."""

    now_ns: int
    policies: tuple[InForce, ...] = ()
    events: tuple[Event, ...] = ()


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """Nothing was done; one line for a person and the exit code (`iotop_ng.errors`)."""

    message: str
    exit_code: int
    rungs: tuple[Rung, ...] = ()


Answer = Welcome | Ladder | Applied | Released | Listing | Failed
