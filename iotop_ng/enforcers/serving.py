"""The keeper's loop: clients on a socket, effects' descriptors, and a tick while they are needed.

One thread, and nothing in it waits for a client: what cannot be sent at once ends the connection.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import struct
import time
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from iotop_ng.enforcers.core import Core
from iotop_ng.enforcers.orders import Answer, Failed, Hello, Listing, Request

MAX_MESSAGE = 256 * 1024
MAX_CLIENTS = 64
TICK_S = 0.1
LINGER_S = 2.0
"""The keeper ends so long after the last client: a script's next command finds it still there."""
LEAST_TICK_S = 0.01
"""Between ticks that a descriptor asked for: one that stays readable must not take a whole core."""
_BACKLOG = 16
_CREDENTIALS = struct.Struct("3i")
_READABLE = select.POLLIN | select.POLLHUP | select.POLLERR | select.POLLNVAL

_DECODER = msgspec.json.Decoder(Request)


class Client(NamedTuple):
    """One connection."""

    number: int
    pid: int
    uid: int
    socket: socket.socket


def listen(path: str) -> socket.socket:
    """Return the socket that clients connect to; a file that a dead keeper left is removed.

    Raises:
        OSError: it cannot be made.
    """
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)  # noqa: PTH108 - a name, like bind takes it
    made = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
    made.setblocking(False)
    made.bind(path)
    made.listen(_BACKLOG)
    return made


class Server:
    """Serves clients until nobody needs it.

    Args:
        core: answers.
        listener: from `listen`.
        wake: a descriptor that can be read when a signal came.
        prepare: called once, when the first client has its answer: what it will need soon.
    """

    def __init__(
        self, core: Core, listener: socket.socket, wake: int, prepare: Callable[[], None]
    ) -> None:
        self._core = core
        self._listener = listener
        self._wake = wake
        self._prepare: Callable[[], None] | None = prepare
        self._clients: dict[int, Client] = {}
        self._next = 1
        self._due = 0.0
        self._alone_since = time.monotonic()
        self._is_stopping = False

    def stop(self) -> None:
        """Return from `run` soon. May be called by a signal's handler."""
        self._is_stopping = True

    def run(self) -> None:
        """Serve until `stop`, or until the last client has left and nothing is in force."""
        while not self._is_stopping and not self._is_useless():
            ready = self._wait()
            if self._wake in ready:
                self._drain_wake()
            if self._listener.fileno() in ready:
                self._accept()
            for client in tuple(self._clients.values()):
                if client.socket.fileno() in ready:
                    self._serve(client)
            self._tick(ready)

    def close(self) -> None:
        """Let all clients go: they see the end of their connection."""
        self._listener.close()
        for client in tuple(self._clients.values()):
            self._drop(client)

    def _is_useless(self) -> bool:
        if self._clients or not self._core.is_idle:
            return False
        return time.monotonic() - self._alone_since >= LINGER_S

    def _wait(self) -> frozenset[int]:
        """Wait for anything; return what can be read.

        The list is made anew each time: effects come and go, and with them their descriptors.
        """
        poll = select.poll()
        for fd in (self._wake, self._listener.fileno(), *self._core.descriptors()):
            poll.register(fd, select.POLLIN)
        for client in self._clients.values():
            poll.register(client.socket.fileno(), select.POLLIN)
        return frozenset(fd for fd, events in poll.poll(self._timeout_ms()) if events & _READABLE)

    def _timeout_ms(self) -> int | None:
        """Return how long to sleep at most; None for ever: an idle keeper never wakes up."""
        now = time.monotonic()
        if not self._core.is_idle:
            return max(int((self._due - now) * 1000), 0)
        if self._clients:
            return None
        return max(int((self._alone_since + LINGER_S - now) * 1000) + 1, 0)

    def _tick(self, ready: frozenset[int]) -> None:
        if self._core.is_idle:
            return
        now = time.monotonic()
        has_news = not ready.isdisjoint(self._core.descriptors())
        if has_news and now < self._due - TICK_S + LEAST_TICK_S:
            time.sleep(LEAST_TICK_S)
        elif not has_news and now < self._due:
            return
        self._core.tick()
        self._due = time.monotonic() + TICK_S

    def _drain_wake(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._wake, 4096)

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError:
            return  # it has left already, or no descriptor is free
        connection.setblocking(False)
        raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        pid, uid, _ = _CREDENTIALS.unpack(raw)
        # A peer that we cannot see (another PID namespace) has the pid 0: it could not be spared.
        if uid != os.geteuid() or pid <= 0 or len(self._clients) >= MAX_CLIENTS:
            connection.close()
            return
        client = Client(self._next, pid, uid, connection)
        self._next += 1
        self._clients[client.number] = client

    def _serve(self, client: Client) -> None:
        """Answer one message; end the connection of who sends what is none."""
        try:
            raw, _, flags, _ = client.socket.recvmsg(MAX_MESSAGE)
        except BlockingIOError:
            return
        except OSError:
            raw, flags = b"", 0
        if not raw or flags & socket.MSG_TRUNC:
            self._drop(client)
            return
        try:
            request = _DECODER.decode(raw)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            self._drop(client)
            return
        if isinstance(request, Hello):
            # Who it is, the kernel says; what it calls itself, it may say.
            author = msgspec.structs.replace(request.author, pid=client.pid, uid=client.uid)
            request = msgspec.structs.replace(request, author=author)
        if not self._send(client, self._core.handle(client.number, request)):
            self._drop(client)
        if self._core.is_idle:
            self._due = 0.0
        if self._prepare is not None:
            prepare, self._prepare = self._prepare, None
            prepare()

    def _send(self, client: Client, answer: Answer) -> bool:
        """Send without waiting; False when it cannot be sent."""
        try:
            client.socket.send(encode(answer))
        except OSError:
            return False
        return True

    def _drop(self, client: Client) -> None:
        """End a connection, and with it everything that its client applied."""
        self._clients.pop(client.number, None)
        client.socket.close()
        self._core.gone(client.number)
        self._alone_since = time.monotonic()


def encode(answer: Answer) -> bytes:
    """Return an answer of at most MAX_MESSAGE bytes: of too many events the oldest are left out."""
    raw = _encode(answer)
    while len(raw) > MAX_MESSAGE // 2 and isinstance(answer, Listing) and answer.events:
        events = answer.events[len(answer.events) // 2 + 1 :]
        answer = msgspec.structs.replace(answer, events=events)
        raw = _encode(answer)
    if len(raw) > MAX_MESSAGE // 2:
        return _encode(Failed("the answer is too long", 1))
    return raw


def _encode(answer: Answer) -> bytes:
    try:
        return msgspec.json.encode(answer)
    except (msgspec.MsgspecError, ValueError, TypeError) as error:
        return msgspec.json.encode(Failed(f"no answer can be made: {type(error).__name__}", 1))
