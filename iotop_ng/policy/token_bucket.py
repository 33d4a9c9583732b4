"""A rate with a burst, and debt: how much may be written now, and how long the next one waits.

With rate r (bytes/s), burst b (bytes) and tokens t <= b::

    refill   t = min(b, t + r * elapsed)
    ask(n)   t >= 0: admitted, t -= n; when that overdraws, the writer waits -t / r
             t <  0: deferred by -t / r

A write larger than the burst passes once and the next one waits for it: one that had to fit would
never pass. In any time T at most b + r * T + one largest write is admitted.

Worked: r = 1000, b = 100, full. 600 bytes pass and leave -500: wait 0.5 s. Asked after 0.3 s:
deferred by 0.2 s. After 0.5 s: t = 0, admitted.
"""

from __future__ import annotations

from typing import NamedTuple

from iotop_ng.policy.actions import NS_PER_S


class Answer(NamedTuple):
    """What to do with one write."""

    is_admitted: bool
    delay_ns: int
    """Admitted: how long the writer waits afterwards. Deferred: when to ask again."""


class TokenBucket:
    """Tokens are kept in bytes * ns, so that no refill is rounded, however short its time.

    Attributes:
        rate_bytes_per_s: at least 1.
        burst_bytes: the most that passes at once after a rest.
    """

    __slots__ = ("_burst_ns", "_largest_bytes", "_last_ns", "_tokens", "burst_bytes",
                 "rate_bytes_per_s")  # fmt: skip

    def __init__(
        self, rate_bytes_per_s: int, burst_ns: int, largest_bytes: int, now_ns: int
    ) -> None:
        """Start full.

        Args:
            rate_bytes_per_s: what passes in the long run; less than 1 becomes 1.
            burst_ns: the burst, as time at that rate.
            largest_bytes: of one write; the burst is never less.
            now_ns: on the clock of all later calls.
        """
        self._burst_ns = max(burst_ns, 0)
        self._largest_bytes = max(largest_bytes, 1)
        self._last_ns = now_ns
        self.rate_bytes_per_s = max(rate_bytes_per_s, 1)
        self.burst_bytes = self._burst()
        self._tokens = self.burst_bytes * NS_PER_S

    @property
    def tokens(self) -> int:
        """Bytes that may pass now, rounded down; less than 0 is debt."""
        return self._tokens // NS_PER_S

    def refill(self, now_ns: int) -> None:
        """Bring the tokens up to date; a clock that went back refills nothing."""
        if now_ns > self._last_ns:
            grown = self._tokens + self.rate_bytes_per_s * (now_ns - self._last_ns)
            self._tokens = min(self.burst_bytes * NS_PER_S, grown)
            self._last_ns = now_ns

    def ask(self, now_ns: int, size: int) -> Answer:
        """Say whether a write of `size` bytes passes now; it is charged when it does."""
        self.refill(now_ns)
        if self._tokens < 0:
            return Answer(is_admitted=False, delay_ns=self._wait())
        self._tokens -= max(size, 0) * NS_PER_S
        return Answer(is_admitted=True, delay_ns=self._wait())

    def set_rate(self, now_ns: int, rate_bytes_per_s: int) -> None:
        """Change the rate from now on; what was earned before was earned at the old one."""
        self.refill(now_ns)
        self.rate_bytes_per_s = max(rate_bytes_per_s, 1)
        self.burst_bytes = self._burst()
        self._tokens = min(self._tokens, self.burst_bytes * NS_PER_S)

    def _burst(self) -> int:
        return max(self.rate_bytes_per_s * self._burst_ns // NS_PER_S, self._largest_bytes)

    def _wait(self) -> int:
        return -(self._tokens // self.rate_bytes_per_s) if self._tokens < 0 else 0
