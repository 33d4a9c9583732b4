"""`iotop-ng demo`: the live screen with a hog, a victim, and a guide that says what to press."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

from iotop_ng.cli import screen
from iotop_ng.cli.demo_actors import Part, playing
from iotop_ng.cli.desk import Desk
from iotop_ng.config.checks import quoted
from iotop_ng.config.layers import Flags, load
from iotop_ng.config.settings import Settings
from iotop_ng.demo.modes import DEMO_MODE
from iotop_ng.errors import IotopError, UsageError

HOST = "demo"
"""What a recording calls the machine."""
MIN_WIDTH, MIN_HEIGHT = 80, 24


def run(
    *,
    directory: str,
    mode: str | None,
    rate: str,
    script: bool,
    seed: int,
    host: str | None,
    desk: Desk,
) -> int:
    """Show the tour until it is left, and print what it measured; return the exit code.

    Args:
        directory: where hog and victim write.
        mode: of the hog; None: its own first one.
        rate: of the hog.
        script: press the keys by itself, and look the same on every machine.
        seed: of everything that is left to chance.
        host: what the first line calls this machine; None: its name.
        desk: whether we are root.

    Raises:
        IotopError: it cannot be shown here.
    """
    where = Path(directory).resolve()
    if not where.is_dir():
        raise UsageError(f"--directory {quoted(directory)}: no such directory")
    desk.need_root("demo")
    if not sys.stdout.isatty():
        raise IotopError("stdout is no terminal; iotop-ng demo --headless needs none")
    _need_room()
    settings = settings_for(script=script)
    screen.take_keyboard()
    # Textual takes 150 ms and 20 MiB: nothing else pays for it.
    from iotop_ng.view import tour_app, tour_words  # noqa: PLC0415

    part = Part(where, mode or DEMO_MODE, rate, seed)
    with playing(part) as actors:
        tour = tour_app.run(
            settings,
            actors,
            host=host or (HOST if script else None),
            seed=seed if script else None,
        )
    desk.write(("\n".join(tour_words.table(tour)) + "\n").encode())
    return 0


def settings_for(*, script: bool) -> Settings:
    """Return what the screen is set to: the user's own settings, or for a recording none.

    It shows the names that the guide uses, not whole command lines.
    """
    if script:
        return Settings(theme="dark", mouse=False, full_command=False, ascii=False)
    settings = load(Flags(), os.environ, euid=os.geteuid())
    settings = screen.drawable(screen.themed(settings), sys.stdout.encoding or "ascii")
    return replace(settings, batch=False, read_only=False, full_command=False)


def _need_room() -> None:
    columns, lines = os.get_terminal_size(1)
    if columns < MIN_WIDTH or lines < MIN_HEIGHT:
        raise UsageError(
            f"the tour needs {MIN_WIDTH}x{MIN_HEIGHT} cells, this terminal has {columns}x{lines}"
        )
