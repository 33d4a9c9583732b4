"""A clock that tests move, over the system's."""

from __future__ import annotations

import time

from iotop_ng.clock import SystemClock


class LaterClock(SystemClock):
    """The system's clock, moved forward by `moved_ns`."""

    def __init__(self) -> None:
        self.moved_ns = 0

    def mono_ns(self) -> int:
        return time.monotonic_ns() + self.moved_ns
