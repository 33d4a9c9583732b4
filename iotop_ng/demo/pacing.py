"""What a writer wants by its rate, what it still owes, and what it has given up.

With rate r, w(t) = r * t bytes are wanted until t. What is wanted and neither written nor lost is
debt; it is paid by writing, as fast as that goes. More debt than a second's worth is lost::

    lost = max(lost, w(t) - written - r * 1 s)

This is how resctl-bench's memory hog accounts for what an isolation costs it. A write that is
refused is lost at once. Worked, for r = 100 and nothing written: after 1 s the debt is 100 and
nothing is lost, after 3 s the debt is still 100 and 200 are lost.
"""

from __future__ import annotations

from typing import NamedTuple

from iotop_ng.clock import NS_PER_S

MOST_DEBT_NS = NS_PER_S
_SLICE_NS = 10_000_000
"""A paced writer wakes this often: what it owes until then is written in one go."""
_LONGEST_SLEEP_NS = 50_000_000


class Pace(NamedTuple):
    """A rate, steady or in pulses."""

    rate_bytes_per_s: int | None
    """In the long run; None: all that can be written."""
    pulse_ns: int = 0
    """Written for this long, at twice the rate, and silent for this long; 0: steady."""

    def wanted(self, elapsed_ns: int) -> int | None:
        """Return the bytes that are wanted until then; None: all that can be written."""
        if self.rate_bytes_per_s is None:
            return None
        elapsed_ns = max(elapsed_ns, 0)
        if not self.pulse_ns:
            return self.rate_bytes_per_s * elapsed_ns // NS_PER_S
        pulses, rest = divmod(elapsed_ns, 2 * self.pulse_ns)
        busy_ns = pulses * self.pulse_ns + min(rest, self.pulse_ns)
        return 2 * self.rate_bytes_per_s * busy_ns // NS_PER_S

    def is_silent(self, elapsed_ns: int) -> bool:
        """Say whether it is between two pulses."""
        return bool(self.pulse_ns) and elapsed_ns % (2 * self.pulse_ns) >= self.pulse_ns

    def lost(self, elapsed_ns: int, written: int, lost: int) -> int:
        """Return what is lost by now; never less than it was.

        Args:
            elapsed_ns: since the start.
            written: bytes so far.
            lost: bytes that were lost before.
        """
        wanted = self.wanted(elapsed_ns)
        if wanted is None or self.rate_bytes_per_s is None:
            return lost
        most = self.rate_bytes_per_s * MOST_DEBT_NS // NS_PER_S
        return max(lost, wanted - written - most)

    def wanted_in_all(self, elapsed_ns: int, written: int, lost: int) -> int:
        """Return what is wanted by now, of whom wants all there is: what it got and what not."""
        wanted = self.wanted(elapsed_ns)
        return written + lost if wanted is None else wanted

    def due(self, elapsed_ns: int, written: int, lost: int, record: int) -> int | None:
        """Return the bytes that may be written now; 0: sleep first; None: as many as one likes.

        Less than a record may not: it waits until it is due as a whole.
        """
        if self.is_silent(elapsed_ns) and self.rate_bytes_per_s is None:
            return 0
        wanted = self.wanted(elapsed_ns)
        if wanted is None:
            return None
        debt = wanted - written - lost
        return debt if debt >= record else 0

    def sleep_ns(self, elapsed_ns: int, written: int, lost: int, record: int) -> int:
        """Return how long to sleep when nothing is due: until a record is, or a slice's worth."""
        wanted = self.wanted(elapsed_ns)
        if wanted is None or not self.rate_bytes_per_s:
            return _SLICE_NS
        missing = record - (wanted - written - lost)
        until_due = missing * NS_PER_S // self.rate_bytes_per_s
        return min(max(until_due, _SLICE_NS), _LONGEST_SLEEP_NS)
