"""What the terminal and the interpreter need before the screen opens."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Mapping

from iotop_ng.config import Settings
from iotop_ng.view.themes import default_name


def share_the_interpreter() -> None:
    """Let the widgets' thread in quickly while the session thread computes.

    With 10,000 processes a reading computes for 60 ms. A thread waits `sys.getswitchinterval`
    (5 ms) each time it wants the interpreter back, which a key press does many times; and a full
    garbage collection walks all rows, which hold no cycles. Measured by bench_keyboard: the p99 of
    the event loop's lateness fell from 60 to 9 ms.
    """
    sys.setswitchinterval(0.0005)
    gc.set_threshold(100_000, 50, 1000)


def theme_name(settings: Settings) -> str:
    """Return the theme to start with: asked for, else what suits the terminal."""
    name = settings.theme or default_name(os.environ)
    return _SWAPPED.get(name, name) if settings.inverse else name


def needs_ascii(environ: Mapping[str, str]) -> bool:
    """Return whether this terminal draws only ASCII, as far as the environment tells.

    The Linux console has no braille and few blocks. A locale without a character set (C, or none
    after sudo) says nothing about the terminal; Textual writes UTF-8 in any case.
    """
    locale = environ.get("LC_ALL") or environ.get("LC_CTYPE") or environ.get("LANG") or ""
    _, dot, charset = locale.partition(".")
    is_utf8 = charset.partition("@")[0].lower().replace("-", "") == "utf8"
    return environ.get("TERM") == "linux" or (bool(dot) and not is_utf8)


_SWAPPED = {"dark": "light", "light": "dark"}
