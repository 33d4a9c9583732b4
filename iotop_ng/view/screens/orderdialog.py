"""A dialog that ends in orders: who, for how long, by which mechanism."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from msgspec.structs import replace
from textual.app import ComposeResult

from iotop_ng import units
from iotop_ng.enforcers.orders import Failed, Mechanism, Order, Rung
from iotop_ng.model.frame import Row
from iotop_ng.policy.actions import NS_PER_S
from iotop_ng.view.acting import Engine
from iotop_ng.view.messages import ChoiceMade, FieldChanged
from iotop_ng.view.screens.dialog import Dialog
from iotop_ng.view.tape import Tape
from iotop_ng.view.widgets.form import BASE, FieldRow
from iotop_ng.view.widgets.ink import Ink, Line
from iotop_ng.view.widgets.ladder import LadderList, rung_lines

LEASES = ("1m", "10m", "1h")
DEFAULT_LEASE = "10m"


class OrderDialog(Dialog[tuple[Order, ...]]):
    """Asks for the ladder of its first target as soon as it is open."""

    DEFAULT_CSS = """
    OrderDialog #about { height: 1fr; }
    OrderDialog #how { height: 1; }
    """

    def __init__(self, rows: Sequence[Row], tape: Tape, ink: Ink, *, si: bool) -> None:
        super().__init__(rows, tape, ink, si=si)
        self.lease = FieldRow("for", DEFAULT_LEASE, LEASES, judge_lease, self.ink)
        self.ladder = LadderList(self.ink, base=BASE)
        self._about = self.canvas(id="about")
        self._how = self.canvas(id="how")
        self.refusal = ""
        """Why nothing can be done to the target, whatever the mechanism."""

    def order(self, row: Row) -> Order:
        """Return the order on one target, as the fields stand now; without mechanism."""
        raise NotImplementedError

    def probe_order(self) -> Order:
        """Return an order to look for the ladder with, whatever stands in the fields."""
        raise NotImplementedError

    def mechanisms(self) -> ComposeResult:
        """Yield the ladder and what its rung under the cursor means."""
        self._how.show([[("  how", "label")]])
        yield self._how
        yield self.ladder
        yield self._about

    def needs_ladder(self) -> bool:
        """Say whether there is a mechanism to be chosen."""
        return True

    def on_mount(self) -> None:
        """Ask at once, so that the keeper is warm when Enter is pressed."""
        if not self.needs_ladder():
            return
        order = self.probe_order()

        def look(engine: Engine) -> tuple[Rung, ...] | Failed:
            return engine.warm() or engine.ladder(order)

        self.ask(look, self.take_ladder)

    def take_ladder(self, answer: tuple[Rung, ...] | Failed) -> None:
        """Show what works, or why nothing can be done."""
        if isinstance(answer, Failed):
            self.refusal = answer.message
            self.ladder.say("nothing can be done to it")
        else:
            self.ladder.show(answer)
            if answer and self.ladder.chosen is None:
                self.refusal = "nothing works here; the list says why"
        self.draw()

    def draw(self) -> None:
        """Draw facts, the rung under the cursor, and keys."""
        super().draw()
        width = max(self._facts.size.width, 20)
        self._about.show(self.about_lines(width))

    def about_lines(self, width: int) -> list[Line]:
        """Return what is below the ladder."""
        if self.refusal and not self.ladder.rungs:
            return [[(f"  {part}", "warning")] for part in textwrap.wrap(self.refusal, width - 4)]
        return rung_lines(self.ladder.rung, self.ink, width)

    def problem(self) -> str:
        """Return why it cannot be done now."""
        for row in self.query(FieldRow):
            if row.display and row.problem:
                return row.problem
        if all(self.now(row) is None for row in self.rows):
            return "it has ended"
        return self.refusal

    def outcome(self) -> tuple[Order, ...]:
        """Return one order for each target."""
        return tuple(self._by_mechanism(self.order(row)) for row in self.rows)

    def _by_mechanism(self, order: Order) -> Order:
        chosen = self.ladder.mechanism
        if chosen is Mechanism.DRY_RUN:
            return replace(order, dry_run=True)
        return replace(order, mechanism=chosen)

    @property
    def lease_ns(self) -> int:
        """How long, as the field stands."""
        return units.parse_span(self.lease.text)

    def on_choice_made(self, message: ChoiceMade) -> None:
        """Describe the rung that the cursor went to."""
        message.stop()
        self.draw()

    def on_field_changed(self, message: FieldChanged) -> None:
        """Show whether Enter would do it."""
        message.stop()
        self.draw()


def judge_lease(text: str) -> str:
    """Return what a lease means.

    Raises:
        UsageError: it is none.
    """
    return f"{units.span(units.parse_span(text) / NS_PER_S)}, then it ends by itself"
