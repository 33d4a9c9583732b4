"""What is said to people, on stderr, one line each, and data on stdout."""

from __future__ import annotations

import contextlib
import os
import select
import sys

from iotop_ng.errors import IotopError
from iotop_ng.units import clean

PROGRAM = "iotop-ng"
STDOUT = 1


def complain(message: str) -> None:
    """Say one line; a closed or full stderr must not change what happens."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        sys.stderr.write(f"{PROGRAM}: {clean(message, 2000)}\n")
        sys.stderr.flush()


def write(data: bytes) -> None:
    """Write all of it to stdout, at once: no buffer of ours is left to flush.

    Raises:
        IotopError: the disk is full, stdout is closed, or it cannot be written for another reason.
    """
    rest = memoryview(data)
    while rest:
        rest = rest[_write_some(rest) :]


def _write_some(data: memoryview) -> int:
    try:
        return os.write(STDOUT, data)
    except BlockingIOError:  # somebody who shares the terminal or pipe made it non-blocking
        select.select((), (STDOUT,), ())
        return 0
    except BrokenPipeError:
        raise
    except OSError as error:
        raise IotopError(f"stdout cannot be written: {error.strerror}") from None
