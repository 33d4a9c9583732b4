"""The process that owns everything in force: one per machine, while somebody needs it.

Started by the first client that wants to act (`iotop_ng.enforcers.client`). It has its own session,
so closing a terminal does not end it, and no parent-death signal: it serves several clients. When
it is told to end it takes everything back; when it is killed the kernel lets go of programs and
helpers, and whoever comes next plays the journal back.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Protocol

from iotop_ng.clock import SystemClock
from iotop_ng.enforcers import processes
from iotop_ng.enforcers.audit import audit_log
from iotop_ng.enforcers.core import Core
from iotop_ng.enforcers.enforcer import Enforcer
from iotop_ng.enforcers.journal import Journal
from iotop_ng.enforcers.orders import Mechanism
from iotop_ng.enforcers.pinned import HostPinner
from iotop_ng.enforcers.registry import enforcers
from iotop_ng.enforcers.run_dir import BUSY, READY, RunDir, run_dir, take_lock
from iotop_ng.enforcers.serving import Server, listen
from iotop_ng.enforcers.undo import DYING_S
from iotop_ng.errors import IotopError

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_OOM_SCORE = "-500"
"""Rather the hog than who could stop it; not -1000: a keeper that leaks must be killable."""
_MCL_CURRENT, _MCL_FUTURE, _MCL_ONFAULT = 1, 2, 4
_PR_SET_NAME = 15


class Loadable(Enforcer, Protocol):
    """A mechanism that can be made ready before it is asked."""

    def preload(self) -> None:
        """Read what it will need."""
        ...


def main(
    ready_fd: int = -1,
    mechanisms: Callable[[], Mapping[Mechanism, Loadable]] = enforcers,
) -> int:
    """Keep until nobody needs it; return the exit code.

    Args:
        ready_fd: gets READY, BUSY or one line that says what is wrong; then it is closed.
        mechanisms: gives what it can act with.
    """
    os.umask(0o077)
    _leave_session()
    _close_others(ready_fd)
    try:
        return _keep(run_dir(), ready_fd, mechanisms())
    except IotopError as error:
        _tell(ready_fd, f"{error.exit_code} {error}\n".encode("utf-8", "replace"))
        return error.exit_code
    except OSError as error:
        _tell(ready_fd, f"1 keeper: {error.strerror or error}\n".encode("utf-8", "replace"))
        return 1


def _keep(place: RunDir, ready_fd: int, mechanisms: Mapping[Mechanism, Loadable]) -> int:
    place.make()
    lock = take_lock(place.lock, DYING_S, place.socket)
    if lock is None:
        _tell(ready_fd, BUSY)
        return 0
    journal = Journal(place.journal, processes.boot_id())
    audit = audit_log()
    core = Core(
        mechanisms,
        journal,
        HostPinner(),
        SystemClock(),
        audit,
        # Later than anything that an earlier keeper numbered.
        first_seq=time.time_ns() // 1_000_000,
        pid=os.getpid(),
    )

    def prepare() -> None:
        for mechanism in mechanisms.values():
            mechanism.preload()
        _stay_in_memory()

    core.recover()
    _be_killed_last()
    _stay_in_memory()
    with _woken_by_signals() as wake:
        listener = listen(str(place.socket))
        server = Server(core, listener, wake, prepare)
        for number in _SIGNALS:
            signal.signal(number, lambda _number, _frame: server.stop())
        _tell(ready_fd, READY)
        try:
            server.run()
        finally:
            with contextlib.suppress(OSError):
                place.socket.unlink()
            core.release_all("the keeper was told to end")
            server.close()
            journal.close()
            audit.close()
            lock.release()
    return 0


@contextlib.contextmanager
def _woken_by_signals() -> Iterator[int]:
    """Give a descriptor that can be read after any signal."""
    reading, writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    try:
        yield reading
    finally:
        signal.set_wakeup_fd(-1)
        os.close(reading)
        os.close(writing)


def _leave_session() -> None:
    with contextlib.suppress(PermissionError):
        os.setsid()  # the client has done it already when it could
    os.chdir("/")
    libc = ctypes.CDLL(None)
    libc.prctl(_PR_SET_NAME, b"iotop-ng keeper", 0, 0, 0)


def _close_others(keep_fd: int) -> None:
    """Close what was inherited: whoever reads a script's pipe would wait for us to end."""
    first = max(keep_fd, 2)
    os.closerange(3, first)
    os.closerange(first + 1, os.sysconf("SC_OPEN_MAX"))


def _be_killed_last() -> None:
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(_OOM_SCORE, encoding="ascii")


def _stay_in_memory() -> None:
    """Lock what we have now, where we may: reading code back from a flooded disk takes seconds.

    What comes later is locked once it is touched. Filling every new map at once (MCL_FUTURE alone)
    made loading the first program 6 times slower, 60 ms against 400.
    """
    with contextlib.suppress(OSError, ValueError):
        infinite = resource.RLIM_INFINITY
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (infinite, infinite))
    if resource.getrlimit(resource.RLIMIT_MEMLOCK)[0] != resource.RLIM_INFINITY:
        return  # with a limit, locking what comes would make allocations fail
    libc = ctypes.CDLL(None)
    libc.mlockall(_MCL_CURRENT)
    libc.mlockall(_MCL_FUTURE | _MCL_ONFAULT)


def _tell(ready_fd: int, line: bytes) -> None:
    if ready_fd < 0:
        return
    with contextlib.suppress(OSError):
        os.write(ready_fd, line)
        os.close(ready_fd)


if __name__ == "__main__":
    sys.exit(main())
