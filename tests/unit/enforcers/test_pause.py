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
from iotop_ng.enforcers.changes import Change, FileValue, Helper, Stopped, same_place
from iotop_ng.enforcers.crowd import CgroupCrowd, ProcessCrowd
from iotop_ng.enforcers.enforcer import Effect, Member
from iotop_ng.enforcers.kin import relative
from iotop_ng.enforcers.orders import Kind, Order
from iotop_ng.enforcers.pause import PauseEnforcer
from iotop_ng.enforcers.pause_effect import BySignals, PauseEffect
from iotop_ng.enforcers.pauser import Freezer, Page, ProcMeter, Signals, Told
from iotop_ng.enforcers.restore import restore
from iotop_ng.enforcers.written import Written
from iotop_ng.errors import EnforcerError, TargetError
from iotop_ng.policy.actions import CgroupTarget, ProcessTarget, Reason, Target
from iotop_ng.sample import process_key
from tests.fakes.cgroupfs import FakeCgroupfs, TreePinned
from tests.fakes.procfs import FakeIo, FakeProc

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


class Pin:
    """A process of this machine."""

    def __init__(self, pid: int) -> None:
        found = relative(PROC, pid)
        assert found is not None
        self._who = found
        self.target: Target = ProcessTarget(process_key(pid, found.start_ns), pid, found.start_ns)
        self.name = found.name

    def check(self) -> None:
        if relative(PROC, self._who.pid) != self._who:
            raise TargetError(f"{self.name} has ended")

    def members(self) -> tuple[Member, ...]:
        return (Member(*self._who),)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Pin]]:
    """Start a Python program with a file to write to; end its whole session afterwards."""
    begun: list[subprocess.Popen[bytes]] = []

    def run(program: str, *more: str) -> Pin:
        command = [sys.executable, "-S", "-c", program, str(tmp_path / "data"), *more]
        begun.append(subprocess.Popen(command, start_new_session=True))
        return Pin(begun[-1].pid)

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


def apply(pin: Pin, rate: int = 1000) -> tuple[PauseEffect, list[Change]]:
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


def test_a_writer_is_stopped_and_runs_again_afterwards(start: Callable[..., Pin]) -> None:
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


def test_over_time_the_rate_holds(start: Callable[..., Pin]) -> None:
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


def test_a_higher_rate_lets_it_run_at_once(start: Callable[..., Pin]) -> None:
    """The debt is paid at the new rate, not the old one."""
    pin = start(WRITER)
    effect, _ = apply(pin, 1)
    (member,) = pin.members()
    assert until(lambda: state(member.pid) == "T", effect)

    effect.adjust(order(pin.target, 1 << 40))

    assert until(lambda: state(member.pid) != "T", effect)
    effect.undo()


def test_children_are_noted_and_stopped_too(start: Callable[..., Pin]) -> None:
    """A program that forks its writers: each child has its note."""
    pin = start(FORKING, WRITER)
    effect, notes = apply(pin)

    def children() -> list[int]:
        (member,) = pin.members()
        return [c.pid for c in notes if isinstance(c, Stopped) and c.pid != member.pid]

    # The child of before is not held; the next one is.
    assert until(lambda: _child_of(pin) is not None)
    os.kill(_child_of(pin) or 0, signal.SIGKILL)
    assert until(lambda: bool(children()) and state(children()[-1]) == "T", effect)
    effect.undo()
    assert put_back(notes) == []
    assert until(lambda: state(children()[-1]) != "T")


def _child_of(pin: Pin) -> int | None:
    (member,) = pin.members()
    pids = (int(path.name) for path in PROC.iterdir() if path.name.isdecimal())
    stats = ((pid, processes.read_stat(pid)) for pid in pids)
    return next((pid for pid, stat in stats if stat and stat.ppid == member.pid), None)


def test_when_the_helper_dies_the_keeper_continues_the_target(start: Callable[..., Pin]) -> None:
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


def test_when_the_keeper_dies_the_helper_continues_the_target(start: Callable[..., Pin]) -> None:
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


def test_when_both_die_the_journal_continues_the_target(start: Callable[..., Pin]) -> None:
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


def test_what_somebody_else_has_stopped_stays_stopped(start: Callable[..., Pin]) -> None:
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


def test_what_is_stopped_already_is_refused(start: Callable[..., Pin]) -> None:
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


def test_the_rung_says_what_a_shell_prints(start: Callable[..., Pin], plain_root: Path) -> None:
    """Stopping is seen by others: that has to be known beforehand."""
    pin = start(WRITER)

    rung = PauseEnforcer(plain_root, with_bpf=False).rung(pin, order(pin.target))

    assert rung.works
    assert "Stopped" in rung.does


def test_nothing_happens_when_the_first_note_fails(start: Callable[..., Pin]) -> None:
    """No helper, no stop."""
    pin = start(WRITER)

    def refuse(change: Change) -> None:
        raise EnforcerError(f"the journal is full: {change}")

    effect = PauseEffect(pin, order(pin.target), refuse, BySignals(), ProcessCrowd(pin))
    with pytest.raises(EnforcerError, match="journal"):
        effect.start()
    assert effect.undo() == ()
    assert effect.descriptors() == ()


def test_a_failing_second_note_ends_the_helper(start: Callable[..., Pin], plain_root: Path) -> None:
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


# -- freezer --------------------------------------------------------------------------------------


@pytest.fixture
def tree(tmp_path: Path) -> FakeCgroupfs:
    """A service with one process."""
    built = FakeCgroupfs(tmp_path)
    built.add("/app", pids=(42,))
    return built


def test_a_cgroup_of_its_own_is_frozen_as_a_whole(tree: FakeCgroupfs) -> None:
    """No shell sees it; what is noted can be put back."""
    pinned = TreePinned(tree, tree.start(42, "worker", cgroup="/app"))
    notes: list[Change] = []
    enforcer = PauseEnforcer(tree.root, with_bpf=False)

    rung = enforcer.rung(pinned, order(pinned.target))
    effect = enforcer.apply(pinned, order(pinned.target), notes.append)
    effect.undo()

    directory = tree.mount / "app"
    assert "/app is frozen" in rung.does
    assert notes[0] == FileValue(
        str(directory / "cgroup.freeze"), directory.stat().st_ino, "", "0", "1"
    )
    assert (directory / "cgroup.freeze").read_text().strip() == "0"


def test_a_shared_cgroup_is_not_frozen_for_one_process(tree: FakeCgroupfs) -> None:
    """Its process is stopped by signals instead."""
    tree.add("/app", pids=(42, 43))
    tree.start(43, "other", cgroup="/app")
    pinned = TreePinned(tree, tree.start(42, "worker", cgroup="/app"))

    rung = PauseEnforcer(tree.root, with_bpf=False).rung(pinned, order(pinned.target))

    assert "SIGSTOP" in rung.does


def test_a_cgroup_that_is_frozen_already_is_refused(tree: FakeCgroupfs) -> None:
    """A container that somebody has paused."""
    (tree.mount / "app/cgroup.freeze").write_text("1\n")
    tree.start(42, "worker", cgroup="/app")
    pinned = TreePinned(tree, CgroupTarget("/app"))

    rung = PauseEnforcer(tree.root, with_bpf=False).rung(pinned, order(pinned.target))

    assert (rung.works, rung.others) == (False, ("worker[42]",))
    assert "frozen already" in rung.why


def test_thawing_a_cgroup_that_is_gone_is_no_failure(tmp_path: Path) -> None:
    """Nobody is in it any more."""
    Freezer(tmp_path / "gone/cgroup.freeze", "1", "0").go()


def test_the_old_freezer_has_words_for_its_states(tmp_path: Path) -> None:
    """cgroup v1: THAWED and FROZEN, in a hierarchy of its own."""
    mounts = "30 24 0:26 / /sys/fs/cgroup rw - cgroup cgroup rw,freezer\n"
    tree = FakeCgroupfs(tmp_path, mounts)
    directory = tree.add("/app", controllers="", pids=(42,))
    (directory / "freezer.state").write_text("THAWED\n")
    tree.start(42, "worker")
    tree.procfs.write("proc/42/cgroup", "6:freezer:/app\n1:cpu:/\n")
    pinned = TreePinned(tree, CgroupTarget("/app"))
    notes: list[Change] = []

    PauseEnforcer(tree.root, with_bpf=False).apply(
        pinned, order(pinned.target), notes.append
    ).undo()

    assert isinstance(notes[0], FileValue)
    assert (notes[0].before, notes[0].after) == ("THAWED", "FROZEN")


# -- counting -------------------------------------------------------------------------------------


def test_what_a_child_wrote_counts_once(tmp_path: Path) -> None:
    """Alive, ended and inherited: the sum is what was written."""
    fake = FakeProc(tmp_path)
    fake.start(10, io=FakeIo(write_bytes=1000))
    written = Written(fake.proc)
    written.charge(10, from_birth=False)
    fake.start(11, ppid=10, io=FakeIo(write_bytes=500))
    written.charge(11, from_birth=True)

    first = written.look()
    fake.end(11)
    fake.set_io(10, FakeIo(write_bytes=1000 + 700 + 3))
    fake.set_stat(10, "worker", child_faults=9)
    second = written.look()

    assert (first, second) == (500, 203)
    assert written.charged == {10}


def test_a_child_that_nobody_waits_for_takes_nothing_off(tmp_path: Path) -> None:
    """Its parent ignores SIGCHLD, so its I/O is inherited by nobody."""
    fake = FakeProc(tmp_path)
    fake.start(10)
    written = Written(fake.proc)
    written.charge(10, from_birth=False)
    fake.start(11, ppid=10, io=FakeIo(write_bytes=500))
    written.charge(11, from_birth=True)
    written.look()

    fake.end(11)
    fake.set_io(10, FakeIo(write_bytes=40))

    assert written.look() == 40


def test_a_child_of_before_is_not_charged_to_who_inherits_it(tmp_path: Path) -> None:
    """But for what it wrote after the last look."""
    fake = FakeProc(tmp_path)
    fake.start(10, io=FakeIo(write_bytes=10))
    fake.start(11, ppid=10, io=FakeIo(write_bytes=500))
    written = Written(fake.proc)
    written.charge(10, from_birth=False)
    written.watch((11,))

    fake.set_io(11, FakeIo(write_bytes=600))
    first = written.look()
    fake.end(11)
    fake.set_io(10, FakeIo(write_bytes=10 + 600 + 3))
    fake.set_stat(10, "worker", child_faults=9)

    assert (first, written.look()) == (0, 3)


def test_an_heir_that_is_read_too_early_is_not_charged_later(tmp_path: Path) -> None:
    """The child is gone before its I/O is seen on the parent."""
    fake = FakeProc(tmp_path)
    fake.start(10)
    written = Written(fake.proc)
    written.charge(10, from_birth=False)
    fake.start(11, ppid=10, io=FakeIo(write_bytes=500))
    written.charge(11, from_birth=True)
    written.look()
    fake.end(11)
    fake.set_stat(10, "worker", child_faults=9)

    first = written.look()
    fake.set_io(10, FakeIo(write_bytes=500 + 7))

    assert (first, written.look()) == (0, 7)


def test_a_meter_owes_what_was_written_too_much(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """1000 bytes a second: 65536 are the burst, and what goes beyond takes its time."""
    fake = FakeProc(tmp_path)
    fake.start(10)
    monkeypatch.setattr("iotop_ng.enforcers.pauser.Written", lambda: Written(fake.proc))
    meter = ProcMeter(1000, 0)
    meter.obey(1, 10, flag=False)

    fake.set_io(10, FakeIo(write_bytes=65536 + 3000))

    assert meter.debt_ns(1) == 3_000_000_000
    assert meter.debt_ns(1_000_000_001) == 2_000_000_000
    assert meter.charged_bytes == 65536 + 3000


def test_what_is_told_can_be_read() -> None:
    """The page holds what was written to it, with at most so many pids."""
    page = Page()
    told = Told(1, 2, 3, 4, (5, 6))

    page.write(told)

    assert page.read() == told
    assert told.held_ns(10) == 2 + 6


def test_a_crowd_in_a_cgroup_grows_and_shrinks(tree: FakeCgroupfs) -> None:
    """At first everybody is new, later only who joins."""
    tree.start(42, "worker", cgroup="/app")
    crowd = CgroupCrowd(TreePinned(tree, CgroupTarget("/app")), None, tree.procfs.proc)

    first = crowd.look().members
    tree.add("/app", pids=(42, 43))
    tree.start(43, "late", cgroup="/app")
    second = crowd.look().members

    assert [member.name for member in first] == ["worker[42]"]
    assert [member.name for member in second] == ["late[43]"]
    assert crowd.pids() == {42, 43}


def test_signals_forget_who_has_ended(start: Callable[..., Pin]) -> None:
    """A process that is gone is neither stopped nor continued, nor is its successor."""
    pin = start("pass")
    (member,) = pin.members()
    switch = Signals()
    switch.add(member.pid, member.start_ns)
    assert until(lambda: state(member.pid) == "Z")

    switch.stop()
    switch.go()

    assert switch.left() == ()
