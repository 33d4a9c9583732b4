"""What a writer does: nothing but write, count, and wait for the disk or for its turn."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Iterable
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
            self._failed(error)

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
        room = self._ring.room if due is None else min(self._ring.room, due)
        # Less than a record is left of a chunk after a call that took a part of one.
        calls = max(room // record, 1)
        if self._orders.calls is not None:
            calls = min(calls, self._orders.calls - self._line[_CALLS])
        self._is_refused = False
        try:
            if self._orders.mode.is_synced:
                self._write_synced(calls)
            else:
                self._write(self._fill.take(calls) if room >= record else self._part(room))
        except OSError as error:
            self._failed(error)
            self._sleep_ns(_REFUSED_NS)

    def _due(self, record: int) -> int | None:
        """Return how much may be written now; sleep when that is nothing."""
        line, pace = self._line, self._orders.pace
        elapsed_ns = self._now_ns() - self._orders.start_ns
        line[_LOST] = pace.lost(elapsed_ns, line[_WRITTEN], line[_LOST])
        due = pace.due(elapsed_ns, line[_WRITTEN], line[_LOST], record)
        if due == 0:
            self._sleep_ns(pace.sleep_ns(elapsed_ns, line[_WRITTEN], line[_LOST], record))
        return due

    def _write(self, records: Iterable[memoryview | bytes]) -> None:
        """Write records that fit into the chunk. What a call leaves over is not made up for.

        Raises:
            OSError: a write was refused, or a page that was written is one that the disk refused.
        """
        # The tight loop of a flood in Python: what is not in here makes it a third faster.
        fd, line, begin = self._fd, self._line, self._ring.offset
        pwrite, offset, first, calls = os.pwrite, begin, line[_WRITTEN] - begin, line[_CALLS]
        data: memoryview | bytes = b""
        try:
            for data in records:
                calls += 1
                offset += pwrite(fd, data, offset)
                line[_WRITTEN] = first + offset
                line[_CALLS] = calls
        except OSError:
            line[_CALLS] = calls
            line[_LOST] += len(data)
            raise
        finally:
            self._ring.wrote(offset - begin)

    def _part(self, size: int) -> list[memoryview | bytes]:
        return [data[:size] for data in self._fill.take(1)]

    def _write_synced(self, calls: int) -> None:
        for data in self._fill.take(calls):
            self._write((data[: self._ring.room],))
            os.fsync(self._fd)

    def _failed(self, error: OSError) -> None:
        line = self._line
        line[_LAST_ERRNO] = error.errno or errno.EIO
        line[_ERRORS] += 1
        self._is_refused = True
