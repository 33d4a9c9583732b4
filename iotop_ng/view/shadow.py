"""What the terminal shows, cell by cell, and the shortest output that makes it show something else.

A `Shadow` is a copy of the terminal's screen. Painting a strip compares it with the copy, writes
the cells that differ and updates the copy. It never remembers how a line was cut into strips
(that is only used to skip what is the same object as before), so moved, overlapping or hidden
widgets cannot leave anything behind.

Of a wide character the first cell holds the text and the second one "". A cell whose pen is None is
unknown and is written when next painted. A line with text that cannot be laid out cell by cell
(combining marks, control characters, a width that disagrees with the strip's) is written as Textual
would and becomes unknown: where terminal and Textual disagree on widths, the rest of it has moved.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from rich.cells import cell_len
from rich.color import ColorSystem
from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from iotop_ng.view.sgr import RESET, change

_MERGED_GAP = 3
"""Rewriting three cells costs no more than ESC[3C."""
_LINK = "\0"
"""Separates the SGR parameters from a hyperlink in a pen."""


class Cells(NamedTuple):
    """Some neighbouring cells: their texts and pens, of equal length."""

    texts: list[str]
    pens: list[str]
    has_wide: bool


class OutsideError(Exception):
    """An update does not fit the screen: it was made for another size."""


class _Row:
    __slots__ = ("painted", "pens", "texts")

    def __init__(self, width: int) -> None:
        self.texts = [" "] * width
        self.pens: list[str | None] = [None] * width
        # column -> (segments that these cells show, end column); entries never overlap
        self.painted: dict[int, tuple[list[Segment], int]] = {}

    def evict(self, start: int, end: int) -> None:
        """Forget which segments the cells from `start` up to `end` show."""
        stale = [x for x, (_, until) in self.painted.items() if x < end and until > start]
        for x in stale:
            del self.painted[x]

    def shows(self, start: int, end: int, segments: list[Segment]) -> bool:
        """Return whether these cells were last painted with these segments."""
        painted = self.painted.get(start)
        if painted is None or painted[1] != end:
            return False
        # Identity first: comparing equal styles is slow.
        return painted[0] is segments or painted[0] == segments

    def lose(self, start: int, end: int) -> None:
        """Mark cells as unknown."""
        self.evict(start, end)
        self.pens[start:end] = [None] * len(self.pens[start:end])


class Shadow:
    """A copy of a screen of `width` by `height` cells; nothing is known at first."""

    def __init__(self, width: int, height: int) -> None:
        self.width = width
        self.height = height
        self._rows: dict[int, _Row] = {}
        self._out: list[str] = []
        self._pen = ""
        self._at: tuple[int, int] | None = None

    def paint(self, y: int, x: int, strips: Iterable[Strip], console: Console) -> None:
        """Make the terminal show neighbouring strips from column `x` of line `y`.

        Raises:
            OutsideError: nothing is known any more, use another shadow. A terminal moves what is
                written outside to its last line or column.
        """
        if not 0 <= y < self.height or x < 0:
            raise OutsideError
        row = self._rows.get(y)
        if row is None:
            row = self._rows[y] = _Row(self.width)
        strips = list(strips)
        changed: list[tuple[int, int, list[Segment], Cells]] = []
        # Rich tells only the system's name in public, and renders with this.
        color_system = console._color_system or ColorSystem.TRUECOLOR  # noqa: SLF001
        end = x
        for strip in strips:
            start, end = end, end + strip.cell_length
            segments: list[Segment] = strip._segments  # noqa: SLF001 - the list is the fast key
            if row.shows(start, end, segments):
                continue
            if end > self.width:
                raise OutsideError
            cells = _cells(segments, color_system)
            if cells is None or len(cells.texts) != end - start:
                self._write_whole(y, x, strips, console)
                row.lose(0, self.width)
                return
            changed.append((start, end, segments, cells))
        for part_start, part_end, segments, cells in changed:
            self._update(row, y, part_start, part_end, cells)
            row.painted[part_start] = (segments, part_end)

    def _update(self, row: _Row, y: int, start: int, end: int, cells: Cells) -> None:
        """Write the cells from column `start` up to `end` that differ."""
        row.evict(start, end)
        changed = _changed(row, start, end, cells)
        if changed:
            _lose_cut_neighbours(row, start, end)
            self._write_changed(y, start, cells, changed)
            row.texts[start:end] = cells.texts
            row.pens[start:end] = cells.pens

    def take(self) -> str:
        """Return what has to be written since the last call; the pen is reset at its end."""
        if self._pen:
            self._out.append(RESET)
        text = "".join(self._out)
        self._out.clear()
        self._pen, self._at = "", None
        return text

    def _write_whole(self, y: int, x: int, strips: Iterable[Strip], console: Console) -> None:
        """Write strips as Textual does, with a cursor position that is unknown afterwards."""
        self._out += [change(self._pen, ""), _to(y, x)]
        self._out += [strip.render(console) for strip in strips]
        self._pen, self._at = "", None

    def _write_changed(self, y: int, x: int, cells: Cells, changed: Sequence[int]) -> None:
        """Write the cells with the given indexes, joined where the gap is cheaper than a move."""
        pens = cells.pens
        start = before = changed[0]
        for index in changed[1:]:
            gap = index - before - 1
            if gap and (gap > _MERGED_GAP or pens[before:index].count(pens[index]) != gap + 1):
                self._write_run(y, x, cells, start, before + 1)
                start = index
            before = index
        self._write_run(y, x, cells, start, before + 1)

    def _write_run(self, y: int, x: int, cells: Cells, start: int, end: int) -> None:
        """Write cells from index `start` up to `end`, one pen after the other."""
        self._move(y, x + start)
        texts, pens = cells.texts, cells.pens
        while start < end:
            pen = pens[start]
            until = start + 1
            while until < end and pens[until] == pen:
                until += 1
            self._write("".join(texts[start:until]), pen)
            start = until
        # After a wide character a terminal with other width tables is somewhere else.
        self._at = None if cells.has_wide else (y, x + end)

    def _write(self, text: str, pen: str) -> None:
        codes, _, link = pen.partition(_LINK)
        self._out.append(change(self._pen, codes))
        self._out.append(f"\x1b]8;{link}\x1b\\{text}\x1b]8;;\x1b\\" if link else text)
        self._pen = codes

    def _move(self, y: int, x: int) -> None:
        if self._at is not None and self._at[0] == y and self._at[1] <= x:
            distance = x - self._at[1]
            if distance:
                self._out.append("\x1b[C" if distance == 1 else f"\x1b[{distance}C")
        else:
            self._out.append(_to(y, x))
        self._at = (y, x)


def _lose_cut_neighbours(row: _Row, start: int, end: int) -> None:
    """Mark what is left of a wide character that the cells from `start` up to `end` cut in two.

    Most terminals blank the other half, some leave it. Also keeps "" what it says: the second cell
    of the character before it. Otherwise "日" painted before a left-over "" would be lost with it.
    """
    if row.texts[start] == "" and start > 0:
        row.lose(start - 1, start)
    if end < len(row.texts) and row.texts[end] == "":
        row.lose(end, end + 1)
        row.texts[end] = " "


def _to(y: int, x: int) -> str:
    return f"\x1b[{y + 1};{x + 1}H"


def _pen_of(style: Style | None, color_system: ColorSystem) -> str:
    if style is None:
        return ""
    pen = style._ansi  # noqa: SLF001 - Textual caches the codes of a style here, and so do we
    if pen is None:
        pen = Strip.render_ansi(style, color_system)
    if style.link:
        return f"{pen}{_LINK}id={style._link_id};{style.link}"  # noqa: SLF001 - as Rich writes it
    return pen


def _cells(segments: Sequence[Segment], color_system: ColorSystem) -> Cells | None:
    """Return segments cell by cell, None for text that cannot be laid out that way."""
    texts: list[str] = []
    pens: list[str] = []
    has_wide = False
    for text, style, control in segments:
        if control:
            return None
        before = len(texts)
        if text.isascii():
            texts.extend(text)
        elif not _spread(text, texts):
            return None
        else:
            has_wide = has_wide or len(texts) - before != len(text)
        if not text.isprintable():
            return None
        pens.extend([_pen_of(style, color_system)] * (len(texts) - before))
    return Cells(texts, pens, has_wide)


def _spread(text: str, texts: list[str]) -> bool:
    """Add one element per cell of `text`; return False where a character has no cell of its own."""
    for character in text:
        width = cell_len(character)
        if width == 1:
            texts.append(character)
        elif width == 2:
            texts += (character, "")
        else:
            return False
    return True


def _changed(row: _Row, x: int, end: int, cells: Cells) -> list[int]:
    """Return the indexes of cells that the terminal does not show yet."""
    texts, pens = row.texts[x:end], row.pens[x:end]
    if texts == cells.texts and pens == cells.pens:
        return []
    # The second cell of a wide character differs only together with the first: both always have
    # one pen, and cutting such a character in two makes the other half unknown.
    return [
        index
        for index, (text, old, pen, old_pen) in enumerate(
            zip(cells.texts, texts, cells.pens, pens, strict=True)
        )
        if pen != old_pen or text != old
    ]
