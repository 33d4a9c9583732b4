"""The tour as a calculation: what was seen goes in, the step and what was measured come out.

A step ends when what it asked for has happened, or with a key. `tour_steps.py` has their list.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import Enum
from typing import NamedTuple

import msgspec

from iotop_ng.clock import NS_PER_S
from iotop_ng.demo.latencies import Latencies
from iotop_ng.model.frame import Frame, PolicyRow
from iotop_ng.policy.scores import Operation

SETTLE_NS = 2 * NS_PER_S
"""What happens so soon after a change belongs to neither side of it: the disk still has a queue."""
RECENT_NS = 3 * NS_PER_S
"""What "now" means; at 50 operations a second there are 150 in it."""
LEAST_TARGET_NS = 2_000_000
GUARD_FACTOR = 2
"""The guard is to keep the victim within this many times of what it has alone."""


class Phase(Enum):
    """What is compared in the end."""

    ALONE = "alone"
    FLOOD = "flood"
    THROTTLE = "throttle"
    DROP = "drop"
    GUARD = "guard"


class Deed(Enum):
    """What the tour does by itself when a step begins."""

    FLOOD = "flood"
    GUARD = "guard"
    END = "end"


class Hog(NamedTuple):
    """What the hog says of itself: totals since it began."""

    time_ns: int
    written_bytes: int
    errors: int = 0


class Seen(NamedTuple):
    """What one look brings."""

    frame: Frame
    ended: tuple[Operation, ...] = ()
    """The victim's operations that ended since the last look."""
    waiting_ns: int = 0
    """Age of the one that is under way."""
    hog: Hog | None = None
    """Its last report; None: it has not spoken yet."""
    hog_pids: frozenset[int] = frozenset()
    cannot_drop: str | None = None
    """Why writes cannot be refused here, "" when they can; None while nobody knows."""
    wants_next: bool = False
    """The key was pressed."""


class Window(NamedTuple):
    """When something was measured."""

    phase: Phase
    from_ns: int
    until_ns: int | None = None


class Measure(msgspec.Struct, frozen=True):
    """What one phase has shown so far."""

    latencies_ns: tuple[int, ...] = ()
    first: Hog | None = None
    last: Hog | None = None

    @property
    def p99_ns(self) -> int | None:
        """Of the victim's operations; None: it has ended none."""
        return p99_ns(self.latencies_ns)

    @property
    def max_ns(self) -> int | None:
        """The longest."""
        return max(self.latencies_ns, default=None)

    @property
    def hog_bytes_per_s(self) -> float | None:
        """What the hog wrote; None before its second report."""
        return self._per_s(lambda hog: hog.written_bytes)

    @property
    def hog_errors_per_s(self) -> float | None:
        """How many of its writes were refused."""
        return self._per_s(lambda hog: hog.errors)

    def _per_s(self, total: Callable[[Hog], int]) -> float | None:
        if self.first is None or self.last is None or self.last.time_ns <= self.first.time_ns:
            return None
        grown = total(self.last) - total(self.first)
        return grown * NS_PER_S / (self.last.time_ns - self.first.time_ns)


NOTHING = Measure()


class Tour(msgspec.Struct, frozen=True):
    """Where it is, and what was measured on the way."""

    at: int = 0
    """Index of the step."""
    entered_ns: int | None = None
    """When the step began, on the frames' clock; None before the first frame."""
    windows: tuple[Window, ...] = ()
    measures: Mapping[Phase, Measure] = {}
    recent: tuple[Operation, ...] = ()
    waiting_ns: int = 0
    now_ns: int = 0
    cannot_drop: str | None = None
    hog: Hog | None = None
    policies: tuple[PolicyRow, ...] = ()
    """In force on the hog."""

    def measure(self, phase: Phase) -> Measure:
        """Return what a phase has shown."""
        return self.measures.get(phase, NOTHING)

    @property
    def p99_now_ns(self) -> int | None:
        """The victim's p99 in the last seconds; the age of what does not end, when that is more."""
        ended = p99_ns(one.latency_ns for one in self.recent)
        return max(ended or 0, self.waiting_ns) or None

    @property
    def age_ns(self) -> int:
        """For how long the step lasts."""
        return 0 if self.entered_ns is None else self.now_ns - self.entered_ns

    @property
    def target_ns(self) -> int:
        """What the guard is to keep: twice what the victim has alone."""
        alone = self.measure(Phase.ALONE).p99_ns or 0
        return max(GUARD_FACTOR * alone, LEAST_TARGET_NS)


class Step(NamedTuple):
    """One page of the guide."""

    name: str
    chapter: int
    """From 1; several steps may be one."""
    title: str
    text: str
    """What to look at; {words} of `tour_words.words` are filled in."""
    ask: str = ""
    """Which key to press; "": it goes on by itself."""
    is_done: Callable[[Tour], bool] = lambda _: False
    """What it asked for has happened."""
    least_s: float = 0.0
    """It is not over before."""
    most_s: float | None = None
    """It goes on after this time, whatever happened."""
    phase: Phase | None = None
    """What is measured meanwhile."""
    deed: Deed | None = None
    is_skipped: Callable[[Tour], bool] = lambda _: False
    """It has no meaning here."""


def advance(tour: Tour, seen: Seen, steps: Sequence[Step]) -> Tour:
    """Return the tour after one more look; it goes at most one step."""
    now_ns = seen.frame.mono_ns
    is_first = tour.entered_ns is None
    tour = _take(tour, seen, now_ns)
    if is_first:
        return _enter(tour, 0, steps)
    step = steps[tour.at]
    if tour.at + 1 < len(steps) and (_is_over(step, tour) or seen.wants_next):
        return _enter(tour, _next(tour, steps), steps)
    return tour


def _is_over(step: Step, tour: Tour) -> bool:
    age_s = tour.age_ns / NS_PER_S
    if step.most_s is not None and age_s >= step.most_s:
        return True
    return age_s >= step.least_s and step.is_done(tour)


def _next(tour: Tour, steps: Sequence[Step]) -> int:
    """Return the next step that has a meaning here; the last one always has."""
    last = len(steps) - 1
    found = (n for n in range(tour.at + 1, last) if not steps[n].is_skipped(tour))
    return next(found, last)


def _enter(tour: Tour, at: int, steps: Sequence[Step]) -> Tour:
    """Begin a step: what was measured so far ends, unless it is the same."""
    before = tour.windows[-1] if tour.windows else None
    phase = steps[at].phase
    windows = tour.windows
    if before is not None and before.until_ns is None and before.phase is not phase:
        windows = (*windows[:-1], before._replace(until_ns=tour.now_ns))
    if phase is not None and (before is None or before.until_ns or before.phase is not phase):
        windows = (*windows, Window(phase, tour.now_ns + SETTLE_NS))
    return msgspec.structs.replace(tour, at=at, entered_ns=tour.now_ns, windows=windows)


def _take(tour: Tour, seen: Seen, now_ns: int) -> Tour:
    recent = [one for one in (*tour.recent, *seen.ended) if one.ended_ns > now_ns - RECENT_NS]
    return msgspec.structs.replace(
        tour,
        now_ns=now_ns,
        recent=tuple(recent),
        waiting_ns=seen.waiting_ns,
        measures=_measured(tour, seen),
        cannot_drop=tour.cannot_drop if seen.cannot_drop is None else seen.cannot_drop,
        hog=seen.hog or tour.hog,
        policies=on_hog(seen.frame, seen.hog_pids),
    )


def _measured(tour: Tour, seen: Seen) -> Mapping[Phase, Measure]:
    """Return the measures with what is new: an operation belongs to the phase it began in."""
    measures = dict(tour.measures)
    for one in seen.ended:
        phase = _phase_at(tour.windows, one.began_ns)
        if phase is not None:
            old = measures.get(phase, NOTHING)
            latencies = (*old.latencies_ns, one.latency_ns)
            measures[phase] = msgspec.structs.replace(old, latencies_ns=latencies)
    if seen.hog is not None and seen.hog != tour.hog:
        phase = _phase_at(tour.windows, seen.hog.time_ns)
        if phase is not None:
            old = measures.get(phase, NOTHING)
            first = old.first or seen.hog
            measures[phase] = msgspec.structs.replace(old, first=first, last=seen.hog)
    return measures


def _phase_at(windows: Iterable[Window], time_ns: int) -> Phase | None:
    for window in windows:
        if window.from_ns <= time_ns and (window.until_ns is None or time_ns < window.until_ns):
            return window.phase
    return None


def on_hog(frame: Frame, pids: frozenset[int]) -> tuple[PolicyRow, ...]:
    """Return what is in force on the hog, by hand or by a rule."""
    return tuple(one for one in frame.policies if one.pid in pids and not one.is_dry)


def p99_ns(latencies_ns: Iterable[int]) -> int | None:
    """Return the 99th percentile; None of none."""
    counted = Latencies()
    for latency_ns in latencies_ns:
        counted.add(latency_ns)
    return counted.figures().p99_ns
