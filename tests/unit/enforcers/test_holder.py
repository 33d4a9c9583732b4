"""Real processes are held by a real holder: tracing one's own child needs no privilege.

The kernel's signal is missing here, so threads are stopped by an interrupt, which takes the same
way afterwards; `tests/kernel/test_hold.py` has the signal.
"""

from __future__ import annotations

import mmap
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from iotop_ng.enforcers import holder
from iotop_ng.enforcers.holder import MESSAGE, Holder, Kind
from iotop_ng.enforcers.tally import Tally
from iotop_ng.enforcers.threads import tracer_of

LONG_NS = 3_600_000_000_000
PATIENCE_S = 30

COUNTER = """
import signal, sys, time
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # nohup passes its own on
seen = []
signal.signal(signal.SIGUSR1, lambda *_: seen.append(1))
while True:
    print(len(seen), flush=True)
    time.sleep(0.01)
"""
FORKER = """
import os, time
while True:
    pid = os.fork()
    if not pid:
        time.sleep(0.05)
        os._exit(7)
    assert os.waitpid(pid, 0)[1] >> 8 == 7
    print("forked", flush=True)
"""


def eventually(claim: Callable[[], bool]) -> bool:
    """Wait until it is true, for as long as a loaded machine may take."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        if claim():
            return True
        time.sleep(0.005)
    return claim()


class Held:
    """A child and a holder that has it."""

    def __init__(self, script: str, *, with_children: bool = False) -> None:
        self.child = subprocess.Popen(
            [sys.executable, "-c", script], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL
        )
        assert self.child.stdout is not None
        self.out = self.child.stdout
        self.out.readline()
        os.set_blocking(self.out.fileno(), False)
        self._due = mmap.mmap(-1, 8)
        self.tally = Tally()
        made = Holder(self._due_ns, signal.SIGURG, self.tally, with_children=with_children)
        self.pid, self.socket = holder.start(made, (self.child.pid,))
        self.socket.settimeout(PATIENCE_S)
        assert self.socket.recv(1) == b"r"

    def _due_ns(self) -> int:
        return int(struct.unpack("<q", self._due[:8])[0])

    def wait_for(self, debt_ns: int) -> None:
        """Say how long a thread waits from now on."""
        self._due[:8] = struct.pack("<q", time.monotonic_ns() + debt_ns)

    def tell(self, kind: Kind) -> None:
        """Send what the keeper would."""
        self.socket.send(MESSAGE.pack(kind, 0, self.child.pid, self.child.pid))

    def state(self) -> str:
        """Return the letter of /proc: t is a ptrace stop."""
        return Path(f"/proc/{self.child.pid}/stat").read_text("ascii").rpartition(")")[2].split()[0]

    def goes_on(self) -> bool:
        """Say whether the child prints."""
        self.out.read()
        return eventually(lambda: bool(self.out.read()))

    def end(self) -> None:
        """Hang up, as the keeper does."""
        self.socket.close()
        os.waitpid(self.pid, 0)


@contextmanager
def held(script: str, *, with_children: bool = False) -> Iterator[Held]:
    """Start both and end both."""
    it = Held(script, with_children=with_children)
    try:
        yield it
    finally:
        it.child.kill()
        it.child.wait()
        it.out.close()


@pytest.fixture
def counter() -> Iterator[Held]:
    """Return a child that prints how many SIGUSR1 it got, held."""
    with held(COUNTER) as it:
        yield it


def test_a_traced_process_runs_on(counter: Held) -> None:
    """Seizing stops nothing."""
    assert tracer_of(counter.child.pid) == counter.pid
    assert counter.goes_on()
    counter.end()


def test_a_thread_waits_until_its_debt_is_paid(counter: Held) -> None:
    """And is counted."""
    counter.wait_for(LONG_NS)
    counter.tell(Kind.INTERRUPT)
    assert eventually(lambda: counter.state() == "t" and counter.tally.read().waiting == 1)

    counter.wait_for(0)
    counter.tell(Kind.RECHECK)

    assert counter.goes_on()
    assert eventually(lambda: counter.tally.read().holds == 1)
    assert counter.tally.read().waiting == 0
    assert counter.tally.read().ended_ns > 0
    counter.end()


def test_without_debt_nobody_waits(counter: Held) -> None:
    """It was paid between the signal and the stop."""
    counter.wait_for(0)
    counter.tell(Kind.INTERRUPT)

    assert eventually(lambda: counter.tally.read().interrupts == 1)
    assert counter.goes_on()
    assert counter.tally.read().holds == 0
    counter.end()


def test_signals_reach_a_held_program(counter: Held) -> None:
    """Eleven, each sent after the one before was seen."""
    for number in range(1, 12):
        counter.wait_for(20_000_000)
        counter.tell(Kind.INTERRUPT)
        os.kill(counter.child.pid, signal.SIGUSR1)
        seen = f"{number}\n".encode()
        assert eventually(lambda: seen in (counter.out.read() or b""))  # noqa: B023 - called now
    counter.end()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGABRT])
def test_who_is_told_to_end_need_not_pay_first(counter: Held, number: signal.Signals) -> None:
    """A debt may take an hour."""
    counter.wait_for(LONG_NS)
    counter.tell(Kind.INTERRUPT)
    assert eventually(lambda: counter.state() == "t")

    os.kill(counter.child.pid, number)

    assert eventually(lambda: counter.child.poll() is not None)
    counter.end()


def test_other_signals_wait_with_the_thread(counter: Held) -> None:
    """A timer must not buy it writes."""
    counter.wait_for(LONG_NS)
    counter.tell(Kind.INTERRUPT)
    assert eventually(lambda: counter.state() == "t")

    os.kill(counter.child.pid, signal.SIGUSR1)

    time.sleep(3 * holder.LOOK_NS / 1e9)
    assert counter.state() == "t"
    counter.end()


def test_its_own_sigurg_is_delivered_and_not_taken_for_ours() -> None:
    """Sent by a process, so its si_code is not the kernel's."""
    with held(COUNTER.replace("SIGUSR1", "SIGURG")) as it:
        it.wait_for(LONG_NS)

        os.kill(it.child.pid, signal.SIGURG)

        assert eventually(lambda: b"1\n" in (it.out.read() or b""))
        assert it.tally.read().waiting == 0
        it.end()


def test_job_control_works_on_a_traced_process(counter: Held) -> None:
    """Stopped by SIGSTOP it stays so until SIGCONT."""
    os.kill(counter.child.pid, signal.SIGSTOP)
    assert eventually(lambda: counter.state() in "tT")
    counter.out.read()
    time.sleep(0.2)
    assert not counter.out.read()

    os.kill(counter.child.pid, signal.SIGCONT)

    assert counter.goes_on()
    counter.end()


def test_hanging_up_lets_everybody_go(counter: Held) -> None:
    """The holder ends, and nothing is traced or stopped."""
    counter.wait_for(LONG_NS)
    counter.tell(Kind.INTERRUPT)
    assert eventually(lambda: counter.state() == "t")

    counter.end()

    assert tracer_of(counter.child.pid) == 0
    assert counter.goes_on()


def test_a_process_stopped_by_its_user_stays_stopped_after_us(counter: Held) -> None:
    """We let go of it in the state that its user put it in."""
    os.kill(counter.child.pid, signal.SIGSTOP)
    assert eventually(lambda: counter.state() in "tT")

    counter.end()

    assert tracer_of(counter.child.pid) == 0
    assert eventually(lambda: counter.state() == "T")
    os.kill(counter.child.pid, signal.SIGCONT)
    assert counter.goes_on()


def test_killing_the_holder_lets_everybody_go(counter: Held) -> None:
    """The kernel does it."""
    counter.wait_for(LONG_NS)
    counter.tell(Kind.INTERRUPT)
    assert eventually(lambda: counter.state() == "t")

    os.kill(counter.pid, signal.SIGKILL)
    counter.end()

    assert tracer_of(counter.child.pid) == 0
    assert counter.goes_on()


@pytest.mark.parametrize("with_children", [False, True])
def test_forked_processes_are_traced_when_asked(with_children: bool) -> None:
    """Their parents get their exit codes either way."""
    with held(FORKER, with_children=with_children) as it:
        traced: set[int] = set()

        def look() -> bool:
            path = Path(f"/proc/{it.child.pid}/task/{it.child.pid}/children")
            for child in path.read_text("ascii").split():
                traced.add(tracer_of(int(child)))
            return bool(it.out.read()) and len(traced - {0}) == int(with_children)

        assert eventually(look)
        assert it.goes_on()
        it.end()


def test_a_process_that_is_traced_already_is_counted_as_refused() -> None:
    """Two holders want one child."""
    with held(COUNTER) as it:
        tally = Tally()
        other = Holder(lambda: 0, signal.SIGURG, tally, with_children=False)
        pid, connection = holder.start(other, (it.child.pid,))
        connection.settimeout(PATIENCE_S)
        assert connection.recv(1) == b"r"

        assert tally.read().refused == 1
        connection.close()
        os.waitpid(pid, 0)
        it.end()


def test_the_holder_dies_with_its_parent() -> None:
    """A parent that is killed takes it along, and the child goes on untraced."""
    script = f"""
import signal, socket, subprocess, sys, time
sys.path[:0] = {sys.path!r}
from iotop_ng.enforcers import holder
from iotop_ng.enforcers.tally import Tally
child = subprocess.Popen(["sleep", "1000"])
made = holder.Holder(lambda: 0, signal.SIGURG, Tally(), with_children=False)
pid, connection = holder.start(made, (child.pid,))
connection.recv(1)
print(child.pid, pid, flush=True)
time.sleep(1000)
"""
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    child, helper = map(int, parent.stdout.readline().split())
    try:
        assert tracer_of(child) == helper

        parent.kill()
        parent.wait()

        assert eventually(lambda: tracer_of(child) == 0)
        assert eventually(lambda: not Path(f"/proc/{helper}").exists())
    finally:
        os.kill(child, signal.SIGKILL)
        parent.stdout.close()


def test_helper_keeps_no_descriptor_of_its_parent() -> None:
    """A lock or a client's connection must not stay open in it."""
    ours, theirs = socket.socketpair()
    with held(COUNTER) as it:
        links = [entry.readlink() for entry in Path(f"/proc/{it.pid}/fd").iterdir()]
        mine = Path(f"/proc/self/fd/{ours.fileno()}").readlink()

        assert mine not in links
        it.end()
    ours.close()
    theirs.close()
