"""Pause on this kernel: counted by BPF, children included; nothing is left attached."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from iotop_ng.enforcers.changes import Change, Helper, Stopped
from iotop_ng.enforcers.enforcer import Effect, Pinned
from iotop_ng.enforcers.kin import relative
from iotop_ng.enforcers.orders import Kind, Order
from iotop_ng.enforcers.pause import PauseEnforcer
from iotop_ng.enforcers.pinned import HostPinner
from iotop_ng.enforcers.restore import restore
from iotop_ng.policy.actions import ProcessTarget, Reason
from iotop_ng.sample import process_key
from tests.kernel.counts import proc_io

pytestmark = pytest.mark.kernel

MIB = 1 << 20
RATE = 4 * MIB
PATIENCE_S = 30.0
WRITER = """
import os, sys
fd = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT, 0o600)
for _ in range(int(sys.argv[2])):
    os.pwrite(fd, b"x" * 65536, 0)
    os.fdatasync(fd)
"""
FORKING = """
import subprocess, sys
while True:
    subprocess.run([sys.executable, "-S", "-c", sys.argv[2], sys.argv[1], "20"])
"""
FOREVER = str(10**9)


@pytest.fixture(scope="module")
def enforcer() -> PauseEnforcer:
    """Give an enforcer whose programs are compiled."""
    return PauseEnforcer()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Pinned]]:
    """Start a Python program with a file to write to; end its session afterwards."""
    begun: list[subprocess.Popen[bytes]] = []

    def run(program: str, *more: str) -> Pinned:
        command = [sys.executable, "-S", "-c", program, str(tmp_path / "data"), *more]
        begun.append(subprocess.Popen(command, start_new_session=True))
        who = relative(Path("/proc"), begun[-1].pid)
        assert who is not None
        target = ProcessTarget(process_key(who.pid, who.start_ns), who.pid, who.start_ns)
        return HostPinner().pin(target)

    yield run
    for process in begun:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def order(pinned: Pinned, rate: int = RATE) -> Order:
    return Order(Kind.THROTTLE, pinned.target, Reason("", "test"), rate_bytes_per_s=rate)


def end_of_a_stop(effect: Effect, after: int) -> tuple[float, int, int]:
    """Return time, charged bytes and number of the first stop after so many, when it is over."""
    end = time.monotonic() + PATIENCE_S
    while (effect.counts().holds or 0) <= after:
        assert time.monotonic() < end
        effect.tick(time.monotonic_ns())
        time.sleep(0.002)
    last = effect.counts()
    while (now := effect.counts()).waiting and now.holds == last.holds:
        last = now
        time.sleep(0.001)
    return time.monotonic(), last.charged_bytes or 0, last.holds or 0


def test_the_rate_holds_and_is_what_the_kernel_charged(
    enforcer: PauseEnforcer, start: Callable[..., Pinned]
) -> None:
    """Over many stops: what was written is paid for when a stop ends."""
    pinned = start(WRITER, FOREVER)
    (member,) = pinned.members()
    notes: list[Change] = []
    assert enforcer.rung(pinned, order(pinned)).why == ""
    before = proc_io(member.pid).write_bytes
    effect = enforcer.apply(pinned, order(pinned), notes.append)

    began, first, number = end_of_a_stop(effect, 3)
    ended, last, _ = end_of_a_stop(effect, number + 30)
    effect.undo()

    written = proc_io(member.pid).write_bytes - before
    assert (last - first) / (ended - began) == pytest.approx(RATE, rel=0.1)
    assert last <= written
    assert [restore(change).problem for change in reversed(notes)] == ["", ""]


def test_what_children_write_is_counted_from_their_first_byte(
    enforcer: PauseEnforcer, start: Callable[..., Pinned]
) -> None:
    """Each child writes 1.25 MiB; those that are stopped were noted before."""
    pinned = start(FORKING, WRITER)
    (member,) = pinned.members()
    notes: list[Change] = []
    effect = enforcer.apply(pinned, order(pinned), notes.append)

    began, first, number = end_of_a_stop(effect, 3)
    ended, last, _ = end_of_a_stop(effect, number + 8)
    effect.undo()

    children = {c.pid for c in notes if isinstance(c, Stopped)} - {member.pid}
    assert children
    assert (last - first) / (ended - began) == pytest.approx(RATE, rel=0.5)


def test_nothing_stays_behind_when_the_keeper_is_killed(
    enforcer: PauseEnforcer, start: Callable[..., Pinned]
) -> None:
    """The helper continues the target and ends; the programs go with the keeper."""
    pinned = start(WRITER, FOREVER)
    (member,) = pinned.members()
    reading, writing = os.pipe()
    keeper = os.fork()
    if keeper == 0:
        try:
            notes: list[Change] = []
            kept = enforcer.apply(pinned, order(pinned, 1), notes.append)
            helper = next(change.pid for change in notes if isinstance(change, Helper))
            os.write(writing, f"{helper}\n".encode())
            time.sleep(1000)
            kept.undo()
        finally:
            os._exit(1)
    helper = int(os.read(reading, 20))
    end = time.monotonic() + PATIENCE_S
    while _state(member.pid) != "T":
        assert time.monotonic() < end
        time.sleep(0.005)

    os.kill(keeper, signal.SIGKILL)
    os.waitpid(keeper, 0)
    while _state(member.pid) == "T" or _state(helper) not in {"", "Z"}:
        assert time.monotonic() < end
        time.sleep(0.005)
    before = proc_io(member.pid).write_bytes
    while proc_io(member.pid).write_bytes - before < 4 * MIB:
        assert time.monotonic() < end
        time.sleep(0.005)
    os.close(reading)
    os.close(writing)


def _state(pid: int) -> str:
    who = Path(f"/proc/{pid}/stat")
    try:
        return who.read_text("utf-8", "replace").rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""
