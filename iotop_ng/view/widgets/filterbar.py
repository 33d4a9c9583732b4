"""The filter line: an input with a mark that says at once whether the text is a filter."""

from __future__ import annotations

from rich.cells import cell_len
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.widgets import Input

from iotop_ng.view.messages import FilterChanged, FilterKept
from iotop_ng.view.widgets.canvas import Canvas
from iotop_ng.view.widgets.ink import Ink

LABEL_WIDTH = 9
JUDGEMENT_WIDTH = 24
TYPING_ROOM = 12
"""Cells that stay free behind the text."""


class FilterBar(Horizontal):
    """Label, input and judgement."""

    DEFAULT_CSS = """
    FilterBar { height: 1; width: 1fr; }
    FilterBar Input, FilterBar Input:focus {
        border: none; height: 1; padding: 0; width: 1fr; background: $panel; color: $foreground;
    }
    FilterBar #label { width: 9; }
    FilterBar #judgement { width: 24; }
    """

    def __init__(self, text: str, ink: Ink) -> None:
        super().__init__()
        self.input = Input(text, compact=True, select_on_focus=False)
        self._typed = ""
        self._label = Canvas(id="label", base="footer")
        self._judgement = Canvas(id="judgement")
        for canvas in (self._label, self._judgement):
            canvas.ink = ink

    def compose(self) -> ComposeResult:
        """Lay out the three parts."""
        self._label.show([[(" filter ", "key")]])
        yield self._label
        yield self.input
        yield self._judgement

    def on_mount(self) -> None:
        """Take the keyboard, and what was typed before there was an input."""
        self.input.focus()
        self.input.insert_text_at_cursor(self._typed)

    def type(self, character: str) -> None:
        """Take a character that was sent elsewhere."""
        if self.input.is_mounted:
            self.input.insert_text_at_cursor(character)
        else:
            self._typed += character

    def set_ink(self, ink: Ink) -> None:
        """Take new styles."""
        self._label.set_ink(ink)
        self._judgement.set_ink(ink)

    def judge(self, problem: str, matching: int) -> None:
        """Show whether the text is a filter, and how many rows it leaves."""
        glyphs = self._judgement.ink.glyphs
        # The text of the filter stands at the left already; the reason needs the room.
        _, _, reason = problem.rpartition(f"filter {self.input.value!r}: ")
        # Beside what was typed, and never so wide that there is no room to go on typing.
        most = self.size.width - LABEL_WIDTH - cell_len(self.input.value) - TYPING_ROOM
        self._judgement.styles.width = max(min(cell_len(reason) + 4, most), JUDGEMENT_WIDTH)
        if problem:
            self._judgement.show([[(f" {glyphs.no} {reason}", "error")]])
        else:
            self._judgement.show(
                [
                    [
                        (f" {glyphs.yes} ", "ok"),
                        (f"{matching} row{'' if matching == 1 else 's'}", "muted"),
                    ]
                ]
            )

    def on_input_changed(self, event: Input.Changed) -> None:
        """Pass the text on."""
        event.stop()
        self.post_message(FilterChanged(event.value))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Keep the filter."""
        event.stop()
        self.post_message(FilterKept())
