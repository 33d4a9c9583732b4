"""The parts of a dialog: a field with presets and a judgement below, and a line of choices."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.widget import Widget
from textual.widgets import Input

from iotop_ng.errors import UsageError
from iotop_ng.view.messages import ChoiceMade, FieldChanged
from iotop_ng.view.widgets.canvas import Canvas
from iotop_ng.view.widgets.choices import Choices
from iotop_ng.view.widgets.ink import Ink

BASE = "zebra"
"""Role of a dialog's ground."""
LABEL_WIDTH = 11
Judge = Callable[[str], str]
"""Returns what a text means; raises UsageError with what is allowed."""


class Label(Canvas):
    """The name of a line."""

    DEFAULT_CSS = "Label { width: 11; }"

    def __init__(self, text: str, ink: Ink) -> None:
        super().__init__(base=BASE)
        self.ink = ink
        self.lines = [[(f"  {text}", "label")]]


class FieldRow(Vertical):
    """A text field, presets beside it, and below what the text means or what is wrong with it.

    Args:
        name: of the line.
        text: to start with.
        presets: texts that can be chosen.
        judge: says what a text means.
        ink: colours.
        width: of the field.
    """

    DEFAULT_CSS = """
    FieldRow { height: 2; width: 1fr; }
    FieldRow Horizontal { height: 1; }
    FieldRow Input, FieldRow Input:focus {
        border: none; height: 1; padding: 0; background: $panel; color: $foreground;
    }
    FieldRow Input:focus { text-style: bold; }
    """

    def __init__(
        self,
        name: str,
        text: str,
        presets: Sequence[str],
        judge: Judge,
        ink: Ink,
        *,
        width: int = 12,
    ) -> None:
        super().__init__()
        self._label = name
        self._judge_text = judge
        self._ink = ink
        self.presets = tuple(presets)
        self.field = Input(text, compact=True, select_on_focus=True)
        self.field.styles.width = width
        self.choices = Choices(self.presets, self._chosen(text), ink, base=BASE)
        self.said = Canvas(base=BASE)
        self.said.ink = ink
        self.problem = ""
        """What is wrong with the text, "" when nothing is."""

    def compose(self) -> ComposeResult:
        """Lay out label, field, presets and judgement."""
        with Horizontal():
            yield Label(self._label, self._ink)
            yield self.field
            if self.presets:
                yield self.choices
            else:
                yield _blank(self._ink)
        yield self.said

    def on_mount(self) -> None:
        """Judge what stands there already."""
        self.judge()

    @property
    def text(self) -> str:
        """What stands in the field."""
        return self.field.value

    @property
    def stops(self) -> list[Widget]:
        """What takes the keyboard, left to right."""
        return [self.field, self.choices] if self.presets else [self.field]

    def judge(self) -> None:
        """Say what the text means now."""
        try:
            meaning, self.problem = self._judge_text(self.field.value), ""
        except UsageError as error:
            meaning, self.problem = str(error), str(error)
        glyphs = self.said.ink.glyphs
        sign, role = (glyphs.no, "error") if self.problem else (" ", "muted")
        indent = " " * (LABEL_WIDTH - len(sign) - 1)
        self.said.show([[(f"{indent}{sign} {meaning}", role)]])

    def _chosen(self, text: str) -> int | None:
        return self.presets.index(text) if text in self.presets else None

    def on_choice_made(self, message: ChoiceMade) -> None:
        """Write a preset into the field."""
        message.stop()
        self.field.value = self.presets[message.index]

    def on_input_changed(self, event: Input.Changed) -> None:
        """Judge while it is typed."""
        event.stop()
        self.choices.choose(self._chosen(event.value))
        self.judge()
        self.post_message(FieldChanged())

    def set_ink(self, ink: Ink) -> None:
        """Take new styles."""
        for part in self.query(Canvas):
            part.set_ink(ink)
        self.choices.set_ink(ink)
        self.judge()


class ChoiceRow(Horizontal):
    """A name and options."""

    DEFAULT_CSS = "ChoiceRow { height: 1; width: 1fr; }"

    def __init__(self, name: str, options: Sequence[str], chosen: int, ink: Ink) -> None:
        super().__init__()
        self._label = name
        self._ink = ink
        self.choices = Choices(options, chosen, ink, base=BASE)

    def compose(self) -> ComposeResult:
        """Lay out label and options."""
        yield Label(self._label, self._ink)
        yield self.choices

    @property
    def index(self) -> int:
        """Which option is chosen."""
        return self.choices.chosen or 0

    @property
    def stops(self) -> list[Widget]:
        """What takes the keyboard."""
        return [self.choices]

    def set_ink(self, ink: Ink) -> None:
        """Take new styles."""
        for part in self.query(Canvas):
            part.set_ink(ink)
        self.choices.set_ink(ink)


def _blank(ink: Ink) -> Canvas:
    canvas = Canvas(base=BASE)
    canvas.ink = ink
    return canvas
