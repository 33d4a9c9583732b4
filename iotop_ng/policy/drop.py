"""Refuse writes beyond a rate, within a budget, and keep a ledger of what was lost.

A write of n bytes passes when the bucket admits it. Otherwise it is refused as a whole, unless that
would spend more than the budget of a rolling window, or a larger share of the writes than allowed,
or the time is over: then the answer is to throttle, for good. Nothing is lost without a record.
"""

from __future__ import annotations

from collections import deque
from enum import Enum

import msgspec

from iotop_ng.policy.actions import NS_PER_S
from iotop_ng.policy.token_bucket import TokenBucket

WINDOW_NS = 3600 * NS_PER_S
SLOTS = 60
LEAST_BYTES_FOR_RATIO = 1 << 20
"""The share that was refused says nothing before this much was written."""


class Verdict(Enum):
    """What becomes of one write."""

    PASS = "pass"  # noqa: S105 - no password
    DROP = "drop"
    THROTTLE = "throttle"
    """No more may be lost: it waits instead, and so does everything after it."""


class Terms(msgspec.Struct, frozen=True):
    """What may be lost."""

    budget_bytes: int
    """In any `WINDOW_NS`."""
    end_ns: int
    """On the clock of the calls: afterwards nothing is refused."""
    max_ratio_pct: int = 100
    """Of the bytes that were written or refused since the start."""


class Loss(msgspec.Struct, frozen=True):
    """One line of the ledger: what was refused between two ticks."""

    calls: int
    bytes: int
    first_ns: int
    last_ns: int


class Dropper:
    """The meter of one target.

    Attributes:
        passed_bytes, dropped_bytes, dropped_calls: since the start.
        is_throttling: it came to the end of its terms.
    """

    def __init__(self, terms: Terms, bucket: TokenBucket) -> None:
        self._terms = terms
        self._bucket = bucket
        # (slot number, bytes), oldest first. A slot counts until all of it is out of the window,
        # so that the sum over any window is within the budget.
        self._spent: deque[tuple[int, int]] = deque()
        self._loss: Loss | None = None
        self.passed_bytes = 0
        self.dropped_bytes = 0
        self.dropped_calls = 0
        self.is_throttling = False

    def ask(self, now_ns: int, size: int, *, may_drop: bool = True) -> Verdict:
        """Say what becomes of a write of `size` bytes.

        Args:
            now_ns: never less than before; a clock that goes back counts as standing still.
            size: bytes.
            may_drop: False for what is never refused: protected tasks, sockets, O_SYNC, O_DIRECT.
        """
        if not may_drop:
            return Verdict.PASS
        if self._bucket.ask(now_ns, size).is_admitted:
            self.passed_bytes += size
            return Verdict.PASS
        if self.is_throttling or not self._is_within(now_ns, size):
            self.is_throttling = True
            return Verdict.THROTTLE
        self._note(now_ns, size)
        return Verdict.DROP

    def spent(self, now_ns: int) -> int:
        """Return the bytes that were refused in the window that ends now."""
        oldest = _slot(now_ns) - SLOTS
        while self._spent and self._spent[0][0] < oldest:
            self._spent.popleft()
        return sum(size for _, size in self._spent)

    def settle(self) -> Loss | None:
        """Return what was refused since the last call, for the audit; None when nothing was.

        For every tick, and once at the end: a target that stops writing must not hide its losses.
        """
        loss, self._loss = self._loss, None
        return loss

    def _is_within(self, now_ns: int, size: int) -> bool:
        terms = self._terms
        if now_ns >= terms.end_ns or self.spent(now_ns) + size > terms.budget_bytes:
            return False
        dropped = self.dropped_bytes + size
        everything = dropped + self.passed_bytes
        return (
            everything < LEAST_BYTES_FOR_RATIO or dropped * 100 <= terms.max_ratio_pct * everything
        )

    def _note(self, now_ns: int, size: int) -> None:
        self.dropped_bytes += size
        self.dropped_calls += 1
        slot = _slot(now_ns)
        if self._spent and self._spent[-1][0] >= slot:
            last, spent = self._spent.pop()
            self._spent.append((last, spent + size))
        else:
            self._spent.append((slot, size))
        loss = self._loss
        if loss is None:
            self._loss = Loss(1, size, now_ns, now_ns)
        else:
            last_ns = max(now_ns, loss.last_ns)
            self._loss = Loss(loss.calls + 1, loss.bytes + size, loss.first_ns, last_ns)


def _slot(now_ns: int) -> int:
    return now_ns // (WINDOW_NS // SLOTS)
