"""One connection to the keeper: what is applied through it lasts as long as it does."""

from __future__ import annotations

import contextlib
import os
import pwd
import select
import signal
import socket
import sys
import time
from typing import TypeVar

import msgspec

from iotop_ng.enforcers.orders import (
    PROTOCOL,
    Answer,
    Applied,
    Apply,
    AskLadder,
    Author,
    Change,
    Failed,
    Hello,
    InForce,
    Ladder,
    Listing,
    Look,
    Order,
    Release,
    Released,
    Request,
    Rung,
    Welcome,
)
from iotop_ng.enforcers.run_dir import BUSY, NEEDS_ROOT, READY, RunDir, run_dir
from iotop_ng.enforcers.rungs import NoRungError
from iotop_ng.enforcers.serving import MAX_MESSAGE
from iotop_ng.enforcers.watch import Watch
from iotop_ng.errors import (
    EnforcerError,
    IotopError,
    NotPermittedError,
    TargetError,
    UsageError,
)
from iotop_ng.policy.actions import Reason
from iotop_ng.units import clean

OPEN_S = 30.0
"""Until a keeper is there: the one before may be putting things back."""
ANSWER_S = 60.0
"""The first hold of a kernel compiles its program."""
_PAUSE_S = 0.02
_READY_FD = 3
_ERRORS: dict[int, type[IotopError]] = {
    error.exit_code: error for error in (EnforcerError, UsageError, NotPermittedError, TargetError)
}
_DECODER: msgspec.json.Decoder[Answer] = msgspec.json.Decoder(Answer)
_A = TypeVar("_A", bound=msgspec.Struct)
_NO_LOGIN = 2**32 - 1
_PROGRAM = (
    "import sys; sys.path[:] = sys.argv[2:];"
    f" from iotop_ng.enforcers.keeper import main; sys.exit(main({_READY_FD}))"
)


class NoKeeperError(EnforcerError):
    """No keeper is at work, so nothing is in force."""


class KeeperGoneError(EnforcerError):
    """The keeper ended while we were connected.

    Attributes:
        recovered: what it left behind and was put back, one sentence each.
    """

    def __init__(self, message: str, recovered: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.recovered = recovered


class KeeperClient:
    """A connection. Not for several threads at once.

    Make it with `open`.
    """

    def __init__(self, place: RunDir, connection: socket.socket, child: int | None) -> None:
        self._place = place
        self._socket = connection
        self._child = child
        self._ended = ""
        self._watch: Watch | None = None
        self.welcome = Welcome(PROTOCOL, 0)
        """What the keeper said first: its pid, and what it put back at its start."""

    @classmethod
    def open(cls, author: Author, spawn: bool = True) -> KeeperClient:
        """Connect to the keeper; start one when there is none.

        Raises:
            NoKeeperError: there is none, and `spawn` is False.
            NotPermittedError: only root may act.
            EnforcerError: it does not start.
        """
        place = run_dir()
        until = time.monotonic() + OPEN_S
        child: int | None = None
        while time.monotonic() < until:
            connection = _connect(place)
            if connection is not None:
                client = cls(place, connection, child)
                try:
                    client._greet(author)
                except _EndedError:
                    client._forget()  # it was about to end: the next one is ours
                else:
                    return client
            elif not spawn:
                raise NoKeeperError("nothing is in force: no keeper is at work")
            else:
                child = _start(place, until) or child
            time.sleep(_PAUSE_S if connection is not None else 0)
        raise EnforcerError(f"the keeper in {place.path} does not answer")

    @property
    def is_open(self) -> bool:
        """The keeper was there when it was last asked."""
        return not self._ended

    @property
    def keeper_pid(self) -> int:
        """The keeper's process."""
        return self.welcome.pid

    def ladder(self, order: Order) -> tuple[Rung, ...]:
        """Return what would work on the order's target, best first; nothing is done.

        Raises:
            IotopError: of the class that the keeper's answer says, or KeeperGoneError.
        """
        return self._expect(AskLadder(order), Ladder).rungs

    def apply(self, order: Order) -> InForce:
        """Put an order in force.

        Raises:
            IotopError: as in `ladder`; a NoRungError has the rungs.
        """
        return self._expect(Apply(order), Applied).policy

    def change(
        self,
        id: int,  # noqa: A002 - the word of the messages
        reason: Reason,
        lease_ns: int,
        rate: int | None = None,
    ) -> InForce:
        """Start the lease anew, and go over to another rate when one is given.

        Raises:
            IotopError: as in `ladder`.
        """
        return self._expect(Change(id, reason, lease_ns, rate), Applied).policy

    def release(self, ids: tuple[int, ...] | None, reason: Reason) -> Released:
        """Take back these, or everything that is in force, whoever applied it.

        Raises:
            IotopError: as in `ladder`.
        """
        return self._expect(Release(reason, ids), Released)

    def look(self, after_seq: int = 0) -> Listing:
        """Return everything in force, of all clients, and the events after one.

        Raises:
            IotopError: as in `ladder`.
        """
        return self._expect(Look(after_seq), Listing)

    def fileno(self) -> int:
        """Return what can be read when the keeper has ended; -1 when we know already."""
        return self._socket.fileno()

    def close(self) -> None:
        """Leave; the keeper takes back what we applied. Twice is fine."""
        if self._watch is not None and not self._ended and self._watch.is_dead():
            self._watch.put_back()
        self._ended = self._ended or "the connection was closed"
        self._forget()

    def __enter__(self) -> KeeperClient:  # noqa: PYI034 - typing.Self needs Python 3.11
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _greet(self, author: Author) -> None:
        self.welcome = _checked(self._ask(Hello(PROTOCOL, author)), Welcome)
        self._watch = Watch(self._socket, self._place)

    def _expect(self, request: Request, kind: type[_A]) -> _A:
        if self._ended:
            raise KeeperGoneError(self._ended)
        try:
            return _checked(self._ask(request), kind)
        except _EndedError:
            raise self._after_the_end() from None

    def _ask(self, request: Request) -> Answer:
        try:
            self._socket.send(msgspec.json.encode(request))
            raw = self._socket.recv(MAX_MESSAGE)
        except TimeoutError:
            # An answer that comes later must not be taken for the next one's.
            self._ended = f"the keeper did not answer in {ANSWER_S:.0f} s"
            self._forget()
            raise EnforcerError(f"{self._ended}; what we applied is released") from None
        except OSError as error:
            raise _EndedError from error
        if not raw:
            raise _EndedError
        try:
            return _DECODER.decode(raw)
        except (msgspec.MsgspecError, ValueError) as error:
            raise EnforcerError("the keeper's answer is none of ours: another version?") from error

    def _after_the_end(self) -> KeeperGoneError:
        """Return what to raise when the keeper has ended and everything is put back."""
        self._ended = "the keeper has ended"
        said, problem = ((), "") if self._watch is None else self._watch.put_back()
        self._forget()
        if problem:
            return KeeperGoneError(f"the keeper has ended; nothing could be put back: {problem}")
        tail = f": {'; '.join(said)}" if said else ""
        return KeeperGoneError(f"the keeper has ended, and nothing is in force{tail}", said)

    def _forget(self) -> None:
        if self._watch is not None:
            self._watch.stop()
        # The watch has a descriptor of its own: this ends the connection for both.
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        if self._child is not None:
            # It may live on for others: then it is init's child when we have ended.
            with contextlib.suppress(ChildProcessError):
                os.waitpid(self._child, os.WNOHANG)


class _EndedError(Exception):
    """The connection has ended."""


def this_author(client: str) -> Author:
    """Return who we are: "screen", "command" or "guard", and the person who logged in."""
    return Author(
        client=client,
        pid=os.getpid(),
        uid=os.getuid(),
        user=_login_name(),
        terminal=_terminal(),
    )


def _checked(answer: Answer, kind: type[_A]) -> _A:
    """Return the answer that was expected.

    Raises:
        IotopError: the keeper says what is wrong.
    """
    if isinstance(answer, kind):
        return answer
    if not isinstance(answer, Failed):
        raise EnforcerError(f"the keeper answered with {type(answer).__name__}: another version?")
    if answer.rungs:
        raise NoRungError(answer.message, answer.rungs)
    raise _ERRORS.get(answer.exit_code, EnforcerError)(answer.message)


def _connect(place: RunDir) -> socket.socket | None:
    """Return a connection, None when nobody listens.

    Raises:
        NotPermittedError: the directory is root's.
        EnforcerError: another reason.
    """
    made = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
    made.settimeout(ANSWER_S)
    try:
        made.connect(str(place.socket))
    except (FileNotFoundError, ConnectionRefusedError):
        made.close()
        return None
    except PermissionError as error:
        made.close()
        raise NotPermittedError(NEEDS_ROOT) from error
    except OSError as error:
        made.close()
        raise EnforcerError(f"{place.socket}: {error.strerror or error}") from error
    return made


def _start(place: RunDir, until: float) -> int:
    """Start a keeper, wait until it listens (or found another one at work), return its pid.

    Raises:
        IotopError: as the keeper says.
    """
    place.make()
    reading, writing = os.pipe2(os.O_CLOEXEC)
    try:
        pid = _spawn(place, writing)
    except OSError as error:
        os.close(reading)
        raise EnforcerError(f"the keeper cannot be started: {error.strerror}") from error
    finally:
        os.close(writing)
    try:
        line = _read_line(reading, until)
    finally:
        os.close(reading)
    if line in {READY, BUSY}:
        return pid
    code, _, message = line.decode("utf-8", "replace").strip().partition(" ")
    if code.isdecimal() and message:
        raise _ERRORS.get(int(code), EnforcerError)(clean(message))
    raise EnforcerError(f"the keeper does not start: see {place.complaints}")


def _spawn(place: RunDir, ready: int) -> int:
    """Start the interpreter with our own module path and nothing from the current directory."""
    path = [entry for entry in sys.path if os.path.isabs(entry)]  # noqa: PTH117 - text
    # Without site (-S): its .pth files take time and only lead to the path that we hand over.
    arguments = [sys.executable, "-I", "-S", "-c", _PROGRAM, "iotop-ng-keeper", *path]
    nothing = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
    complaints = os.open(place.complaints, flags, 0o600)
    try:
        return os.posix_spawn(
            sys.executable,
            arguments,
            os.environ,
            file_actions=[
                (os.POSIX_SPAWN_DUP2, nothing, 0),
                (os.POSIX_SPAWN_DUP2, nothing, 1),
                (os.POSIX_SPAWN_DUP2, complaints, 2),
                (os.POSIX_SPAWN_DUP2, ready, _READY_FD),
            ],
            setsid=True,
            setsigmask=(),
            setsigdef=(signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD),
        )
    finally:
        os.close(nothing)
        os.close(complaints)


def _read_line(fd: int, until: float) -> bytes:
    """Return what the keeper says, b"" when it ended or took too long."""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    if not poll.poll(max(until - time.monotonic(), 0) * 1000):
        return b""
    return os.read(fd, 4096)


def _login_name() -> str:
    """Return who logged in, as the kernel keeps it over sudo; else the user of this process."""
    with contextlib.suppress(OSError, ValueError, KeyError, OverflowError):
        with open("/proc/self/loginuid", encoding="ascii") as file:  # noqa: PTH123 - of /proc
            uid = int(file.read())
        if uid != _NO_LOGIN:
            return clean(pwd.getpwuid(uid).pw_name, 40)
    if name := os.environ.get("SUDO_USER"):
        return clean(name, 40)
    with contextlib.suppress(KeyError):
        return clean(pwd.getpwuid(os.getuid()).pw_name, 40)
    return str(os.getuid())


def _terminal() -> str:
    for fd in (0, 1, 2):
        with contextlib.suppress(OSError):
            return clean(os.ttyname(fd), 60)
    return ""
