"""One guard from tick to tick: who its hogs are, the cap for all of them, each one's share."""

from __future__ import annotations

import msgspec

from iotop_ng.policy import latency_target
from iotop_ng.policy.actions import NS_PER_S, Notice, Reason, Target
from iotop_ng.policy.latency_target import MISSING_TICKS, START, Aim, Control, Move, Signals
from iotop_ng.policy.rule import NO_SIGNS, Guard
from iotop_ng.policy.scene import Proposal, Scene, Want
from iotop_ng.policy.share import share
from iotop_ng.policy.signals import LATE_NS, agree, busiest, signals, victims, written

FADE_PCT = 80
"""What is left of an old demand after a tick: a short pause does not cost a hog its share."""
FUTILE_NS = 10 * NS_PER_S
"""At the least cap and still too slow for so long: it is not the hogs' doing alone."""
LEAST_CAPACITY = 10_000_000
"""Until something was seen of the device."""


class Hog(msgspec.Struct, frozen=True):
    """One that is held, or would be."""

    target: Target
    demand: int
    idle_ns: int = 0


class GuardState(msgspec.Struct, frozen=True):
    """What a guard remembers."""

    control: Control = START
    hogs: tuple[Hog, ...] = ()
    peak: int = 0
    """The most that the device was seen to do, bytes/s."""
    missing: int = 0
    futile_ns: int = 0
    """How long the hogs have been held to the least without enough of an effect."""
    slow_ns: int | None = None
    """When an fsync last took longer than a cap needs to begin."""
    agreed_ns: int | None = None
    """The first of the looks in a row at which everything agreed that a cap should begin."""


def advance(guard: Guard, state: GuardState, scene: Scene) -> tuple[GuardState, Proposal]:
    """Return the next state and what the guard wants now."""
    peak = max(state.peak, _written_by_device(scene))
    hogs, notices = _hogs(guard, state, scene)
    if guard.target_ns is None:
        return _hold_fixed(guard, state, hogs, scene, notices)
    seen = _measure(guard, hogs, scene)
    state = _hear(guard, state, seen, scene)
    if state.control.cap is None and not _may_begin(guard, state, scene):
        return msgspec.structs.replace(state, hogs=(), peak=peak), Proposal(notices=notices)
    aim = Aim(guard.target_ns, guard.capacity or max(peak, LEAST_CAPACITY), guard.floor)
    control, move = latency_target.step(aim, state.control, seen, scene.interval_ns)
    if control.cap is None:
        # Without a cap nobody is held: who the hogs are is asked anew in each tick.
        after = msgspec.structs.replace(state, control=control, hogs=(), peak=peak, futile_ns=0)
        return after, Proposal(notices=notices, ended=_why_let_go(move))
    text = (
        f"fsync or queue at {seen.latency_ns / 1e6:.1f} ms of {guard.target_ns / 1e6:.0f} ms;"
        f" cap {control.cap / 1e6:.1f} MB/s for {len(hogs)}"
    )
    reason = Reason(guard.name, text, latency_ns=seen.latency_ns, limit_ns=guard.target_ns)
    wants = _shares(guard, control.cap, hogs, scene, reason)
    is_futile = control.cap <= aim.least and seen.latency_ns > guard.target_ns
    futile_ns = state.futile_ns + scene.interval_ns if is_futile else 0
    if hogs and futile_ns >= FUTILE_NS:
        notices = (*notices, Notice(hogs[0].target, _futile(reason, hogs[0].target, scene)))
    after = msgspec.structs.replace(
        state, control=control, hogs=hogs, peak=peak, futile_ns=futile_ns
    )
    return after, Proposal(wants, notices)


def _hear(guard: Guard, state: GuardState, seen: Signals, scene: Scene) -> GuardState:
    """Take down whether this tick speaks for a cap."""
    if seen.is_missing:
        return msgspec.structs.replace(state, agreed_ns=None)
    slow_ns = state.slow_ns
    if guard.fsync_over_ns is not None and seen.fsync_ns > guard.fsync_over_ns:
        slow_ns = scene.now_ns
    is_slow = guard.fsync_over_ns is None or (
        slow_ns is not None and scene.now_ns - slow_ns <= LATE_NS
    )
    agrees = is_slow and agree(guard.signs, scene.frame, guard.device)
    first_ns = scene.now_ns if state.agreed_ns is None else state.agreed_ns
    return msgspec.structs.replace(state, slow_ns=slow_ns, agreed_ns=first_ns if agrees else None)


def _may_begin(guard: Guard, state: GuardState, scene: Scene) -> bool:
    """Say whether everything has agreed for long enough."""
    if guard.fsync_over_ns is None and guard.signs == NO_SIGNS:
        return True
    return state.agreed_ns is not None and scene.now_ns - state.agreed_ns >= guard.for_ns


def _hold_fixed(
    guard: Guard, state: GuardState, hogs: tuple[Hog, ...], scene: Scene,
    notices: tuple[Notice, ...],
) -> tuple[GuardState, Proposal]:  # fmt: skip
    missing = state.missing + 1 if scene.is_blind else 0
    if missing >= MISSING_TICKS:
        return GuardState(missing=missing), Proposal((), notices, _why_let_go(Move.BLIND))
    if missing:
        hogs = state.hogs
    reason = Reason(guard.name, f"fixed cap {guard.cap / 1e6:.1f} MB/s for {len(hogs)}")
    wants = _shares(guard, guard.cap, hogs, scene, reason)
    return GuardState(hogs=hogs, missing=missing), Proposal(wants, notices)


def _hogs(
    guard: Guard, state: GuardState, scene: Scene
) -> tuple[tuple[Hog, ...], tuple[Notice, ...]]:
    """Return who is to share the cap, and whom of the protected it would have met."""
    known = {hog.target: hog for hog in state.hogs if scene.is_there(hog.target)}
    targets = dict.fromkeys(known)
    for row in scene.rows:
        if written(row) > guard.hog_over and guard.hogs.matches(row):
            targets.setdefault(scene.target(row, guard.scope))
    hogs, notices = [], []
    for target in targets:
        if why := scene.why_protected(target):
            notices.append(Notice(target, _spared(guard, target, scene, why)))
        elif (hog := _seen_again(guard, known.get(target), target, scene)) is not None:
            hogs.append(hog)
    return tuple(hogs), tuple(notices)


def _seen_again(guard: Guard, hog: Hog | None, target: Target, scene: Scene) -> Hog | None:
    """Return the hog with its demand of late; None when it was idle for the length of a lease."""
    now = scene.written(target)
    if hog is None:
        return Hog(target, now)
    demand = max(now, hog.demand * FADE_PCT // 100)
    if now >= guard.hog_over // 2:
        return Hog(target, demand)
    idle_ns = hog.idle_ns + scene.interval_ns
    if idle_ns + scene.interval_ns >= guard.lease_ns:
        return None
    return Hog(target, demand, idle_ns)


def _measure(guard: Guard, hogs: tuple[Hog, ...], scene: Scene) -> Signals:
    held = {hog.target for hog in hogs}
    rows = [row for row in scene.rows if scene.target(row, guard.scope) in held]
    keys = frozenset(row.key for row in rows)
    suffering = victims(scene.rows, guard.victim, keys)
    is_lost = scene.is_lost or scene.is_blind
    return signals(
        scene.frame, suffering, rows, guard.device, guard.target_ns or 0, is_lost=is_lost
    )


def _shares(
    guard: Guard, cap: int, hogs: tuple[Hog, ...], scene: Scene, reason: Reason
) -> tuple[Want, ...]:
    rates = share(cap, [hog.demand for hog in hogs], guard.floor)
    return tuple(
        Want(
            hog.target,
            rate,
            guard.lease_ns,
            msgspec.structs.replace(
                reason,
                name=scene.name(hog.target),
                written_bytes_per_s=scene.written(hog.target),
            ),
        )
        for hog, rate in zip(hogs, rates, strict=True)
    )


def _spared(guard: Guard, target: Target, scene: Scene, why: str) -> Reason:
    return Reason(guard.name, f"left alone: {why}", scene.name(target), scene.written(target))


def _futile(reason: Reason, target: Target, scene: Scene) -> Reason:
    text = f"{reason.text}, the least there is: something else slows the victim down"
    return msgspec.structs.replace(reason, text=text, name=scene.name(target))


def _why_let_go(move: Move) -> str:
    if move is Move.BLIND:
        return "nothing was measured for 3 ticks"
    return f"not needed for {latency_target.RELEASE_NS // NS_PER_S} s"


def _written_by_device(scene: Scene) -> int:
    found = busiest(scene.frame.devices)
    return int(found.write_bytes_per_s or 0) if found is not None else 0
