"""io.max: on which disks, for whom, what was there before, and every failure on the way."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from iotop_ng.clock import NS_PER_S
from iotop_ng.enforcers.changes import Change, FileValue
from iotop_ng.enforcers.io_max import IoMaxEnforcer
from iotop_ng.enforcers.orders import Kind, Order
from iotop_ng.errors import EnforcerError, IotopError, NotPermittedError, TargetError
from iotop_ng.policy.actions import CgroupTarget, Reason, Target
from tests.fakes.cgroupfs import MOUNTS, SHORT, FakeCgroupfs, TreePinned
from tests.fakes.procfs import FakeDisk

APP = "/system.slice/app.service"
RATE = 5 << 20


@pytest.fixture
def tree(tmp_path: Path) -> FakeCgroupfs:
    """A service with one process that writes to /dev/sda1."""
    built = FakeCgroupfs(tmp_path)
    built.add(APP, pids=(42,))
    built.start(42, "nginx", cgroup=APP)
    return built


def order(target: Target, rate: int | None = RATE) -> Order:
    return Order(Kind.THROTTLE, target, Reason("", "by hand"), rate_bytes_per_s=rate)


def process(tree: FakeCgroupfs, pid: int = 42) -> TreePinned:
    (member,) = TreePinned(tree, tree.start(pid, "nginx", cgroup=APP)).members()
    return TreePinned(tree, tree.start(member.pid, "nginx", cgroup=APP))


def test_the_whole_disk_gets_a_line_and_loses_it_again(tree: FakeCgroupfs) -> None:
    """Through the partition; the state afterwards is the one before, byte for byte."""
    before = tree.state()
    notes: list[Change] = []
    pinned = process(tree)

    effect = IoMaxEnforcer(tree.root, tree).apply(pinned, order(pinned.target), notes.append)

    assert tree.io_max(APP) == f"8:0 rbps=max wbps={RATE} riops=max wiops=max\n"
    assert effect.undo() == ()
    assert tree.put_back(notes) == ()
    assert tree.state() == before


def test_other_limits_of_the_line_stay_and_come_back(tree: FakeCgroupfs) -> None:
    """A line of somebody else: only wbps changes, and gets its old value again."""
    tree.set_io_max(APP, "8:0", rbps="1000", wbps="900000000", riops="77")
    tree.set_io_max(APP, "8:16", wbps="5")
    before = tree.state()
    notes: list[Change] = []
    pinned = process(tree)

    IoMaxEnforcer(tree.root, tree).apply(pinned, order(pinned.target), notes.append)

    assert f"8:0 rbps=1000 wbps={RATE} riops=77 wiops=max\n" in tree.io_max(APP)
    assert tree.put_back(notes) == ()
    assert tree.state() == before


def test_what_is_noted_can_be_found_again(tree: FakeCgroupfs) -> None:
    """Path, inode of the cgroup, device, old and new value; the last rate after an adjustment."""
    notes: list[Change] = []
    pinned = process(tree)
    effect = IoMaxEnforcer(tree.root, tree).apply(pinned, order(pinned.target), notes.append)
    effect.adjust(order(pinned.target, 7))
    directory = tree.mount / APP.strip("/")

    first, second = notes

    assert first == FileValue(
        path=str(directory / "io.max"),
        inode=directory.stat().st_ino,
        key="8:0",
        before="8:0 wbps=max",
        after=f"8:0 wbps={RATE}",
    )
    assert isinstance(first, FileValue)
    assert second == msgspec.structs.replace(first, after="8:0 wbps=7", earlier=(first.after,))


def test_a_note_comes_before_its_write(tree: FakeCgroupfs) -> None:
    """When noting fails, nothing was written."""
    before = tree.state()
    pinned = process(tree)

    def refuse(change: Change) -> None:
        raise EnforcerError(f"the journal is full: {change}")

    with pytest.raises(EnforcerError, match="journal"):
        IoMaxEnforcer(tree.root, tree).apply(pinned, order(pinned.target), refuse)
    assert tree.state() == before


def test_a_process_that_shares_its_cgroup_is_refused_with_the_way_out(tree: FakeCgroupfs) -> None:
    """Its children are no others; nobody is moved."""
    tree.add(APP, pids=(42, 43, 44, 50))
    tree.start(43, "child", ppid=42, cgroup=APP)
    tree.start(44, "grandchild", ppid=43, cgroup=APP)
    tree.start(50, "php\x1b[2J", ppid=1, cgroup=APP)
    before = tree.state()
    pinned = process(tree)
    enforcer = IoMaxEnforcer(tree.root, tree)

    rung = enforcer.rung(pinned, order(pinned.target))

    assert (rung.works, rung.others) == (False, ("php·[2J[50]",))
    assert "throttle the cgroup" in rung.why
    with pytest.raises(EnforcerError, match="holds 1 other"):
        enforcer.apply(pinned, order(pinned.target), lambda _: None)
    assert tree.state() == before


def test_a_cgroup_is_limited_as_a_whole_and_says_who_is_in_it(tree: FakeCgroupfs) -> None:
    """All processes in it and below, each by name."""
    tree.add(APP, pids=(42, 50))
    tree.start(50, "php", cgroup=APP)
    pinned = TreePinned(tree, CgroupTarget(APP))

    rung = IoMaxEnforcer(tree.root, tree).rung(pinned, order(pinned.target))

    assert (rung.works, rung.others) == (True, ("nginx[42]", "php[50]"))
    assert "sda" in rung.does
    assert "escape" in rung.why


@pytest.mark.parametrize(
    ("mounts", "controllers", "cgroup", "said"),
    [
        ("24 1 8:1 / / rw - ext4 /dev/sda1 rw\n", "io", APP, "not mounted"),
        (MOUNTS, "io", "/", "root of all cgroups"),
        (MOUNTS, "cpu memory", APP, r"subtree_control of /system\.slice lacks \+io"),
        (MOUNTS, "io", "/gone", "has no /gone"),
        (MOUNTS, "io", "/../../proc", "has no /../../proc"),
    ],
)
def test_where_it_cannot_work_it_says_why(
    tmp_path: Path, mounts: str, controllers: str, cgroup: str, said: str
) -> None:
    """Beforehand, in the rung, and with the same words when it is tried all the same."""
    tree = FakeCgroupfs(tmp_path, mounts)
    tree.add(APP, controllers=controllers, pids=(42,))
    pinned = TreePinned(tree, tree.start(42, "nginx", cgroup=cgroup))
    enforcer = IoMaxEnforcer(tree.root, tree)

    rung = enforcer.rung(pinned, order(pinned.target))

    assert not rung.works
    with pytest.raises(IotopError, match=said) as raised:
        enforcer.apply(pinned, order(pinned.target), lambda _: None)
    assert rung.why == str(raised.value)


def test_v1_is_said_where_it_has_the_controller(tmp_path: Path) -> None:
    """Both hierarchies are mounted, and io is in the old one."""
    mounts = MOUNTS + "31 24 0:27 / /sys/fs/cgroup/blkio rw - cgroup cgroup rw,blkio\n"
    tree = FakeCgroupfs(tmp_path, mounts)
    tree.add("/", controllers="hugetlb")
    tree.add(APP, controllers="hugetlb", pids=(42,))
    pinned = TreePinned(tree, tree.start(42, "nginx", cgroup=APP))

    rung = IoMaxEnforcer(tree.root, tree).rung(pinned, order(pinned.target))

    assert (rung.works, rung.why) == (False, "the io controller belongs to cgroup v1 here")


def test_no_disk_no_rung(tree: FakeCgroupfs) -> None:
    """All that it writes is in memory."""
    pinned = TreePinned(tree, tree.start(42, "nginx", cgroup=APP, files=()))
    tree.procfs.write("proc/42/mountinfo", "25 1 0:21 / /dev/shm rw - tmpfs tmpfs rw\n")

    rung = IoMaxEnforcer(tree.root, tree).rung(pinned, order(pinned.target))

    assert not rung.works
    assert "no disk" in rung.why


def test_a_new_disk_gets_its_line_at_the_next_look(tree: FakeCgroupfs) -> None:
    """The process opens a file elsewhere; the look comes every two seconds."""
    tree.procfs.add_disk(FakeDisk("sdb", 8, 16))
    notes: list[Change] = []
    pinned = process(tree)
    effect = IoMaxEnforcer(tree.root, tree).apply(pinned, order(pinned.target), notes.append)
    effect.tick(0)
    tree.add_partition_mount(42, "40 24 8:16 / /backup rw - ext4 /dev/sdb rw")
    tree.open_file(42, 9, "elsewhere", mount=40)

    effect.tick(NS_PER_S)
    too_soon = tree.io_max(APP)
    said = effect.tick(2 * NS_PER_S)

    assert "8:16" not in too_soon
    assert said == ""
    assert f"8:16 rbps=max wbps={RATE} riops=max wiops=max\n" in tree.io_max(APP)
    assert tree.put_back(notes) == ()
    assert tree.io_max(APP) == ""


def test_a_limit_that_somebody_changed_is_said_and_left(tree: FakeCgroupfs) -> None:
    """Neither written again nor put back."""
    notes: list[Change] = []
    pinned = process(tree)
    effect = IoMaxEnforcer(tree.root, tree).apply(pinned, order(pinned.target), notes.append)
    effect.tick(0)
    tree.set_io_max(APP, "8:0", wbps="123")

    said = effect.tick(2 * NS_PER_S)

    assert said == "somebody changed the limit for sda to 123"
    assert len(tree.put_back(notes)) == 1
    assert tree.io_max(APP) == "8:0 rbps=max wbps=123 riops=max wiops=max\n"


def test_the_end_of_the_cgroup_is_the_end_of_the_policy(tree: FakeCgroupfs) -> None:
    """Also when another one has its name by then: that one is not touched."""
    notes: list[Change] = []
    pinned = TreePinned(tree, CgroupTarget(APP))
    effect = IoMaxEnforcer(tree.root, tree).apply(pinned, order(pinned.target), notes.append)
    tree.remove(APP)
    (tree.root / "keeps the old inode number taken").mkdir()
    tree.add(APP, pids=(42,))
    tree.set_io_max(APP, "8:0", wbps=str(RATE))

    with pytest.raises(TargetError, match="gone"):
        effect.tick(0)
    assert tree.put_back(notes) == ()
    assert tree.io_max(APP) == f"8:0 rbps=max wbps={RATE} riops=max wiops=max\n"


def test_a_process_that_was_moved_away_is_held_no_longer(tree: FakeCgroupfs) -> None:
    """The keeper is told, so that it releases what has no effect."""
    pinned = process(tree)
    effect = IoMaxEnforcer(tree.root, tree).apply(pinned, order(pinned.target), lambda _: None)
    tree.procfs.write("proc/42/cgroup", "0::/elsewhere\n")

    with pytest.raises(EnforcerError, match="moved out"):
        effect.tick(0)


def test_who_joins_the_cgroup_later_is_named(tree: FakeCgroupfs) -> None:
    """They are held too, which nobody has agreed to."""
    pinned = process(tree)
    effect = IoMaxEnforcer(tree.root, tree).apply(pinned, order(pinned.target), lambda _: None)
    tree.start(77, "cron", cgroup=APP)
    tree.add(APP, pids=(42, 77))
    tree.set_io_max(APP, "8:0", wbps=str(RATE))

    assert effect.tick(0) == "cron[77] joined the cgroup and is held too"


def test_written_bytes_are_those_of_its_disks_since(tree: FakeCgroupfs) -> None:
    """From io.stat; other disks and earlier bytes are not counted."""
    tree.set_io_stat(APP, "8:0 rbytes=1 wbytes=1000 rios=1\n8:16 wbytes=5\n")
    pinned = process(tree)
    effect = IoMaxEnforcer(tree.root, tree).apply(pinned, order(pinned.target), lambda _: None)

    tree.set_io_stat(APP, "8:0 rbytes=1 wbytes=4500 rios=1\n8:16 wbytes=50\n")

    assert effect.counts().charged_bytes == 3500
    assert effect.counts().processes == 1


def raised(act: Callable[..., object], *arguments: object) -> IotopError | None:
    """Return our error, None when there was none; any other one is an error of the test."""
    try:
        act(*arguments)
    except IotopError as error:
        return error
    return None


FAULTS = (errno.EPERM, errno.ENOENT, errno.EBUSY, errno.EINVAL, errno.ENODEV, SHORT)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_failure_at_any_step_of_applying_leaves_nothing(tree: FakeCgroupfs, fault: int) -> None:
    """Each call of the kernel fails once; with two disks one line may stand already."""
    tree.procfs.add_disk(FakeDisk("sdb", 8, 16))
    pinned = process(tree)
    tree.add_partition_mount(42, "40 24 8:16 / /backup rw - ext4 /dev/sdb rw")
    tree.open_file(42, 9, "elsewhere", mount=40)
    tree.set_io_max(APP, "8:0", wbps="900", riops="7")
    before = tree.state()
    enforcer = IoMaxEnforcer(tree.root, tree)
    begin = len(tree.calls)
    notes: list[Change] = []
    enforcer.apply(pinned, order(pinned.target), notes.append)
    steps = tree.calls[begin:]
    assert tree.put_back(notes) == ()
    assert [step for step in steps if step[0] == "write"] == [("write", "io.max")] * 2

    failed = []
    for index, step in enumerate(steps):
        notes = []
        tree.fail(index, fault)
        error = raised(enforcer.apply, pinned, order(pinned.target), notes.append)
        failed += [] if error is None else [step[1]]
        assert "\n" not in str(error)
        if fault == errno.EPERM and step[0] == "write":
            assert isinstance(error, NotPermittedError)
            assert "CAP_" in str(error)
        assert tree.put_back(notes) == ()
        assert tree.state() == before, step
    # io.stat, and cgroup.procs in the end, only give numbers to show.
    assert failed == [*["cgroup.controllers"] * 2, "cgroup.procs", *["io.max"] * 4]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_failure_of_adjusting_leaves_nothing(tree: FakeCgroupfs, fault: int) -> None:
    """The old rate is still there, or the new one: both are ours."""
    before = tree.state()
    notes: list[Change] = []
    pinned = process(tree)
    effect = IoMaxEnforcer(tree.root, tree).apply(pinned, order(pinned.target), notes.append)
    tree.fail(0, fault)

    with pytest.raises(IotopError):
        effect.adjust(order(pinned.target, 1000))

    assert tree.put_back(notes) == ()
    assert tree.state() == before


def test_a_crash_between_note_and_write_leaves_nothing(tree: FakeCgroupfs) -> None:
    """What was noted and never written is not put back over anybody's value."""
    tree.set_io_max(APP, "8:0", wbps="900")
    before = tree.state()
    notes: list[Change] = []
    pinned = process(tree)

    def crash(change: Change) -> None:
        notes.append(change)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        IoMaxEnforcer(tree.root, tree).apply(pinned, order(pinned.target), crash)

    assert tree.put_back(notes) == ()
    assert tree.state() == before


def test_the_end_of_the_process_ends_it(tree: FakeCgroupfs) -> None:
    """Before and after it was applied."""
    pinned = process(tree)
    enforcer = IoMaxEnforcer(tree.root, tree)
    effect = enforcer.apply(pinned, order(pinned.target), lambda _: None)
    tree.procfs.end(42)

    with pytest.raises(TargetError):
        effect.tick(0)
    with pytest.raises(TargetError):
        enforcer.apply(pinned, order(pinned.target), lambda _: None)
    assert not enforcer.rung(pinned, order(pinned.target)).works


def test_no_rate_no_limit(tree: FakeCgroupfs) -> None:
    """There is no "nothing may pass": that is a drop."""
    pinned = process(tree)
    enforcer = IoMaxEnforcer(tree.root, tree)

    assert not enforcer.rung(pinned, order(pinned.target, None)).works
    with pytest.raises(EnforcerError):
        enforcer.apply(pinned, order(pinned.target, None), lambda _: None)
