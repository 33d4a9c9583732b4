"""decide(state, frame) -> (state, actions): the same in a simulation, a dry run and for real.

Each rule and guard says what it wants (`triggers`, `guarding`). Here the wants are joined: one per
target, the lowest rate wins; nobody who is protected; no more targets than allowed; and only what
differs from what is in force becomes an action. What nobody wants any more is released.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from iotop_ng.model.frame import Frame
from iotop_ng.policy import guarding, triggers
from iotop_ng.policy.actions import (
    NS_PER_S,
    Action,
    Adjust,
    Drop,
    Notice,
    Reason,
    Release,
    Renew,
    Target,
    Throttle,
)
from iotop_ng.policy.guarding import GuardState
from iotop_ng.policy.protect import Protection
from iotop_ng.policy.rule import Deed, Rules
from iotop_ng.policy.scene import Proposal, Scene, Want
from iotop_ng.policy.triggers import TriggerState

CHANGE_PCT = 2
"""A rate that differs by no more is not written again."""
MAX_TOLD = 256
MINUTE_NS = 60 * NS_PER_S


class Held(msgspec.Struct, frozen=True):
    """One action in force."""

    target: Target
    rule: str
    deed: Deed
    rate_bytes_per_s: int
    until_ns: int
    """When its lease ends by itself."""


class State(msgspec.Struct, frozen=True):
    """Everything that is remembered from frame to frame."""

    rules: Rules
    protection: Protection = Protection()
    triggers: tuple[TriggerState, ...] = ()
    guards: tuple[GuardState, ...] = ()
    held: tuple[Held, ...] = ()
    lost: int = 0
    released: tuple[tuple[Target, int], ...] = ()
    """(target, when), as long as it cools down."""
    told: tuple[tuple[str, Target], ...] = ()
    """Notices that were given: each is said once while it holds."""
    opened: tuple[int, ...] = ()
    """When targets were taken hold of, within the last minute."""


def start(rules: Rules, protection: Protection = Protection()) -> State:  # noqa: B008 - frozen
    """Return the first state; the operator's additions join what the host protects."""
    joined = msgspec.structs.replace(
        protection,
        programs=(*protection.programs, *rules.programs),
        cgroups=(*protection.cgroups, *rules.cgroups),
    )
    return _fresh(State(rules, joined))


def decide(state: State, frame: Frame) -> tuple[State, tuple[Action, ...]]:
    """Return the next state, and what is to be done now, releases first."""
    scene = Scene(frame, state.rules, state.protection, state.lost)
    trigger_states, guard_states, proposals = _ask_all(state, scene)
    wants = _joined(want for proposal in proposals.values() for want in proposal.wants)
    wants = {target: want for target, want in wants.items() if not scene.why_protected(target)}
    released = tuple(
        (target, at) for target, at in state.released
        if scene.now_ns - at < state.rules.cooldown_ns
    )  # fmt: skip
    releases, kept = _let_go(state.held, wants, proposals, scene)
    changes, held = _adjust(kept, wants, scene.now_ns)
    additions, new, refused = _add(state, wants, held, dict(released), scene.now_ns)
    notices, told = _tell(state.told, [*_notices(proposals), *refused])
    cooling = ((one.target, scene.now_ns) for one in releases)
    after = State(
        state.rules,
        state.protection,
        trigger_states,
        guard_states,
        (*held, *new),
        frame.lost,
        (*released, *cooling),
        told,
        (*_lately(state.opened, scene.now_ns), *(scene.now_ns for _ in new)),
    )
    return after, (*releases, *changes, *additions, *notices)


def fail_open(state: State, why: str) -> tuple[State, tuple[Action, ...]]:
    """Return a state that holds nothing, and the releases: after an error, or when blind."""
    actions = tuple(Release(one.target, Reason(one.rule, why)) for one in state.held)
    # Whom to leave alone is still known: a person may have asked for it.
    return msgspec.structs.replace(_fresh(state), released=state.released), actions


def give_up(state: State, target: Target, now_ns: int, rest_ns: int = 0) -> State:
    """Return the state after an enforcer could not act: the target is not held, and cools down.

    Args:
        state: before.
        target: whom it is about.
        now_ns: time of the frame.
        rest_ns: how long it is left alone beyond the usual cool-down.
    """
    held = tuple(one for one in state.held if one.target != target)
    others = tuple(one for one in state.released if one[0] != target)
    return msgspec.structs.replace(
        state, held=held, released=(*others, (target, now_ns + max(rest_ns, 0)))
    )


def _fresh(state: State) -> State:
    return State(
        state.rules,
        state.protection,
        (TriggerState(),) * len(state.rules.rules),
        (GuardState(),) * len(state.rules.guards),
        lost=state.lost,
        # Whoever fails again and again must not act more often for it.
        opened=state.opened,
    )


def _lately(opened: tuple[int, ...], now_ns: int) -> tuple[int, ...]:
    return tuple(at for at in opened if now_ns - at < MINUTE_NS)


def _ask_all(
    state: State, scene: Scene
) -> tuple[tuple[TriggerState, ...], tuple[GuardState, ...], dict[str, Proposal]]:
    """Return all next states, and the proposals by the name of their rule, in the file's order."""
    proposals: dict[str, Proposal] = {}
    trigger_states, guard_states = [], []
    for rule, trigger in zip(state.rules.rules, state.triggers, strict=True):
        after, proposals[rule.name] = triggers.advance(rule, trigger, scene)
        trigger_states.append(after)
    for guard, guarded in zip(state.rules.guards, state.guards, strict=True):
        next_guard, proposals[guard.name] = guarding.advance(guard, guarded, scene)
        guard_states.append(next_guard)
    return tuple(trigger_states), tuple(guard_states), proposals


def _joined(wants: Iterable[Want]) -> dict[Target, Want]:
    """Return one want per target: the lowest rate, of equal ones the first."""
    joined: dict[Target, Want] = {}
    for want in wants:
        other = joined.get(want.target)
        if other is None or want.rate_bytes_per_s < other.rate_bytes_per_s:
            joined[want.target] = want
    return joined


def _let_go(
    held: Iterable[Held],
    wants: Mapping[Target, Want],
    proposals: Mapping[str, Proposal],
    scene: Scene,
) -> tuple[list[Release], list[Held]]:
    """Release what nobody wants, what is protected by now, and what changes its kind."""
    releases, kept = [], []
    for one in held:
        want = wants.get(one.target)
        if want is not None and want.deed is one.deed:
            kept.append(one)
            continue
        if not scene.is_there(one.target):
            why = "it has ended"
        elif protected := scene.why_protected(one.target):
            why = protected
        else:
            proposal = proposals.get(one.rule)
            why = (proposal and proposal.ended) or "no longer needed"
        reason = Reason(one.rule, why, scene.name(one.target), scene.written(one.target))
        releases.append(Release(one.target, reason))
    return releases, kept


def _adjust(
    held: Iterable[Held], wants: Mapping[Target, Want], now_ns: int
) -> tuple[list[Action], list[Held]]:
    """Write rates that changed, renew leases at half their time."""
    actions: list[Action] = []
    after = []
    for one in held:
        want = wants[one.target]
        rate, until_ns = one.rate_bytes_per_s, now_ns + want.lease_ns
        if abs(want.rate_bytes_per_s - rate) * 100 > rate * CHANGE_PCT:
            rate = want.rate_bytes_per_s
            actions.append(Adjust(one.target, rate, want.lease_ns, want.reason))
        elif (one.until_ns - now_ns) * 2 <= want.lease_ns:
            actions.append(Renew(one.target, want.lease_ns, want.reason))
        else:
            until_ns = one.until_ns
        after.append(Held(one.target, want.reason.rule, one.deed, rate, until_ns))
    return actions, after


def _add(
    state: State,
    wants: Mapping[Target, Want],
    held: Iterable[Held],
    cooling: Mapping[Target, int],
    now_ns: int,
) -> tuple[list[Action], list[Held], list[Notice]]:
    """Take hold of new targets, as many as may be held; the rest is told."""
    before = {one.target for one in state.held}
    room = state.rules.max_targets - sum(1 for _ in held)
    turns = state.rules.max_actions_per_minute - len(_lately(state.opened, now_ns))
    actions: list[Action] = []
    new: list[Held] = []
    refused: list[Notice] = []
    for target, want in wants.items():
        if target in before or target in cooling:
            continue
        if len(new) >= min(room, turns):
            text = _why_no_more(state.rules, is_full=len(new) >= room)
            reason = msgspec.structs.replace(want.reason, text=text)
            refused.append(Notice(target, reason))
            continue
        actions.append(_opening(want))
        until_ns = now_ns + want.lease_ns
        new.append(Held(target, want.reason.rule, want.deed, want.rate_bytes_per_s, until_ns))
    return actions, new, refused


def _why_no_more(rules: Rules, *, is_full: bool) -> str:
    if is_full:
        return f"left alone: {rules.max_targets} targets are held, and no more may be"
    most = rules.max_actions_per_minute
    return f"left alone: {most} targets were taken hold of in a minute, and no more may be"


def _opening(want: Want) -> Action:
    rule = want.rule
    if rule is None or rule.deed is not Deed.DROP:
        return Throttle(want.target, want.rate_bytes_per_s, want.lease_ns, want.reason)
    return Drop(
        want.target,
        want.rate_bytes_per_s,
        rule.budget_bytes,
        rule.errno_name,
        rule.paths,
        want.lease_ns,
        want.reason,
    )


def _notices(proposals: Mapping[str, Proposal]) -> Iterable[Notice]:
    return (notice for proposal in proposals.values() for notice in proposal.notices)


def _tell(
    told: tuple[tuple[str, Target], ...], notices: Iterable[Notice]
) -> tuple[list[Notice], tuple[tuple[str, Target], ...]]:
    """Return what was not said in the tick before, and what holds now."""
    now: dict[tuple[str, Target], None] = {}
    fresh = []
    for notice in notices:
        key = (notice.reason.rule, notice.target)
        if key not in told and key not in now:
            fresh.append(notice)
        now[key] = None
    # Kept although it does not hold now: what comes and goes would be told all the time.
    kept = [key for key in told if key not in now]
    return fresh, (*kept, *now)[-MAX_TOLD:]
