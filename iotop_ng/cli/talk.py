"""What is said to people, on stderr: one line each, with the program's name."""

from __future__ import annotations

import contextlib
import sys

from iotop_ng.units import clean

PROGRAM = "iotop-ng"


def complain(message: str) -> None:
    """Say one line; a closed or full stderr must not change what happens."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        sys.stderr.write(f"{PROGRAM}: {clean(message, 2000)}\n")
        sys.stderr.flush()
