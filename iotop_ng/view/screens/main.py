"""The main screen: first line, banner, device lines, one of the views, detail pane, key bar."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Protocol

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.events import Key, Resize
from textual.screen import Screen

from iotop_ng.errors import UsageError
from iotop_ng.model.frame import Frame, Row
from iotop_ng.model.query import Placed, arrange
from iotop_ng.view.bindings import ACTING, DIALOGS, EVERYWHERE, Action, bindings
from iotop_ng.view.controls import DEVICES, POLICIES, PROBES, PROCESSES, Controls
from iotop_ng.view.messages import (
    ActionWanted,
    CursorMoved,
    FilterChanged,
    FilterKept,
    NeedsChanged,
    RowChosen,
    SortWanted,
)
from iotop_ng.view.news import News
from iotop_ng.view.screens.deeds import Deeds
from iotop_ng.view.screens.top import Top
from iotop_ng.view.tape import Tape
from iotop_ng.view.widgets.canvas import Canvas
from iotop_ng.view.widgets.detail import Manner, detail_lines
from iotop_ng.view.widgets.devicesview import device_view_lines
from iotop_ng.view.widgets.ink import Ink
from iotop_ng.view.widgets.keybar import KeyBar
from iotop_ng.view.widgets.policiesview import PolicyList, policy_view_lines
from iotop_ng.view.widgets.probesview import probe_view_lines
from iotop_ng.view.widgets.table import ProcTable, RowId

if TYPE_CHECKING:
    from iotop_ng.view.screens.acts import Acts
    from iotop_ng.view.widgets.filterbar import FilterBar

MIN_WIDTH, MIN_HEIGHT = 40, 8


class TakesKeys(Protocol):
    """A dialog that is opening."""

    def take_key(self, key: str, character: str | None) -> None:
        """Take a key that was typed before it had the keyboard."""
        ...


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
        why_not: str = "",
    ) -> None:
        super().__init__()
        self.controls = controls
        self.tape = tape
        self.ink = ink
        self.deeds = Deeds(self)
        self.why_not = why_not
        """Why nothing can be done to processes here, "" when it can."""
        self.device_cursor = 0
        self.policies = PolicyList()
        self._news = News()
        self.dialog: TakesKeys | None = None
        """Open over this screen: the order of rows is frozen, and the cursor on its row."""
        self._frozen: dict[RowId, int] = {}
        self._acts: Acts | None = None
        self.filter_bar: FilterBar | None = None
        # Keys that open what takes the keys after them.
        self._opening = {
            key: action.name
            for action in actions
            for key in action.keys.split(",")
            if action.name == "filter" or action.name in DIALOGS
        }
        self._has_keybar = has_keybar
        self._top = Top(host)
        self.table = ProcTable(id="table")
        self.page = Canvas(id="view")
        self.pane = Canvas(id="detail")
        self.keys = KeyBar(actions, id="keys")
        self._small = Canvas(id="small")

    def compose(self) -> ComposeResult:
        """Stack the parts; only the open view is displayed."""
        yield from self._top.parts
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
        self.policies.take(frame.policies)
        news = self._news.take(frame.policy_events)
        if news:
            self.say(news, is_problem=True)
        if self._acts is not None:
            self._acts.frame_came()
        self._top.doing = ""
        if not self.tape.is_paused:
            self.paint()
        else:
            self._paint_top()

    def set_doing(self, text: str) -> None:
        """Say what the session thread does; "" when it is done."""
        self._top.doing = text
        self._paint_top()

    def set_failure(self, text: str) -> None:
        """Say what went wrong with the source."""
        self._top.failure = text
        self._top.doing = ""
        self._paint_top()

    def set_ink(self, ink: Ink) -> None:
        """Draw everything in new colours."""
        self.ink = ink
        for part in (*self._top.parts, self.page, self.pane, self._small):
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
        elif self.controls.view == POLICIES:
            self._paint_policies()
        self._paint_top()

    def _paint_policies(self) -> None:
        """Draw what is in force now, paused or not: it can be released here."""
        lines, at = policy_view_lines(
            self.tape.newest,
            self.policies.index,
            self.ink,
            self.page.size.width,
            si=self.controls.si,
            read_only=self.controls.read_only,
        )
        self.page.show(lines)
        self.page.reveal(at)

    def paint_from_top(self) -> None:
        """Draw in a new order, whose first rows are what was asked for.

        A cursor that is out of their sight goes to the first one, unless its row is pinned by its
        details or followed.
        """
        is_pinned = self.controls.followed is not None or self.controls.detail > 0
        if self.table.top > 0 and not is_pinned:
            self.table.move_to(0)
        self.paint()

    def _paint_top(self) -> None:
        if self.is_mounted and self.is_current:
            rows = len(self.table.placed)
            self._top.paint(self.tape, self.controls, self.ink, self.size, rows)

    def _paint_table(self, frame: Frame) -> None:
        controls, table = self.controls, self.table
        placed = self.placed(frame)
        table.set_columns(controls.columns_for(frame))
        table.set_look(controls.look())
        if frame.source:
            table.set_unmeasured(controls.unmeasured(frame))
        table.tagged = frozenset(controls.tagged)
        table.empty_text = self._why_empty(frame)
        anchor = controls.followed
        if anchor is None and controls.detail and table.row is not None:
            # What is described below must not change by itself.
            anchor = (table.row.key, table.row.tid)
        if self.dialog is not None and table.row is not None:
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
            placed = [item for item in placed if not item.row.exited]
        if self._frozen:
            last = len(self._frozen)
            placed = sorted(
                placed, key=lambda item: self._frozen.get((item.row.key, item.row.tid), last)
            )
        return placed

    def pin(self, dialog: TakesKeys) -> None:
        """Hold the order of rows, and give what is typed to a dialog that is opening."""
        self.dialog = dialog
        placed = self.table.placed
        self._frozen = {(item.row.key, item.row.tid): n for n, item in enumerate(placed)}

    def unpin(self) -> None:
        """Go on as before the dialog."""
        self.dialog, self._frozen = None, {}
        self.paint()

    def _why_empty(self, frame: Frame) -> str:
        if not frame.source:
            return "" if self._top.failure else "waiting for the first reading"
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

    @property
    def acts(self) -> Acts:
        """The acting keys."""
        if self._acts is None:
            # Deferred: who only looks never pays for what acts.
            from iotop_ng.view.screens.acts import Acts  # noqa: PLC0415

            self._acts = Acts(self)
        return self._acts

    @property
    def own_policies(self) -> int:
        """How many policies end with this screen."""
        return 0 if self._acts is None else self._acts.own_count

    def action_do(self, name: str) -> None:
        """Do what a key stands for."""
        if name not in ACTING:
            getattr(self.deeds, name)()
        elif not self.controls.read_only:
            getattr(self.acts, name)()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Have no acting key with --read-only."""
        is_acting = action == "do" and bool(ACTING & set(map(str, parameters)))
        return not (is_acting and self.controls.read_only)

    def on_key(self, event: Key) -> None:
        """Let the filter line, or a dialog, have what is typed right after its key.

        Keys are sent to the widget that has the focus when they are read: of "/postgres" that came
        at once all go to the table, and would be nine actions.
        """
        if self.dialog is not None:
            event.stop()
            self.dialog.take_key(event.key, event.character if event.is_printable else None)
        elif self.filter_bar is not None and event.is_printable and event.character:
            event.stop()
            self.filter_bar.type(event.character)
        elif self.filter_bar is None and event.key in self._opening:
            name = self._opening[event.key]
            if self.check_action("do", (name,)):
                event.stop()
                self.action_do(name)

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
