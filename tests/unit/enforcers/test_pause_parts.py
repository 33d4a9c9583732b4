"""Pause in parts: the freezer of a fake cgroup, and the counting of what is written."""

from __future__ import annotations

from pathlib import Path

import pytest

from iotop_ng.enforcers.changes import Change, FileValue
from iotop_ng.enforcers.crowd import CgroupCrowd
from iotop_ng.enforcers.orders import Kind, Order
from iotop_ng.enforcers.pause import PauseEnforcer
from iotop_ng.enforcers.pauser import Page, ProcMeter, Told
from iotop_ng.enforcers.switches import Freezer
from iotop_ng.enforcers.written import Written
from iotop_ng.policy.actions import CgroupTarget, Reason, Target
from tests.fakes.cgroupfs import FakeCgroupfs, TreePinned
from tests.fakes.procfs import FakeIo, FakeProc


def order(target: Target, rate: int = 1000) -> Order:
    return Order(Kind.THROTTLE, target, Reason("", "by hand"), rate_bytes_per_s=rate)


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
