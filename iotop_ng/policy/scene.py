"""One frame as the policies look at it: who lives, who is to be helped, who may not be touched."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from iotop_ng.model.frame import Frame, Row
from iotop_ng.policy.actions import CgroupTarget, Notice, ProcessTarget, Reason, Target
from iotop_ng.policy.protect import Guarded, Protection
from iotop_ng.policy.rule import ANYONE, Deed, Rule, Rules, Scope
from iotop_ng.policy.signals import alive


class Want(msgspec.Struct, frozen=True):
    """What one rule or guard wants of one target in this tick."""

    target: Target
    rate_bytes_per_s: int
    lease_ns: int
    reason: Reason
    rule: Rule | None = None
    """For what only a rule knows: the terms of a drop."""

    @property
    def deed(self) -> Deed:
        """What is to be done."""
        return Deed.THROTTLE if self.rule is None else self.rule.deed


class Proposal(msgspec.Struct, frozen=True):
    """What one rule or guard says in one tick."""

    wants: tuple[Want, ...] = ()
    notices: tuple[Notice, ...] = ()
    ended: str = ""
    """Why it lets go of what it held, where it is not the target's own end."""


class Scene:
    """A frame with what all rules ask of it, looked up once.

    Attributes:
        is_lost: events were lost in this interval, or it has no length.
        is_blind: nothing at all is known about who writes.
    """

    def __init__(self, frame: Frame, rules: Rules, protection: Protection, lost: int) -> None:
        self.frame = frame
        self.now_ns = frame.mono_ns
        self.interval_ns = round(frame.interval_s * 1e9)
        self.rows = alive(frame)
        self.by_key = {row.key: row for row in self.rows}
        self.is_lost = frame.lost > lost or self.interval_ns <= 0
        self.is_blind = self.is_lost or all(row.write_bytes_per_s is None for row in self.rows)
        self.victims = _named_victims(self.rows, rules)
        self._guarded = Guarded(protection, self.rows, self.victims)

    def why_protected(self, target: Target) -> str:
        """Return why a target may not be touched, "" when it may; a process has to be alive."""
        if isinstance(target, CgroupTarget):
            return self._guarded.why_cgroup(target.path)
        row = self.by_key.get(target.key)
        return "it is gone" if row is None else self._guarded.why(row)

    def is_there(self, target: Target) -> bool:
        """Say whether the process lives, or anybody is in the cgroup."""
        if isinstance(target, ProcessTarget):
            return target.key in self.by_key
        return any(row.cgroup == target.path for row in self.rows)

    def target(self, row: Row, scope: Scope) -> Target:
        """Return what to act on for this process; without a cgroup of its own, the process."""
        if scope is Scope.CGROUP and row.cgroup and row.cgroup != "/":
            return CgroupTarget(row.cgroup)
        return ProcessTarget(row.key, row.pid, row.start_ns)

    def written(self, target: Target) -> int:
        """Return what the target wrote in bytes/s."""
        if isinstance(target, ProcessTarget):
            row = self.by_key.get(target.key)
            return int(row.write_bytes_per_s or 0) if row is not None else 0
        inside = (row for row in self.rows if row.cgroup == target.path)
        return int(sum(row.write_bytes_per_s or 0 for row in inside))

    def name(self, target: Target) -> str:
        """Return what the screen calls the target."""
        if isinstance(target, CgroupTarget):
            return target.path
        row = self.by_key.get(target.key)
        return f"{row.comm}[{row.pid}]" if row is not None else f"[{target.pid}]"


def _named_victims(rows: Iterable[Row], rules: Rules) -> frozenset[int]:
    """Return those that a rule names as victims. "Anyone" names nobody: it would protect all."""
    patterns = [rule.victim for rule in rules.rules] + [guard.victim for guard in rules.guards]
    named = [pattern for pattern in dict.fromkeys(patterns) if pattern != ANYONE]
    return frozenset(row.key for row in rows for pattern in named if pattern.matches(row))
