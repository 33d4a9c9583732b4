"""The ionice dialog: which class and level, where the scheduler of the disk honours them."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace
from textual.app import ComposeResult

from iotop_ng.enforcers.orders import Kind, Order
from iotop_ng.model.frame import Row
from iotop_ng.view.acting import bare_order, name_of
from iotop_ng.view.screens.orderdialog import OrderDialog
from iotop_ng.view.tape import Tape
from iotop_ng.view.widgets.form import ChoiceRow
from iotop_ng.view.widgets.ink import Ink

CLASSES = ("idle", "best-effort", "realtime")
LEVELS = tuple(str(level) for level in range(8))
LOWEST = 7


class IoniceDialog(OrderDialog):
    """Ends in one ionice for each target."""

    DEFAULT_CSS = """
    IoniceDialog #box { max-height: 20; }
    IoniceDialog LadderList { height: 1; }
    """

    def __init__(self, rows: Sequence[Row], tape: Tape, ink: Ink, *, si: bool) -> None:
        super().__init__(rows, tape, ink, si=si)
        self.io_class = ChoiceRow("class", CLASSES, 0, ink)
        self.level = ChoiceRow("level", LEVELS, LOWEST, ink)

    def title_text(self) -> str:
        """Return what is done to whom."""
        whom = name_of(self.rows[0]) if len(self.rows) == 1 else f"{len(self.rows)} processes"
        return f"I/O priority of {whom}"

    def body(self) -> ComposeResult:
        """Yield class, level, lease and what it does here."""
        yield self.io_class
        yield self.level
        yield self.lease
        yield from self.mechanisms()

    def key_hints(self) -> list[tuple[str, str]]:
        """Return what the keys do."""
        return [
            ("Enter", "set it"),
            ("Esc", "cancel"),
            (self.arrows("Up Down", "↑↓"), "line"),
            (self.arrows("Left Right", "←→"), "choose (level 0 is served first)"),
        ]

    def order(self, row: Row) -> Order:
        """Return the order on one target."""
        return replace(
            bare_order(row, Kind.IONICE),
            io_class=CLASSES[self.io_class.index],
            io_level=self.level.index,
            lease_ns=self.lease_ns,
        )

    def probe_order(self) -> Order:
        """Return the order as it stands at first."""
        return bare_order(self.rows[0], Kind.IONICE)
