"""The main screen: first line, banner, device lines, one of the views, detail pane, key bar."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.events import Key, Resize
from textual.screen import Screen

from iotop_ng.errors import UsageError
from iotop_ng.model.frame import Frame, Row
from iotop_ng.model.query import Placed, arrange
from iotop_ng.view.bindings import EVERYWHERE, Action, bindings
from iotop_ng.view.controls import DEVICES, PROBES, PROCESSES, Controls
from iotop_ng.view.messages import (
    ActionWanted,
    CursorMoved,
    FilterChanged,
    FilterKept,
    NeedsChanged,
    RowChosen,
    SortWanted,
)
from iotop_ng.view.screens.deeds import Deeds
from iotop_ng.view.tape import Tape
from iotop_ng.view.widgets.canvas import Canvas
from iotop_ng.view.widgets.detail import Manner, detail_lines
from iotop_ng.view.widgets.devicelines import device_lines
from iotop_ng.view.widgets.devicesview import device_view_lines
from iotop_ng.view.widgets.firstline import Status, banner, first_line
from iotop_ng.view.widgets.ink import Ink
from iotop_ng.view.widgets.keybar import KeyBar
from iotop_ng.view.widgets.probesview import probe_view_lines
from iotop_ng.view.widgets.table import ProcTable

if TYPE_CHECKING:
    from iotop_ng.view.widgets.filterbar import FilterBar

MIN_WIDTH, MIN_HEIGHT = 40, 8
ROOMY = 32
"""Lines from which the banner may take more than one."""


class MainScreen(Screen[None], inherit_bindings=False):
    """Shows frames as `Controls` say; `Deeds` are what keys do to it."""

    BINDINGS: ClassVar[list[BindingType]] = list(bindings(everywhere=False))

    def __init__(
        self,
        controls: Controls,
        tape: Tape,
        host: str,
        actions: Sequence[Action],
        ink: Ink,
        *,
        has_keybar: bool = True,
    ) -> None:
        super().__init__()
        self.controls = controls
        self.tape = tape
        self.ink = ink
        self.deeds = Deeds(self)
        self.device_cursor = 0
        self.filter_bar: FilterBar | None = None
        self._host = host
        self._filter_keys = next(a.keys.split(",") for a in actions if a.name == "filter")
        self._doing = ""
        self._failure = ""
        self._has_keybar = has_keybar
        self._top = Canvas(id="first")
        self._banner = Canvas(id="banner")
        self._devices = Canvas(id="devices")
        self.table = ProcTable(id="table")
        self.page = Canvas(id="view")
        self.pane = Canvas(id="detail")
        self.keys = KeyBar(actions, id="keys")
        self._small = Canvas(id="small")

    def compose(self) -> ComposeResult:
        """Stack the parts; only the open view is displayed."""
        yield self._top
        yield self._banner
        yield self._devices
        yield self.table
        yield self.page
        yield self.pane
        yield self.keys
        yield self._small

    def on_mount(self) -> None:
        """Draw what is known before the first frame."""
        self.keys.display = self._has_keybar
        self.table.set_columns(self.controls.columns)
        self.set_ink(self.ink)
        self.table.focus()
        self.arrange_parts()

    # -- what comes in -------------------------------------------------------------------------

    def add_frame(self, frame: Frame) -> None:
        """Take the next frame; while paused it is kept and not drawn."""
        self.tape.add(frame)
        self._doing = ""
        if not self.tape.is_paused:
            self.paint()
        else:
            self._paint_top(self.tape.frame)

    def set_doing(self, text: str) -> None:
        """Say what the session thread does; "" when it is done."""
        self._doing = text
        self._paint_top(self.tape.frame)

    def set_failure(self, text: str) -> None:
        """Say what went wrong with the source."""
        self._failure = text
        self._doing = ""
        self._paint_top(self.tape.frame)

    def set_ink(self, ink: Ink) -> None:
        """Draw everything in new colours."""
        self.ink = ink
        for part in (self._top, self._banner, self._devices, self.page, self.pane, self._small):
            part.set_ink(ink)
        self.table.set_ink(ink)
        self.keys.set_ink(ink)
        if self.filter_bar is not None:
            self.filter_bar.set_ink(ink)
        self.paint()

    def on_screen_resume(self) -> None:
        """Catch up with what came while another page was open."""
        self.paint()

    def on_resize(self, event: Resize) -> None:
        """Everything is fitted to the width."""
        too_small = event.size.width < MIN_WIDTH or event.size.height < MIN_HEIGHT
        self.set_class(too_small, "-too-small")
        if too_small:
            have = f"{event.size.width}x{event.size.height}"
            self._small.show([[(f"too small: {have}, needs {MIN_WIDTH}x{MIN_HEIGHT}", "warning")]])
        self.call_after_refresh(self.paint)

    def choose_columns(self, columns: tuple[str, ...]) -> None:
        """Show other columns; those that need probes get them."""
        self.controls.columns, self.controls.columns_chosen = columns, True
        self.table.set_columns(columns)
        self.post_message(NeedsChanged(self.controls.needs()))

    # -- drawing -------------------------------------------------------------------------------

    def paint(self) -> None:
        """Draw the shown frame again."""
        if not self.is_mounted or not self.is_current:
            return
        frame = self.tape.frame
        if self.controls.view == PROCESSES:
            self._paint_table(frame)
            self._paint_detail(frame)
        elif self.controls.view == DEVICES:
            lines, at = device_view_lines(
                frame, self.device_cursor, self.ink, *self.page.size, si=self.controls.si
            )
            self.device_cursor = max(min(self.device_cursor, len(frame.devices) - 1), 0)
            self.page.show(lines)
            self.page.reveal(at)
        elif self.controls.view == PROBES:
            self.page.show(probe_view_lines(frame, self.ink, self.page.size.width))
        self._paint_top(frame)

    def paint_from_top(self) -> None:
        """Draw in a new order, whose first rows are what was asked for.

        A cursor that is out of their sight goes to the first one, unless its row is pinned by its
        details or followed.
        """
        is_pinned = self.controls.followed is not None or self.controls.detail > 0
        if self.table.top > 0 and not is_pinned:
            self.table.move_to(0)
        self.paint()

    def _paint_top(self, frame: Frame) -> None:
        if not self.is_mounted or not self.is_current:
            return
        width, glyphs = self.size.width, self.ink.glyphs
        status = Status(
            host=self._host,
            interval_s=self.controls.interval_s,
            flags=self.controls.flags(self._paused_flag()),
            doing=self._doing,
            failure=self._failure,
            rows=len(self.table.placed),
            has_clock=self.controls.has_clock,
        )
        notes = 1 if self.size.height < ROOMY else 3
        self._top.show([first_line(frame, status, glyphs, width)])
        self._banner.show(banner(frame, status, glyphs, width, notes), grow=True)
        room = max(min((self.size.height - 12) // 6, 6), 1)
        lines = device_lines(
            frame, room, glyphs, width, ascii_only=self.ink.is_ascii, si=self.controls.si
        )
        self._devices.show(lines or [[("", "")]], grow=True)

    def _paused_flag(self) -> str:
        if not self.tape.is_paused:
            return ""
        behind = self.tape.behind_s
        return f"PAUSED -{behind:.0f}s" if behind >= 0.5 else "PAUSED"

    def _paint_table(self, frame: Frame) -> None:
        controls, table = self.controls, self.table
        placed = self.placed(frame)
        table.set_look(controls.look())
        if frame.source:
            table.set_unmeasured(controls.unmeasured(frame))
        table.tagged = frozenset(controls.tagged)
        table.empty_text = self._why_empty(frame)
        anchor = controls.followed
        if anchor is None and controls.detail and table.row is not None:
            # What is described below must not change by itself.
            anchor = (table.row.key, table.row.tid)
        table.show(frame, placed)
        if anchor is not None:
            index = table.index_of(anchor)
            if index is not None:
                table.move_to(index)
            elif controls.followed is not None:
                controls.followed = None
                self.say("the followed process is gone")

    def placed(self, frame: Frame) -> Sequence[Placed]:
        """Return the rows of a frame as the controls order them."""
        placed = arrange(frame, self.controls.query())
        if self.controls.hide_exited:
            return [item for item in placed if not item.row.exited]
        return placed

    def _why_empty(self, frame: Frame) -> str:
        if not frame.source:
            return "" if self._failure else "waiting for the first reading"
        if self.controls.filter is not None:
            return "no row matches the filter (Esc clears it)"
        if self.controls.only_active:
            return "no I/O in this interval (o shows all rows)"
        return "no rows"

    def _paint_detail(self, frame: Frame) -> None:
        row = self.row
        if not self.controls.detail or row is None:
            return
        controls = self.controls
        manner = Manner(self.ink, *self.pane.size, controls.mode, controls.si)
        self.pane.show(detail_lines(row, frame, manner))

    @property
    def row(self) -> Row | None:
        """The selected row."""
        return self.table.row

    def arrange_parts(self) -> None:
        """Show the parts that the controls ask for; a layout, so only after a key."""
        controls = self.controls
        is_processes = controls.view == PROCESSES
        self.table.display = is_processes and controls.detail < 2
        self.pane.display = is_processes and controls.detail > 0
        self.pane.styles.height = "1fr" if controls.detail == 2 else "50%"
        self.page.display = not is_processes
        self.keys.set_view(controls.view)
        self.post_message(NeedsChanged(controls.needs()))
        self.call_after_refresh(self.paint)

    def say(self, text: str, *, is_problem: bool = False) -> None:
        """Tell the result of an action in the key bar."""
        self.keys.display = True
        self.keys.say(text, "banner" if is_problem else "footer")

    # -- keys, mouse, filter -------------------------------------------------------------------

    def action_do(self, name: str) -> None:
        """Do what a key stands for."""
        getattr(self.deeds, name)()

    def on_key(self, event: Key) -> None:
        """Let the filter line have what is typed right after its key.

        Keys are sent to the widget that has the focus when they are read: of "/postgres" that came
        at once all go to the table, and would be nine actions.
        """
        if self.filter_bar is not None and event.is_printable and event.character:
            event.stop()
            self.filter_bar.type(event.character)
        elif self.filter_bar is None and event.key in self._filter_keys:
            event.stop()
            self.deeds.filter()

    def action_not_here(self, key: str, view: str) -> None:
        """Answer the number of a view that does not exist yet."""
        self.say(f"view {key} ({view}) is not part of this version")

    def on_action_wanted(self, message: ActionWanted) -> None:
        """Do what was clicked in the key bar."""
        message.stop()
        if message.name in EVERYWHERE:
            self.app.call_later(self.app.run_action, f"app.do('{message.name}')")
        else:
            self.action_do(message.name)

    def on_sort_wanted(self, message: SortWanted) -> None:
        """Sort by the clicked header."""
        self.controls.sort_by(message.column)
        self.paint_from_top()

    def on_row_chosen(self, _: RowChosen) -> None:
        """Open what was clicked twice."""
        self.deeds.details()

    def on_cursor_moved(self, _: CursorMoved) -> None:
        """Follow the click, and describe the new row."""
        self.deeds.moved()

    def on_filter_changed(self, message: FilterChanged) -> None:
        """Apply a filter while it is typed, as long as it is one."""
        problem = ""
        try:
            self.controls.set_filter(message.text)
        except UsageError as error:
            problem = str(error)
        self.paint()
        if self.filter_bar is not None:
            self.filter_bar.judge(problem, len(self.table.placed))

    def on_filter_kept(self, _: FilterKept) -> None:
        """Close the filter line and keep what it says."""
        self.deeds.close_filter(is_kept=True)
