"""What a policy asks for: one action on one target, with the numbers that led to it.

Whole bytes and nanoseconds. An action is a request: who carries it out checks the target's identity
again, and takes back what it did when the lease ends.
"""

from __future__ import annotations

import msgspec

NS_PER_S = 1_000_000_000
RULE_LEASE_NS = 60 * NS_PER_S
"""A rule's action ends after this time unless it is renewed."""
MANUAL_LEASE_NS = 600 * NS_PER_S
"""For what a person set by hand."""


class ProcessTarget(msgspec.Struct, frozen=True, tag="process"):
    """One process. The pid alone is never enough: it may be somebody else's by now."""

    key: int
    """`iotop_ng.sample.process_key`."""
    pid: int
    start_ns: int


class CgroupTarget(msgspec.Struct, frozen=True, tag="cgroup"):
    """One cgroup and everything in it and below."""

    path: str


Target = ProcessTarget | CgroupTarget


class Reason(msgspec.Struct, frozen=True):
    """Why, with what was measured; None where it was not."""

    rule: str
    """Name of the rule or guard, "" for what a person did."""
    text: str
    """One sentence for a person."""
    name: str = ""
    """Whom it is about, as the screen calls it: the process's name or the cgroup."""
    written_bytes_per_s: int | None = None
    latency_ns: int | None = None
    limit_ns: int | None = None
    victim: str = ""


class Throttle(msgspec.Struct, frozen=True, tag="throttle"):
    """Hold the target to a rate from now on."""

    target: Target
    rate_bytes_per_s: int
    lease_ns: int
    reason: Reason


class Drop(msgspec.Struct, frozen=True, tag="drop"):
    """Let a rate of writes through and refuse the rest, until the budget is spent."""

    target: Target
    rate_bytes_per_s: int
    budget_bytes: int
    """What may be refused in any hour; beyond it the target is throttled instead."""
    errno_name: str
    paths: tuple[str, ...]
    """Patterns of files whose writes may be refused; () for every regular file."""
    lease_ns: int
    reason: Reason


class Adjust(msgspec.Struct, frozen=True, tag="adjust"):
    """Change the rate of what is in force; the lease starts anew."""

    target: Target
    rate_bytes_per_s: int
    lease_ns: int
    reason: Reason


class Renew(msgspec.Struct, frozen=True, tag="renew"):
    """Start the lease anew; nothing else changes, so no limit is written."""

    target: Target
    lease_ns: int
    reason: Reason


class Release(msgspec.Struct, frozen=True, tag="release"):
    """Take back everything that is in force on the target."""

    target: Target
    reason: Reason


class Notice(msgspec.Struct, frozen=True, tag="notice"):
    """Nothing is done to the target; the reason says what was left undone, or what was seen."""

    target: Target
    reason: Reason


Action = Throttle | Drop | Adjust | Renew | Release | Notice
