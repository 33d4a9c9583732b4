"""What of a drop's budget is free again: a rolling hour, in minutes."""

from __future__ import annotations

from collections import deque

from iotop_ng.clock import NS_PER_S

WINDOW_NS = 3600 * NS_PER_S
SLOT_NS = 60 * NS_PER_S


class Window:
    """Sums what was refused longer ago than the window.

    A slot of a minute counts until all of it is out of the window, so that what is refused within
    any hour stays within the budget.
    """

    def __init__(self) -> None:
        self._seen = 0
        self._slots: deque[tuple[int, int]] = deque()
        self.returned_bytes = 0

    def note(self, now_ns: int, refused_bytes: int) -> int:
        """Take the total so far; return how much of it no longer counts.

        Args:
            now_ns: CLOCK_MONOTONIC.
            refused_bytes: since the start.
        """
        slot = now_ns // SLOT_NS
        if refused_bytes > self._seen:
            if self._slots and self._slots[-1][0] == slot:
                self._slots[-1] = (slot, self._slots[-1][1] + refused_bytes - self._seen)
            else:
                self._slots.append((slot, refused_bytes - self._seen))
            self._seen = refused_bytes
        while self._slots and (self._slots[0][0] + 1) * SLOT_NS + WINDOW_NS <= now_ns:
            self.returned_bytes += self._slots.popleft()[1]
        return self.returned_bytes
