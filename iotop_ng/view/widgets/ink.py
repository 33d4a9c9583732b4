"""How a role ("write", "dim", "selected") looks now: Rich styles and glyphs, made once per theme.

Everything that is drawn goes through here, so that colours, NO_COLOR and ASCII are decided in one
place and nothing is computed per cell.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual.color import Color
from textual.filter import LineFilter
from textual.strip import Strip

Run = tuple[str, str]
"""Text and its role."""
Line = Sequence[Run]


class Glyphs(NamedTuple):
    """Signs that have an ASCII form."""

    cursor: str = "▶"
    descending: str = "▼"
    ascending: str = "▲"
    healthy: str = "●"
    restricted: str = "◐"
    failed: str = "○"
    rule: str = "─"
    cut: str = "…"
    hog: str = "!"
    suffering: str = "~"
    exited: str = "x"
    throttled: str = "‖"
    dropping: str = "↓"
    tag: str = "*"
    branch: str = "├─"
    last_branch: str = "└─"
    warning: str = "⚠"
    bar: str = "█"
    bar_rest: str = "·"
    arrow: str = "→"
    left_right: str = "← →"
    yes: str = "✓"
    no: str = "✗"


UNICODE = Glyphs()
ASCII = Glyphs(
    cursor=">",
    descending="v",
    ascending="^",
    healthy="*",
    restricted="%",
    failed="o",
    rule="-",
    cut="~",
    branch="|-",
    last_branch="`-",
    warning="!",
    bar="#",
    bar_rest=".",
    arrow="->",
    left_right="<- ->",
    throttled="=",
    dropping="v",
    yes="ok",
    no="no",
)


def fit(text: str, width: int, cut: str = "…") -> str:
    """Return text in exactly `width` cells, ending in `cut` when something is missing."""
    if text.isascii():
        if len(text) <= width:
            return text.ljust(width)
        return text[: width - 1] + cut if width > 0 else ""
    if cell_len(text) <= width:
        return text + " " * (width - cell_len(text))
    return set_cell_size(text, width - 1) + cut if width > 0 else ""


class Palette(Protocol):
    """What `iotop_ng.view.themes.Theme` says about meanings."""

    def style(self, *names: str) -> Style:
        """Return several meanings laid over the ground."""
        ...

    def cell(
        self, role: str = "", state: str = "", *, zebra: bool = False, selected: bool = False
    ) -> Style:
        """Return the style of a table cell."""
        ...


class Ink:
    """The styles of all roles under one theme; "" is plain text.

    Args:
        palette: the theme; None draws without any style.
        filters: Textual's line filters (NO_COLOR, ANSI colours), folded into every style here.
        ascii_only: draw nothing but ASCII.
    """

    def __init__(
        self,
        palette: Palette | None = None,
        filters: Sequence[LineFilter] = (),
        *,
        ascii_only: bool = False,
    ) -> None:
        self.glyphs = ASCII if ascii_only else UNICODE
        self.is_ascii = ascii_only
        self._palette = palette
        self._filters = filters
        self._styles: dict[tuple[str, ...], Style] = {}
        self._cells: dict[tuple[str, str, bool, bool], Style] = {}
        self._blanks: dict[tuple[int, str], Strip] = {}

    def style(self, *roles: str) -> Style:
        """Return the style of roles laid over each other, the last on top."""
        made = self._styles.get(roles)
        if made is None:
            names = [role for role in roles if role]
            made = self._filtered(self._palette.style(*names)) if self._palette else Style.null()
            self._styles[roles] = made
        return made

    def cell(self, role: str, state: str, *, zebra: bool, selected: bool) -> Style:
        """Return the style of a table cell."""
        made = self._cells.get((role, state, zebra, selected))
        if made is None:
            made = Style.null()
            if self._palette is not None:
                made = self._palette.cell(role, state, zebra=zebra, selected=selected)
                made = self._filtered(made)
            self._cells[role, state, zebra, selected] = made
        return made

    def _filtered(self, style: Style) -> Style:
        for line_filter in self._filters:
            background = Color.from_rich_color(style.bgcolor) if style.bgcolor else Color(0, 0, 0)
            style = line_filter.apply([Segment("x", style)], background)[0].style or style
        return style

    def safe(self, text: str) -> str:
        """Return text that this terminal can draw."""
        if self.is_ascii and not text.isascii():
            return text.encode("ascii", "replace").decode("ascii")
        return text

    def strip(self, line: Line, width: int, base: str = "") -> Strip:
        """Return one line of exactly `width` cells: cut at the right or filled with `base`."""
        segments = []
        left = width
        for text, role in line:
            drawn = self.safe(text)
            cells = len(drawn) if drawn.isascii() else cell_len(drawn)
            if cells > left:
                drawn, cells = fit(drawn, left, self.glyphs.cut), left
            if cells:
                segments.append(Segment(drawn, self.style(base, role)))
            left -= cells
            if left <= 0:
                break
        if left > 0:
            segments.append(Segment(" " * left, self.style(base)))
        return Strip(segments, width)

    def blank(self, width: int, base: str = "") -> Strip:
        """Return an empty line."""
        strip = self._blanks.get((width, base))
        if strip is None:
            strip = self._blanks[width, base] = Strip(
                [Segment(" " * width, self.style(base))], width
            )
        return strip


def cells(line: Line) -> int:
    """Return how many cells a line takes."""
    return sum(cell_len(text) for text, _ in line)


def pack(pieces: Sequence[tuple[int, Line]], width: int, right: Line = ()) -> list[Run]:
    """Return pieces beside each other, without the least important ones that do not fit.

    Args:
        pieces: (rank, runs) in reading order; rank 0 always stays, the highest goes first.
        width: cells there are.
        right: stays at the right edge.
    """
    kept = list(pieces)
    room = width - cells(right)
    while sum(cells(line) for _, line in kept) > room:
        worst = max((rank for rank, _ in kept), default=0)
        if worst == 0:
            break
        index = max(i for i, (rank, _) in enumerate(kept) if rank == worst)
        del kept[index]
    line = [run for _, piece in kept for run in piece]
    if right:
        line.append((" " * max(room - cells(line), 0), ""))
        line.extend(right)
    return line
