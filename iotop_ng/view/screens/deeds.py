"""What keys do on the main screen: one short method per named action of `bindings.ACTIONS`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from iotop_ng.model.fields import BY_ID, Mode, text
from iotop_ng.model.frame import Row
from iotop_ng.view.controls import (
    DEVICES,
    POLICIES,
    PROBES,
    PROCESSES,
    SORT_LATENCY,
    SORT_READ,
    SORT_WRITE,
    VIEWS,
)
from iotop_ng.view.messages import GraphWanted, IntervalChanged

if TYPE_CHECKING:
    from iotop_ng.view.screens.main import MainScreen

END = 1 << 40


class Deeds:
    """The actions of the main screen."""

    def __init__(self, screen: MainScreen) -> None:
        self._screen = screen
        self._filter_before = ""

    # -- views ---------------------------------------------------------------------------------

    def _open(self, view: str) -> None:
        self._screen.controls.view = view
        self._screen.page.scroll_to(y=0, animate=False)
        self._screen.arrange_parts()

    def view_processes(self) -> None:
        """Show processes."""
        self._open(PROCESSES)

    def view_devices(self) -> None:
        """Show devices."""
        self._open(DEVICES)

    def view_policies(self) -> None:
        """Show what is in force, and what was done."""
        self._open(POLICIES)

    def view_probes(self) -> None:
        """Show probes and maps; they are counted only while this is open."""
        self._open(PROBES)

    def next_view(self) -> None:
        """Show the next view."""
        at = VIEWS.index(self._screen.controls.view)
        self._open(VIEWS[(at + 1) % len(VIEWS)])

    def details(self) -> None:
        """Open the pane, then make it larger, then smaller again."""
        controls = self._screen.controls
        if controls.view == POLICIES:
            self._jump()
            return
        if controls.view != PROCESSES:
            return
        if self._screen.row is None:
            self._screen.say("no row is selected")
            return
        controls.detail = {0: 1, 1: 2, 2: 1}[controls.detail]
        self._screen.pane.scroll_to(y=0, animate=False)
        self._screen.arrange_parts()

    def _jump(self) -> None:
        """Go to the row of the selected policy."""
        screen = self._screen
        policy = screen.policies.selected
        if policy is None:
            screen.say("nothing is in force")
            return
        index = None if policy.key is None else screen.table.index_of((policy.key, None))
        if index is None:
            what = "a cgroup" if policy.key is None else "not among the rows that are shown"
            screen.say(f"{policy.name} is {what}")
            return
        self._open(PROCESSES)
        screen.table.move_to(index)
        self.moved()

    def graph(self) -> None:
        """Open the graph page."""
        screen = self._screen
        row = screen.row if screen.controls.view == PROCESSES else None
        screen.post_message(GraphWanted(row))

    def back(self) -> None:
        """Close the innermost thing that is open; at last clear filter and tags."""
        screen, controls = self._screen, self._screen.controls
        if screen.filter_bar is not None:
            self.close_filter(is_kept=False)
        elif controls.view != PROCESSES:
            self._open(PROCESSES)
        elif controls.detail:
            controls.detail = 0
            screen.arrange_parts()
        elif controls.filter_text:
            controls.set_filter("")
            screen.paint()
        else:
            controls.tagged.clear()
            controls.followed = None
            screen.paint()

    # -- cursor --------------------------------------------------------------------------------

    def _move(self, rows: int) -> None:
        screen = self._screen
        if screen.controls.view == DEVICES and abs(rows) == 1:
            screen.device_cursor = max(screen.device_cursor + rows, 0)
            screen.paint()
        elif screen.controls.view == POLICIES and abs(rows) == 1 and screen.policies.has_several:
            screen.policies.move(rows)
            screen.paint()
        elif screen.controls.view != PROCESSES:
            screen.page.scroll_relative(y=rows, animate=False)
        elif screen.controls.detail > 1:
            screen.pane.scroll_relative(y=rows, animate=False)
        else:
            screen.table.move_to(screen.table.cursor + rows)
            self.moved()

    def moved(self) -> None:
        """Let follow and detail pane go with the cursor."""
        screen, row = self._screen, self._screen.row
        if screen.controls.followed is not None and row is not None:
            screen.controls.followed = (row.key, row.tid)
        if screen.controls.detail:
            screen.pane.scroll_to(y=0, animate=False)
            screen.paint()

    def up(self) -> None:
        """One row up."""
        self._move(-1)

    def down(self) -> None:
        """One row down."""
        self._move(1)

    def page_up(self) -> None:
        """One page up."""
        self._move(-self._screen.table.page)

    def page_down(self) -> None:
        """One page down."""
        self._move(self._screen.table.page)

    def first(self) -> None:
        """To the first row."""
        self._move(-END)

    def last(self) -> None:
        """To the last row."""
        self._move(END)

    def tag(self) -> None:
        """Tag the row and go on to the next, as htop does."""
        row = self._screen.row
        if row is not None:
            self._screen.controls.tag((row.key, row.tid))
            self._screen.table.move_to(self._screen.table.cursor + 1)
            self._screen.paint()

    def follow(self) -> None:
        """Keep the cursor on this process."""
        controls, row = self._screen.controls, self._screen.row
        if controls.followed is not None or row is None:
            controls.followed = None
        else:
            controls.followed = (row.key, row.tid)
        self._screen.paint()

    # -- order ---------------------------------------------------------------------------------

    def _sort(self, column: str) -> None:
        self._screen.controls.sort_most_first(column)
        self._screen.paint_from_top()

    def _sort_step(self, step: int) -> None:
        visible = tuple(spot.column.id for spot in self._screen.table.places)
        self._screen.controls.sort_step(visible, step)
        self._screen.paint_from_top()

    def sort_next(self) -> None:
        """Sort by the next column."""
        self._sort_step(1)

    def sort_previous(self) -> None:
        """Sort by the column before."""
        self._sort_step(-1)

    def reverse(self) -> None:
        """Reverse the order."""
        controls = self._screen.controls
        controls.is_reversed = not controls.is_reversed
        self._screen.paint_from_top()

    def sort_write(self) -> None:
        """Most written bytes first."""
        self._sort(SORT_WRITE)

    def sort_read(self) -> None:
        """Most read bytes first."""
        self._sort(SORT_READ)

    def sort_latency(self) -> None:
        """Longest latency first."""
        self._sort(SORT_LATENCY)

    # -- what is shown -------------------------------------------------------------------------

    def filter(self) -> None:
        """Open the filter line above the key bar."""
        from iotop_ng.view.widgets.filterbar import FilterBar  # noqa: PLC0415 - Input, 8 ms

        screen = self._screen
        if screen.filter_bar is None:
            self._filter_before = screen.controls.filter_text
            screen.filter_bar = FilterBar(self._filter_before, screen.ink)
            screen.mount(screen.filter_bar, before=screen.keys)

    def close_filter(self, *, is_kept: bool) -> None:
        """Leave the filter line; an unfinished filter that is none is dropped."""
        screen = self._screen
        bar, screen.filter_bar = screen.filter_bar, None
        if bar is not None:
            if not is_kept:
                screen.controls.set_filter(self._filter_before)
            bar.remove()
        screen.table.focus()
        screen.paint()

    def match_next(self) -> None:
        """Go to the next row that matches the last filter."""
        self._match(1)

    def match_previous(self) -> None:
        """Go to the row before that matches."""
        self._match(-1)

    def _match(self, step: int) -> None:
        screen, table = self._screen, self._screen.table
        wanted = screen.controls.last_filter
        if wanted is None:
            screen.say("no filter was given yet: /")
            return
        count = len(table.placed)
        for distance in range(1, count + 1):
            index = (table.cursor + step * distance) % count
            if wanted.matches(table.placed[index].row):
                table.move_to(index)
                self.moved()
                return
        screen.say("no row matches the last filter")

    def _flip(self, name: str) -> None:
        controls = self._screen.controls
        setattr(controls, name, not getattr(controls, name))
        self._screen.paint()

    def only_active(self) -> None:
        """Hide or show rows without I/O."""
        self._flip("only_active")

    def mode(self) -> None:
        """Rate, accumulated, average."""
        self._screen.controls.next_mode()
        self._screen.paint()
        words = {
            Mode.RATE: "rates of this interval",
            Mode.TOTAL: "accumulated since the start",
            Mode.AVERAGE: "averages since the row was first seen",
        }
        self._screen.say(words[self._screen.controls.mode])

    def threads(self) -> None:
        """Processes or threads."""
        self._flip("threads")
        self._screen.arrange_parts()
        shown = (
            "threads, from the next interval on" if self._screen.controls.threads else "processes"
        )
        self._screen.say(shown)

    def tree(self) -> None:
        """Processes below their parents."""
        controls = self._screen.controls
        controls.tree = not controls.tree
        self._screen.paint_from_top()

    def full_command(self) -> None:
        """Whole command line or name."""
        self._flip("full_command")

    # -- time ----------------------------------------------------------------------------------

    def pause(self) -> None:
        """Hold the screen, or let it go on."""
        tape = self._screen.tape
        if tape.is_paused:
            tape.resume()
        else:
            tape.pause()
            self._screen.say("paused: [ and ] step, z goes on")
        self._screen.paint()

    def _step(self, frames: int) -> None:
        tape = self._screen.tape
        if not tape.is_paused:
            tape.pause()
        if not tape.step(frames):
            self._screen.say("no interval is kept beyond this one")
        self._screen.paint()

    def step_back(self) -> None:
        """Show the interval before."""
        self._step(-1)

    def step_on(self) -> None:
        """Show the interval after."""
        self._step(1)

    def _interval(self, step: int) -> None:
        if self._screen.tape.newest.policies and self._screen.acts.adjust(step):
            return
        controls = self._screen.controls
        controls.step_interval(step)
        self._screen.post_message(IntervalChanged(controls.interval_s))
        self._screen.paint()

    def slower(self) -> None:
        """Take a longer interval, or let a throttled row write more."""
        self._interval(1)

    def faster(self) -> None:
        """Take a shorter interval, or let a throttled row write less."""
        self._interval(-1)

    # -- out of the screen ---------------------------------------------------------------------

    def copy(self) -> None:
        """Put the tagged rows, or the selected one, into the terminal's clipboard."""
        screen = self._screen
        tagged = screen.controls.tagged
        rows = [p.row for p in screen.table.placed if (p.row.key, p.row.tid) in tagged]
        if not rows and screen.row is not None:
            rows = [screen.row]
        if not rows:
            screen.say("no row to copy")
            return
        screen.app.copy_to_clipboard("\n".join(self._as_text(row) for row in rows))
        count = f"{len(rows)} rows" if len(rows) > 1 else "the row"
        screen.say(f"copied {count} (where the terminal allows OSC 52)")

    def _as_text(self, row: Row) -> str:
        ids = [spot.column.id for spot in self._screen.table.places if spot.column.id != "history"]
        mode, now_ns = self._screen.controls.mode, self._screen.tape.frame.mono_ns
        cells = [text(BY_ID[name], row, mode, now_ns=now_ns) for name in ids]
        return "\t".join(cells)
