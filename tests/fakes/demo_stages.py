"""A stage for the demo's story on which time passes as fast as it is waited for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from iotop_ng.clock import NS_PER_S
from iotop_ng.demo.record import Record
from iotop_ng.policy.scores import Operation

MS = 1_000_000
MIB = 1 << 20
PERIOD_NS = 20 * MS
DISK = 40 * MIB
START_NS = 1000 * NS_PER_S


class FakeStage:
    """A victim whose latency is what the script says, and a hog that writes what it is let.

    Args:
        latencies_ns: of the victim: "alone", "flood", "throttle", "drop", "guard".
        settles_ns: for how long after a request, or a flood's first byte, nothing helps yet.
        cannot: phase -> why it cannot be done here.

    Attributes:
        events: what was begun and ended, in order.
        others: what others write, bytes per second.
        raises: what `wait` raises when the story gets to this state.
    """

    def __init__(
        self,
        latencies_ns: dict[str, int] | None = None,
        settles_ns: int = 500 * MS,
        cannot: dict[str, str] | None = None,
    ) -> None:
        self.record = Record()
        self.record.has_device = True
        self.disks = frozenset({"vda"})
        self.events: list[str] = []
        self.raises: tuple[str, BaseException] | None = None
        self.limits_ns: list[int] = []
        self.others = MIB
        self._latencies_ns = {
            "alone": 2 * MS, "flood": 300 * MS, "throttle": 3 * MS, "drop": 2 * MS,
            "guard": 3 * MS, **(latencies_ns or {}),
        }  # fmt: skip
        self._settles_ns = settles_ns
        self._cannot = cannot or {}
        self._now_ns = START_NS
        self._next_ns = START_NS
        self._state = "alone"
        self._since_ns = START_NS
        self._hog_rate = 0
        self._written = 0
        self._device = 0

    @contextmanager
    def opened(self) -> Iterator[FakeStage]:
        self.events.append("victim")
        try:
            yield self
        finally:
            self.events.append("victim ended")

    def now_ns(self) -> int:
        return self._now_ns

    def wait(self, until_ns: int) -> None:
        if self.raises is not None and self.raises[0] == self._state:
            raise self.raises[1]
        while self._now_ns < until_ns:
            self._step(min(until_ns, self._now_ns + 250 * MS))

    @contextmanager
    def flood(self) -> Iterator[int]:
        with self._in("guard" if self._state == "guarded" else "flood", DISK, "hog"):
            self._written = 0
            self.record.written.restart(self._now_ns)
            self.record.lost.restart(self._now_ns)
            self.record.refused.restart(self._now_ns)
            yield self._now_ns

    def why_not(self, phase: str) -> str:
        return self._cannot.get(phase, "")

    @contextmanager
    def throttled(self, rate: int) -> Iterator[str]:
        with self._in("throttle", rate, "throttle"):
            yield "hold"

    @contextmanager
    def dropped(self) -> Iterator[str]:
        with self._in("drop", 0, "drop"):
            yield "drop"

    @contextmanager
    def guarded(self, limit_ns: int) -> Iterator[None]:
        self.limits_ns.append(limit_ns)
        with self._in("guarded", 0, "guard"):
            yield

    @contextmanager
    def _in(self, state: str, rate: int, event: str) -> Iterator[None]:
        before = self._state, self._hog_rate
        self.events.append(event)
        self._state, self._hog_rate, self._since_ns = state, rate, self._now_ns
        try:
            yield
        finally:
            self.events.append(f"{event} ended")
            self._state, self._hog_rate = before
            self._since_ns = self._now_ns

    def _step(self, until_ns: int) -> None:
        spent = until_ns - self._now_ns
        self._written += self._hog_rate * spent // NS_PER_S
        self._device += (self._hog_rate + self.others) * spent // NS_PER_S
        self.record.written.add(until_ns, self._written)
        self.record.refused.add(until_ns, 0)
        self.record.device.add(until_ns, self._device)
        while self._next_ns < until_ns:
            latency_ns = self._latency_ns(self._next_ns)
            ended_ns = self._next_ns + latency_ns
            self.record.operations.append(Operation(self._next_ns, ended_ns))
            self._next_ns = max(self._next_ns + PERIOD_NS, ended_ns)
        self._now_ns = until_ns

    def _latency_ns(self, moment_ns: int) -> int:
        state = "alone" if self._state == "guarded" else self._state
        is_settled = moment_ns - self._since_ns >= self._settles_ns
        helps = state in {"throttle", "drop", "guard"}
        return self._latencies_ns["flood" if helps and not is_settled else state]


def nobody(_: str) -> None:
    """Tell nobody."""
