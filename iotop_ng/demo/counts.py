"""What writers count, in memory that all of them share: read whatever they are doing.

A writer may be held in the middle of a call, or killed: its numbers stay where they are. Each
thread has a line of its own and is the only one that writes to it, one aligned word at a time.
"""

from __future__ import annotations

import mmap
from typing import NamedTuple, final

_WORDS = 8  # 64 bytes: no two threads share a cache line


class Counts(NamedTuple):
    """What one thread did so far."""

    written_bytes: int
    calls: int
    """Also those that were refused."""
    errors: int
    last_errno: int
    """0: none yet."""
    lost_bytes: int
    """Wanted, and given up: refused, or owed for longer than a second."""


NOTHING = Counts(0, 0, 0, 0, 0)


def added(all_of_them: list[Counts]) -> Counts:
    """Return the sums; the last error is that of the last in the list that has one."""
    return Counts(
        sum(one.written_bytes for one in all_of_them),
        sum(one.calls for one in all_of_them),
        sum(one.errors for one in all_of_them),
        next((one.last_errno for one in reversed(all_of_them) if one.last_errno), 0),
        sum(one.lost_bytes for one in all_of_them),
    )


@final
class SharedCounts:
    """The lines of all threads, and one word that tells all of them to stop.

    Args:
        streams: how many threads there will be in all processes that are forked from now on.
    """

    def __init__(self, streams: int) -> None:
        self.streams = streams
        self._words = memoryview(mmap.mmap(-1, 8 * _WORDS * (streams + 1))).cast("Q")

    def stop(self) -> None:
        """Tell all threads to stop when they have a moment."""
        self._words[self.streams * _WORDS] = 1

    @property
    def is_stopped(self) -> bool:
        """Whether they were told to."""
        return self._words[self.streams * _WORDS] != 0

    def line(self, stream: int) -> memoryview[int]:
        """Return the words of one thread, in the order of `Counts`."""
        return self._words[stream * _WORDS : stream * _WORDS + len(NOTHING)]

    def counts(self, stream: int) -> Counts:
        """Return what one thread did so far."""
        return Counts._make(self.line(stream).tolist())
