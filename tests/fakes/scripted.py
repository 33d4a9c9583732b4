"""A source that plays samples from a list and writes down what was asked of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec.structs import replace

from iotop_ng.clock import ManualClock
from iotop_ng.sample import Need, Sample


class ScriptedSource:
    """Hands out the samples in turn, the last one for ever, stamped with the clock's time.

    Attributes:
        readings: monotonic times of the readings.
        asked: the needs of each reading.
        calls: "open" and "close", in order.
        costs_ns: how long each reading takes on the clock; none when the list is over.
        before_read: called at the start of each reading with its number.
    """

    name = "sim"

    def __init__(self, clock: ManualClock, samples: Sequence[Sample]) -> None:
        self._clock = clock
        self._samples = samples
        self.readings: list[int] = []
        self.asked: list[frozenset[Need]] = []
        self.calls: list[str] = []
        self.costs_ns: list[int] = []
        self.before_read: Callable[[int], None] = lambda _number: None

    def open(self) -> None:
        self.calls.append("open")

    def read(self, needs: frozenset[Need]) -> Sample:
        number = len(self.readings)
        self.before_read(number)
        self.readings.append(self._clock.mono_ns())
        self.asked.append(needs)
        found = self._samples[min(number, len(self._samples) - 1)]
        stamped = replace(found, wall_ns=self._clock.wall_ns(), mono_ns=self._clock.mono_ns())
        if number < len(self.costs_ns):
            self._clock.advance(self.costs_ns[number])
        return stamped

    def close(self) -> None:
        self.calls.append("close")
