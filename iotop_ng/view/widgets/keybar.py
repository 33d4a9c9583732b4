"""The last line: views and keys, or for some seconds what an action has to say."""

from __future__ import annotations

from collections.abc import Sequence

from textual import events

from iotop_ng.view.bindings import Action
from iotop_ng.view.messages import ActionWanted
from iotop_ng.view.widgets.canvas import Canvas
from iotop_ng.view.widgets.ink import Line, cells, pack

SECONDS = 5.0
"""How long a word stays."""


class KeyBar(Canvas):
    """Views at the left, then as many keys as fit; a click does what the key does."""

    def __init__(self, actions: Sequence[Action], *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id, base="footer")
        self._actions = actions
        self._view = ""
        self._spans: list[tuple[int, int, str]] = []
        self._said = ""
        self._role = "footer"
        self._generation = 0

    def set_view(self, action: str) -> None:
        """Mark the view that is open by its action's name."""
        if action != self._view:
            self._view = action
            self._draw()

    def say(self, text: str, role: str = "footer", seconds: float = SECONDS) -> None:
        """Show one line in place of the keys for a while."""
        self._said, self._role = text, role
        self._generation += 1
        generation = self._generation
        self._draw()
        if seconds > 0:
            self.set_timer(seconds, lambda: self._hush(generation))

    def _hush(self, generation: int) -> None:
        if generation == self._generation:
            self._said = ""
            self._draw()

    @property
    def said(self) -> str:
        """What it says now, "" when it shows keys."""
        return self._said

    def on_resize(self) -> None:
        """Fit the keys to the width."""
        self._draw()

    def on_click(self, event: events.Click) -> None:
        """Do what the entry under the mouse says."""
        for start, end, name in self._spans:
            if start <= event.x < end:
                self.post_message(ActionWanted(name))

    def _draw(self) -> None:
        self._spans = []
        if self._said:
            self.show([[(f" {self._said}", self._role)]])
            return
        entries = self._entries()
        line = pack([(rank, runs) for rank, runs, _ in entries], self.size.width)
        kept = {id(run) for run in line}
        x = 0
        for _, runs, name in entries:
            if id(runs[0]) in kept:
                self._spans.append((x, x + cells(runs), name))
                x += cells(runs)
        self.show([line])

    def _entries(self) -> list[tuple[int, Line, str]]:
        shown = [action for action in self._actions if action.rank]
        views = [a for a in shown if a.name.startswith("view_")]
        # Views in their order, then the most important keys first.
        rest = sorted((a for a in shown if a not in views), key=lambda action: action.rank)
        entries: list[tuple[int, Line, str]] = []
        for action in (*views, *rest):
            key = action.shown.split(" ")[0]
            role = "sorted" if action.name == self._view else "footer"
            runs: Line = (
                (f" {key}", "key"),
                (" ", "footer"),
                (action.label, role),
                (" ", "footer"),
            )
            entries.append((action.rank, runs, action.name))
        return entries
