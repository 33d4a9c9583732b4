"""The one loop: read, compute, publish. Live, batch and replay differ in what they plug in.

The session's thread owns the source and the model. Other threads may set `needs` and `interval_s`,
and call `wake` and `request_stop`.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator

from iotop_ng.clock import NS_PER_S, Clock
from iotop_ng.model.frame import Frame
from iotop_ng.model.tracker import Tracker
from iotop_ng.ports import Source
from iotop_ng.sample import Need


class Session:
    """Reads a source again and again, and hands out frames.

    Attributes:
        needs: what readers want beyond the default set, from the next reading on.
        interval_s: seconds between readings, from the next sleep on; `wake` makes it count now.
    """

    def __init__(
        self, source: Source, clock: Clock, interval_s: float, history_ticks: int = 120
    ) -> None:
        self.needs: frozenset[Need] = frozenset()
        self.interval_s = interval_s
        self._source = source
        self._clock = clock
        self._tracker = Tracker(history_ticks)
        self._is_open = False
        self._is_stopping = False
        self._wake = threading.Event()

    def open(self) -> None:
        """Open the source, once.

        Raises:
            SourceError: when it cannot work here.
            NotPermittedError: when a capability is missing.
        """
        if not self._is_open:
            self._source.open()
            self._is_open = True

    def close(self) -> None:
        """Close the source; calling it twice is fine. For the thread that reads."""
        if self._is_open:
            self._is_open = False
            self._source.close()

    def step(self) -> Frame:
        """Read once and return the frame of the interval since the reading before."""
        return self._tracker.advance(self._source.read(self.needs))

    def request_stop(self) -> None:
        """Make `frames` end after the frame at hand, also out of its sleep. From any thread."""
        self._is_stopping = True
        self._wake.set()

    def wake(self) -> None:
        """Make a sleeping session look at `interval_s` again. From any thread."""
        self._wake.set()

    def frames(self, count: int | None = None, duration_s: float | None = None) -> Iterator[Frame]:
        """Yield tick 0 at once, where no rate is known yet, and then one frame per interval.

        Tick k is due at start + k * interval, whatever reading and drawing cost. When a tick is
        late by more than an interval, those that were missed are left out: with 1 s, a reading
        that takes from 3.0 to 5.3 is followed by the one due at 6.0. When the interval changes, the
        last due time is the new start.

        Args:
            count: frames after tick 0; None for no end.
            duration_s: after that time the last frame is read, be its interval shorter or not.
        """
        self.open()
        due = start = self._clock.mono_ns()
        end = None if duration_s is None else start + round(duration_s * NS_PER_S)
        frame = self.step()
        yield frame
        while not (self._is_stopping or frame.tick == count or (end is not None and due >= end)):
            due = self._sleep(due, end)
            if self._is_stopping:
                return
            frame = self.step()
            yield frame

    def _sleep(self, last_due: int, end: int | None) -> int:
        """Sleep until the next tick is due; return when that was."""
        while True:
            self._wake.clear()
            # Asked after the clearing: a stop requested before it would be slept over.
            if self._is_stopping:
                return last_due
            due = next_due(last_due, self._clock.mono_ns(), round(self.interval_s * NS_PER_S))
            due = due if end is None else min(due, end)
            self._clock.sleep_until(due, self._wake)
            if self._clock.mono_ns() >= due:
                return due


def next_due(last_due: int, now: int, interval_ns: int) -> int:
    """Return the first of last_due + k * interval (k >= 1) that is not past, in ns.

    last_due 0, interval 1000: due 1000 at now 400 and at 1000, but 4000 at now 3500.
    """
    step = max(interval_ns, 1)
    missed = max(now - last_due - 1, 0) // step
    return last_due + (missed + 1) * step
