"""Time as a value that is passed in, so that tests and replay own it."""

from __future__ import annotations

import threading
import time
from typing import Protocol

NS_PER_S = 1_000_000_000
_LONGEST_SLEEP_S = 60.0


class Clock(Protocol):
    """What the session needs to know about time."""

    def wall_ns(self) -> int:
        """Nanoseconds since the epoch; may step."""
        ...

    def mono_ns(self) -> int:
        """Nanoseconds of CLOCK_BOOTTIME: never steps, counts while suspended."""
        ...

    def sleep_until(self, mono_ns: int, wake: threading.Event | None = None) -> None:
        """Return at or after this monotonic time, or as soon as `wake` is set."""
        ...


class SystemClock:
    """The machine's own clocks."""

    def wall_ns(self) -> int:
        """Nanoseconds since the epoch."""
        return time.time_ns()

    def mono_ns(self) -> int:
        """Nanoseconds of CLOCK_BOOTTIME."""
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME)

    def sleep_until(self, mono_ns: int, wake: threading.Event | None = None) -> None:
        """Sleep; return at once when the time has passed."""
        while (left := mono_ns - self.mono_ns()) > 0:
            # Sleeping stops while the machine is suspended, CLOCK_BOOTTIME does not: hence the
            # loop's bound, which lets a machine that wakes up tick within a minute.
            seconds = min(left / NS_PER_S, _LONGEST_SLEEP_S)
            if wake is None:
                time.sleep(seconds)
            elif wake.wait(seconds):
                return


class ManualClock:
    """A clock that only moves when told to; sleeping moves it. For tests and replay."""

    def __init__(self, wall_ns: int = 0, mono_ns: int = 0) -> None:
        self.wall = wall_ns
        self.mono = mono_ns

    def wall_ns(self) -> int:
        """Return the set wall time."""
        return self.wall

    def mono_ns(self) -> int:
        """Return the set monotonic time."""
        return self.mono

    def advance(self, ns: int) -> None:
        """Move both clocks forward."""
        self.wall += ns
        self.mono += ns

    def sleep_until(self, mono_ns: int, wake: threading.Event | None = None) -> None:
        """Jump to the given time, unless `wake` is set."""
        if mono_ns > self.mono and not (wake is not None and wake.is_set()):
            self.advance(mono_ns - self.mono)
