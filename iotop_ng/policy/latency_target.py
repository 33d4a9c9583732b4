"""Keep a victim's p99 below a target by capping what the hogs write: AIMD with a memory.

Additive increase, multiplicative decrease, after TCP's congestion control; the memory of the last
rate that was too much, with a fast return to it, is CUBIC's idea (RFC 9438), the percentile as
signal is SEDA's (USITS 2003). With target X and set-point g = X/2, a tick is judged by two things:

U, the usual latency: of the calls that returned, the slowest one in six left out (of four to eleven
calls just one, of fewer none), since some are slow whatever the hogs do. Without a call that
returned: the age of the one under way, or the delay of the device's queue.
Late calls: those that took longer than X. One in a hundred may, since the target is a p99; what was
not used of that is saved, up to one call::

    U > g, or a late call too many
                cap = 0.7 * what the hogs really do (0.5 when U >= 4 g), then one tick of patience,
                because what is queued already must drain first; mem = what they did
    U <= g / 2, no late call, and the hogs press against the cap
                far below mem: cap += max(a, (mem - cap) / 5), else a / 2, and after each 64 such
                ticks a / 2 more; a is 1 % of the capacity
    between     nothing: a dead band
    nothing measured
                unknown is not good: after 5 ticks 2 % per tick, and only while the cap binds

Worked: X = 20 ms, capacity 200 MB/s, hogs at 200 MB/s and no cap yet, U = 30 ms: mem = 200 MB/s,
cap = 140 MB/s. Next tick U = 30 ms: patience. Then U = 5 ms and the hogs at 138 MB/s: 140 is below
0.8 * 200, so cap = 140 + 12 = 152 MB/s. Hogs that write 600 MB/s into the page cache are cut to
140 MB/s just so, since the device does 200; but the first cut believes what was seen of the device
only down to a quarter of what they write, for it may have been idle: 3 GB/s are cut to 525 MB/s.
"""

from __future__ import annotations

from enum import Enum

import msgspec

from iotop_ng.policy.actions import NS_PER_S

SET_POINT_PCT = 50
DEAD_BAND_PCT = 50
DOWN_PCT = 70
HARD_DOWN_PCT = 50
HARD_OVER = 4
"""Times the set-point, from where the cut is the hard one."""
COOLING_TICKS = 1
LATE_ALLOWED_MILLI = 10
"""Thousandths of a late call that each call earns."""
MOST_SPARE_MILLI = 1000
ONE_LATE_MILLI = 500
"""Late calls are a guess within a slot of the histogram; from here it is rather one than none."""
UP_DIVISOR = 100
CALM_TICKS = 64
FIRST_DIVISOR = 4
RETURN_DIVISOR = 5
NEAR_MEMORY_PCT = 80
BINDING_PCT = 90
UNKNOWN_TICKS = 5
UNKNOWN_UP_PCT = 2
MISSING_TICKS = 3
RELEASE_NS = 60 * NS_PER_S
LEAST_FLOOR = 1_000_000
FLOOR_DIVISOR = 50


class Signals(msgspec.Struct, frozen=True):
    """What one tick measured."""

    hog_bytes_per_s: int | None
    """What all hogs wrote; None: not known."""
    fsyncs: int | None
    """Calls of the victims that finished; None: not measured."""
    p99_ns: int = 0
    """Of those; counts only when there are any."""
    usual_ns: int = 0
    """The slowest of them but the outliers."""
    late_milli: int = 0
    """How many of them took longer than the target, in thousandths."""
    age_ns: int = 0
    """Of the oldest call that has not finished: a stuck victim must not look idle."""
    queue_ns: int | None = None
    """Mean delay of the device's requests; None: none completed, or not measured."""
    is_lost: bool = False
    """Events were lost in this tick: what was measured may be too good."""

    @property
    def is_missing(self) -> bool:
        """Nothing to decide on: the hogs or every sign of latency are not measured."""
        return (
            self.is_lost
            or self.hog_bytes_per_s is None
            or (self.fsyncs is None and self.queue_ns is None and not self.age_ns)
        )

    @property
    def latency_ns(self) -> int:
        """The worst of what is known: what a person is told."""
        return max(self.fsync_ns, 0 if self.fsyncs else self.queue_ns or 0)

    @property
    def fsync_ns(self) -> int:
        """The victims' own part of it; 0 when nobody called fsync."""
        return max(self.p99_ns if self.fsyncs else 0, self.age_ns)

    @property
    def judged_ns(self) -> int:
        """U. The queue speaks only for victims that said nothing themselves."""
        return self.usual_ns if self.fsyncs else max(self.age_ns, self.queue_ns or 0)


class Aim(msgspec.Struct, frozen=True):
    """What is wanted."""

    target_ns: int
    """X: the victims' p99."""
    capacity: int
    """Bytes/s that the device can do, about; the size of a step comes from it."""
    floor: int = 0
    """The least cap; 0 takes 2 % of the capacity, at least 1 MB/s."""

    @property
    def set_point_ns(self) -> int:
        """Half the target: at the target itself, half of the time would be over it."""
        return self.target_ns * SET_POINT_PCT // 100

    @property
    def least(self) -> int:
        """The least cap in bytes/s."""
        return self.floor or max(LEAST_FLOOR, self.capacity // FLOOR_DIVISOR)

    @property
    def up(self) -> int:
        """One additive step in bytes/s."""
        return max(self.capacity // UP_DIVISOR, 1)


class Control(msgspec.Struct, frozen=True):
    """What is remembered from tick to tick."""

    cap: int | None = None
    """Bytes/s for all hogs together; None: no cap."""
    mem: int = 0
    """What the hogs did when it was last too much."""
    cooling: int = 0
    unknown: int = 0
    missing: int = 0
    calm: int = 0
    """Steps up since the last cut, close to mem or beyond it."""
    spare_milli: int = 0
    """Late calls that are allowed, in thousandths."""
    loose_ns: int = 0
    """How long the cap has been of no use."""


START = Control()


class Move(Enum):
    """What a tick did with the cap."""

    HOLD = "hold"
    CUT = "cut"
    RAISE = "raise"
    RELEASE = "release"
    """Of no use for a minute."""
    BLIND = "blind"
    """Nothing was known for three ticks: everything is let go."""


def step(aim: Aim, control: Control, seen: Signals, interval_ns: int) -> tuple[Control, Move]:
    """Return the next state and what happened; no cap afterwards means: release."""
    if seen.is_missing:
        missing = control.missing + 1
        if missing >= MISSING_TICKS:
            return START, Move.BLIND if control.cap is not None else Move.HOLD
        return msgspec.structs.replace(control, missing=missing), Move.HOLD
    hogs = seen.hog_bytes_per_s or 0
    late_milli = _late_milli(aim, seen)
    spare_milli = control.spare_milli + LATE_ALLOWED_MILLI * (seen.fsyncs or 0)
    spare_milli = min(spare_milli, MOST_SPARE_MILLI) - late_milli
    control = msgspec.structs.replace(control, missing=0, spare_milli=max(spare_milli, 0))
    is_late = late_milli >= ONE_LATE_MILLI
    if seen.judged_ns > aim.set_point_ns or (is_late and spare_milli < 0):
        return _too_slow(aim, control, seen.judged_ns, hogs)
    control, move = _good_enough(aim, control, seen, hogs, is_late=is_late)
    return _let_go_if_useless(aim, control, move, hogs, interval_ns)


def _late_milli(aim: Aim, seen: Signals) -> int:
    """Return the late calls in thousandths; one under way counts as soon as it is late."""
    return (seen.late_milli if seen.fsyncs else 0) + 1000 * (seen.age_ns > aim.target_ns)


def _too_slow(aim: Aim, control: Control, usual_ns: int, hogs: int) -> tuple[Control, Move]:
    """Cut, unless the last cut has not had its time."""
    if control.cooling:
        cooled = msgspec.structs.replace(
            control, cooling=control.cooling - 1, unknown=0, loose_ns=0
        )
        return cooled, Move.HOLD
    # Hogs that write next to nothing are not the cause, and a cap cut from that would be the floor.
    if hogs < aim.least:
        return msgspec.structs.replace(control, unknown=0, loose_ns=0), Move.HOLD
    if control.cap is None:
        base = min(hogs, max(aim.capacity, hogs // FIRST_DIVISOR))
    else:
        base = min(hogs, control.cap)
    is_hard = usual_ns >= HARD_OVER * aim.set_point_ns
    cap = max(aim.least, base * (HARD_DOWN_PCT if is_hard else DOWN_PCT) // 100)
    # The floor moves with a capacity that is learned; a violation must not lift the cap to it.
    cap = cap if control.cap is None else min(cap, control.cap)
    spare_milli = control.spare_milli
    return Control(cap=cap, mem=base, cooling=COOLING_TICKS, spare_milli=spare_milli), Move.CUT


def _good_enough(
    aim: Aim, control: Control, seen: Signals, hogs: int, *, is_late: bool
) -> tuple[Control, Move]:
    cap = control.cap
    if cap is None:
        return control, Move.HOLD
    is_binding = hogs * 100 >= cap * BINDING_PCT
    if not seen.fsyncs and not seen.age_ns and seen.queue_ns is None:
        unknown = control.unknown + 1
        if unknown <= UNKNOWN_TICKS or not is_binding:
            return msgspec.structs.replace(control, unknown=unknown), Move.HOLD
        raised = cap + cap * UNKNOWN_UP_PCT // 100
        return msgspec.structs.replace(control, cap=raised, unknown=unknown), Move.RAISE
    control = msgspec.structs.replace(control, unknown=0)
    is_near = seen.judged_ns * 100 > aim.set_point_ns * DEAD_BAND_PCT
    if not is_binding or is_near or is_late:
        return control, Move.HOLD
    if cap * 100 < control.mem * NEAR_MEMORY_PCT:
        cap += max(aim.up, (control.mem - cap) // RETURN_DIVISOR)
        return msgspec.structs.replace(control, cap=cap), Move.RAISE
    calm = control.calm + 1
    cap += max(aim.up // 2, 1) * (1 + calm // CALM_TICKS)
    return msgspec.structs.replace(control, cap=cap, calm=calm), Move.RAISE


def _let_go_if_useless(
    aim: Aim, control: Control, move: Move, hogs: int, interval_ns: int
) -> tuple[Control, Move]:
    """Remove a cap that the hogs have not needed for a minute, before the minute is over."""
    cap = control.cap
    if cap is None:
        return control, move
    if cap <= 2 * aim.capacity and hogs >= aim.least:
        return msgspec.structs.replace(control, loose_ns=0), move
    loose_ns = control.loose_ns + interval_ns
    if loose_ns + interval_ns >= RELEASE_NS:
        return START, Move.RELEASE
    return msgspec.structs.replace(control, loose_ns=loose_ns), move
