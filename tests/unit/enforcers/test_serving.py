"""The keeper's loop: no client can block it, break it, or keep it awake."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from iotop_ng.enforcers import orders, serving
from iotop_ng.enforcers.orders import (
    PROTOCOL,
    Answer,
    Apply,
    Author,
    Event,
    Failed,
    Hello,
    Listing,
    Look,
    Welcome,
)
from iotop_ng.enforcers.serving import MAX_MESSAGE, Server, encode, listen
from iotop_ng.policy.actions import CgroupTarget
from tests.fakes.enforcers import AUTHOR, order
from tests.unit.enforcers.stage import Stage

DECODER: msgspec.json.Decoder[Answer] = msgspec.json.Decoder(Answer)


class Served:
    """A server in a thread of its own."""

    def __init__(self, stage: Stage, directory: Path) -> None:
        self.stage = stage
        self.path = str(directory / "keeper.sock")
        self.wake, self._wake_writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self.prepared = threading.Event()
        self.server = Server(stage.core, listen(self.path), self.wake, prepare=self.prepared.set)
        self.thread = threading.Thread(target=self.server.run)
        self.thread.start()

    def connect(self) -> socket.socket:
        made = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        made.settimeout(10)
        made.connect(self.path)
        return made

    def hello(self) -> socket.socket:
        client = self.connect()
        assert isinstance(ask(client, Hello(PROTOCOL, AUTHOR)), Welcome)
        return client

    def stop(self) -> None:
        self.server.stop()
        os.write(self._wake_writing, b"x")
        self.thread.join(10)
        assert not self.thread.is_alive()
        self.server.close()
        os.close(self.wake)
        os.close(self._wake_writing)


@pytest.fixture
def served(stage: Stage, tmp_path: Path) -> Iterator[Served]:
    # The clock of leases stands still: only the loop's own time passes.
    made = Served(stage, tmp_path)
    try:
        yield made
    finally:
        made.stop()


def ask(client: socket.socket, request: orders.Request) -> Answer:
    client.send(msgspec.json.encode(request))
    return DECODER.decode(client.recv(MAX_MESSAGE))


def ask_and_never_read(client: socket.socket) -> None:
    question = msgspec.json.encode(Look())
    for _ in range(1_000_000):
        client.send(question)


def until(is_so: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.002)


def is_cut(client: socket.socket) -> bool:
    try:
        return client.recv(MAX_MESSAGE) == b""
    except ConnectionError:
        return True


def test_a_client_gets_answers(served: Served) -> None:
    with served.hello() as client:
        answer = ask(client, Apply(order(served.stage.world.target(42))))

        assert isinstance(answer, orders.Applied)
        listing = ask(client, Look())
        assert isinstance(listing, Listing)
        assert len(listing.policies) == 1


def test_the_kernel_says_who_a_client_is(served: Served) -> None:
    with served.connect() as client:
        ask(client, Hello(PROTOCOL, Author("screen", pid=1, uid=77, user="x", terminal="")))
        ask(client, Apply(order(served.stage.world.target(42))))

    author = served.stage.audit.events[0].author
    assert (author.pid, author.uid) == (os.getpid(), os.geteuid())


def test_another_user_is_not_served(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 12345)

    with served.connect() as client, contextlib.suppress(BrokenPipeError):
        client.send(msgspec.json.encode(Hello(PROTOCOL, AUTHOR)))

        assert is_cut(client)
    assert served.stage.core._clients == {1: AUTHOR}


def test_when_a_client_leaves_its_policies_end(served: Served) -> None:
    with served.hello() as client:
        ask(client, Apply(order(served.stage.world.target(42))))

    until(served.stage.is_as_before)


GARBAGE = [
    b"{}",
    b"null",
    b"\0" * 100,
    b"\xff" * 100,
    b'{"type":"apply"}',
    b'{"type":"apply","order":null}',
    b'{"type":"hello","protocol":1e999,"author":{}}',
    b"[" * 100_000,
    b'{"type":"look","after_seq":' + b"9" * 5000 + b"}",
    b'{"type":"release","reason":{"rule":"","text":""},"ids":["all"]}',
    b"x" * (MAX_MESSAGE + 1),
    # What is left of it when it is cut off would be a question.
    b'{"type":"look","after_seq":0}'.ljust(MAX_MESSAGE + 1),
]


@pytest.mark.parametrize("garbage", GARBAGE)
def test_who_sends_garbage_is_disconnected_and_loses_what_it_applied(
    served: Served, garbage: bytes
) -> None:
    with served.hello() as good, served.hello() as bad:
        ask(good, Apply(order(served.stage.world.target(43))))
        ask(bad, Apply(order(served.stage.world.target(42))))
        bad.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * MAX_MESSAGE)

        with contextlib.suppress(OSError):  # EMSGSIZE: the kernel has cut it off already
            bad.send(garbage)
        bad.shutdown(socket.SHUT_WR)

        assert is_cut(bad)
        listing = ask(good, Look())
        assert isinstance(listing, Listing)
        assert [policy.name for policy in listing.policies] == ["tar[43]"]


def test_who_does_not_read_is_disconnected_and_stops_nobody(served: Served) -> None:
    with served.hello() as good, served.hello() as deaf:
        # The keeper reads until its own answers find no room.
        with pytest.raises(OSError, match=r"Broken pipe|reset"):
            ask_and_never_read(deaf)

        assert isinstance(ask(good, Look()), Listing)


def test_who_floods_does_not_keep_others_waiting(served: Served) -> None:
    done = threading.Event()

    def flood(client: socket.socket) -> None:
        while not done.is_set():
            ask(client, Look())

    with served.hello() as good, served.hello() as eager:
        thread = threading.Thread(target=flood, args=(eager,))
        thread.start()
        try:
            for _ in range(50):
                assert isinstance(ask(good, Look()), Listing)
        finally:
            done.set()
            thread.join()


def test_descriptors_that_are_sent_along_are_not_kept(served: Served) -> None:
    with served.hello() as client:
        before = len(list(Path("/proc/self/fd").iterdir()))
        for _ in range(20):
            socket.send_fds(client, [msgspec.json.encode(Look())], [0])
            client.recv(MAX_MESSAGE)

        assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_an_idle_keeper_never_wakes_up(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    with served.hello() as client:
        ask(client, Look())
        waits: list[int | None] = []
        original = Server._timeout_ms

        def timeout_ms(server: Server) -> int | None:
            waits.append(original(server))
            return waits[-1]

        monkeypatch.setattr(Server, "_timeout_ms", timeout_ms)
        ask(client, Look())
        ask(client, Look())

        until(lambda: len(waits) >= 2)
        assert set(waits) == {None}


def test_while_something_is_in_force_it_is_looked_after(served: Served) -> None:
    with served.hello() as client:
        ask(client, Apply(order(served.stage.world.target(42))))

        served.stage.world.end(42)

        until(lambda: served.stage.audit.whats() == ["applied", "ended"])


def test_an_effect_s_descriptor_leads_to_a_tick_at_once(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A holder that has died is seen before the next tick is due."""
    monkeypatch.setattr(serving, "TICK_S", 3600.0)
    reading, writing = os.pipe()
    with served.hello() as client:
        ask(client, Apply(order(served.stage.world.target(42))))
        held = served.stage.core._policies.get(1)
        assert held is not None
        until(lambda: served.server._due > time.monotonic() + 60)
        held.effect.descriptors = lambda: (reading,)  # type: ignore[method-assign]
        ask(client, Look())
        served.stage.world.end(42)

        os.close(writing)

        until(lambda: served.stage.core.is_idle)
    os.close(reading)


def test_it_ends_when_nobody_needs_it(served: Served) -> None:
    with served.hello():
        pass

    served.thread.join(10)

    assert not served.thread.is_alive()


def test_it_prepares_when_the_first_client_has_its_answer(served: Served) -> None:
    assert not served.prepared.is_set()

    with served.hello():
        assert served.prepared.wait(10)


def test_a_socket_that_a_dead_keeper_left_is_replaced(tmp_path: Path) -> None:
    path = str(tmp_path / "keeper.sock")
    listen(path).close()

    listen(path).close()


def test_an_answer_that_is_too_long_loses_its_oldest_events() -> None:
    event = Event(
        seq=0, wall_ns=0, mono_ns=0, what="applied", id=1, kind="throttle", mechanism="hold",
        name="x", target=CgroupTarget("/" + "a" * 4000), rule="", author=AUTHOR,
        old_bytes_per_s=None, new_bytes_per_s=None, before_bytes_per_s=None,
        after_bytes_per_s=None, text="",
    )  # fmt: skip
    events = tuple(msgspec.structs.replace(event, seq=seq) for seq in range(200))

    raw = encode(Listing(0, (), events))

    assert len(raw) <= MAX_MESSAGE
    answer = DECODER.decode(raw)
    assert isinstance(answer, Listing)
    assert answer.events
    assert answer.events[-1].seq == 199


def test_an_answer_that_cannot_be_written_is_an_answer_all_the_same() -> None:
    answer = DECODER.decode(encode(Failed("\ud800", 1)))

    assert isinstance(answer, Failed)
