"""How a helper of the keeper begins: alone, quick, and mortal with it."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import signal
from pathlib import Path

NICE = -10
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


def die_with(parent: int) -> None:
    """Let the kernel kill this process when its parent ends."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    # It may have ended before that.
    if os.getppid() != parent:
        os._exit(1)


def become_helper() -> None:
    """Be quick: before others, without pauses for garbage, untouched by the terminal's keys."""
    gc.freeze()
    gc.disable()
    with contextlib.suppress(OSError):
        os.nice(NICE - os.nice(0))
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)


def close_all_but(*kept: int) -> None:
    """Close what was inherited: the keeper's lock and its clients must not outlive it in us."""
    for fd in [int(entry.name) for entry in Path("/proc/self/fd").iterdir()]:
        if fd > 2 and fd not in kept:
            with contextlib.suppress(OSError):
                os.close(fd)


def child_signals() -> int:
    """Return a descriptor that can be read when a tracee has stopped (signalfd(2))."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.set_wakeup_fd(-1)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    mask = (ctypes.c_uint64 * 16)(1 << (signal.SIGCHLD - 1))
    fd = int(_libc.signalfd(-1, mask, os.O_NONBLOCK | os.O_CLOEXEC))
    if fd < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return fd
