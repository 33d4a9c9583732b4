"""Leave the terminal as it was: after quit, Ctrl-C, SIGTERM, SIGHUP, Ctrl-Z and an exception.

    guard = terminal.install(app)
    try:
        app.run()
    finally:
        guard.restore()

Textual restores the terminal when its application ends in order. A signal's default action ends
the process at once and leaves raw mode and the alternate screen behind; here signals ask the
application to end in order. One that does not within `GRACE_S` (its terminal hangs, a second
signal comes) is ended from outside, after the terminal was put back without waiting for it.
"""

from __future__ import annotations

import os
import signal
import sys
import termios
import threading
from types import FrameType
from typing import TYPE_CHECKING, Final, NoReturn

from iotop_ng.view.driver import CarefulDriver, is_recorded

if TYPE_CHECKING:
    from textual.app import App

__all__ = ["GRACE_S", "UNDO", "Guard", "install", "is_recorded"]

ENDING_SIGNALS: Final = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
GRACE_S: Final = 3.0
UNDO: Final = (
    "\x1b[?2026l"  # end of a synchronised update
    "\x1b[?2004l"  # bracketed paste
    "\x1b[?2048l"  # resize reports
    "\x1b[?1000l\x1b[?1003l\x1b[?1015l\x1b[?1006l\x1b[?1016l"  # mouse
    "\x1b[?1004l"  # focus reports
    "\x1b[<u"  # kitty keys, which belong to the alternate screen
    "\x1b[?7h"  # line wrap
    "\x1b[?1049l"  # alternate screen
    "\x1b[?25h"  # cursor
    "\x1b[m"
)
"""Undoes every mode that Textual 8.2.8 sets."""


class Guard:
    """Holds what the terminal and the signal handlers were before."""

    def __init__(self, app: App[object]) -> None:
        self._app = app
        self._attributes = _attributes()
        self._handlers = {number: signal.getsignal(number) for number in ENDING_SIGNALS}
        self._is_ending = False

    def watch(self) -> None:
        """Make signals end the application in order."""
        for number in ENDING_SIGNALS:
            signal.signal(number, self._on_signal)

    def restore(self) -> None:
        """Put back signal handlers and, where the application did not, the terminal."""
        for number, handler in self._handlers.items():
            signal.signal(number, handler or signal.SIG_DFL)
        self._put_back()

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        loop = self._app._loop  # noqa: SLF001 - no public name; Textual is pinned
        if self._is_ending or loop is None or loop.is_closed():
            self._end_now(number)
        self._is_ending = True
        driver = self._app._driver  # noqa: SLF001 - no public name
        if isinstance(driver, CarefulDriver):
            driver.is_leaving = True
        watchdog = threading.Timer(GRACE_S, self._end_now, [number])
        watchdog.daemon = True
        watchdog.start()
        # From a signal handler only this wakes a loop that waits for input.
        loop.call_soon_threadsafe(lambda: self._app.exit(return_code=128 + number))

    def _end_now(self, number: int) -> NoReturn:
        """End the process without its consent, the terminal first."""
        self._put_back()
        os._exit(128 + number)

    def _put_back(self) -> None:
        """Undo what Textual did and did not undo itself.

        Not done twice: leaving the alternate screen again would move the cursor.
        """
        driver = self._app._driver  # noqa: SLF001 - no public name
        if not isinstance(driver, CarefulDriver) or not driver.is_started:
            return
        driver.is_started = False
        _write_at_once(UNDO)
        if self._attributes is not None:
            # From the background the change would stop this process with SIGTTOU.
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTTOU})
            try:
                termios.tcsetattr(sys.__stdin__, termios.TCSANOW, self._attributes)  # type: ignore[arg-type]
            except (OSError, termios.error):
                return  # the terminal is gone
            finally:
                signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTTOU})


def install(app: App[object]) -> Guard:
    """Take care of the terminal from now on; call it before `App.run`."""
    guard = Guard(app)
    app.driver_class = CarefulDriver
    guard.watch()
    return guard


def _attributes() -> list[object] | None:
    """Return the terminal's settings, None when stdin is none."""
    try:
        return termios.tcgetattr(sys.__stdin__)  # type: ignore[arg-type]
    except (OSError, ValueError, termios.error):
        return None


def _write_at_once(text: str) -> None:
    """Write to the controlling terminal without ever waiting for it."""
    try:
        terminal = os.open("/dev/tty", os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK)
    except OSError:
        return
    try:
        os.write(terminal, text.encode())
    except OSError:
        return  # it is gone, or takes nothing more
    finally:
        os.close(terminal)
