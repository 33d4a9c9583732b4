"""What a holder reports to the keeper: a page of counters that both map."""

from __future__ import annotations

import mmap
import struct
from typing import NamedTuple

_RECORD = struct.Struct("<6q")


class Held(NamedTuple):
    """Totals, and what holds now."""

    ended_ns: int = 0
    """Waiting that is over, summed over threads."""
    holds: int = 0
    waiting: int = 0
    """Threads that wait now."""
    starts_ns: int = 0
    """Sum of when those began to."""
    refused: int = 0
    """Threads that could not be traced."""
    interrupts: int = 0

    def held_ns(self, now_ns: int) -> int:
        """Return all waiting until now."""
        return self.ended_ns + max(0, self.waiting * now_ns - self.starts_ns)


class Tally:
    """Shared by fork: one side writes, the other reads."""

    def __init__(self) -> None:
        self._page = mmap.mmap(-1, mmap.PAGESIZE)

    def write(self, held: Held) -> None:
        """Publish; a reader may see half of the old, which the next reading mends."""
        _RECORD.pack_into(self._page, 0, *held)

    def read(self) -> Held:
        """Return what was written last."""
        return Held(*_RECORD.unpack_from(self._page, 0))
