"""Carries actions out in the simulated machine, with leases, and can take all of it back."""

from __future__ import annotations

from typing import assert_never

from iotop_ng.policy.actions import (
    NS_PER_S,
    Action,
    Adjust,
    CgroupTarget,
    Drop,
    Notice,
    Release,
    Renew,
    Target,
    Throttle,
)
from iotop_ng.policy.drop import Dropper, Terms
from iotop_ng.policy.protect import is_below
from iotop_ng.policy.token_bucket import TokenBucket
from iotop_ng.sim.actors import Limit, Writer
from iotop_ng.sim.world import World

BURST_NS = 50_000_000
LARGEST_BYTES = 1 << 20


class SimEnforcer:
    """Puts limits on writers.

    Attributes:
        writes: how often a limit was set, changed or taken away.
        log: (when, action), oldest first.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._limits: dict[Target, Limit] = {}
        self._until_ns: dict[Target, int] = {}
        self._dropped_before = 0
        self.writes = 0
        self.log: list[tuple[int, Action]] = []

    @property
    def held(self) -> tuple[Target, ...]:
        """Everything that is limited now."""
        return tuple(self._limits)

    @property
    def dropped_bytes(self) -> int:
        """Refused since the start."""
        return self._dropped_before + sum(map(_dropped, self._limits.values()))

    def carry_out(self, action: Action) -> None:
        """Do it."""
        self.log.append((self._world.now_ns, action))
        match action:
            case Throttle() | Drop():
                self._set(action.target, self._limit(action), action.lease_ns)
            case Adjust():
                self._adjust(action)
            case Renew():
                if action.target in self._limits:
                    self._until_ns[action.target] = self._world.now_ns + action.lease_ns
            case Release():
                self._remove(action.target)
            case Notice():
                pass
            case _:
                assert_never(action)

    def expire(self) -> None:
        """Take away whose lease is over."""
        for target, until_ns in list(self._until_ns.items()):
            if self._world.now_ns >= until_ns:
                self._remove(target)

    def _limit(self, action: Throttle | Drop) -> Limit:
        now_ns = self._world.now_ns
        bucket = TokenBucket(action.rate_bytes_per_s, BURST_NS, LARGEST_BYTES, now_ns)
        if isinstance(action, Throttle):
            return Limit(bucket)
        # The lease may be renewed: the target's end, not the dropper's, is when it is over.
        terms = Terms(action.budget_bytes, end_ns=now_ns + 7 * 86400 * NS_PER_S)
        return Limit(bucket, Dropper(terms, bucket))

    def _set(self, target: Target, limit: Limit, lease_ns: int) -> None:
        self.writes += 1
        self._forget(target)
        self._limits[target] = limit
        self._until_ns[target] = self._world.now_ns + lease_ns
        self._attach()

    def _adjust(self, action: Adjust) -> None:
        limit = self._limits.get(action.target)
        if limit is not None:
            self.writes += 1
            limit.bucket.set_rate(self._world.now_ns, action.rate_bytes_per_s)
            self._until_ns[action.target] = self._world.now_ns + action.lease_ns

    def _remove(self, target: Target) -> None:
        if target in self._limits:
            self.writes += 1
            self._forget(target)
            self._attach()

    def _forget(self, target: Target) -> None:
        limit = self._limits.pop(target, None)
        self._until_ns.pop(target, None)
        if limit is not None:
            self._dropped_before += _dropped(limit)

    def _attach(self) -> None:
        for writer in self._world.writers:
            limits = [
                limit for target, limit in self._limits.items() if _is_meant(target, writer)
            ]  # fmt: skip
            writer.limits = tuple(limits)


def _is_meant(target: Target, writer: Writer) -> bool:
    if isinstance(target, CgroupTarget):
        return is_below(writer.spec.cgroup, target.path)
    return writer.pid == target.pid


def _dropped(limit: Limit) -> int:
    return limit.dropper.dropped_bytes if limit.dropper is not None else 0
