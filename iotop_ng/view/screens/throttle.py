"""The throttle dialog: to what rate, for how long, with children or not, by which mechanism."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from msgspec.structs import replace
from textual.app import ComposeResult

from iotop_ng import units
from iotop_ng.enforcers.orders import Kind, Order
from iotop_ng.errors import UsageError
from iotop_ng.model.frame import PolicyRow, Row
from iotop_ng.view import inforce
from iotop_ng.view.acting import bare_order, name_of, written
from iotop_ng.view.screens.orderdialog import OrderDialog
from iotop_ng.view.tape import Tape
from iotop_ng.view.widgets.form import ChoiceRow, FieldRow
from iotop_ng.view.widgets.ink import Ink

PRESETS = ("1M", "5M", "20M", "50M", "50%", "20%", "10%")
FIRST = "5M"
SLOW_FIRST = "50%"
"""Where the target writes less than the usual preset, that would hold nothing."""
COUNTED = (
    "limits written bytes (the WRITE column); rewriting pages that are dirty already costs nothing "
    "and is charged nothing"
)


class ThrottleDialog(OrderDialog):
    """Ends in one throttle for each target."""

    DEFAULT_CSS = """
    ThrottleDialog #counted { height: 2; }
    """

    def __init__(self, rows: Sequence[Row], tape: Tape, ink: Ink, *, si: bool) -> None:
        super().__init__(rows, tape, ink, si=si)
        self.held = inforce.throttle_on(rows[0].key, tape.newest.policies)
        """What holds the first target already: its cap is changed, its mechanism stays."""
        first = first_rate(rows) if self.held is None else present_cap(self.held)
        self.rate = FieldRow("rate", first, PRESETS, self._judge_rate, ink)
        self.family = ChoiceRow("children", ("held with it", "left alone"), 0, ink)
        self._counted = self.canvas(id="counted")

    def title_text(self) -> str:
        """Return what is done to whom."""
        if self.held is not None and len(self.rows) == 1:
            return f"Throttle {name_of(self.rows[0])}: another cap for what is in force"
        if len(self.rows) == 1:
            return f"Throttle {name_of(self.rows[0])}: slow its writes down, lose nothing"
        return f"Throttle {len(self.rows)} processes, each by itself"

    def body(self) -> ComposeResult:
        """Yield the fields, the ladder and what is counted."""
        yield self.rate
        yield self.lease
        yield self.family
        yield from self.mechanisms()
        if self.held is not None:
            how = self.held.mechanism.replace("_", " ")
            self.ladder.say(f"{how}, as it is; u releases it, then another can be chosen")
            self.ladder.disabled = True
            self.family.display = False
        self._counted.show([])
        yield self._counted

    def needs_ladder(self) -> bool:
        """Ask only where a mechanism can be chosen."""
        return self.held is None

    def draw(self) -> None:
        """Wrap what is counted, too."""
        super().draw()
        width = max(self._facts.size.width - 4, 20)
        lines = textwrap.wrap(COUNTED, width)
        self._counted.show([[(f"  {line}", "muted")] for line in lines])

    def key_hints(self) -> list[tuple[str, str]]:
        """Return what the keys do."""
        return [
            ("Enter", "throttle"),
            ("Esc", "cancel"),
            (self.arrows("Up Down", "↑↓"), "line"),
            ("Tab", "presets"),
            (self.arrows("Left Right", "←→"), "choose"),
        ]

    def _judge_rate(self, text: str) -> str:
        now = [self._present(row) for row in self.rows]
        rates = [units.parse_rate(text, rate) for rate in now]
        if len(rates) > 1:
            parts = sorted({f"{units.human(rate, si=self.si)}/s" for rate in rates})
            return f"each is held to {', '.join(parts[:4])}"
        shown = f"{units.human(rates[0], si=self.si)}/s"
        if not now[0]:
            return f"{shown}; it writes nothing now"
        share = 100 * rates[0] / now[0]
        if share > 100:
            return f"{shown}: more than it writes now"
        return f"{shown}, {share:.0f}% of what it writes now"

    def _present(self, row: Row) -> int | None:
        now = self.now(row)
        return written(row if now is None else now)

    def order(self, row: Row) -> Order:
        """Return the throttle of one target."""
        present = self._present(row)
        return replace(
            bare_order(row, Kind.THROTTLE),
            rate_bytes_per_s=units.parse_rate(self.rate.text, present),
            lease_ns=self.lease_ns,
            with_children=self.family.index == 0,
            before_bytes_per_s=present,
        )

    def probe_order(self) -> Order:
        """Return a throttle to the first preset."""
        rate = units.parse_rate(FIRST)
        return replace(bare_order(self.rows[0], Kind.THROTTLE), rate_bytes_per_s=rate)


def present_cap(policy: PolicyRow) -> str:
    """Return a cap as it can be written: "5M", "1.5M", "700K"."""
    rate = policy.rate_bytes_per_s or 0
    for unit, letter in ((1 << 30, "G"), (1 << 20, "M"), (1 << 10, "K")):
        if rate >= unit:
            return f"{rate / unit:.1f}".removesuffix(".0") + letter
    return FIRST


def first_rate(rows: Sequence[Row]) -> str:
    """Return the preset to start with: one that holds something back, where there is such a one."""
    rates = [written(row) or 0 for row in rows]
    try:
        for rate in rates:
            units.parse_rate(SLOW_FIRST, rate)
    except UsageError:
        return FIRST
    return FIRST if max(rates) > units.parse_rate(FIRST) else SLOW_FIRST
