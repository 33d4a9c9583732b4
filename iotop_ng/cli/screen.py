"""The live screen."""

from __future__ import annotations

from dataclasses import replace

from iotop_ng.config.settings import Settings

COLOURLESS = "mono"


def run(settings: Settings) -> int:
    """Open the screen and return the exit code when it is closed."""
    # Textual takes 150 ms and 20 MiB: nothing else pays for it.
    from iotop_ng.view import app  # noqa: PLC0415

    return app.run(themed(settings))


def themed(settings: Settings) -> Settings:
    """Return the settings with the theme that follows from --no-color and NO_COLOR.

    A theme that was named on the command line wins over both.
    """
    is_named = settings.origins.get("theme") == "--theme"
    return settings if settings.color or is_named else replace(settings, theme=COLOURLESS)
