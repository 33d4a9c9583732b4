"""The question before leaving while something is in force."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import ModalScreen

from iotop_ng.view.widgets.canvas import Canvas
from iotop_ng.view.widgets.ink import Ink


class LeaveScreen(ModalScreen[bool], inherit_bindings=False):
    """One line above the key bar; the key that asked answers yes."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y,q,f10,enter", "answer(True)", "quit", show=False),
        Binding("n,escape", "answer(False)", "stay", show=False),
    ]
    DEFAULT_CSS = """
    LeaveScreen { align: center bottom; }
    LeaveScreen #question { height: 1; width: 100%; }
    """

    def __init__(self, count: int, ink: Ink) -> None:
        super().__init__()
        self._count = count
        self._question = Canvas(id="question", base="banner")
        self._question.ink = ink

    def compose(self) -> ComposeResult:
        """Show the question."""
        what = "1 policy" if self._count == 1 else f"{self._count} policies"
        self._question.show([[(f" {what} in force will be undone: quit? y/n", "banner")]])
        yield self._question

    def set_ink(self, ink: Ink) -> None:
        """Take new styles."""
        self._question.set_ink(ink)

    def action_answer(self, is_yes: bool) -> None:
        """Tell who asked."""
        self.dismiss(is_yes)
