"""ptrace(2) as far as holding threads needs it, and how waitpid(2) tells what a tracee did.

A seized thread runs on until one of its stops; in a stop it waits for us and for nobody else. When
we die, in whatever way, the kernel lets it run again. Every function raises OSError (ESRCH when the
thread is gone or not in a stop).
"""

from __future__ import annotations

import ctypes
import os
import signal
from enum import Enum
from typing import Final, NamedTuple

SEIZE, INTERRUPT, LISTEN, CONT, DETACH, GETSIGINFO = 0x4206, 0x4207, 0x4208, 7, 17, 0x4202
SYSCALL = 24
TRACE_CALLS: Final = 0x1
"""PTRACE_O_TRACESYSGOOD: stops at system calls are told from signals."""
TRACE_FORKS: Final = 0x2 | 0x4
"""PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK."""
TRACE_THREADS: Final = 0x8
"""PTRACE_O_TRACECLONE."""
WALL: Final = 0x40000000
"""__WALL: also threads."""
SI_KERNEL: Final = 0x80

_EVENT_STOP = 128
_CALL = signal.SIGTRAP | 0x80
_GROUP_STOPS = frozenset({signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU})
_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.restype = ctypes.c_long
_libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]


class Stop(Enum):
    """Why a tracee was reported."""

    GONE = "gone"
    SIGNAL = "signal"
    """A signal is about to be delivered; it may be held back."""
    GROUP = "group"
    """Stopped by job control, as without us."""
    TRAP = "trap"
    """PTRACE_INTERRUPT, a new thread's first stop, or the end of a group stop."""
    CALL = "call"
    """It enters or leaves a system call, and was to stop there."""
    EVENT = "event"
    """It has just forked or made a thread."""


class Report(NamedTuple):
    """One answer of waitpid."""

    tid: int
    stop: Stop
    signal: int


def next_report() -> Report | None:
    """Return what happened to any tracee, None when nothing did or there is none."""
    try:
        tid, status = os.waitpid(-1, os.WNOHANG | WALL)
    except ChildProcessError:
        return None
    return None if tid == 0 else explain(tid, status)


def explain(tid: int, status: int) -> Report:
    """Read a wait status (ptrace(2), "Stopped states")."""
    if not os.WIFSTOPPED(status):
        return Report(tid, Stop.GONE, 0)
    number, event = os.WSTOPSIG(status), status >> 16
    if event == 0 and number == _CALL:
        return Report(tid, Stop.CALL, 0)
    if event == 0:
        return Report(tid, Stop.SIGNAL, number)
    if event != _EVENT_STOP:
        return Report(tid, Stop.EVENT, number)
    return Report(tid, Stop.GROUP if number in _GROUP_STOPS else Stop.TRAP, number)


def _ptrace(request: int, tid: int, data: int | None = None) -> None:
    if _libc.ptrace(request, tid, None, data) < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def seize(tid: int, options: int) -> None:
    """Trace a thread without stopping it. EPERM: somebody else does, or it cannot be traced."""
    _ptrace(SEIZE, tid, options)


def resume(tid: int, number: int = 0, *, to_call: bool = False) -> None:
    """Let it go on from a stop, with a signal or (0) without; `to_call`: to its next CALL stop."""
    _ptrace(SYSCALL if to_call else CONT, tid, number)


def listen(tid: int) -> None:
    """Leave it in its group stop until SIGCONT."""
    _ptrace(LISTEN, tid)


def interrupt(tid: int) -> None:
    """Make it stop soon; it is reported as a TRAP."""
    _ptrace(INTERRUPT, tid)


def detach(tid: int, number: int = 0) -> None:
    """Trace it no more; it must be in a stop."""
    _ptrace(DETACH, tid, number)


def signal_code(tid: int) -> int:
    """Return si_code of the signal in whose delivery it stopped: SI_KERNEL for those of BPF."""
    info = (ctypes.c_int * 32)()
    if _libc.ptrace(GETSIGINFO, tid, None, ctypes.addressof(info)) < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return info[2]
