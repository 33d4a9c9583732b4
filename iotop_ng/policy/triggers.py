"""One rule from tick to tick: who fulfils it since when, and whom it holds until when."""

from __future__ import annotations

import msgspec

from iotop_ng.model.frame import Row
from iotop_ng.policy.actions import Notice, Reason, Target
from iotop_ng.policy.latency_target import BINDING_PCT, MISSING_TICKS
from iotop_ng.policy.rule import Deed, Rule
from iotop_ng.policy.scene import Proposal, Scene, Want
from iotop_ng.policy.signals import LATE_NS, agree, latency_ns, victims, written


class Pending(msgspec.Struct, frozen=True):
    """One that writes too much."""

    target: Target
    since_ns: int


class Hold(msgspec.Struct, frozen=True):
    """One that the rule has taken hold of."""

    target: Target
    until_ns: int
    rate_bytes_per_s: int
    reason: Reason


class TriggerState(msgspec.Struct, frozen=True):
    """What a rule remembers."""

    pending: tuple[Pending, ...] = ()
    holds: tuple[Hold, ...] = ()
    slow_ns: int | None = None
    """When an fsync was last too slow."""
    slow_latency_ns: int = 0
    victim: str = ""
    missing: int = 0


def advance(rule: Rule, state: TriggerState, scene: Scene) -> tuple[TriggerState, Proposal]:
    """Return the next state and what the rule wants now."""
    if scene.is_blind:
        return _blind(rule, state)
    state = _hear(rule, msgspec.structs.replace(state, missing=0), scene)
    pending = _pending(rule, state, scene)
    holds = [held for hold in state.holds if (held := _kept(rule, hold, scene)) is not None]
    held_targets = {hold.target for hold in holds}
    notices = []
    for one in pending:
        is_due = scene.now_ns - one.since_ns >= rule.for_ns
        if one.target in held_targets or not is_due or not _is_slow(rule, state, scene):
            continue
        if not agree(rule.signs, scene.frame):
            continue
        reason = _reason(rule, state, one.target, scene)
        if rule.deed is Deed.NOTIFY:
            notices.append(Notice(one.target, reason))
        elif why := scene.why_protected(one.target):
            spared = msgspec.structs.replace(reason, text=f"left alone: {why}")
            notices.append(Notice(one.target, spared))
        else:
            rate = rule.to or max(scene.written(one.target) * rule.to_pct // 100, 1)
            holds.append(Hold(one.target, scene.now_ns + rule.lease_ns, rate, reason))
    after = msgspec.structs.replace(state, pending=pending, holds=tuple(holds))
    return after, Proposal(_wants(rule, holds), tuple(notices), "its time is over")


def _blind(rule: Rule, state: TriggerState) -> tuple[TriggerState, Proposal]:
    """Keep what is held for two ticks, then let go. Who was pending starts anew."""
    missing = state.missing + 1
    if missing >= MISSING_TICKS:
        return TriggerState(missing=missing), Proposal(ended="nothing was measured for 3 ticks")
    after = msgspec.structs.replace(state, pending=(), missing=missing)
    return after, Proposal(_wants(rule, list(state.holds)))


def _hear(rule: Rule, state: TriggerState, scene: Scene) -> TriggerState:
    """Take down the slowest fsync of this tick, when it is too slow."""
    if rule.fsync_over_ns is None:
        return state
    hogs = frozenset(row.key for row in scene.rows if written(row) > rule.writes_over)
    slowest: tuple[int, str] = (0, "")
    for row in victims(scene.rows, rule.victim, hogs):
        slowest = max(slowest, (latency_ns(row) or 0, f"{row.comm}[{row.pid}]"))
    if slowest[0] <= rule.fsync_over_ns:
        return state
    return msgspec.structs.replace(
        state, slow_ns=scene.now_ns, slow_latency_ns=slowest[0], victim=slowest[1]
    )


def _is_slow(rule: Rule, state: TriggerState, scene: Scene) -> bool:
    if rule.fsync_over_ns is None:
        return True
    heard = state.slow_ns
    return heard is not None and scene.now_ns - heard <= max(rule.for_ns, LATE_NS)


def _pending(rule: Rule, state: TriggerState, scene: Scene) -> tuple[Pending, ...]:
    since = {one.target: one.since_ns for one in state.pending}
    # The interval that has just ended counts: who wrote too much all through it did so since then.
    start_ns = scene.now_ns - scene.interval_ns
    candidates: dict[Target, Row] = {}
    for row in scene.rows:
        # A cgroup writes too much when its processes do together, so all of them are looked at.
        if written(row) and rule.match.matches(row):
            candidates.setdefault(scene.target(row, rule.scope), row)
    return tuple(
        Pending(target, since.get(target, start_ns))
        for target in candidates
        if scene.written(target) > rule.writes_over
    )


def _kept(rule: Rule, hold: Hold, scene: Scene) -> Hold | None:
    """Return what is still held; its time starts anew where the rule says so."""
    if not scene.is_there(hold.target):
        return None
    if scene.now_ns < hold.until_ns:
        return hold
    is_pressing = scene.written(hold.target) * 100 >= hold.rate_bytes_per_s * BINDING_PCT
    if not (rule.renew and is_pressing):
        return None
    return msgspec.structs.replace(hold, until_ns=scene.now_ns + rule.lease_ns)


def _wants(rule: Rule, holds: list[Hold]) -> tuple[Want, ...]:
    return tuple(
        Want(hold.target, hold.rate_bytes_per_s, rule.lease_ns, hold.reason, rule)
        for hold in holds
    )  # fmt: skip


def _reason(rule: Rule, state: TriggerState, target: Target, scene: Scene) -> Reason:
    wrote = scene.written(target)
    text = f"wrote {wrote / 1e6:.1f} MB/s, more than {rule.writes_over / 1e6:.1f} MB/s"
    text += f" for {rule.for_ns / 1e9:g} s" if rule.for_ns else ""
    if rule.fsync_over_ns is None:
        return Reason(rule.name, text, scene.name(target), wrote)
    text += f", while fsync of {state.victim} took {state.slow_latency_ns / 1e6:.1f} ms"
    return Reason(
        rule.name,
        text,
        scene.name(target),
        wrote,
        state.slow_latency_ns,
        rule.fsync_over_ns,
        state.victim,
    )
