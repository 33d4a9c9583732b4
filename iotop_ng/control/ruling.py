"""Rules at work: frames in, orders out, and what to do when something goes wrong.

`policy.decide` says what is wanted. Here it meets a keeper that can refuse, processes that end, and
people who act on the same targets. Whatever is not understood ends with nothing held: an exception,
three intervals without a frame and a keeper that died release everything that the rules hold.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import assert_never

import msgspec

from iotop_ng.control.link import Link
from iotop_ng.enforcers.orders import Event, Failed, Kind, Listing, Order
from iotop_ng.errors import TargetError
from iotop_ng.model.frame import Frame
from iotop_ng.policy import decide as deciding
from iotop_ng.policy.actions import (
    MANUAL_LEASE_NS,
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
from iotop_ng.policy.latency_target import MISSING_TICKS
from iotop_ng.policy.protect import Protection
from iotop_ng.policy.rule import Rules
from iotop_ng.units import clean

TICK_NS = NS_PER_S // 4
PATIENCE_NS = (MISSING_TICKS + 1) * TICK_NS
"""How old the last look may be: three more were due since."""
LONGEST_REST_NS = 64 * NS_PER_S
"""Between attempts on a target that fails again and again, or after errors of our own."""
HAND_REST_NS = MANUAL_LEASE_NS
"""A rule keeps away this long from what a person has let go of, or has taken over."""
_BY_ITSELF = {"expired", "ended"}
"""Events after which a rule may take hold again at once."""


class Ruling:
    """Carries out what the rules want.

    Args:
        rules: what is wanted of whom.
        protection: who is ours.
        link: to the keeper.
        enforce: False does everything but the effect (the keeper's dry run).
        tell: takes each action as it is carried out, and what went wrong.
    """

    def __init__(
        self,
        rules: Rules,
        protection: Protection,
        link: Link,
        *,
        enforce: bool,
        tell: Callable[[Action], None] = lambda _: None,
    ) -> None:
        self._state = deciding.start(rules, protection)
        self._link = link
        self._enforce = enforce
        self._tell = tell
        self._ids: dict[Target, int] = {}
        self._owed: dict[int, Reason] = {}
        """Releases that failed, tried again in each tick."""
        self._failures: dict[Target, int] = {}
        self._losses = link.losses
        self._missing = 0
        self._last_ns: int | None = None
        self._has_opened = False
        """In the last tick: the first hold may take seconds, and meanwhile nothing is read."""
        self._rest_until_ns = 0
        self._errors = 0
        self.problem = ""

    @property
    def ids(self) -> dict[Target, int]:
        """What the rules hold now: target -> number of the policy."""
        return dict(self._ids)

    # -- frames ---------------------------------------------------------------------------------

    def tick(self, frame: Frame) -> None:
        """Look at one frame and act. Never raises."""
        try:
            self._tick(frame)
        except Exception as error:  # noqa: BLE001 - whatever it is, nothing may stay held for it
            self._errors += 1
            self._rest_until_ns = frame.mono_ns + _rest_ns(self._errors)
            self.fail_open(f"the rules failed: {type(error).__name__}: {error}")

    def _tick(self, frame: Frame) -> None:
        late_ns = 0 if self._last_ns is None else frame.mono_ns - self._last_ns
        self._last_ns, self._missing = frame.mono_ns, 0
        has_opened, self._has_opened = self._has_opened, False
        if self._ids and late_ns > PATIENCE_NS and not has_opened:
            self.fail_open(f"nothing was measured for {late_ns / 1e9:.1f} s")
        self._note_loss(frame.mono_ns)
        self._pay()
        if frame.mono_ns < self._rest_until_ns:
            return
        self._follow_keeper()
        self._state, actions = deciding.decide(self._state, frame)
        for action in actions:
            self._carry_out(action, frame.mono_ns)
        if self._rest_until_ns <= frame.mono_ns:
            self._errors = 0

    def blind(self, why: str) -> None:
        """Count an interval without a frame; the third in a row releases everything."""
        self._missing += 1
        if self._missing >= MISSING_TICKS and self._ids:
            self.fail_open(f"nothing was measured for {self._missing} ticks: {why}")

    def fail_open(self, why: str) -> None:
        """Release everything that the rules hold, and say why. Never raises."""
        why = clean(" ".join(why.split()), 400)
        self._state, releases = deciding.fail_open(self._state, why)
        for action in releases:
            self._tell(action)
        ids, self._ids = tuple(self._ids.values()), {}
        self.problem = f"{why}; the rules let go of {len(ids)}" if ids else why
        self._let_go(ids, Reason("", why))

    # -- what others do to it --------------------------------------------------------------------

    def reconcile(self, listing: Listing, now_ns: int) -> None:
        """Compare with what is in force: some may have been released by others."""
        there = {policy.id for policy in listing.policies}
        gone = {number: target for target, number in self._ids.items() if number not in there}
        for number, target in gone.items():
            event = _last_event(listing, number)
            what = "" if event is None else event.what
            if what in _BY_ITSELF:
                self._forget(target, now_ns, 0)
            elif what == "released":
                self._forget(target, now_ns, HAND_REST_NS)
            else:
                self._give_up(target, now_ns, "" if event is None else event.text)

    def yield_to_hand(self, target: Target, now_ns: int) -> None:
        """Let go of one target because a person acts on it, and keep away for a while."""
        number = self._ids.get(target)
        if number is not None:
            self._let_go((number,), Reason("", "taken over by hand"))
        self._forget(target, now_ns, HAND_REST_NS)

    def _forget(self, target: Target, now_ns: int, rest_ns: int) -> None:
        self._ids.pop(target, None)
        self._state = deciding.give_up(self._state, target, now_ns, rest_ns)

    def _give_up(self, target: Target, now_ns: int, why: str) -> None:
        """Leave a target alone for longer and longer."""
        if len(self._failures) > 4 * deciding.MAX_TOLD:
            self._failures.clear()
        failures = self._failures[target] = self._failures.get(target, 0) + 1
        self._forget(target, now_ns, _rest_ns(failures))
        self.problem = why or self.problem

    def _note_loss(self, now_ns: int) -> None:
        """A keeper that died has let go of everything: begin anew, after a rest."""
        if self._losses == self._link.losses:
            return
        self._losses = self._link.losses
        self._errors += 1
        self._rest_until_ns = now_ns + _rest_ns(self._errors)
        self._ids.clear()
        self._owed.clear()
        self.fail_open("the connection to the keeper ended, and everything was released")

    def _follow_keeper(self) -> None:
        """Protect the keeper and what it starts, as soon as there is one."""
        pid, protection = self._link.keeper_pid, self._state.protection
        if pid is not None and pid not in protection.own_pids:
            own = msgspec.structs.replace(protection, own_pids=protection.own_pids | {pid})
            self._state = msgspec.structs.replace(self._state, protection=own)

    # -- actions ---------------------------------------------------------------------------------

    def _carry_out(self, action: Action, now_ns: int) -> None:
        if self._losses != self._link.losses:
            return
        match action:
            case Throttle() | Drop():
                self._tell(action)
                self._open(action, now_ns)
            case Adjust():
                self._tell(action)
                self._change(action, action.rate_bytes_per_s, now_ns)
            case Renew():
                self._change(action, None, now_ns)
            case Release():
                self._tell(action)
                number = self._ids.pop(action.target, None)
                if number is not None:
                    self._let_go((number,), action.reason)
            case Notice():
                self._tell(action)
            case _:
                assert_never(action)

    def _open(self, action: Throttle | Drop, now_ns: int) -> None:
        self._has_opened = True
        found = self._link.apply(order_of(action, enforce=self._enforce))
        if not isinstance(found, Failed):
            self._ids[action.target] = found.id
            self._failures.pop(action.target, None)
            self.problem = ""
            return
        self._give_up(action.target, now_ns, found.message)
        if not self._link.is_open:
            # There is no keeper to be had: that is nobody's fault among the targets.
            self._errors += 1
            self._rest_until_ns = now_ns + _rest_ns(self._errors)

    def _change(self, action: Adjust | Renew, rate: int | None, now_ns: int) -> None:
        number = self._ids.get(action.target)
        if number is None:
            self._forget(action.target, now_ns, 0)
            return
        found = self._link.change(number, action.reason, action.lease_ns, rate)
        if isinstance(found, Failed) and found.exit_code != TargetError.exit_code:
            # It may be in force with the old rate, and nobody looks after it any more. What is
            # gone is told by the next listing, and why.
            self._let_go((number,), Reason(action.reason.rule, found.message))
            self._give_up(action.target, now_ns, found.message)

    def _let_go(self, ids: tuple[int, ...], reason: Reason) -> None:
        """Release; what cannot be is tried again, and ends with its lease at the latest."""
        if ids and isinstance(self._link.release(ids, reason), Failed):
            self._owed.update((number, reason) for number in ids)

    def _pay(self) -> None:
        owed, self._owed = self._owed, {}
        for number, reason in owed.items():
            self._let_go((number,), reason)


def order_of(action: Throttle | Drop, *, enforce: bool) -> Order:
    """Return the order that carries an action out; without `enforce` one that does nothing."""
    order = Order(
        kind=Kind.THROTTLE,
        target=action.target,
        reason=action.reason,
        rate_bytes_per_s=action.rate_bytes_per_s,
        lease_ns=action.lease_ns,
        dry_run=not enforce,
        before_bytes_per_s=action.reason.written_bytes_per_s,
    )
    if isinstance(action, Throttle):
        return order
    return msgspec.structs.replace(
        order,
        kind=Kind.DROP,
        budget_bytes=action.budget_bytes,
        errno_name=action.errno_name,
        paths=action.paths,
    )


def _rest_ns(failures: int) -> int:
    """Return 1, 2, 4 ... 64 s."""
    return min(NS_PER_S << min(failures - 1, 10), LONGEST_REST_NS)


def _last_event(listing: Listing, number: int) -> Event | None:
    found = (event for event in reversed(listing.events) if event.id == number)
    return next(found, None)
