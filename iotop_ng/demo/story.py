"""The story of the demo: a victim alone, a flood, what is done about it, and all as it was.

`play` says what happens in which order; a `Stage` does it, on a real machine or in a test.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol

from iotop_ng.clock import NS_PER_S
from iotop_ng.demo.figures import limit_of
from iotop_ng.demo.record import Record, Seen
from iotop_ng.errors import IotopError

AGAIN_NS = 3 * NS_PER_S
"""A flood that was let go of has this time to be as bad as before; less in short phases."""
REST_NS = 2 * NS_PER_S
"""For the disk, before the first phase and after a flood; less in short phases."""
BASELINE, FLOOD, THROTTLE, DROP, GUARD, AFTER = (
    "baseline", "flood", "throttle", "drop", "guard", "after",
)  # fmt: skip


class Plan(NamedTuple):
    """What is played."""

    seconds: int
    """Of each phase."""
    cap: int
    """What is left to the hog when it is throttled, bytes per second."""
    limit_ns: int | None = None
    """The latency that is still well; None: made from the baseline."""

    @property
    def rest_ns(self) -> int:
        """How long the disk rests."""
        return min(REST_NS, self.seconds * NS_PER_S // 2)

    @property
    def again_ns(self) -> int:
        """How long a flood goes on between two requests."""
        return min(AGAIN_NS, self.seconds * NS_PER_S)


class Stage(Protocol):
    """Everything that the story acts on. Whatever it begins ends with its context."""

    @property
    def record(self) -> Record:
        """What was seen."""
        ...

    def now_ns(self) -> int:
        """Return CLOCK_MONOTONIC."""
        ...

    def wait(self, until_ns: int) -> None:
        """Watch until then."""
        ...

    def flood(self) -> AbstractContextManager[int]:
        """Let the hog write; gives when it began."""
        ...

    def why_not(self, phase: str) -> str:
        """Say why the hog cannot be throttled, or its writes dropped, here; "" when it can be."""
        ...

    def throttled(self, rate: int) -> AbstractContextManager[str]:
        """Hold the hog to a rate; gives the mechanism."""
        ...

    def dropped(self) -> AbstractContextManager[str]:
        """Refuse what the hog writes; gives the mechanism."""
        ...

    def guarded(self, limit_ns: int) -> AbstractContextManager[None]:
        """Have a guard stand by for the victim; gives when it watches."""
        ...


class Told(NamedTuple):
    """How the story went."""

    phases: tuple[Seen, ...]
    limit_ns: int


def play(stage: Stage, plan: Plan, tell: Callable[[str], None]) -> Told:
    """Play it all.

    Args:
        stage: where.
        plan: how long, and with what limits.
        tell: told what is going on, a line each.

    Raises:
        IotopError: hog, victim or guard do not do what they are there for.
    """
    _rest(stage, plan)
    tell(f"baseline: the victim alone, {plan.seconds} s")
    baseline = _watched(stage, plan, Seen(BASELINE, stage.now_ns(), 0, has_hog=False))
    operations = stage.record.of(baseline)
    if not any(one.has_ended for one in operations):
        raise IotopError("the victim did nothing: is the disk stuck already?")
    limit_ns = plan.limit_ns or limit_of(operations)
    with stage.flood() as began_ns:
        tell("flood: the hog writes all it can")
        flood = _watched(stage, plan, Seen(FLOOD, began_ns, 0))
        throttle = _acted(stage, plan, THROTTLE, lambda: stage.throttled(plan.cap), tell)
        drop = _acted(stage, plan, DROP, stage.dropped, tell, again=not throttle.why_not)
    _rest(stage, plan)
    guard = _guarded(stage, plan, limit_ns, tell)
    _rest(stage, plan)
    tell("after: the victim alone again")
    after = _watched(stage, plan, Seen(AFTER, stage.now_ns(), 0, has_hog=False))
    return Told((baseline, flood, throttle, drop, guard, after), limit_ns)


def _watched(stage: Stage, plan: Plan, seen: Seen) -> Seen:
    """Watch from the beginning of a phase to its end."""
    end_ns = seen.begin_ns + plan.seconds * NS_PER_S
    stage.wait(end_ns)
    return seen._replace(end_ns=end_ns)


def _acted(
    stage: Stage,
    plan: Plan,
    name: str,
    act: Callable[[], AbstractContextManager[str]],
    tell: Callable[[str], None],
    *,
    again: bool = False,
) -> Seen:
    """Do something about the hog, watch from the request on, and take it back."""
    if why_not := stage.why_not(name):
        tell(f"{name}: not here: {why_not}")
        return Seen(name, 0, 0, why_not=why_not)
    if again:
        tell("flood again: the hog is let go of")
        stage.wait(stage.now_ns() + plan.again_ns)
    tell(f"{name}: asked for now")
    asked_ns = stage.now_ns()
    with act() as how:
        return _watched(stage, plan, Seen(name, asked_ns, 0, how=how))


def _guarded(stage: Stage, plan: Plan, limit_ns: int, tell: Callable[[str], None]) -> Seen:
    tell(f"guard: waits for the flood, to keep the victim's p99 at {limit_ns / 1e6:.1f} ms")
    with stage.guarded(limit_ns):
        _rest(stage, plan)
        with stage.flood() as began_ns:
            tell("guard: the flood begins")
            return _watched(stage, plan, Seen(GUARD, began_ns, 0, how="guard"))


def _rest(stage: Stage, plan: Plan) -> None:
    stage.wait(stage.now_ns() + plan.rest_ns)
