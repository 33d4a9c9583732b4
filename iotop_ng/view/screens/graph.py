"""The graph page: one process, all devices or one over time, with axes, legend and clock."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, NamedTuple

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.widgets import Static

from iotop_ng.model.frame import DeviceRow, Frame, Row
from iotop_ng.view.graph import draw, time_labels
from iotop_ng.view.renderables.spark import by_tick
from iotop_ng.view.tape import Tape
from iotop_ng.view.widgets.canvas import Canvas
from iotop_ng.view.widgets.devicelines import active
from iotop_ng.view.widgets.ink import Ink, Run
from iotop_ng.view.widgets.table import RowId

Values = list[float | None]


class Subject(NamedTuple):
    """What is drawn: its name and three series, oldest first, one value per interval."""

    name: str
    write: Values
    read: Values
    latency_us: Values


class Pens(NamedTuple):
    """How series are drawn, as `iotop_ng.view.graph.draw` takes it."""

    colors: Sequence[str]
    """Of write, read, latency."""
    has_color: bool
    ascii: bool
    si: bool


class GraphScreen(Screen[None], inherit_bindings=False):
    """Two plots: bytes per second above, latency below. Drawn only while it is open."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,g,enter", "close", "back", show=False),
        Binding("right,tab,down,j", "turn(1)", "next", show=False),
        Binding("left,up,k", "turn(-1)", "previous", show=False),
    ]
    CSS = """
    GraphScreen #title, GraphScreen #hint { height: 1; }
    GraphScreen Static { width: 1fr; background: $background; color: $foreground; }
    GraphScreen #rates { height: 3fr; }
    GraphScreen #latency { height: 2fr; }
    """

    def __init__(self, tape: Tape, ink: Ink, pens: Pens, row: Row | None) -> None:
        super().__init__()
        self._tape = tape
        self._ink = ink
        self._pens = pens
        self._row = row
        self._at = 0
        self._title = Canvas(id="title")
        self._rates = Static(id="rates", markup=False)
        self._latency = Static(id="latency", markup=False)
        self._hint = Canvas(id="hint", base="footer")

    def compose(self) -> ComposeResult:
        """Title, two plots, hint."""
        yield self._title
        yield self._rates
        yield self._latency
        yield self._hint

    def on_mount(self) -> None:
        """Draw."""
        self.set_ink(self._ink)

    def on_resize(self) -> None:
        """Draw in the new size, once it is known."""
        self.call_after_refresh(self.frame_changed)

    def set_ink(self, ink: Ink) -> None:
        """Take new styles."""
        self._ink = ink
        self._title.set_ink(ink)
        self._hint.set_ink(ink)
        self.call_after_refresh(self.frame_changed)

    def frame_changed(self) -> None:
        """Draw what the tape shows now."""
        frame = self._tape.frame
        self._row = find(frame, self._row) or self._row
        found = subjects(frame, self._row)
        self._at %= max(len(found), 1)
        arrows = self._ink.glyphs.left_right
        hint: list[Run] = [(f" {arrows}", "key"), (" next ", "footer"), (" Esc", "key")]
        self._hint.show([[*hint, (" back ", "footer")]])
        if not found:
            self._title.show([[(" nothing was measured yet", "title")]])
            return
        subject = found[self._at]
        place = f"   {self._at + 1} of {len(found)}"
        self._title.show([[(f" {subject.name}", "title"), (place, "muted")]])
        self._draw(self._rates, [subject.write, subject.read], ("written", "read"))
        self._draw(self._latency, [subject.latency_us], ("latency p99",))

    def _draw(self, plot: Static, series: list[Values], labels: Sequence[str]) -> None:
        width, height = plot.size
        is_latency = len(series) == 1
        pens = self._pens
        text = draw(
            series,
            width,
            height,
            pens.colors[2:3] if is_latency else pens.colors[:2],
            labels,
            "latency of block requests" if is_latency else "bytes per second",
            time_labels(len(series[0]), self._tape.pace_s, width),
            "us" if is_latency else "bytes/s",
            ascii=pens.ascii,
            has_color=pens.has_color,
            si=pens.si,
        )
        plot.update(Text.from_ansi(text, no_wrap=True, end=""), layout=False)

    def action_turn(self, step: int) -> None:
        """Draw the next subject."""
        self._at += step
        self.frame_changed()

    def action_close(self) -> None:
        """Back to the table."""
        self.dismiss()


def find(frame: Frame, row: Row | None) -> Row | None:
    """Return what a row of an earlier frame is now."""
    if row is None:
        return None
    identity: RowId = (row.key, row.tid)
    rows = frame.rows if row.tid is None else frame.threads
    return next((one for one in rows if (one.key, one.tid) == identity), None)


def subjects(frame: Frame, row: Row | None) -> list[Subject]:
    """Return what can be drawn: the row, all devices together, each active device."""
    ticks = max(frame.history_ticks, 2)
    found = []
    if row is not None:
        found.append(_of_row(row, frame.tick, ticks))
    devices = active(frame.devices)
    physical = [device for device in devices if not device.is_stacked]
    if len(physical) > 1:
        found.append(_of_all(physical, frame.tick, ticks))
    found += [_of_device(device, frame.tick, ticks) for device in devices]
    return found


def _of_row(row: Row, tick: int, ticks: int) -> Subject:
    name = f"{row.pid} {row.comm}" if row.tid is None else f"{row.pid} thread {row.tid} {row.comm}"
    first, past = row.first_tick, row.history
    return Subject(
        name + (" (ended)" if row.exited else ""),
        by_tick(((p.tick, p.write_bytes_per_s) for p in past), tick, ticks, first),
        by_tick(((p.tick, p.read_bytes_per_s) for p in past), tick, ticks, first),
        # An interval without a request has no latency: a gap, not 0.
        by_tick(((p.tick, p.latency_p99_us) for p in past), tick, ticks, tick + 1),
    )


def _of_device(device: DeviceRow, tick: int, ticks: int) -> Subject:
    past = device.history
    first = min((p.tick for p in past), default=1)
    return Subject(
        f"device {device.name}",
        by_tick(((p.tick, p.write_bytes_per_s) for p in past), tick, ticks, first),
        by_tick(((p.tick, p.read_bytes_per_s) for p in past), tick, ticks, first),
        by_tick(((p.tick, p.latency_p99_us) for p in past), tick, ticks, tick + 1),
    )


def _of_all(devices: Sequence[DeviceRow], tick: int, ticks: int) -> Subject:
    each = [_of_device(device, tick, ticks) for device in devices]
    return Subject(
        "all devices",
        [_sum(values) for values in zip(*(one.write for one in each), strict=True)],
        [_sum(values) for values in zip(*(one.read for one in each), strict=True)],
        [_slowest(values) for values in zip(*(one.latency_us for one in each), strict=True)],
    )


def _sum(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _slowest(values: Sequence[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)
