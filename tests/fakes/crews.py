"""A crew that only exists as numbers, and a wish to end that comes at a time."""

from __future__ import annotations

import os
from collections.abc import Callable

from iotop_ng.clock import NS_PER_S, ManualClock
from iotop_ng.demo.counts import NOTHING, Counts
from iotop_ng.demo.pacing import Pace


class FakeCrew:
    """Counts what a script says at each second of a clock.

    Args:
        clock: what time it is.
        script: seconds -> what each of them has done by then.
        paces: what each of them wants.
        lives_s: they end by themselves after this long.
    """

    def __init__(
        self,
        clock: ManualClock,
        script: Callable[[float], list[Counts]],
        paces: list[Pace],
        lives_s: float = 1e9,
    ) -> None:
        self.pids = tuple(range(101, 101 + len(paces)))
        reading, writing = os.pipe()
        os.close(writing)
        self.alive = reading
        self.start_ns = clock.mono_ns()
        self.paces = paces
        self.calls: list[str] = []
        self.why = ""
        self._clock = clock
        self._script = script
        self._lives_ns = int(lives_s * NS_PER_S)

    @property
    def _age_ns(self) -> int:
        return self._clock.mono_ns() - self.start_ns

    def problem(self) -> str:
        """Return what ended them."""
        return self.why

    def counts(self) -> list[Counts]:
        """Return what each has done."""
        return self._script(self._age_ns / NS_PER_S)

    def has_living(self) -> bool:
        """Say whether their time is not over."""
        return self._age_ns < self._lives_ns and "end" not in self.calls

    def stop(self) -> None:
        """Take it down."""
        self.calls.append("stop")

    def end(self) -> None:
        """Take it down."""
        self.calls.append("end")


class TimedEnding:
    """The wish to end, at a time of a clock that moves by waiting for it.

    Args:
        clock: it moves.
        at_s: when the wish comes, in seconds from now.
        late_s: each wait takes this much longer than asked.
    """

    def __init__(self, clock: ManualClock, at_s: float = 1e9, late_s: float = 0.0) -> None:
        self._clock = clock
        self._at_ns = clock.mono_ns() + int(at_s * NS_PER_S)
        self._late_ns = int(late_s * NS_PER_S)

    @property
    def is_set(self) -> bool:
        """Whether it came."""
        return self._clock.mono_ns() >= self._at_ns

    def wait(self, until_ns: int, descriptor: int) -> None:  # noqa: ARG002 - it is the protocol's
        """Move the clock."""
        until_ns = min(until_ns + self._late_ns, max(self._at_ns, self._clock.mono_ns()))
        self._clock.sleep_until(until_ns)


def idle(streams: int) -> list[Counts]:
    """Return what nobody has done."""
    return [NOTHING] * streams
