"""One device: it serves its queue in order, at a rate that wanders."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from iotop_ng.policy.actions import NS_PER_S
from iotop_ng.sim.dice import Dice
from iotop_ng.sim.scenario import DeviceSpec

WINDOW_NS = 50_000_000
"""The rate is constant for this long."""
LOWEST_PER_MILLE = -600
HIGHEST_PER_MILLE = 300
_SWING_PER_MILLE = 170
_PULL = 8


class Request(NamedTuple):
    """Some bytes of one writer, or of the victim."""

    owner: int
    size: int
    born_ns: int
    is_sync: bool = False


class Done(NamedTuple):
    """A request that completed."""

    request: Request
    at_ns: int


class Device:
    """Bytes * ns everywhere, so that nothing is rounded away between two steps.

    Attributes:
        now_ns: up to where it was run.
        queued_bytes: not served yet.
        possible_bytes: what it could have served since the start.
        served_bytes, busy_ns, waited_ns: since the start; waited is the sum over requests.
    """

    def __init__(self, spec: DeviceSpec, dice: Dice) -> None:
        self._spec = spec
        self._dice = dice
        self._queue: deque[Request] = deque()
        self._head_left = 0
        self._level = 0
        self._rate = spec.rate
        self._window_end_ns = 0
        self._possible = 0
        self.now_ns = 0
        self.queued_bytes = 0
        self.served_bytes = 0
        self.served_ios = 0
        self.busy_ns = 0
        self.waited_ns = 0

    @property
    def in_flight(self) -> int:
        """Requests in the queue."""
        return len(self._queue)

    @property
    def possible_bytes(self) -> int:
        """What it could have served since the start, at the rates that it had."""
        return self._possible // NS_PER_S

    def submit(self, request: Request) -> None:
        """Queue a request behind all others, now."""
        if not self._queue:
            self._head_left = request.size * NS_PER_S
        self._queue.append(request)
        self.queued_bytes += request.size

    def run_until(self, end_ns: int, *, stops_at_sync: bool = False) -> list[Done]:
        """Serve until then; return what completed, in order, each with its time.

        Args:
            end_ns: not before now.
            stops_at_sync: stop at once when a request with `is_sync` completed.
        """
        done: list[Done] = []
        while self.now_ns < end_ns:
            if self.now_ns >= self._window_end_ns:
                self._wander()
            self._serve(min(end_ns, self._window_end_ns), done, stops_at_sync=stops_at_sync)
            if stops_at_sync and done and done[-1].request.is_sync:
                break
        return done

    def _serve(self, end_ns: int, done: list[Done], *, stops_at_sync: bool) -> None:
        """Serve within one window."""
        start_ns = self.now_ns
        while self._queue:
            needed_ns = -(-self._head_left // self._rate)
            if self.now_ns + needed_ns > end_ns:
                self._head_left -= self._rate * (end_ns - self.now_ns)
                self.now_ns = end_ns
                break
            self.now_ns += needed_ns
            self._complete(done)
            if stops_at_sync and done[-1].request.is_sync:
                end_ns = self.now_ns
                break
        self.busy_ns += self.now_ns - start_ns
        self._possible += self._rate * (end_ns - start_ns)
        self.now_ns = end_ns

    def _complete(self, done: list[Done]) -> None:
        request = self._queue.popleft()
        self.queued_bytes -= request.size
        self.served_bytes += request.size
        self.served_ios += 1
        self.waited_ns += self.now_ns - request.born_ns
        done.append(Done(request, self.now_ns))
        self._head_left = self._queue[0].size * NS_PER_S if self._queue else 0

    def _wander(self) -> None:
        """Draw the rate of the next window; it remembers the last one, and is pulled to 0."""
        swing = _SWING_PER_MILLE * self._spec.noise_pct // 100
        self._level += self._dice.between(-swing, swing) - int(self._level / _PULL)
        self._level = min(max(self._level, LOWEST_PER_MILLE), HIGHEST_PER_MILLE)
        rate = self._spec.rate
        for change in self._spec.changes:
            if change.at_ns <= self.now_ns:
                rate = change.rate
        self._rate = max(rate * (1000 + self._level) // 1000, 1)
        self._window_end_ns = self.now_ns - self.now_ns % WINDOW_NS + WINDOW_NS
