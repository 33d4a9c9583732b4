"""What all dialogs have in common: a box over the live screen, keys, and a pinned target."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, TypeVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widget import Widget
from textual.widgets import Input

from iotop_ng import units
from iotop_ng.enforcers.orders import Failed
from iotop_ng.model.frame import Row
from iotop_ng.view.acting import Engine, Wish, name_of
from iotop_ng.view.messages import OrderWanted
from iotop_ng.view.tape import Tape
from iotop_ng.view.widgets.canvas import Canvas
from iotop_ng.view.widgets.form import BASE, ChoiceRow, FieldRow
from iotop_ng.view.widgets.ink import Ink, Line, Run, fit
from iotop_ng.view.widgets.ladder import LadderList

T = TypeVar("T")
Outcome = TypeVar("Outcome")
NAMES_SHOWN = 4
MAX_WIDTH = 100
"""Of the box, as in its CSS."""


class Dialog(ModalScreen[Outcome], inherit_bindings=False):
    """A box in the middle; the screen behind it goes on.

    Args:
        rows: the targets as they were when it was opened.
        tape: the frames; what the targets do now comes from the newest.
        ink: colours.
        si: decimal units.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "cancel", "cancel", show=False),
        Binding("enter", "confirm", "do it", show=False),
        Binding("up", "move(-1)", "line up", show=False),
        Binding("down", "move(1)", "line down", show=False),
        Binding("tab", "app.focus_next", "next", show=False),
        Binding("shift+tab", "app.focus_previous", "previous", show=False),
    ]
    DEFAULT_CSS = """
    Dialog { align: center middle; }
    Dialog #box {
        width: 100%; max-width: 100; height: 100%; max-height: 26;
        border: round $foreground; background: $surface;
    }
    Dialog #facts { height: 3; }
    Dialog #space { height: 1fr; }
    Dialog.-ascii #box { border: ascii $foreground; }
    """
    AUTO_FOCUS = ""

    def __init__(self, rows: Sequence[Row], tape: Tape, ink: Ink, *, si: bool) -> None:
        super().__init__(classes="-ascii" if ink.is_ascii else "")
        self.rows = tuple(rows)
        self.tape = tape
        self.ink = ink
        self.si = si
        self._early: list[tuple[str, str | None]] = []
        self._is_ready = False
        self._facts = self.canvas(id="facts")
        self._keys = self.canvas(id="keys", base="footer")

    def canvas(self, *, id: str | None = None, base: str = BASE) -> Canvas:  # noqa: A002
        """Return a canvas on the dialog's ground."""
        made = Canvas(id=id, base=base)
        made.ink = self.ink
        return made

    # -- what the dialogs say themselves -------------------------------------------------------

    def title_text(self) -> str:
        """Return the first line."""
        raise NotImplementedError

    def body(self) -> ComposeResult:
        """Yield what stands between the facts and the keys."""
        raise NotImplementedError

    def problem(self) -> str:
        """Return why it cannot be confirmed now, "" when it can."""
        raise NotImplementedError

    def outcome(self) -> Outcome:
        """Return what was decided."""
        raise NotImplementedError

    def key_hints(self) -> list[tuple[str, str]]:
        """Return keys and what they do."""
        raise NotImplementedError

    # -- drawing -------------------------------------------------------------------------------

    def compose(self) -> ComposeResult:
        """Stack the parts in the box."""
        with Vertical(id="box"):
            yield self._facts
            yield from self.body()
            yield self._keys

    def on_mount(self) -> None:
        """Take the keyboard, and what was typed before there was a dialog."""
        self.draw()
        stops = self._stops()
        if stops:
            stops[0][0].focus()
        self._is_ready = True
        for key, character in self._early:
            self.take_key(key, character)

    def frame_changed(self) -> None:
        """Show what the targets do now."""
        for row in self.query(FieldRow):
            row.judge()
        self.draw()

    def draw(self) -> None:
        """Draw facts and keys again."""
        self._facts.show(self._fact_lines(min(self.size.width or MAX_WIDTH, MAX_WIDTH) - 2))
        keys: list[Run] = []
        for number, (key, label) in enumerate(self.key_hints()):
            is_off = number == 0 and bool(self.problem())
            keys += [(f" {key}", "muted" if is_off else "key"), (f" {label} ", "footer")]
        self._keys.show([keys])

    def on_resize(self) -> None:
        """Fit the facts to the width."""
        self.draw()

    def set_ink(self, ink: Ink) -> None:
        """Take new styles."""
        self.ink = ink
        for canvas in self.query(Canvas):
            canvas.set_ink(ink)
        for row in self.query(FieldRow):
            row.set_ink(ink)
        for choice in self.query(ChoiceRow):
            choice.set_ink(ink)
        for ladder in self.query(LadderList):
            ladder.set_ink(ink)
        self.draw()

    def now(self, row: Row) -> Row | None:
        """Return a target as the newest frame has it; None when it is gone."""
        found = next((r for r in self.tape.newest.rows if r.key == row.key), None)
        return None if found is None or found.exited else found

    def _fact_lines(self, width: int) -> list[Line]:
        cut = self.ink.glyphs.cut
        title: Line = [(fit(f" {self.title_text()}", width, cut), "header")]
        if len(self.rows) > 1:
            names = ", ".join(name_of(row) for row in self.rows[:NAMES_SHOWN])
            more = len(self.rows) - NAMES_SHOWN
            who = f"  {len(self.rows)} processes: {names}{f' + {more} more' if more > 0 else ''}"
            return [title, [(fit(who, width, cut), "")], self._now_line()]
        row = self.rows[0]
        start = f"  {row.pid} {row.user}  "
        command = fit(row.command or f"[{row.comm}]", max(width - len(start), 8), cut)
        return [title, [(start, "muted"), (command, "title")], self._now_line()]

    def _now_line(self) -> Line:
        rows = [self.now(row) for row in self.rows]
        alive = [row for row in rows if row is not None]
        if not alive:
            return [("  it has ended" if len(rows) == 1 else "  they have ended", "warning")]
        rate = sum(row.write_bytes_per_s or 0.0 for row in alive)
        runs: list[Run] = [
            ("  writes " if len(rows) == 1 else "  write ", "muted"),
            (f"{units.human(rate, si=self.si)}/s", "write"),
            (" now", "muted"),
        ]
        policies = {row.policy for row in alive if row.policy}
        if policies:
            runs.append((f"   in force: {', '.join(sorted(policies))}", "throttled"))
        if len(alive) < len(rows):
            runs.append((f"   {len(rows) - len(alive)} ended", "warning"))
        return runs

    # -- keys ----------------------------------------------------------------------------------

    def _stops(self) -> list[list[Widget]]:
        """Return what takes the keyboard, line by line."""
        stops: list[list[Widget]] = []
        for widget in self.query("FieldRow, ChoiceRow, LadderList, Press"):
            if not widget.display or widget.disabled:
                continue
            own = getattr(widget, "stops", None)
            stops.append([widget] if own is None else own)
        return stops

    def action_move(self, step: int) -> None:
        """Go to the next line; the ends do not meet."""
        stops = self._stops()
        at = next((n for n, line in enumerate(stops) if self.focused in line), -1)
        index = min(max(at + step, 0), len(stops) - 1)
        if stops and index != at:
            stops[index][0].focus()

    def arrows(self, words: str, signs: str) -> str:
        """Return the name of arrow keys that this terminal can draw."""
        return words if self.ink.is_ascii else signs

    def take_key(self, key: str, character: str | None) -> None:
        """Take a key that was sent to the screen behind: it was typed before this one was there."""
        if not self._is_ready:
            self._early.append((key, character))
        elif key == "escape":
            self.action_cancel()
        elif key == "enter":
            self.action_confirm()
        elif character is not None and character.isprintable():
            self._type(character)

    def _type(self, character: str) -> None:
        """Write into the first field, which may not have the keyboard yet.

        Then it must not select everything when it gets it: the next character would replace this.
        """
        field = next(iter(self.query(Input)), None)
        if field is None:
            return
        if field.has_focus:
            field.replace(character, *field.selection)
            return
        typed = "" if field.select_on_focus else field.value
        field.select_on_focus = False
        field.value = typed + character
        field.cursor_position = len(field.value)

    def action_cancel(self) -> None:
        """Leave without doing anything."""
        self.dismiss(None)

    def action_confirm(self) -> None:
        """Do it, unless something is wrong."""
        problem = self.problem()
        if problem:
            self.app.bell()
            self.draw()
        else:
            self.dismiss(self.outcome())

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Enter in a field is Enter in the dialog."""
        event.stop()
        self.action_confirm()

    def ask(self, job: Callable[[Engine], T | Failed], reply: Callable[[T | Failed], None]) -> None:
        """Have something looked up in the session's thread; the answer may come after the end."""

        def answered(answer: T | Failed) -> None:
            if self.is_attached:
                reply(answer)

        self.post_message(OrderWanted(Wish(job, answered)))
