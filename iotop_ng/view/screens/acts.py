"""What keys do to processes: one method per acting action of `bindings.ACTIONS`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from signal import Signals
from typing import TYPE_CHECKING, TypeVar

from iotop_ng.enforcers.orders import Failed, InForce, Kind, Order, Released
from iotop_ng.model.frame import PolicyRow, Row
from iotop_ng.policy.actions import MANUAL_LEASE_NS, NS_PER_S, ProcessTarget
from iotop_ng.units import human
from iotop_ng.view import inforce
from iotop_ng.view.acting import Engine, Wish, applied, name_of, reason, released
from iotop_ng.view.controls import POLICIES, PROCESSES
from iotop_ng.view.messages import OrderWanted

if TYPE_CHECKING:
    from iotop_ng.view.screens.dialog import Dialog
    from iotop_ng.view.screens.main import MainScreen

T = TypeVar("T")
TICKS_TO_SHOW = 2
"""Frames after which a policy that was applied must be in a frame, or has ended."""


class Acts:
    """The acting keys of the main screen; each says at once why it cannot."""

    def __init__(self, screen: MainScreen) -> None:
        self._screen = screen
        self._applied: dict[int, int] = {}
        """Policies of this screen: their ids and the newest frame's tick at that time."""
        self._wanted_caps: dict[int, int] = {}
        """Caps that were asked for and are not in a frame yet, so that + + + adds up."""

    # -- whom ----------------------------------------------------------------------------------

    def targets(self) -> tuple[Row, ...]:
        """Return the processes that are meant: the tagged ones, else the one under the cursor."""
        screen = self._screen
        if screen.controls.view == POLICIES:
            row = self._row_of(screen.policies.selected)
            return () if row is None else (row,)
        if screen.controls.view != PROCESSES:
            return ()
        tagged = screen.controls.tagged
        rows = [p.row for p in screen.table.placed if (p.row.key, p.row.tid) in tagged]
        if not rows and screen.row is not None:
            rows = [screen.row]
        processes = {row.key: row for row in screen.tape.newest.rows}
        found = {row.key: processes.get(row.key, row) for row in rows}
        return tuple(found.values())

    def _row_of(self, policy: PolicyRow | None) -> Row | None:
        if policy is None or policy.key is None:
            return None
        rows = self._screen.tape.newest.rows
        return next((row for row in rows if row.key == policy.key), None)

    def _alive(self) -> tuple[Row, ...]:
        """Return the targets that can be acted on; says why when there is none."""
        rows = self.targets()
        if not rows:
            self._complain("no process is selected: 1 shows them")
            return ()
        able = tuple(row for row in rows if not row.exited and not row.is_kthread)
        if not able:
            row = rows[0]
            is_gone = row.exited
            self._complain(
                f"{name_of(row)} has ended"
                if is_gone
                else f"{name_of(row)} is a thread of the kernel: its work is somebody else's, "
                f"{row.submits_for or 'see who writes'}"
            )
        return able

    # -- keys ----------------------------------------------------------------------------------

    def throttle(self) -> None:
        """Open the throttle dialog."""
        # Deferred, as all dialogs: Input and CSS cost 10 ms that only acting pays.
        from iotop_ng.view.screens.throttle import ThrottleDialog  # noqa: PLC0415

        self._open(ThrottleDialog, self._order)

    def drop(self) -> None:
        """Open the drop dialog."""
        from iotop_ng.view.screens.drop import INSTEAD, DropDialog  # noqa: PLC0415

        def decided(orders: tuple[Order, ...]) -> None:
            if orders == INSTEAD:
                self.throttle()
            else:
                self._order(orders)

        self._open(DropDialog, decided)

    def ionice(self) -> None:
        """Open the ionice dialog."""
        from iotop_ng.view.screens.ionice import IoniceDialog  # noqa: PLC0415

        self._open(IoniceDialog, self._order)

    def signal(self) -> None:
        """Open the signal dialog; it needs no keeper, and no root for one's own processes."""
        from iotop_ng.view.screens.signal import SignalDialog  # noqa: PLC0415

        rows = self._alive()
        if rows:
            self._show(self._made(SignalDialog, rows), partial(self._signal, rows))

    def _open(self, kind: type[Dialog[T]], decided: Callable[[T], None]) -> None:
        if self._is_refused():
            return
        rows = self._alive()
        if rows:
            self._show(self._made(kind, rows), decided)

    def _made(self, kind: type[Dialog[T]], rows: Sequence[Row]) -> Dialog[T]:
        screen = self._screen
        return kind(rows, screen.tape, screen.ink, si=screen.controls.si)

    def _show(self, dialog: Dialog[T], decided: Callable[[T], None]) -> None:
        screen = self._screen

        def closed(outcome: T | None) -> None:
            screen.unpin()
            if outcome is not None:
                decided(outcome)

        screen.pin(dialog)
        screen.app.push_screen(dialog, closed)

    # -- orders --------------------------------------------------------------------------------

    def _order(self, orders: tuple[Order, ...]) -> None:
        newest = self._screen.tape.newest
        held = [_held(order, newest.policies) for order in orders]
        known = {policy.id for policy in held if policy is not None}
        answers: list[InForce | Failed] = []

        def answered(answer: InForce | Failed) -> None:
            answers.append(answer)
            if isinstance(answer, InForce) and answer.id not in known:
                self._applied[answer.id] = newest.tick
            if len(answers) == len(orders):
                self._tell(answers, orders[0].lease_ns)

        for order, policy in zip(orders, held, strict=True):
            self._ask(partial(_carry_out, order=order, held=policy), answered)

    def _tell(self, answers: Sequence[InForce | Failed], lease_ns: int) -> None:
        done = [answer for answer in answers if isinstance(answer, InForce)]
        refused = [answer for answer in answers if isinstance(answer, Failed)]
        si = self._screen.controls.si
        parts = [applied(policy, lease_ns=lease_ns, si=si) for policy in done[:1]]
        if len(done) > 1:
            parts = [f"{len(done)} in force: {parts[0]}, ..."]
        if refused:
            count = f"{len(refused)} refused: " if len(answers) > 1 else ""
            parts.append(f"{count}{refused[0].message}")
        self._screen.say("; ".join(parts), is_problem=bool(refused))

    def release(self) -> None:
        """Release what is in force on the row, or on the tagged ones, without a question."""
        if self._is_refused():
            return
        found = self._policies()
        if found:
            ids = tuple(dict.fromkeys(policy.id for policy in found))
            self._release(ids)
            return
        rows = self.targets()
        if self._screen.controls.view == POLICIES:
            self._screen.say("nothing is in force")
        elif rows:
            self._screen.say(f"nothing is in force on {name_of(rows[0])}")
        else:
            self._complain("no process is selected: 1 shows them")

    def _policies(self) -> list[PolicyRow]:
        screen = self._screen
        if screen.controls.view == POLICIES:
            selected = screen.policies.selected
            return [] if selected is None else [selected]
        frame = screen.tape.newest
        return [policy for row in self.targets() for policy in inforce.all_on(row, frame)]

    def release_all(self) -> None:
        """Release everything that is in force on this machine, at once."""
        if not self._is_refused():
            self._release(None)

    def _release(self, ids: tuple[int, ...] | None) -> None:
        def job(engine: Engine) -> Released | Failed:
            return engine.release(ids, reason("released by hand"))

        def answered(answer: Released | Failed) -> None:
            if isinstance(answer, Failed):
                self._complain(answer.message)
                return
            for number in list(self._applied) if ids is None else ids:
                self._applied.pop(number, None)
            self._screen.say(released(answer), is_problem=bool(answer.problems))

        self._ask(job, answered)

    def adjust(self, step: int) -> bool:
        """Change the cap of the selected row live; say whether there is one to change."""
        policy = self._adjustable()
        if policy is None or policy.rate_bytes_per_s is None:
            return False
        rate = self._wanted_caps.get(policy.id, policy.rate_bytes_per_s)
        wanted = inforce.next_cap(rate, step)
        self._wanted_caps[policy.id] = wanted
        lease_ns = max(round(policy.remaining_s * NS_PER_S), MANUAL_LEASE_NS)

        def job(engine: Engine) -> InForce | Failed:
            return engine.change(policy.id, wanted, lease_ns, reason("adjusted by hand"))

        def answered(answer: InForce | Failed) -> None:
            if isinstance(answer, Failed):
                self._wanted_caps.pop(policy.id, None)
                self._complain(answer.message)
            else:
                self._screen.say(applied(answer, lease_ns=lease_ns, si=self._screen.controls.si))

        shown = human(wanted, si=self._screen.controls.si)
        self._screen.say(f"{policy.name}: cap {shown}/s ...")
        self._ask(job, answered)
        return True

    def _adjustable(self) -> PolicyRow | None:
        screen = self._screen
        if screen.controls.read_only or screen.why_not:
            return None
        if screen.controls.view == POLICIES:
            return screen.policies.selected
        if screen.controls.view != PROCESSES or screen.row is None:
            return None
        return inforce.on_row(screen.row, screen.tape.newest)

    def frame_came(self) -> None:
        """Forget what the newest frame says by now."""
        frame = self._screen.tape.newest
        rates = {policy.id: policy.rate_bytes_per_s for policy in frame.policies}
        for number, wanted in list(self._wanted_caps.items()):
            if rates.get(number, wanted) == wanted:
                del self._wanted_caps[number]
        for number, tick in list(self._applied.items()):
            if number not in rates and frame.tick > tick + TICKS_TO_SHOW:
                del self._applied[number]

    @property
    def own_count(self) -> int:
        """Policies that this screen applied and that are in force."""
        return len(self._applied)

    # -- signals -------------------------------------------------------------------------------

    def _signal(self, rows: Sequence[Row], number: Signals) -> None:
        from iotop_ng.view.signalling import send  # noqa: PLC0415 - reads /proc, rare

        answers = [(row, send(row, number)) for row in rows]
        sent = [name_of(row) for row, problem in answers if not problem]
        problems = [problem for _, problem in answers if problem]
        parts = [f"{number.name} sent to {', '.join(sent)}"] if sent else []
        self._screen.say("; ".join([*parts, *problems]), is_problem=bool(problems))

    # -- the session's thread ------------------------------------------------------------------

    def _is_refused(self) -> bool:
        """Say why nothing can be done, where nothing can."""
        if self._screen.why_not:
            self._complain(self._screen.why_not)
        return bool(self._screen.why_not)

    def _complain(self, text: str) -> None:
        self._screen.say(text, is_problem=True)

    def _ask(
        self, job: Callable[[Engine], T | Failed], reply: Callable[[T | Failed], None]
    ) -> None:
        self._screen.post_message(OrderWanted(Wish(job, reply)))


def _held(order: Order, policies: Sequence[PolicyRow]) -> PolicyRow | None:
    """Return the throttle that an order only changes."""
    target = order.target
    if order.kind is not Kind.THROTTLE or order.dry_run or not isinstance(target, ProcessTarget):
        return None
    return inforce.throttle_on(target.key, policies)


def _carry_out(engine: Engine, *, order: Order, held: PolicyRow | None) -> InForce | Failed:
    if held is None:
        return engine.apply(order)
    return engine.change(held.id, order.rate_bytes_per_s, order.lease_ns, order.reason)
