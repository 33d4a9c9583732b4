"""One line of options, of which one is chosen with the arrow keys or the mouse."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.cells import cell_len
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from iotop_ng.view.messages import ChoiceMade
from iotop_ng.view.widgets.ink import Ink, Line, Run


class Choices(Widget, can_focus=True, inherit_bindings=False):
    """Options beside each other; the chosen one is in brackets, so that no colour is needed.

    Args:
        options: what is shown.
        chosen: index of the one chosen; None when it is something else.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "step(-1)", "left", show=False),
        Binding("right,space", "step(1)", "right", show=False),
    ]
    DEFAULT_CSS = """
    Choices { height: 1; width: 1fr; }
    """

    def __init__(
        self,
        options: Sequence[str],
        chosen: int | None,
        ink: Ink,
        *,
        base: str = "",
        id: str | None = None,  # noqa: A002 - Textual's name
    ) -> None:
        super().__init__(id=id)
        self.options = tuple(options)
        self.chosen = chosen
        self.ink = ink
        self._base = base

    def choose(self, index: int | None) -> None:
        """Show another choice without telling anybody."""
        if index != self.chosen:
            self.chosen = index
            self.refresh()

    def set_ink(self, ink: Ink) -> None:
        """Take new styles."""
        self.ink = ink
        self.refresh()

    def action_step(self, step: int) -> None:
        """Choose the neighbour; the ends do not meet."""
        if self.chosen is None:
            index = 0 if step > 0 else len(self.options) - 1
        else:
            index = min(max(self.chosen + step, 0), len(self.options) - 1)
        self._take(index)

    def _take(self, index: int) -> None:
        self.choose(index)
        self.post_message(ChoiceMade(self, index))

    def on_click(self, event: events.Click) -> None:
        """Choose what is under the mouse."""
        x = 0
        for index, option in enumerate(self.options):
            width = cell_len(option) + 2
            if x <= event.x < x + width:
                self._take(index)
                return
            x += width

    def render_lines(self, crop: Region) -> list[Strip]:
        """Return the one line."""
        strip = self.ink.strip(self.line(), self.size.width, self._base)
        blank = self.ink.blank(self.size.width, self._base)
        lines = [strip if y == 0 else blank for y in range(crop.y, crop.bottom)]
        return [line.crop(crop.x, crop.right) for line in lines]

    def line(self) -> Line:
        """Return the options as runs."""
        runs: list[Run] = []
        for index, option in enumerate(self.options):
            if index == self.chosen:
                runs.append((f"[{option}]", "cursor" if self.has_focus else "title"))
            else:
                # Where nothing is chosen the first one shows that the line has the keyboard.
                is_start = self.has_focus and self.chosen is None and index == 0
                runs.append((f" {option} ", "cursor" if is_start else "muted"))
        return runs
