"""The live screen."""

from __future__ import annotations

import os
import sys
from dataclasses import replace

from iotop_ng.config.settings import Settings
from iotop_ng.errors import IotopError

COLOURLESS = "mono"
_BARS = "▁█●▼─✓"


def run(settings: Settings) -> int:
    """Open the screen and return the exit code when it is closed."""
    # Textual takes 150 ms and 20 MiB: nothing else pays for it.
    from iotop_ng.view import app  # noqa: PLC0415

    take_keyboard()
    encoding = sys.stdout.encoding or "ascii"
    return app.run(drawable(themed(settings), encoding))


def take_keyboard() -> None:
    """Let keys come from the terminal itself where stdin is a file, a pipe or closed.

    Raises:
        IotopError: this process has no terminal of its own.
    """
    if os.isatty(0):
        return
    try:
        terminal = os.open("/dev/tty", os.O_RDWR)
    except OSError:
        raise IotopError("stdin is no terminal, and no other gives keys; -b needs none") from None
    os.dup2(terminal, 0)
    os.close(terminal)
    if sys.__stdin__ is None:  # it was closed when the interpreter started
        sys.stdin = sys.__stdin__ = os.fdopen(0, closefd=False)  # type: ignore[misc] # Textual's


def drawable(settings: Settings, encoding: str) -> Settings:
    """Return the settings with --ascii where the terminal's encoding has no bars."""
    try:
        _BARS.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return replace(settings, ascii=True)
    return settings


def themed(settings: Settings) -> Settings:
    """Return the settings with the theme that follows from --no-color and NO_COLOR.

    A theme that was named on the command line wins over both.
    """
    is_named = settings.origins.get("theme") == "--theme"
    return settings if settings.color or is_named else replace(settings, theme=COLOURLESS)
