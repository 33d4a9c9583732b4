"""A widget that shows prepared lines: the base of everything here that is not the table."""

from __future__ import annotations

from collections.abc import Sequence

from textual.geometry import Region, Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from iotop_ng.view.widgets.ink import Ink, Line


class Canvas(ScrollView, can_focus=False, inherit_bindings=False):
    """Lines of runs, cut at the right edge, scrolled when there are more than fit.

    Nothing is parsed: a run's text is drawn as it is, so no markup can come out of a process name.
    """

    DEFAULT_CSS = """
    Canvas {
        scrollbar-size: 0 0;
        overflow: hidden hidden;
        height: 1;
        width: 1fr;
    }
    """

    def __init__(self, *, id: str | None = None, base: str = "") -> None:  # noqa: A002 - Textual's
        super().__init__(id=id)
        self.ink: Ink = Ink()
        self.base = base
        self.lines: Sequence[Line] = ()

    def show(self, lines: Sequence[Line], *, grow: bool = False) -> None:
        """Draw these lines.

        Args:
            lines: top to bottom.
            grow: take the height of the lines (a layout, so only when their number changed).
        """
        if grow and len(lines) != self._height_set:
            self._height_set = len(lines)
            self.styles.height = len(lines)
            self.display = bool(lines)
        changed = len(lines) != len(self.lines)
        self.lines = lines
        if changed:
            self.virtual_size = Size(self.size.width, len(lines))
        self.refresh()

    _height_set = -1

    def reveal(self, index: int) -> None:
        """Scroll so that a line is visible."""
        top, height = self.scroll_offset.y, self.size.height
        if index < top or index >= top + height:
            self.scroll_to(y=max(index - height // 2, 0), animate=False)

    def set_ink(self, ink: Ink) -> None:
        """Take new styles."""
        self.ink = ink
        self.refresh()

    def on_resize(self) -> None:
        """Keep the scrollable area as wide as the widget."""
        self.virtual_size = Size(self.size.width, len(self.lines))

    def render_lines(self, crop: Region) -> list[Strip]:
        """Return the visible part."""
        width = self.size.width
        first = self.scroll_offset.y
        strips = []
        for y in range(first + crop.y, first + crop.bottom):
            if y < len(self.lines):
                strips.append(self.ink.strip(self.lines[y], width, self.base))
            else:
                strips.append(self.ink.blank(width, self.base))
        if crop.x == 0 and crop.width == width:
            return strips
        return [strip.crop(crop.x, crop.right) for strip in strips]
