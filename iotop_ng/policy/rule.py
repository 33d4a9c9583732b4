"""What an operator can ask for: rules that answer a hog, guards that keep a victim's latency."""

from __future__ import annotations

from enum import Enum
from fnmatch import fnmatchcase
from functools import lru_cache

import msgspec

from iotop_ng.model.frame import Row
from iotop_ng.policy.actions import NS_PER_S, RULE_LEASE_NS
from iotop_ng.policy.protect import is_below

MAX_TARGETS = 16
MAX_ACTIONS_PER_MINUTE = 60
HOG_BYTES_PER_S = 1 << 20


class Deed(Enum):
    """What a rule does."""

    THROTTLE = "throttle"
    DROP = "drop"
    NOTIFY = "notify"


class Scope(Enum):
    """What an action acts on."""

    PROCESS = "process"
    CGROUP = "cgroup"


class Pattern(msgspec.Struct, frozen=True):
    """Whom a rule is about: every part that is given has to match. Shell patterns, any of them."""

    comm: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    user: tuple[str, ...] = ()
    cgroup: tuple[str, ...] = ()
    """Also whatever is below, for one without wildcards."""

    def matches(self, row: Row) -> bool:
        """Say whether the row is meant."""
        # Asked for every row in every tick: what is not given costs nothing.
        if self.comm and not _is_one_of(row.comm, self.comm):
            return False
        if self.command and not _is_one_of(row.command, self.command):
            return False
        if self.user and not _is_one_of(row.user, self.user):
            return False
        return not self.cgroup or _is_placed(row.cgroup or "", self.cgroup)


ANYONE = Pattern()


class Signs(msgspec.Struct, frozen=True):
    """What has to be true beside a slow fsync: that it is the disk that is waited for.

    An fsync can be slow for other reasons: a busy CPU, a lock, a program of its own. What is not
    measured here is left out. docs/detection.md has the measurements.
    """

    pressure_over_pct: int = 0
    """Share of the time in which somebody waited for I/O (PSI, some); 0: not asked."""
    queue_over_ns: int = 0
    """Mean time that a write took from its making to its end on the busiest disk; 0: not asked."""


NO_SIGNS = Signs()


class Rule(msgspec.Struct, frozen=True):
    """A process that writes more than X for Y while anyone's fsync p99 is over Z: do this for T."""

    name: str
    writes_over: int
    """X, bytes/s."""
    for_ns: int = 0
    """Y."""
    fsync_over_ns: int | None = None
    """Z; None: whatever others feel."""
    victim: Pattern = ANYONE
    """Whose fsync counts; never the hog's own."""
    match: Pattern = ANYONE
    deed: Deed = Deed.THROTTLE
    to: int = 0
    """Bytes/s that may pass."""
    to_pct: int = 0
    """The same as a share of what it wrote when the rule took hold; 0: `to` counts."""
    lease_ns: int = RULE_LEASE_NS
    """T."""
    renew: bool = False
    """Start T anew while the target still presses against its limit."""
    scope: Scope = Scope.PROCESS
    budget_bytes: int = 0
    errno_name: str = "ENOSPC"
    paths: tuple[str, ...] = ()
    signs: Signs = NO_SIGNS
    """What has to agree in the tick in which somebody is taken hold of."""


class Guard(msgspec.Struct, frozen=True):
    """Hold all hogs together to a cap: one that keeps the victims' p99, or a fixed one."""

    name: str
    victim: Pattern = ANYONE
    target_ns: int | None = None
    """p99 of the victims' fsync; None: `cap` counts."""
    cap: int = 0
    hogs: Pattern = ANYONE
    hog_over: int = HOG_BYTES_PER_S
    """Bytes/s; who never wrote more is no hog."""
    capacity: int = 0
    """Of the device, bytes/s; 0: the most that it was seen to do."""
    floor: int = 0
    device: str = ""
    """Whose queue delay counts; "": of the one that is written to most."""
    scope: Scope = Scope.PROCESS
    lease_ns: int = RULE_LEASE_NS
    fsync_over_ns: int | None = None
    """A cap begins only when an fsync of the victims took longer; None: over half the target."""
    signs: Signs = NO_SIGNS
    """A cap begins only while these agree. What is capped stays so for as long as it is needed."""
    for_ns: int = 0
    """How long both have to hold before a cap begins, from the first look on at which they did: a
    look that comes late is one look all the same."""


class Rules(msgspec.Struct, frozen=True):
    """A whole file of rules."""

    rules: tuple[Rule, ...] = ()
    guards: tuple[Guard, ...] = ()
    programs: tuple[str, ...] = ()
    """Executables that the operator adds to the protected ones."""
    cgroups: tuple[str, ...] = ()
    max_targets: int = MAX_TARGETS
    """Held at one time."""
    max_actions_per_minute: int = MAX_ACTIONS_PER_MINUTE
    """Targets taken hold of in any minute. What is held may be adjusted as often as its rule asks:
    that makes nobody's day worse than it is, and letting go is never limited."""
    cooldown_ns: int = NS_PER_S
    """After a release, before the same target is acted on again."""


# A machine's names change little from tick to tick, and there are as many as there are processes.
@lru_cache(maxsize=1 << 14)
def _is_one_of(word: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(word, pattern) for pattern in patterns)


def _is_placed(cgroup: str, patterns: tuple[str, ...]) -> bool:
    return any(is_below(cgroup, pattern) or fnmatchcase(cgroup, pattern) for pattern in patterns)
