"""The live screen."""

from __future__ import annotations

import sys
from dataclasses import replace

from iotop_ng.config.settings import Settings

COLOURLESS = "mono"
_BARS = "▁█●▼─✓"


def run(settings: Settings) -> int:
    """Open the screen and return the exit code when it is closed."""
    # Textual takes 150 ms and 20 MiB: nothing else pays for it.
    from iotop_ng.view import app  # noqa: PLC0415

    encoding = sys.stdout.encoding or "ascii"
    return app.run(drawable(themed(settings), encoding))


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
