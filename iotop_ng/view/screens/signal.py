"""The signal dialog: a list as in htop, TERM first."""

from __future__ import annotations

import signal
from collections.abc import Sequence

from textual.app import ComposeResult
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from iotop_ng.model.frame import Row
from iotop_ng.view.acting import name_of
from iotop_ng.view.screens.dialog import Dialog
from iotop_ng.view.tape import Tape
from iotop_ng.view.widgets.ink import Ink

SIGNALS: tuple[tuple[signal.Signals, str], ...] = (
    (signal.SIGTERM, "asks it to end"),
    (signal.SIGINT, "as Ctrl+C in its terminal"),
    (signal.SIGHUP, "many services read their configuration again, others end"),
    (signal.SIGQUIT, "ends it with a core dump"),
    (signal.SIGKILL, "ends it at once; it cannot clean up"),
    (signal.SIGSTOP, "stops it until CONT; nothing here continues it by itself"),
    (signal.SIGCONT, "continues it"),
    (signal.SIGUSR1, "means what the program says"),
    (signal.SIGUSR2, "means what the program says"),
)


class SignalDialog(Dialog[signal.Signals]):
    """Ends in a signal; who sends it checks the identity again."""

    CSS = """
    SignalDialog #box { max-height: 15; }
    SignalDialog OptionList, SignalDialog OptionList:focus {
        height: 1fr; border: none; padding: 0 1; background: $surface; color: $foreground;
        scrollbar-size-vertical: 0; text-wrap: nowrap;
    }
    """

    def __init__(self, rows: Sequence[Row], tape: Tape, ink: Ink, *, si: bool) -> None:
        super().__init__(rows, tape, ink, si=si)
        self._list = OptionList(
            *(Option(f"{one.value:>2} {one.name[3:]:<5} {about}") for one, about in SIGNALS),
            markup=False,
        )

    def title_text(self) -> str:
        """Return what is done to whom."""
        whom = name_of(self.rows[0]) if len(self.rows) == 1 else f"{len(self.rows)} processes"
        return f"Send a signal to {whom}"

    def body(self) -> ComposeResult:
        """Yield the list."""
        yield self._list

    def on_mount(self) -> None:
        """Start at TERM."""
        self._list.highlighted = 0
        self._list.focus()

    def problem(self) -> str:
        """Return nothing: there is always one under the cursor."""
        return ""

    def outcome(self) -> signal.Signals:
        """Return the signal under the cursor."""
        return SIGNALS[self._list.highlighted or 0][0]

    def key_hints(self) -> list[tuple[str, str]]:
        """Return what the keys do."""
        return [("Enter", "send"), ("Esc", "cancel"), (self.arrows("Up Down", "↑↓"), "choose")]

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Enter, or a click, sends."""
        event.stop()
        self.action_confirm()
