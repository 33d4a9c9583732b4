"""The graph page: one process, the machine or a device over time, with axes, legend and clock."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, NamedTuple

from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.widgets import Static

from iotop_ng.model.frame import Row
from iotop_ng.view.tape import Tape
from iotop_ng.view.widgets.canvas import Canvas
from iotop_ng.view.widgets.ink import Ink
from iotop_ng.view.widgets.table import RowId

Values = Sequence[float | None]


class Subject(NamedTuple):
    """What is drawn: its name and three series, oldest first, one value per interval."""

    name: str
    write: Values
    read: Values
    latency_us: Values


class GraphScreen(Screen[None], inherit_bindings=False):
    """Two plots: bytes per second above, latency below. Drawn only while it is open."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,g,enter", "close", "back", show=False),
        Binding("right,tab,down", "next(1)", "next", show=False),
        Binding("left,up", "next(-1)", "previous", show=False),
    ]
    CSS = """
    GraphScreen #title, GraphScreen #hint { height: 1; }
    GraphScreen #rates { height: 3fr; }
    GraphScreen #latency { height: 2fr; }
    """

    def __init__(self, tape: Tape, ink: Ink, row: Row | None, *, si: bool) -> None:
        super().__init__()
        self._tape = tape
        self._ink = ink
        self._si = si
        self._target: RowId | None = (row.key, row.tid) if row is not None else None
        self._at = 0
        self._title = Canvas(id="title", base="header")
        self._rates = Static(id="rates", markup=False)
        self._latency = Static(id="latency", markup=False)
        self._hint = Canvas(id="hint", base="footer")
        self._last: Row | None = row
