"""Targets are found by pid and start time, held on to, and judged at the moment of acting."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from iotop_ng.enforcers import processes
from iotop_ng.enforcers.pinned import HostPinner, PinnedCgroup
from iotop_ng.enforcers.pinner import Own
from iotop_ng.errors import EnforcerError, TargetError
from iotop_ng.policy.actions import CgroupTarget, ProcessTarget
from iotop_ng.policy.protect import Protection
from iotop_ng.sample import process_key
from tests.fakes.procfs import FakeProc

NOBODY = Own((), ())
NAMESPACE = str(Path("/proc/self/ns/pid").readlink())


def pinner(protection: Protection | None = None) -> HostPinner:
    """Return the real one; these tests may run in a container."""
    return HostPinner(protection=lambda: protection or Protection(), namespace=NAMESPACE)


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def target_of(pid: int, finer_ns: int = 0) -> ProcessTarget:
    stat = processes.read_stat(pid)
    assert stat is not None
    start_ns = stat.start_ticks * processes.NS_PER_TICK + finer_ns
    return ProcessTarget(process_key(pid, start_ns), pid, start_ns)


@pytest.fixture
def orphan() -> Iterator[int]:
    """Give a process that is no descendant of ours: ours are protected with us."""
    program = (
        "import os, sys, time\n"
        "if os.fork(): os._exit(0)\n"
        "os.setsid(); print(os.getpid(), flush=True); os.close(1); time.sleep(600)"
    )
    starter = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    assert starter.stdout is not None
    with starter.stdout as lines:
        pid = int(lines.readline())
    starter.wait()
    yield pid
    os.kill(pid, signal.SIGKILL)


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    made = subprocess.Popen(["sleep", "600"])
    yield made
    made.kill()
    made.wait()


def test_a_process_is_pinned_with_its_name(orphan: int) -> None:
    found = pinner().pin(target_of(orphan))

    found.check()
    assert found.name.endswith(f"[{orphan}]")
    assert [(m.pid, m.name) for m in found.members()] == [(orphan, found.name)]
    assert pinner().why_untouchable(found, NOBODY) == ""


@pytest.mark.parametrize("finer_ns", [0, 1, processes.NS_PER_TICK - 1])
def test_a_start_time_is_the_same_from_either_source(orphan: int, finer_ns: int) -> None:
    """/proc shows ticks of 10 ms, BPF nanoseconds of the same counter."""
    pinner().pin(target_of(orphan, finer_ns)).check()


@pytest.mark.parametrize("finer_ns", [-1, processes.NS_PER_TICK])
def test_a_reused_number_is_refused(orphan: int, finer_ns: int) -> None:
    with pytest.raises(TargetError, match="another one has its number"):
        pinner().pin(target_of(orphan, finer_ns))


def test_one_that_has_ended_is_refused(child: subprocess.Popen[bytes]) -> None:
    target = target_of(child.pid)
    found = pinner().pin(target)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)

    with pytest.raises(TargetError, match=r"sleep\[[0-9]+\] has ended"):
        found.check()
    assert found.members() == ()
    with pytest.raises(TargetError):
        pinner().pin(target)  # a zombie
    child.wait()
    with pytest.raises(TargetError, match="is gone"):
        pinner().pin(target)


@pytest.mark.parametrize("pid", [0, -1, 2**22 + 1, 2**31 - 1])
def test_a_number_that_no_process_can_have_is_refused(pid: int) -> None:
    with pytest.raises(TargetError):
        pinner().pin(ProcessTarget(process_key(pid, 0), pid, 0))


def test_a_thread_is_no_process() -> None:
    done = threading.Event()
    thread = threading.Thread(target=done.wait)
    thread.start()
    try:
        tid = thread.native_id
        assert tid is not None
        with pytest.raises(TargetError):
            pinner().pin(target_of(tid))
    finally:
        done.set()
        thread.join()


def test_letting_go_twice_is_fine(orphan: int) -> None:
    one = pinner()
    before = descriptors()
    found = one.pin(target_of(orphan))

    one.unpin(found)
    one.unpin(found)

    assert descriptors() == before


def test_without_a_descriptor_left_it_says_so(orphan: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_pid: int) -> int:
        raise OSError(24, os.strerror(24))

    monkeypatch.setattr(os, "pidfd_open", refuse)

    with pytest.raises(EnforcerError, match="Too many open files"):
        pinner().pin(target_of(orphan))


def test_a_kernel_without_pidfd_is_served_by_the_start_time(
    child: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(_pid: int) -> int:
        raise OSError(38, os.strerror(38))

    monkeypatch.setattr(os, "pidfd_open", missing)
    found = pinner().pin(target_of(child.pid))

    found.check()
    child.kill()
    child.wait()
    with pytest.raises(TargetError):
        found.check()


def test_another_pid_namespace_is_refused(orphan: int) -> None:
    """Numbers of /proc are not the kernel's there: BPF would hit another process."""
    elsewhere = HostPinner(namespace="pid:[1]")

    with pytest.raises(TargetError, match="another PID namespace"):
        elsewhere.pin(target_of(orphan))


# -- who may not be touched ------------------------------------------------------------------------


def why(pid: int, own: Own = NOBODY, protection: Protection | None = None) -> str:
    one = pinner(protection)
    return one.why_untouchable(one.pin(target_of(pid)), own)


def test_pid_1_is_refused() -> None:
    assert why(1) == "it is PID 1"


def test_we_and_all_above_and_below_us_are_refused(child: subprocess.Popen[bytes]) -> None:
    """The keeper's own process is this one here."""
    ours = "iotop-ng runs in it or under it"

    assert why(os.getpid()) == ours
    if os.getppid() > 1:
        assert why(os.getppid()) == ours
    assert why(child.pid) == ours


def test_clients_and_helpers_are_refused(orphan: int) -> None:
    ours = "iotop-ng runs in it or under it"

    assert why(orphan, Own((), (orphan,))) == ours
    assert why(orphan, Own((orphan,), ())) == ours
    assert why(orphan) == ""


def test_the_parent_of_a_client_is_refused_and_its_child_is_not() -> None:
    """A workload may have been begun from the program that acts on it."""
    program = (
        "import os, subprocess, sys, time\n"
        "if os.fork(): os._exit(0)\n"
        "os.setsid()\n"
        "inner = subprocess.Popen(['sh', '-c', 'sleep 600 & echo $$ $!; wait'])\n"
        "print(os.getpid(), flush=True)\n"
        "os.close(1); inner.wait()"
    )
    starter = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    assert starter.stdout is not None
    with starter.stdout as lines:
        numbers = {int(word) for _ in range(2) for word in lines.readline().split()}
    starter.wait()
    parents = {pid: _parent(pid) for pid in numbers}
    (grand,) = (pid for pid in numbers if parents[pid] not in numbers)
    (client,) = (pid for pid in numbers if parents[pid] == grand)
    (workload,) = numbers - {grand, client}
    try:
        own = Own((), (client,))

        assert why(grand, own) == "iotop-ng runs in it or under it"
        assert why(client, own) == "iotop-ng runs in it or under it"
        assert why(workload, own) == ""
    finally:
        for pid in numbers:
            # The outer one ends by itself when the inner one has.
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _parent(pid: int) -> int:
    stat = processes.read_stat(pid)
    assert stat is not None
    return stat.ppid


def test_the_operator_s_additions_are_refused(orphan: int) -> None:
    stat = processes.read_stat(orphan)
    assert stat is not None

    assert why(orphan, protection=Protection(programs=(stat.comm,))) == (
        "the operator protects the program"
    )


# -- cgroups ---------------------------------------------------------------------------------------


class FakeGroups:
    """Cgroups in a tree of files, with /proc beside them."""

    def __init__(self, root: Path) -> None:
        self.proc = FakeProc(root)
        self.root = root
        self.lines: list[str] = []
        (root / "proc/self/ns").mkdir(parents=True, exist_ok=True)

    def mount(self, point: str, kind: str, options: str = "rw") -> None:
        self.lines.append(f"30 1 0:30 / {point} rw - {kind} {kind} {options}")
        self.proc.write("proc/self/mountinfo", "\n".join(self.lines) + "\n")

    def group(self, point: str, path: str, pids: tuple[int, ...]) -> Path:
        directory = self.root / f"{point}{path}".lstrip("/")
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "cgroup.procs").write_text("".join(f"{pid}\n" for pid in pids))
        return directory

    def process(self, pid: int, cgroup: str) -> None:
        fields = "0 " * 50
        stat = f"{pid} (p{pid}) S 1 {fields}"
        self.proc.write(f"proc/{pid}/stat", stat)
        self.proc.write(f"proc/{pid}/cmdline", "")
        self.proc.write(f"proc/{pid}/cgroup", cgroup)


class HereGroups(HostPinner):
    """Without the look at the namespace, which a tree of files has none of."""

    def _check_namespace(self) -> None:
        pass


def pin_group(groups: FakeGroups, path: str) -> PinnedCgroup:
    found = HereGroups(groups.root).pin(CgroupTarget(path))
    assert isinstance(found, PinnedCgroup)
    return found


def test_a_cgroup_has_all_processes_in_it_and_below(tmp_path: Path) -> None:
    groups = FakeGroups(tmp_path)
    groups.mount("/sys/fs/cgroup", "cgroup2")
    groups.group("/sys/fs/cgroup", "/a.slice", (10,))
    groups.group("/sys/fs/cgroup", "/a.slice/b.service", (11, os.getpid()))
    for pid, path in ((10, "/a.slice"), (11, "/a.slice/b.service"), (12, "/c.slice")):
        groups.process(pid, f"0::{path}\n")

    members = pin_group(groups, "/a.slice").members()

    assert [member.name for member in members] == ["p10[10]", "p11[11]"]


def test_with_v1_what_counts_is_the_path_that_is_shown(tmp_path: Path) -> None:
    groups = FakeGroups(tmp_path)
    groups.mount("/sys/fs/cgroup/memory", "cgroup", "rw,memory")
    groups.mount("/sys/fs/cgroup/blkio", "cgroup", "rw,blkio")
    groups.group("/sys/fs/cgroup/memory", "/x", (10, 11))
    groups.group("/sys/fs/cgroup/blkio", "/x", (10, 12))
    groups.process(10, "3:memory:/x\n2:blkio:/x\n")
    groups.process(11, "3:memory:/x\n2:blkio:/longer/than/that\n")
    groups.process(12, "3:memory:/\n2:blkio:/x\n1:name=systemd:/user.slice\n")

    members = pin_group(groups, "/x").members()

    assert [member.pid for member in members] == [10]


def test_a_cgroup_that_is_made_anew_is_another(tmp_path: Path) -> None:
    groups = FakeGroups(tmp_path)
    groups.mount("/sys/fs/cgroup", "cgroup2")
    directory = groups.group("/sys/fs/cgroup", "/a", ())
    found = pin_group(groups, "/a")
    found.check()

    directory.rename(directory.with_name("away"))
    groups.group("/sys/fs/cgroup", "/a", (10,))

    with pytest.raises(TargetError, match="/a is gone"):
        found.check()
    assert found.members() == ()


@pytest.mark.parametrize("path", ["/b", "", "a", "/../../etc", "/a/../..", "/a\x1b[2J"])
def test_what_is_no_cgroup_is_refused(tmp_path: Path, path: str) -> None:
    groups = FakeGroups(tmp_path)
    groups.mount("/sys/fs/cgroup", "cgroup2")
    groups.group("/sys/fs/cgroup", "/a", ())

    with pytest.raises(TargetError) as caught:
        pin_group(groups, path)

    assert str(caught.value).isprintable()


def test_the_root_of_all_cgroups_is_refused(tmp_path: Path) -> None:
    groups = FakeGroups(tmp_path)
    groups.mount("/sys/fs/cgroup", "cgroup2")
    groups.group("/sys/fs/cgroup", "/", ())
    one = HereGroups(tmp_path)

    assert one.why_untouchable(one.pin(CgroupTarget("/")), NOBODY) == (
        "it is the root of all cgroups"
    )


def test_a_cgroup_with_a_protected_process_is_refused(tmp_path: Path) -> None:
    groups = FakeGroups(tmp_path)
    groups.mount("/sys/fs/cgroup", "cgroup2")
    groups.group("/sys/fs/cgroup", "/a.slice/b.scope", (10,))
    groups.process(10, "0::/a.slice/b.scope\n")
    one = HereGroups(tmp_path)
    found = one.pin(CgroupTarget("/a.slice/"))

    assert one.why_untouchable(found, NOBODY) == ""
    assert "p10 is in it" in one.why_untouchable(found, Own((), (10,)))
