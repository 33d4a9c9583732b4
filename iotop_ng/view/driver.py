"""Textual's terminal driver, with what it leaves undone.

`LinuxDriver` of Textual 8.2.8 switches pixel mouse reports (1016) on and never off, leaves the
shape of the pointer, starts a second time after SIGCONT without SIGTSTP (and then takes the raw
mode for the terminal's own), and blocks for ever on a terminal that is gone.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

from textual import constants
from textual.drivers.linux_driver import LinuxDriver

if TYPE_CHECKING:
    from textual.app import App

_PIXEL_MOUSE_OFF = "\x1b[?1016l"
_POINTER_DEFAULT = "\x1b]22;default\x07"
_POINTER = "\x1b]22;"
_STRAY = re.compile(
    r"\x1b\[\?(?:2026|2048)\$p"  # questions: the viewer's terminal would answer into his shell
    r"|\x1b\[\?(?:1000|1002|1003|1004|1005|1006|1015|1016|2004|2026|2048)[hl]"
    r"|\x1b\[[<>=?][0-9;]*u"  # kitty keys
    r"|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)"  # OSC: pointer shapes, titles
)
"""What a recording must not do to the terminal in which it is played."""


def is_recorded(environ: Mapping[str, str]) -> bool:
    """Return whether asciinema records this terminal.

    Whoever plays the recording gets its mode switches: mouse reports and kitty keys would reach
    the shell of the viewer as stray input.
    """
    return bool(environ.get("ASCIINEMA_REC"))


class CarefulDriver(LinuxDriver):
    """Leaves the terminal as it was found, also when that is asked for at an odd moment."""

    def __init__(
        self,
        app: App[object],
        *,
        debug: bool = False,
        mouse: bool = True,
        size: tuple[int, int] | None = None,
    ) -> None:
        self.is_started = False
        """The terminal is in our hands: alternate screen, raw mode."""
        self.is_leaving = False
        """The application ends; it is not to take the terminal again."""
        self._has_pointer = False
        recorded = self._is_recorded = is_recorded(os.environ)
        if recorded:
            # Textual reads its environment at import, which was long ago.
            setattr(constants, "DISABLE_KITTY_KEY", True)  # noqa: B010 - it is typed Final
        super().__init__(app, debug=debug, mouse=mouse and not recorded, size=size)
        # Textual draws on stderr; with 2>/dev/null the screen would be black.
        out, err = sys.__stdout__, sys.__stderr__
        if out is not None and out.isatty() and not (err is not None and err.isatty()):
            self._file = out

    def write(self, data: str) -> None:
        """Write to the terminal; a terminal that is gone takes nothing and blocks nothing."""
        if self._is_recorded:
            data = _STRAY.sub("", data)
        if self._has_writer():
            self._has_pointer = self._has_pointer or data.startswith(_POINTER)
            super().write(data)

    def start_application_mode(self) -> None:
        """Take the terminal, unless it is taken or the application ends."""
        if self.is_started or self.is_leaving:
            return
        try:
            super().start_application_mode()  # type: ignore[no-untyped-call] # Textual's is bare
        finally:
            # Without a writer it came to nothing: resumed in the background, and stopped again.
            # With one the modes are set, even when the thread for the keys could not be started.
            self.is_started = self._has_writer()

    def stop_application_mode(self) -> None:
        """Give the terminal back, once."""
        if not self.is_started:
            return
        if self._mouse_pixels:
            self.write(_PIXEL_MOUSE_OFF)
        if self._has_pointer:
            self.write(_POINTER_DEFAULT)
        super().stop_application_mode()
        self.is_started = False

    def disable_input(self) -> None:
        """Stop reading, unless the terminal is not ours: in the background that would stop us.

        tcflush(3) raises SIGTTOU there; a stopped job that a shell kills would stay for ever.
        """
        if self.is_started:
            super().disable_input()

    def _sigcont_application(self, *_: object) -> None:
        """Take the terminal again, whoever stopped us.

        After SIGSTOP (which nobody can catch) a shell has written over the screen and has set its
        own modes, so everything is undone before it is done again.
        """
        if self.is_started and self._auto_restart:
            self.suspend_application_mode()
            self._must_signal_resume = True
        super()._sigcont_application()

    def close(self) -> None:
        """End the writer; a dead one may have a full queue and is left alone."""
        if self._has_writer():
            super().close()

    def _has_writer(self) -> bool:
        return self._writer_thread is not None and self._writer_thread.is_alive()
