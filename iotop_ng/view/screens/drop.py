"""The drop dialog: says what is lost, and does it only when its own word is pressed."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from msgspec.structs import replace
from textual.app import ComposeResult
from textual.events import Key

from iotop_ng import units
from iotop_ng.enforcers.orders import Failed, Kind, Order, Rung
from iotop_ng.model.frame import Row
from iotop_ng.policy.rules import ERRNO_NAMES
from iotop_ng.view.acting import bare_order, name_of, written
from iotop_ng.view.messages import Pressed
from iotop_ng.view.screens.orderdialog import OrderDialog
from iotop_ng.view.tape import Tape
from iotop_ng.view.widgets.form import BASE, ChoiceRow, FieldRow
from iotop_ng.view.widgets.ink import Ink, Line
from iotop_ng.view.widgets.ladder import LOOKING
from iotop_ng.view.widgets.press import Press

INSTEAD: tuple[Order, ...] = ()
"""The outcome when dropping cannot work and throttling was chosen in its place."""
NOTHING = "nothing"
NO_END = "no end"
EVERY_FILE = ""
CONSEQUENCE = (
    "Data is lost: its writes to files fail with this error, and most programs end or lose "
    "the stream. Sockets, pipes and everybody else are left alone."
)


class DropDialog(OrderDialog):
    """Ends in one drop for each target, or in `INSTEAD`."""

    DEFAULT_CSS = """
    DropDialog #warning { height: 2; }
    DropDialog #about { height: 1fr; }
    DropDialog.-cannot FieldRow, DropDialog.-cannot ChoiceRow { display: none; }
    """

    def __init__(self, rows: Sequence[Row], tape: Tape, ink: Ink, *, si: bool) -> None:
        super().__init__(rows, tape, ink, si=si)
        self.passes = FieldRow("passes", NOTHING, (NOTHING, "1M", "20%"), self._judge_passes, ink)
        self.errno = ChoiceRow("error", ERRNO_NAMES, 0, ink)
        self.budget = FieldRow("budget", NO_END, (NO_END, "1G"), self._judge_budget, ink)
        self.paths = FieldRow("files", EVERY_FILE, (), _judge_paths, ink, width=40)
        self.press = Press(self._word(), ink, base=BASE)
        self.cannot = ""
        """Why dropping does not work here."""
        self._warning = self.canvas(id="warning")

    def _word(self) -> str:
        whom = name_of(self.rows[0]) if len(self.rows) == 1 else f"{len(self.rows)} processes"
        return f"drop the writes of {whom}"

    def title_text(self) -> str:
        """Return what is done to whom."""
        whom = name_of(self.rows[0]) if len(self.rows) == 1 else f"{len(self.rows)} processes"
        return f"Drop the writes of {whom}: they fail, the data is lost"

    def body(self) -> ComposeResult:
        """Yield the warning, the fields, the mechanism, and the word that does it."""
        yield self._warning
        yield self.passes
        yield self.errno
        yield self.budget
        yield self.lease
        yield self.paths
        yield self._about
        yield self.press

    def draw(self) -> None:
        """Wrap the warning, too."""
        super().draw()
        width = max(self._facts.size.width - 4, 20)
        lines = textwrap.wrap(CONSEQUENCE, width)
        self._warning.show([[(f"  {line}", "warning")] for line in lines])

    def about_lines(self, width: int) -> list[Line]:
        """Return why it cannot work, or how it does."""
        if not self.cannot and not self.ladder.rungs:
            return [[(f"  {LOOKING}", "muted")]]
        if not self.cannot:
            return super().about_lines(width)
        text = f"Dropping cannot work here: {self.cannot}. Throttling slows it down instead."
        lines: list[Line] = [[("", "")]]
        lines += [[(f"  {part}", "error")] for part in textwrap.wrap(text, max(width - 4, 20))]
        return lines

    def take_ladder(self, answer: tuple[Rung, ...] | Failed) -> None:
        """Keep the dialog, or say why it cannot work and offer to throttle."""
        super().take_ladder(answer)
        if isinstance(answer, Failed):
            self.cannot = self.refusal
        elif self.ladder.chosen is None:
            self.cannot = "; ".join(rung.why for rung in answer) or "no mechanism is known"
        if self.cannot:
            self.add_class("-cannot")
            self.press.text = "t: throttle it instead"
            self.press.focus()
            self.draw()

    def key_hints(self) -> list[tuple[str, str]]:
        """Return what the keys do."""
        if self.cannot:
            return [("t", "throttle instead"), ("Esc", "cancel")]
        return [
            ("Enter", "drop" if self.press.has_focus else "next line"),
            ("Esc", "cancel"),
            (self.arrows("Up Down", "↑↓"), "line"),
            ("Tab", "presets"),
            (self.arrows("Left Right", "←→"), "choose"),
        ]

    def problem(self) -> str:
        """Return what is wrong with the fields; that it cannot work is another ending."""
        return "" if self.cannot else super().problem()

    def on_key(self, event: Key) -> None:
        """Take t where there is nothing else to choose."""
        if self.cannot and event.key == "t":
            event.stop()
            self.dismiss(INSTEAD)

    def on_descendant_focus(self) -> None:
        """Say what Enter does now."""
        self.draw()

    def action_confirm(self) -> None:
        """Enter goes on to the next line: only the word itself does it."""
        self.action_move(1)

    def on_pressed(self, message: Pressed) -> None:
        """Do it, or throttle instead."""
        message.stop()
        if self.cannot:
            self.dismiss(INSTEAD)
        else:
            super().action_confirm()

    # -- fields --------------------------------------------------------------------------------

    def _judge_passes(self, text: str) -> str:
        if text.strip() == NOTHING:
            return "every write to a file fails"
        rates = [units.parse_rate(text, self._present(row)) for row in self.rows]
        return f"{units.human(rates[0], si=self.si)}/s go through, what is beyond fails"

    def _present(self, row: Row) -> int | None:
        now = self.now(row)
        return written(row if now is None else now)

    def _judge_budget(self, text: str) -> str:
        if text.strip() == NO_END:
            return "may lose any amount while it lasts"
        return (
            f"may lose {units.human(units.parse_size(text), si=self.si)} within an hour, "
            "is throttled after that"
        )

    def order(self, row: Row) -> Order:
        """Return the drop of one target."""
        passes, budget = self.passes.text.strip(), self.budget.text.strip()
        present = self._present(row)
        return replace(
            bare_order(row, Kind.DROP),
            rate_bytes_per_s=None if passes == NOTHING else units.parse_rate(passes, present),
            budget_bytes=None if budget == NO_END else units.parse_size(budget),
            errno_name=ERRNO_NAMES[self.errno.index],
            paths=tuple(self.paths.text.split()),
            lease_ns=self.lease_ns,
            before_bytes_per_s=present,
        )

    def probe_order(self) -> Order:
        """Return a drop that lets nothing pass."""
        return bare_order(self.rows[0], Kind.DROP)


def _judge_paths(text: str) -> str:
    patterns = text.split()
    if not patterns:
        return "every regular file; or patterns such as /var/log/* *.log"
    return f"only files that match {'it' if len(patterns) == 1 else 'one of them'}"
