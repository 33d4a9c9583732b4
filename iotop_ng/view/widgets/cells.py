"""From a row to one line of the table: everything that is the same for all rows is made once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from iotop_ng.model.fields import BY_ID, Column, Mode, text
from iotop_ng.model.frame import Frame, Row
from iotop_ng.model.query import Placed
from iotop_ng.view import inforce
from iotop_ng.view.renderables.spark import ASCII_BLOCKS, BLOCKS, GAP, by_tick, spark
from iotop_ng.view.widgets import columns as layout
from iotop_ng.view.widgets.ink import Ink, fit

SPARK_FLOOR = {"latency": 1000.0, "bytes": 64 * 1024.0}
"""The least value that fills a sparkline, so that a trickle does not look like a flood."""
MUTED = "muted"
_ROLES = {"write": "write", "read": "read", "latency": "latency", "fsync": "latency"}
_FLAT = frozenset({BLOCKS[0], ASCII_BLOCKS[0], GAP})

Cell = tuple[str, str]
"""Text with its gap, padded to its width, and its role."""
MakeCell = Callable[[Placed, Frame], Cell]


class Look(NamedTuple):
    """How the rows are shown, apart from which and in what order."""

    sort: str
    is_reversed: bool
    mode: Mode
    full_command: bool
    is_thread_view: bool
    si: bool
    is_mirrored: bool = False
    """Sparklines have the newest interval at the left."""


class Marks(NamedTuple):
    """What sets a line apart."""

    state: str
    """exited, dropping, throttled, hog, suffering or ""."""
    is_tagged: bool
    is_selected: bool
    is_odd: bool


class RowPainter:
    """Makes lines of one width, for one choice of columns, look and colours."""

    def __init__(self, ink: Ink, places: Sequence[layout.Place], look: Look, width: int) -> None:
        self._ink = ink
        self._look = look
        self._width = width
        self._cells = tuple(self._maker(place) for place in places)
        used = places[-1].x + places[-1].width if places else layout.GUTTER
        self._rest = " " * max(width - used, 0)
        self._styles: dict[tuple[Marks, str], Style] = {}
        self._spark_width = next((p.width for p in places if p.column.id == layout.HISTORY), 0)

    def strip(self, placed: Placed, frame: Frame, marks: Marks) -> Strip:
        """Return the line of a row; neighbours that look the same are one segment."""
        shown, style = self._gutter(marks), self._style(marks, MUTED)
        segments = []
        for make in self._cells:
            cell, role = make(placed, frame)
            cell_style = self._style(marks, role)
            if cell_style is style:
                shown += cell
            else:
                segments.append(Segment(shown, style))
                shown, style = cell, cell_style
        segments.append(Segment(shown, style))
        if self._rest:
            segments.append(Segment(self._rest, self._style(marks, "")))
        return Strip(segments, self._width)

    def is_steady(self, row: Row, frame: Frame) -> bool:
        """Return whether an unchanged row has an unchanged line in the next frame."""
        if self._look.mode is Mode.AVERAGE or row.history or row.policy:
            return False
        return frame.tick - row.first_tick >= self._spark_width

    def _gutter(self, marks: Marks) -> str:
        glyphs = self._ink.glyphs
        cursor = glyphs.cursor if marks.is_selected else " "
        if marks.is_tagged:
            return cursor + glyphs.tag
        return cursor + (getattr(glyphs, marks.state) if marks.state else " ")

    def _style(self, marks: Marks, role: str) -> Style:
        style = self._styles.get((marks, role))
        if style is None:
            over = "tagged" if marks.is_tagged and not marks.state else marks.state
            style = self._ink.cell(role, over, zebra=marks.is_odd, selected=marks.is_selected)
            self._styles[marks, role] = style
        return style

    # -- cells ---------------------------------------------------------------------------------

    def _maker(self, place: layout.Place) -> MakeCell:
        gap = " " if place.x > layout.GUTTER else ""
        column, width = place.column, place.width
        if column.id == layout.HISTORY:
            return self._history(gap, width)
        if column.id == layout.COMMAND:
            return self._command(gap, width)
        if column.id == layout.POLICY:
            return self._policy(gap, width)
        if column.is_number and self._look.mode is Mode.RATE:
            return self._rate(column, gap, width)
        return self._text(column, gap, width)

    def _rate(self, column: Column, gap: str, width: int) -> MakeCell:
        """Most cells of a screen are a dash or a zero: those are ready."""
        get, si = column.rate, self._look.si
        busy = _ROLES.get(family(column), "")
        dash: Cell = (gap + "-".rjust(width), MUTED)
        zero: Cell | None = None if column.unit == "us" else (gap + "0".rjust(width), MUTED)

        def cell(placed: Placed, _: Frame) -> Cell:
            found = get(placed.row)
            if found is None:
                return dash
            if zero is not None and not found:
                return zero
            shown = text(column, placed.row, Mode.RATE, si=si)
            # What rounds to nothing steps back as nothing does, so that busy cells stand out.
            return gap + shown.rjust(width), MUTED if shown == "0.0" else busy

        return cell

    def _text(self, column: Column, gap: str, width: int) -> MakeCell:
        look, ink = self._look, self._ink
        busy = _ROLES.get(family(column), "")
        is_right = column.align == "right"

        def cell(placed: Placed, frame: Frame) -> Cell:
            row, shown_column = placed.row, column
            if column.id == "pid" and row.tid is not None:
                shown_column = BY_ID["tid"]
            shown = ink.safe(text(shown_column, row, look.mode, si=look.si, now_ns=frame.mono_ns))
            role = MUTED if shown in {"-", "0", "0.0", ""} else busy
            if is_right and len(shown) <= width and shown.isascii():
                return gap + shown.rjust(width), role
            return gap + fit(shown, width, ink.glyphs.cut), role

        return cell

    def _command(self, gap: str, width: int) -> MakeCell:
        ink, glyphs, is_full = self._ink, self._ink.glyphs, self._look.full_command

        def cell(placed: Placed, _: Frame) -> Cell:
            row = placed.row
            shown = _name(row, is_full=is_full)
            if row.submits_for:
                shown += f" {glyphs.arrow} {row.submits_for}"
            if placed.depth:
                branch = glyphs.last_branch if placed.is_last else glyphs.branch
                shown = "  " * (placed.depth - 1) + branch + shown
            return gap + fit(ink.safe(shown), width, glyphs.cut), ""

        return cell

    def _policy(self, gap: str, width: int) -> MakeCell:
        """Beside the text of the row, what the policy holds back or loses in this interval."""
        ink, si = self._ink, self._look.si

        def cell(placed: Placed, frame: Frame) -> Cell:
            shown = inforce.cell(placed.row, frame.policies, si=si)
            return gap + fit(ink.safe(shown), width, ink.glyphs.cut), MUTED if not shown else ""

        return cell

    def _history(self, gap: str, width: int) -> MakeCell:
        """Draw what the table is sorted by: latency, read, else written bytes."""
        look, is_ascii = self._look, self._ink.is_ascii
        sorted_by = family(BY_ID[look.sort]) if look.sort else ""
        sorted_by = "write" if sorted_by not in {"latency", "read"} else sorted_by
        floor = SPARK_FLOOR["latency" if sorted_by == "latency" else "bytes"]

        def cell(placed: Placed, frame: Frame) -> Cell:
            row = placed.row
            # An interval without a request has no latency: a gap, not 0.
            first = frame.tick + 1 if sorted_by == "latency" else row.first_tick
            values = by_tick(_points(row, sorted_by), frame.tick, width, first)
            top = max(floor, max((value for value in values if value is not None), default=0.0))
            drawn = spark(values, width, top, ascii=is_ascii)
            role = MUTED if _FLAT.issuperset(drawn) else sorted_by
            return gap + (drawn[::-1] if look.is_mirrored else drawn), role

        return cell


def _name(row: Row, *, is_full: bool) -> str:
    """Return what runs; a thread that has a name of its own starts with it."""
    if row.is_kthread:
        return f"[{row.comm}]"
    shown = row.command if is_full and row.command else row.comm
    if row.tid == 0:
        return f"ended threads of {shown}"
    if row.tid in {None, row.pid} or not is_full or row.comm in row.command:
        return shown
    return f"{row.comm} ({shown})"


def _points(row: Row, sorted_by: str) -> list[tuple[int, float | None]]:
    if sorted_by == "latency":
        return [(p.tick, p.latency_p99_us) for p in row.history]
    if sorted_by == "read":
        return [(p.tick, p.read_bytes_per_s) for p in row.history]
    return [(p.tick, p.write_bytes_per_s) for p in row.history]


def family(column: Column) -> str:
    """Return what a column is about: "write", "read", "latency", "fsync" or ""."""
    words = column.id.split("_")
    return next((name for name in ("latency", "fsync", "write", "read") if name in words), "")
