"""Pause: real processes that write, stopped and continued by a real helper; who dies, dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from iotop_ng.enforcers import processes
from iotop_ng.enforcers.changes import Change, Helper, Stopped, same_place
from iotop_ng.enforcers.crowd import ProcessCrowd
from iotop_ng.enforcers.enforcer import Effect
from iotop_ng.enforcers.orders import Kind, Order
from iotop_ng.enforcers.pause import PauseEnforcer
from iotop_ng.enforcers.pause_effect import BySignals, PauseEffect
from iotop_ng.enforcers.restore import restore
from iotop_ng.enforcers.switches import Signals
from iotop_ng.errors import EnforcerError
from iotop_ng.policy.actions import Reason, Target
from tests.fakes.here import Here

MIB = 1 << 20
PROC = Path("/proc")
PATIENCE_S = 20.0
WRITER = """
import os, sys
fd = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT, 0o600)
while True:
    os.pwrite(fd, b"x" * 65536, 0)
    os.fdatasync(fd)
"""
FORKING = """
import os, subprocess, sys
while True:
    subprocess.run([sys.executable, "-S", "-c", sys.argv[2], sys.argv[1]])
"""


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Here]]:
    """Start a Python program with a file to write to; end its whole session afterwards."""
    begun: list[subprocess.Popen[bytes]] = []

    def run(program: str, *more: str) -> Here:
        command = [sys.executable, "-S", "-c", program, str(tmp_path / "data"), *more]
        begun.append(subprocess.Popen(command, start_new_session=True))
        return Here(begun[-1].pid)

    yield run
    for process in begun:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.fixture
def plain_root(tmp_path: Path) -> Path:
    """A root with this machine's processes and none of its cgroups."""
    root = tmp_path / "root"
    root.mkdir()
    (root / "proc").symlink_to(PROC)
    return root


def order(target: Target, rate: int = 1000) -> Order:
    return Order(Kind.THROTTLE, target, Reason("", "by hand"), rate_bytes_per_s=rate)


def state(pid: int) -> str:
    stat = processes.read_stat(pid)
    return "gone" if stat is None else stat.state


def until(claim: Callable[[], bool], effect: Effect | None = None) -> bool:
    """Wait until something is so; tick meanwhile, as the keeper does."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        if claim():
            return True
        if effect is not None:
            effect.tick(time.monotonic_ns())
        time.sleep(0.01)
    return False


def apply(pin: Here, rate: int = 1000) -> tuple[PauseEffect, list[Change]]:
    """Pause by signals, whatever cgroups the process is in."""
    notes: list[Change] = []
    effect = PauseEffect(pin, order(pin.target, rate), notes.append, BySignals(), ProcessCrowd(pin))
    effect.start()
    return effect, notes


def put_back(notes: list[Change]) -> list[str]:
    """Undo as the keeper does: the last word for each place, newest first."""
    last: list[Change] = []
    for change in notes:
        last = [*(one for one in last if not same_place(one, change)), change]
    return [problem for change in reversed(last) if (problem := restore(change).problem)]


def helper(notes: list[Change]) -> int:
    return next(change.pid for change in notes if isinstance(change, Helper))


def test_a_writer_is_stopped_and_runs_again_afterwards(start: Callable[..., Here]) -> None:
    """What may be done is noted before the helper lives, and nothing is left."""
    pin = start(WRITER)
    effect, notes = apply(pin)
    (member,) = pin.members()

    assert until(lambda: state(member.pid) == "T", effect)
    counts = effect.counts()
    assert isinstance(notes[0], Stopped)
    assert notes[0].pid == member.pid
    assert isinstance(notes[1], Helper)
    assert (counts.waiting, counts.processes) == (1, 1)
    assert (counts.holds or 0) >= 1
    assert (counts.charged_bytes or 0) > 0
    assert effect.undo() == ()
    assert until(lambda: state(member.pid) != "T")
    assert state(helper(notes)) == "gone"
    assert effect.undo() == ()


def test_over_time_the_rate_holds(start: Callable[..., Here]) -> None:
    """When a stop ends, all that was written until then is paid for: no more, no less."""
    pin = start(WRITER)
    rate = 4 * MIB
    effect, _ = apply(pin, rate)

    def end_of_a_stop(after: int) -> tuple[float, int, int]:
        """Return time, bytes and number of the first stop after so many, when it is over."""
        assert until(lambda: (effect.counts().holds or 0) > after, effect)
        number = effect.counts().holds or 0
        last = effect.counts()
        while (now := effect.counts()).waiting and now.holds == number:
            last = now
            time.sleep(0.001)
        return time.monotonic(), last.charged_bytes or 0, number

    began, before, number = end_of_a_stop(2)
    ended, after, _ = end_of_a_stop(number + 15)

    effect.undo()
    assert (after - before) / (ended - began) == pytest.approx(rate, rel=0.3)


def test_a_higher_rate_lets_it_run_at_once(start: Callable[..., Here]) -> None:
    """The debt is paid at the new rate, not the old one."""
    pin = start(WRITER)
    effect, _ = apply(pin, 1)
    (member,) = pin.members()
    assert until(lambda: state(member.pid) == "T", effect)

    effect.adjust(order(pin.target, 1 << 40))

    assert until(lambda: state(member.pid) != "T", effect)
    effect.undo()


def test_children_are_noted_and_stopped_too(start: Callable[..., Here]) -> None:
    """A program that forks its writers: each child has its note."""
    pin = start(FORKING, WRITER)
    # A child that came after the pause would be held with its parent, which then forks no other.
    assert until(lambda: _child_of(pin) is not None)
    # A child is seen before the kernel says that it was forked, and may be charged: its debt must
    # not stop its parent for long.
    effect, notes = apply(pin, 1 << 20)

    def children() -> list[int]:
        (member,) = pin.members()
        return [c.pid for c in notes if isinstance(c, Stopped) and c.pid != member.pid]

    # The child of before is not held; the next one is.
    os.kill(_child_of(pin) or 0, signal.SIGKILL)
    assert until(lambda: bool(children()) and state(children()[-1]) == "T", effect)
    effect.undo()
    assert put_back(notes) == []
    assert until(lambda: state(children()[-1]) != "T")


def _child_of(pin: Here) -> int | None:
    (member,) = pin.members()
    pids = (int(path.name) for path in PROC.iterdir() if path.name.isdecimal())
    stats = ((pid, processes.read_stat(pid)) for pid in pids)
    return next((pid for pid, stat in stats if stat and stat.ppid == member.pid), None)


def test_when_the_helper_dies_the_keeper_continues_the_target(start: Callable[..., Here]) -> None:
    """And says so, so that the policy ends."""
    pin = start(WRITER)
    effect, notes = apply(pin)
    (member,) = pin.members()
    assert until(lambda: state(member.pid) == "T", effect)

    os.kill(helper(notes), signal.SIGKILL)
    with pytest.raises(EnforcerError, match="has ended"):
        until(lambda: False, effect)

    assert until(lambda: state(member.pid) != "T")
    assert effect.undo() == ()


def test_when_the_keeper_dies_the_helper_continues_the_target(start: Callable[..., Here]) -> None:
    """No client is needed for that."""
    pin = start(WRITER)
    (member,) = pin.members()
    keeper = os.fork()
    if keeper == 0:
        try:
            kept = apply(pin)
            time.sleep(1000)
            del kept
        finally:
            os._exit(1)
    try:
        assert until(lambda: state(member.pid) == "T")
    finally:
        os.kill(keeper, signal.SIGKILL)
        os.waitpid(keeper, 0)
    assert until(lambda: state(member.pid) != "T")


def test_when_both_die_the_journal_continues_the_target(start: Callable[..., Here]) -> None:
    """The helper is killed while nobody looks after it."""
    pin = start(WRITER)
    effect, notes = apply(pin)
    (member,) = pin.members()
    assert until(lambda: state(member.pid) == "T", effect)
    os.kill(helper(notes), signal.SIGKILL)
    assert until(lambda: state(helper(notes)) == "Z")
    assert state(member.pid) == "T"

    assert put_back(notes) == []

    assert until(lambda: state(member.pid) != "T")
    effect.undo()


def test_what_somebody_else_has_stopped_stays_stopped(start: Callable[..., Here]) -> None:
    """^Z between two of our stops: said, noted, and left so by undoing."""
    pin = start(WRITER)
    effect, notes = apply(pin, 64 * MIB)
    (member,) = pin.members()

    os.kill(member.pid, signal.SIGSTOP)
    assert until(lambda: "left so" in effect.tick(0))
    effect.undo()

    assert Stopped(member.pid, member.start_ns, is_others=True) in notes
    assert put_back(notes) == []
    assert state(member.pid) == "T"


def test_what_is_stopped_already_is_refused(start: Callable[..., Here]) -> None:
    """Continuing it would be somebody else's business."""
    pin = start(WRITER)
    (member,) = pin.members()
    os.kill(member.pid, signal.SIGSTOP)
    assert until(lambda: state(member.pid) == "T")
    enforcer = PauseEnforcer(with_bpf=False)

    rung = enforcer.rung(pin, order(pin.target))

    assert not rung.works
    assert "stopped already" in rung.why
    with pytest.raises(EnforcerError, match="stopped already"):
        enforcer.apply(pin, order(pin.target), lambda _: None)


def test_the_rung_says_what_a_shell_prints(start: Callable[..., Here], plain_root: Path) -> None:
    """Stopping is seen by others: that has to be known beforehand."""
    pin = start(WRITER)

    rung = PauseEnforcer(plain_root, with_bpf=False).rung(pin, order(pin.target))

    assert rung.works
    assert "Stopped" in rung.does


def test_nothing_happens_when_the_first_note_fails(start: Callable[..., Here]) -> None:
    """No helper, no stop."""
    pin = start(WRITER)

    def refuse(change: Change) -> None:
        raise EnforcerError(f"the journal is full: {change}")

    effect = PauseEffect(pin, order(pin.target), refuse, BySignals(), ProcessCrowd(pin))
    with pytest.raises(EnforcerError, match="journal"):
        effect.start()
    assert effect.undo() == ()
    assert effect.descriptors() == ()


def test_a_failing_second_note_ends_the_helper(
    start: Callable[..., Here], plain_root: Path
) -> None:
    """The helper lives by then, and has been told nothing."""
    pin = start(WRITER)
    notes: list[Change] = []

    def second(change: Change) -> None:
        notes.append(change)
        if isinstance(change, Helper):
            raise EnforcerError("the journal is full")

    with pytest.raises(EnforcerError, match="journal"):
        PauseEnforcer(plain_root, with_bpf=False).apply(pin, order(pin.target), second)

    assert state(helper(notes)) == "gone"
    (member,) = pin.members()
    assert state(member.pid) != "T"


def test_signals_forget_who_has_ended(start: Callable[..., Here]) -> None:
    """A process that is gone is neither stopped nor continued, nor is its successor."""
    pin = start("pass")
    (member,) = pin.members()
    switch = Signals()
    switch.add(member.pid, member.start_ns)
    assert until(lambda: state(member.pid) == "Z")

    switch.stop()
    switch.go()

    assert switch.left() == ()
