"""What a command that acts works with: the keeper, the clock, signals, stdout."""

from __future__ import annotations

import os
import select
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

from iotop_ng.cli.talk import complain, write
from iotop_ng.clock import NS_PER_S, Clock, SystemClock
from iotop_ng.control.link import Keeper
from iotop_ng.enforcers.changes import Change
from iotop_ng.enforcers.orders import Failed
from iotop_ng.errors import EnforcerError, IotopError, NotPermittedError, TargetError, UsageError

CAPABILITIES = "CAP_SYS_PTRACE, CAP_SYS_ADMIN, CAP_KILL"


class Signals(Protocol):
    """The wish to end, from outside."""

    @property
    def is_set(self) -> bool:
        """Whether a signal came."""
        ...

    def wait(self, until_ns: int, descriptor: int) -> None:
        """Return at a time of the clock, or before when a signal comes or the file can be read."""
        ...


class CaughtSignals:
    """SIGINT, SIGTERM and SIGHUP, taken down and waited for."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._reader, self._writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._caught = threading.Event()

    @property
    def is_set(self) -> bool:
        """Whether one came."""
        return self._caught.is_set()

    def take(self) -> None:
        """Be told of one; called in a handler."""
        self._caught.set()
        os.write(self._writer, b"!")

    def wait(self, until_ns: int, descriptor: int) -> None:
        """Sleep until then; a signal, or a descriptor that can be read, ends it before."""
        files = [self._reader] if descriptor < 0 else [self._reader, descriptor]
        left_s = (until_ns - self._clock.mono_ns()) / NS_PER_S
        if not self.is_set and left_s > 0:
            # The connection may just have been closed: asking it will say so.
            with suppress(OSError):
                select.select(files, (), (), left_s)

    def close(self) -> None:
        """Let go of the pipe."""
        os.close(self._reader)
        os.close(self._writer)


@contextmanager
def catching(clock: Clock) -> Iterator[CaughtSignals]:
    """Take down the first signal that wants us to end; a second one ends us at once.

    Even then nothing stays behind: the keeper takes back what was applied through a connection
    that ends.
    """
    caught = CaughtSignals(clock)
    before: dict[int, Any] = {}

    def stop(_number: int, _frame: FrameType | None) -> None:
        for one, handler in before.items():
            signal.signal(one, handler)
        caught.take()

    for number in (int(signal.SIGINT), int(signal.SIGTERM), int(signal.SIGHUP)):
        before[number] = signal.signal(number, stop)
    try:
        yield caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        caught.close()


def open_keeper(spawn: bool, client: str = "command") -> Keeper | None:
    """Return a connection to the keeper; None when none runs and none shall be started.

    Raises:
        IotopError: it cannot be reached or started.
    """
    from iotop_ng.enforcers import client as keepers  # noqa: PLC0415 - 40 modules, not for --help

    try:
        return keepers.KeeperClient.open(keepers.this_author(client), spawn=spawn)
    except keepers.NoKeeperError:
        return None


def as_error(failed: Failed) -> IotopError:
    """Return an answer of the keeper as the error that the command ends with."""
    kinds = (UsageError, NotPermittedError, TargetError)
    kind = next((one for one in kinds if one.exit_code == failed.exit_code), EnforcerError)
    return kind(failed.message)


def recover() -> tuple[str, ...]:
    """Put back what a dead keeper left; return what was done, one sentence each.

    Raises:
        IotopError: the journal cannot be read or written.
    """
    from iotop_ng.enforcers import run_dir, undo  # noqa: PLC0415 - not for help

    return undo.recover(run_dir.run_dir().path)


def left_behind() -> tuple[Change, ...]:
    """Return what the journal of a dead keeper names, newest first. Changes nothing.

    Raises:
        IotopError: the journal cannot be read.
    """
    from iotop_ng.enforcers import journal, processes, run_dir  # noqa: PLC0415 - not for help

    path = run_dir.run_dir().journal
    try:
        found, _ = journal.replay(path.read_bytes())
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise EnforcerError(f"{path}: {error.strerror}") from None
    boot = processes.boot_id()
    return tuple(one.change for one in reversed(found.values()) if one.boot == boot)


def _catching() -> AbstractContextManager[Signals]:
    return catching(SystemClock())


@dataclass(frozen=True)
class Desk:
    """Everything outside of a command, so that a test can be all of it."""

    open_keeper: Callable[[bool, str], Keeper | None] = open_keeper
    """Whether to start one where none runs, and the kind of client (`Author.client`)."""
    recover: Callable[[], tuple[str, ...]] = recover
    left_behind: Callable[[], tuple[Change, ...]] = left_behind
    signals: Callable[[], AbstractContextManager[Signals]] = _catching
    clock: Clock = field(default_factory=SystemClock)
    write: Callable[[bytes], None] = write
    root: Path = Path("/")
    is_root: bool = field(default_factory=lambda: os.geteuid() == 0)

    def need_root(self, command: str) -> None:
        """Raise NotPermittedError unless we are root, to whom alone the keeper listens."""
        if not self.is_root:
            raise NotPermittedError(
                f"{command} needs root ({CAPABILITIES}): sudo iotop-ng {command} …"
            )

    def keeper(self, *, spawn: bool) -> Keeper | None:
        """Connect as a command; say what a dead keeper had left and this one put back.

        Raises:
            IotopError: it cannot be reached or started.
        """
        keeper = self.open_keeper(spawn, "command")
        if keeper is not None:
            for sentence in keeper.welcome.recovered:
                complain(sentence)
        return keeper
