"""A word that is pressed: with Enter or Space when it has the keyboard, or with the mouse."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from iotop_ng.view.messages import Pressed
from iotop_ng.view.widgets.ink import Ink


class Press(Widget, can_focus=True, inherit_bindings=False):
    """One line, pressed on purpose only."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter,space", "press", "press", show=False)]
    DEFAULT_CSS = """
    Press { height: 1; width: 1fr; }
    """

    def __init__(self, text: str, ink: Ink, *, base: str = "") -> None:
        super().__init__()
        self.text = text
        self.ink = ink
        self._base = base

    def set_ink(self, ink: Ink) -> None:
        """Take new styles."""
        self.ink = ink
        self.refresh()

    def action_press(self) -> None:
        """Tell the dialog."""
        self.post_message(Pressed())

    def on_click(self) -> None:
        """Press with the mouse."""
        self.action_press()

    def render_lines(self, crop: Region) -> list[Strip]:
        """Return the one line."""
        role = "cursor" if self.has_focus else "key"
        cursor = self.ink.glyphs.cursor if self.has_focus else " "
        strip = self.ink.strip(
            [(f"{cursor} ", ""), (f"[ {self.text} ]", role)], self.size.width, self._base
        )
        return [strip.crop(crop.x, crop.right) for _ in range(crop.y, crop.bottom)]
