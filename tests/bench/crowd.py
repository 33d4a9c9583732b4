"""`crowd.c` for machines without a C compiler: the same processes, made by forking Python."""

from __future__ import annotations

import ctypes
import itertools
import os
import signal
import sys
import time
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_BLOCK = bytes(65536)
_BLOCKS = 16


def main(idle: int, busy: int, directory: Path) -> None:
    """Start the processes, say "ready", stay until standard input is closed."""
    libc = ctypes.CDLL(None)
    for number in range(idle + busy):
        if os.fork() == 0:
            libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            os.close(0)
            if number < busy:
                _write_forever(directory / f"busy.{number}")
            while True:
                signal.pause()
    print("ready", flush=True)
    sys.stdin.buffer.read(1)


def _write_forever(path: Path) -> None:
    fd = os.open(path, os.O_CREAT | os.O_WRONLY, 0o600)
    for turn in itertools.count():
        os.pwrite(fd, _BLOCK, turn % _BLOCKS * len(_BLOCK))
        time.sleep(0.05)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
