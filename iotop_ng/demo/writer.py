"""What a writer does: nothing but write, count, and wait for the disk or for its turn."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable
from typing import NamedTuple, final

from iotop_ng.clock import NS_PER_S
from iotop_ng.demo.counts import SharedCounts
from iotop_ng.demo.fill import Fill
from iotop_ng.demo.modes import Mode
from iotop_ng.demo.pacing import Pace
from iotop_ng.demo.ring import Ring

_WRITTEN, _CALLS, _ERRORS, _LAST_ERRNO, _LOST = range(5)  # the order of Counts
_REFUSED_NS = 1_000_000
"""A pause after a write that was refused: trying again at once would only burn a processor."""


class Orders(NamedTuple):
    """What one thread is to do."""

    mode: Mode
    pace: Pace
    start_ns: int
    """CLOCK_MONOTONIC; what is wanted counts from here."""
    calls: int | None
    """None: without end."""
    stops_at_error: bool


@final
class Stream:
    """One thread's writing into one file.

    Args:
        fd: the file.
        ring: where in it.
        fill: what.
        shared: where it counts, as `stream`.
        orders: how.
        now_ns: CLOCK_MONOTONIC.
        sleep_ns: sleeps.
    """

    def __init__(
        self,
        fd: int,
        ring: Ring,
        fill: Fill,
        *,
        shared: SharedCounts,
        stream: int,
        orders: Orders,
        now_ns: Callable[[], int] = time.monotonic_ns,
        sleep_ns: Callable[[int], None] = lambda ns: time.sleep(ns / NS_PER_S),
    ) -> None:
        self._fd = fd
        self._ring = ring
        self._fill = fill
        self._shared = shared
        self._line = shared.line(stream)
        self._orders = orders
        self._now_ns = now_ns
        self._sleep_ns = sleep_ns
        self._is_refused = False

    def run(self) -> None:
        """Write until told to stop, or all calls are made; then wait for the disk."""
        while not self._shared.is_stopped and not self._is_over():
            self._some()
        try:
            self._ring.finish()
        except OSError as error:
            self._failed(error, 0)

    def _is_over(self) -> bool:
        calls = self._orders.calls
        return (calls is not None and self._line[_CALLS] >= calls) or (
            self._is_refused and self._orders.stops_at_error
        )

    def _some(self) -> None:
        """Write what is due, up to the end of a chunk."""
        record = self._orders.mode.record_bytes
        due = self._due(record)
        if due == 0:
            return
        calls = self._ring.room // record if due is None else min(self._ring.room, due) // record
        if self._orders.calls is not None:
            calls = min(calls, self._orders.calls - self._line[_CALLS])
        self._is_refused = False
        for data in self._fill.take(calls):
            self._write(data)
            if self._is_refused:
                self._sleep_ns(_REFUSED_NS)
                return

    def _due(self, record: int) -> int | None:
        """Return how much may be written now; sleep when that is nothing."""
        line, pace = self._line, self._orders.pace
        elapsed_ns = self._now_ns() - self._orders.start_ns
        line[_LOST] = pace.lost(elapsed_ns, line[_WRITTEN], line[_LOST])
        due = pace.due(elapsed_ns, line[_WRITTEN], line[_LOST], record)
        if due == 0:
            self._sleep_ns(pace.sleep_ns(elapsed_ns, line[_WRITTEN], line[_LOST], record))
        return due

    def _write(self, data: memoryview | bytes) -> None:
        """Write one record; what a call leaves over goes with another one."""
        line, ring = self._line, self._ring
        try:
            size = os.pwrite(self._fd, data, ring.offset)
            line[_CALLS] += 1
            line[_WRITTEN] += size
        except OSError as error:
            line[_CALLS] += 1
            self._failed(error, len(data))
            return
        try:
            if self._orders.mode.is_synced:
                os.fsync(self._fd)
            ring.wrote(size)
        except OSError as error:  # of pages that were written, and that the disk did not take
            self._failed(error, 0)
        if size < len(data):
            self._write(data[size:])

    def _failed(self, error: OSError, lost: int) -> None:
        line = self._line
        line[_LAST_ERRNO] = error.errno or errno.EIO
        line[_LOST] += lost
        line[_ERRORS] += 1
        self._is_refused = True
