"""The ladder of mechanisms: what can work here, what it does, who else is hit, what stays."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import ClassVar

from textual import events
from textual.actions import SkipAction
from textual.binding import Binding, BindingType
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from iotop_ng.enforcers.orders import Mechanism, Rung
from iotop_ng.view.messages import ChoiceMade
from iotop_ng.view.widgets.ink import Ink, Line, Run, fit

NAME_WIDTH = 9
LABEL_WIDTH = 9
LOOKING = "looking what works here ..."


class LadderList(Widget, can_focus=True, inherit_bindings=False):
    """One line per rung. The cursor goes over all of them, only those that work are chosen."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "step(-1)", "up", show=False),
        Binding("down", "step(1)", "down", show=False),
    ]
    DEFAULT_CSS = """
    LadderList { height: 4; width: 1fr; }
    """

    def __init__(self, ink: Ink, *, base: str = "", id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self.ink = ink
        self.rungs: tuple[Rung, ...] = ()
        self.cursor = 0
        self.chosen: int | None = None
        """The rung that will be used; None when none works, or before the ladder is known."""
        self.is_picked = False
        """A person chose it, so no other will do."""
        self._base = base
        self._pending = LOOKING

    def show(self, rungs: Sequence[Rung]) -> None:
        """Take the ladder; the first rung that works is chosen."""
        self.rungs = tuple(rungs)
        self._pending = "nothing is known that would work here"
        self.chosen = next((n for n, rung in enumerate(self.rungs) if rung.works), None)
        self.cursor = self.chosen or 0
        self.refresh()

    def say(self, text: str) -> None:
        """Show a line in place of a ladder."""
        self._pending = text
        self.refresh()

    def set_ink(self, ink: Ink) -> None:
        """Take new styles."""
        self.ink = ink
        self.refresh()

    @property
    def rung(self) -> Rung | None:
        """The rung under the cursor."""
        return self.rungs[self.cursor] if self.rungs else None

    @property
    def mechanism(self) -> Mechanism | None:
        """What was picked by a person; None leaves it to who acts."""
        if self.chosen is None or not self.is_picked:
            return None
        return self.rungs[self.chosen].mechanism

    def action_step(self, step: int) -> None:
        """Go to the next rung; beyond the ends the key belongs to the dialog."""
        index = self.cursor + step
        if not 0 <= index < len(self.rungs):
            raise SkipAction
        self._go(index)

    def _go(self, index: int) -> None:
        self.cursor = index
        if self.rungs[index].works:
            self.chosen, self.is_picked = index, True
        self.refresh()
        self.post_message(ChoiceMade(self, index))

    def on_click(self, event: events.Click) -> None:
        """Go to the rung under the mouse."""
        index = event.y + self._top
        if index < len(self.rungs):
            self._go(index)

    @property
    def _top(self) -> int:
        """The first rung that is shown."""
        return max(self.cursor - self.size.height + 1, 0)

    def render_lines(self, crop: Region) -> list[Strip]:
        """Return the visible rungs."""
        width = self.size.width
        lines = self.lines(width)[self._top :]
        return [
            self.ink.strip(lines[y] if y < len(lines) else (), width, self._base).crop(
                crop.x, crop.right
            )
            for y in range(crop.y, crop.bottom)
        ]

    def lines(self, width: int) -> list[Line]:
        """Return all rungs as text."""
        if not self.rungs:
            return [[(fit(f"  {self._pending}", width, self.ink.glyphs.cut), "muted")]]
        return [self._line(number, rung, width) for number, rung in enumerate(self.rungs)]

    def _line(self, number: int, rung: Rung, width: int) -> Line:
        glyphs = self.ink.glyphs
        is_here = number == self.cursor
        cursor = glyphs.cursor if is_here and self.has_focus else " "
        name = rung.mechanism.value.replace("_", " ")
        if not rung.works:
            text = f"{cursor} {glyphs.no:<3} {name:<{NAME_WIDTH}} cannot: {rung.why}"
            return [(fit(text, width, glyphs.cut), "title" if is_here else "muted")]
        mark = "[*]" if number == self.chosen else "[ ]"
        text = f"{cursor} {mark} {name:<{NAME_WIDTH}} "
        role = "cursor" if is_here and self.has_focus else "ok" if number == self.chosen else ""
        about = rung.why or rung.does
        return [(text, role), (fit(about, max(width - len(text), 0), glyphs.cut), "")]


def rung_lines(rung: Rung | None, ink: Ink, width: int) -> list[Line]:
    """Return everything about a rung: what it does, whom else it hits, what stays, what to know."""
    if rung is None:
        return []
    others = ", ".join(rung.others)
    facts: list[tuple[str, str, str]] = [("does", rung.does, "")]
    if not rung.works:
        facts.insert(0, ("cannot", rung.why, "warning"))
    facts += [
        ("also hits", others or "nobody else", "warning" if others else ""),
        ("survives", rung.survives, "warning" if rung.survives != "nothing" else ""),
    ]
    if rung.works and rung.why:
        facts.append(("know", rung.why, ""))
    lines: list[Line] = []
    for name, text, role in facts:
        lines += _wrapped(name, text, role, ink, width)
    return lines


def _wrapped(name: str, text: str, role: str, ink: Ink, width: int) -> list[list[Run]]:
    parts = textwrap.wrap(ink.safe(text), max(width - LABEL_WIDTH - 3, 20)) or ["-"]
    return [
        [(f"  {name if number == 0 else '':<{LABEL_WIDTH}} ", "muted"), (part, role)]
        for number, part in enumerate(parts)
    ]
