"""Whose descendants a process has, and which of them nobody may touch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from iotop_ng.enforcers.enforcer import Member
from iotop_ng.enforcers.kin import descendants
from iotop_ng.enforcers.pinned import _spared, family
from iotop_ng.model.frame import Row
from iotop_ng.policy.actions import ProcessTarget
from iotop_ng.policy.protect import Guarded, Protection

GENERATIONS = """
import os, sys, threading
def fork():
    if os.fork() == 0:
        if os.fork() == 0:
            os.write(1, b"here ")
        sys.stdin.read()
        os._exit(0)
thread = threading.Thread(target=fork)
thread.start()
thread.join()
sys.stdin.read()
"""


def test_descendants_are_found_nearest_first_whichever_thread_forked_them() -> None:
    """A thread forks a child, which forks another."""
    child = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", GENERATIONS],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdout.read(5)

    found = descendants(child.pid)

    parents = [
        int(Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()[1])
        for pid in found
    ]
    assert parents == [child.pid, found[0]]
    child.stdin.close()
    child.stdout.close()
    child.wait()


def test_who_is_gone_has_no_descendants() -> None:
    child = subprocess.Popen(["true"])
    child.wait()

    assert descendants(child.pid) == ()


def row(pid: int, ppid: int, name: str = "app") -> Row:
    return Row(
        key=pid, pid=pid, tid=None, start_ns=pid, ppid=ppid, uid=0, user="root", comm=name,
        command=name, cgroup="/", prio=None, is_kthread=False, exited=False,
    )  # fmt: skip


def test_a_protected_descendant_is_spared_with_all_that_it_forked() -> None:
    """A supervisor may be throttled; the sshd under it and who is logged in may not."""
    rows = {
        one.pid: one
        for one in (
            row(100, 1, "supervise"), row(200, 100, "sshd"), row(300, 100, "app"),
            row(400, 200, "bash"), row(500, 400, "vi"), row(600, 300, "app"),
        )
    }  # fmt: skip
    guarded = Guarded(Protection(), rows.values())

    assert _spared((200, 300, 400, 500, 600), rows, guarded) == {200, 400, 500}


class FakePinned:
    """A target of another kind."""

    target = ProcessTarget(1, 7, 7)
    name = "app[7]"

    def check(self) -> None:
        """Find nothing wrong."""

    def members(self) -> tuple[Member, ...]:
        """Return one process."""
        return (Member(7, 7, "app[7]"),)


def test_only_a_process_has_a_family() -> None:
    """In a cgroup everybody is a member already."""
    assert family(FakePinned(), with_children=True) == (7,)
