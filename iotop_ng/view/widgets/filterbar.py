"""The filter line: an input with a mark that says at once whether the text is a filter."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.widgets import Input

from iotop_ng.view.messages import FilterChanged, FilterKept
from iotop_ng.view.widgets.canvas import Canvas
from iotop_ng.view.widgets.ink import Ink


class FilterBar(Horizontal):
    """Label, input and judgement."""

    DEFAULT_CSS = """
    FilterBar { height: 1; width: 1fr; }
    FilterBar Input, FilterBar Input:focus {
        border: none; height: 1; padding: 0; width: 2fr; background: $panel; color: $foreground;
    }
    FilterBar #label { width: 9; }
    FilterBar #judgement { width: 1fr; min-width: 24; }
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
        if problem:
            self._judgement.show([[(f" {glyphs.no} {problem}", "error")]])
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
