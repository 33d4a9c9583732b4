"""I/O priority: real threads, and schedulers that look at it or not."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from iotop_ng.enforcers.changes import Change, IoPriority
from iotop_ng.enforcers.ionice import IoniceEnforcer, priority_of
from iotop_ng.enforcers.orders import Kind, Order
from iotop_ng.enforcers.restore import restore
from iotop_ng.errors import EnforcerError, NotPermittedError, TargetError
from iotop_ng.policy.actions import ProcessTarget, Reason, Target
from iotop_ng.sources.ioprio import IoPriorities
from tests.fakes.cgroupfs import FakeCgroupfs, TreePinned
from tests.fakes.here import Here

PROC = Path("/proc")
IDLE_7 = 3 << 13 | 7
BEST_0 = 2 << 13
PROGRAM = """
import subprocess, sys, threading, time
def wait():
    time.sleep(1000)
for _ in range(2):
    threading.Thread(target=wait, daemon=True).start()
print("ready", flush=True)
sys.stdin.readline()
threading.Thread(target=wait, daemon=True).start()
child = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(1000)"])
print("again", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def program() -> Iterator[subprocess.Popen[str]]:
    """Give a process of three threads that makes a fourth one and a child when told."""
    process = subprocess.Popen(
        [sys.executable, "-S", "-c", PROGRAM],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    with process:
        yield process
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def order(target: Target, io_class: str = "idle", level: int = 7) -> Order:
    return Order(Kind.IONICE, target, Reason("", "test"), io_class=io_class, io_level=level)


def priorities(pid: int) -> list[int | None]:
    asked = IoPriorities()
    return [asked.raw(int(task.name)) for task in sorted((PROC / str(pid) / "task").iterdir())]


def test_every_thread_gets_it_and_everybody_loses_it(program: subprocess.Popen[str]) -> None:
    """Those of the beginning, and those who were born with it: their children too."""
    assert program.stdin is not None
    assert program.stdout is not None
    pin = Here(program.pid)
    notes: list[Change] = []
    before = priorities(pin.members()[0].pid)
    effect = IoniceEnforcer().apply(pin, order(pin.target), notes.append)
    during = priorities(program.pid)
    program.stdin.write("\n")
    program.stdin.flush()
    assert program.stdout.readline() == "again\n"
    effect.tick(0)
    threads = {change.tid for change in notes if isinstance(change, IoPriority)}
    pids = {change.pid for change in notes if isinstance(change, IoPriority)}
    effect.undo()

    assert (len(before), during) == (3, [IDLE_7] * 3)
    assert len(threads) == 5
    assert len(pids) == 2
    assert [p for change in reversed(notes) if (p := restore(change).problem)] == []
    assert [priorities(pid) for pid in sorted(pids)] == [[before[0]] * 4, [before[0]]]


def test_what_was_set_before_comes_back(program: subprocess.Popen[str]) -> None:
    """Each thread has its own value."""
    pin = Here(program.pid)
    IoPriorities().set_raw(program.pid, BEST_0)
    before = priorities(program.pid)
    notes: list[Change] = []

    IoniceEnforcer().apply(pin, order(pin.target), notes.append)

    assert BEST_0 in before
    assert priorities(program.pid) == [IDLE_7] * 3
    assert [p for change in reversed(notes) if (p := restore(change).problem)] == []
    assert priorities(program.pid) == before


class Refusing(IoPriorities):
    """Says no after so many calls."""

    def __init__(self, after: int, number: int) -> None:
        super().__init__()
        self.left = after
        self._said = number

    def set_raw(self, tid: int, value: int) -> None:
        if self.left == 0:
            raise OSError(self._said, os.strerror(self._said))
        self.left -= 1
        super().set_raw(tid, value)


@pytest.mark.parametrize("after", range(3))
@pytest.mark.parametrize(
    ("number", "error"),
    [
        (errno.EPERM, NotPermittedError),
        (errno.EINVAL, EnforcerError),
        (errno.EBUSY, EnforcerError),
    ],
)
def test_a_refusal_at_any_thread_leaves_nothing(
    program: subprocess.Popen[str], after: int, number: int, error: type[Exception]
) -> None:
    """What was set until then is put back."""
    pin = Here(program.pid)
    before = priorities(program.pid)
    notes: list[Change] = []

    with pytest.raises(error, match="ioprio_set of thread"):
        IoniceEnforcer(priorities=Refusing(after, number)).apply(
            pin, order(pin.target), notes.append
        )

    assert len(notes) == after + 1
    assert [p for change in reversed(notes) if (p := restore(change).problem)] == []
    assert priorities(program.pid) == before


def test_a_thread_that_ends_meanwhile_is_no_failure(program: subprocess.Popen[str]) -> None:
    """ESRCH: it needs no priority any more."""
    pin = Here(program.pid)

    IoniceEnforcer(priorities=Refusing(0, errno.ESRCH)).apply(
        pin, order(pin.target), lambda _: None
    )


def test_the_end_of_the_process_ends_it(program: subprocess.Popen[str]) -> None:
    """It is found out at the next tick."""
    pin = Here(program.pid)
    effect = IoniceEnforcer().apply(pin, order(pin.target), lambda _: None)
    program.kill()
    program.wait()

    with pytest.raises(TargetError):
        effect.tick(0)


@pytest.mark.parametrize(
    ("io_class", "level", "value"), [("realtime", 0, 1 << 13), ("best-effort", 3, 2 << 13 | 3)]
)
def test_classes_and_levels_are_the_kernels(io_class: str, level: int, value: int) -> None:
    """ioprio_set(2)."""
    asked = order(ProcessTarget(0, 1, 0), io_class, level)

    assert priority_of(asked) == value


@pytest.mark.parametrize(("io_class", "level"), [("lazy", 0), ("idle", 8), ("idle", -1)])
def test_what_is_no_priority_is_refused(tmp_path: Path, io_class: str, level: int) -> None:
    """Before anything is looked at."""
    tree = FakeCgroupfs(tmp_path)
    pinned = TreePinned(tree, tree.start(42))
    asked = order(pinned.target, io_class, level)

    assert not IoniceEnforcer(tmp_path).rung(pinned, asked).works
    with pytest.raises(EnforcerError, match="ionice"):
        IoniceEnforcer(tmp_path).apply(pinned, asked, lambda _: None)


@pytest.mark.parametrize(
    ("scheduler", "has_aging", "io_class", "works", "said"),
    [
        ("mq-deadline kyber [bfq] none", False, "best-effort", True, "kernel threads"),
        ("[mq-deadline] none", True, "idle", True, "kernel threads"),
        ("[mq-deadline] none", True, "best-effort", False, "classes only"),
        ("[mq-deadline] bfq none", False, "idle", False, "echo bfq"),
        ("mq-deadline [kyber] none", False, "idle", False, "kyber on sda does not"),
        ("[none]", False, "idle", False, "no scheduler"),
        ("none", False, "idle", False, "no scheduler"),
    ],
)
def test_it_works_only_where_a_scheduler_looks_at_it(
    tmp_path: Path, *, scheduler: str, has_aging: bool, io_class: str, works: bool, said: str
) -> None:
    """The rung says which, and what would mend it."""
    tree = FakeCgroupfs(tmp_path)
    queue = "sys/devices/virtual/block/sda/queue"
    tree.procfs.write(f"{queue}/scheduler", f"{scheduler}\n")
    if has_aging:
        tree.procfs.write(f"{queue}/iosched/prio_aging_expire", "10000\n")
    pinned = TreePinned(tree, tree.start(42))

    rung = IoniceEnforcer(tmp_path).rung(pinned, order(pinned.target, io_class))

    assert (rung.works, said in rung.why) == (works, True), rung.why


def test_another_priority_is_another_order(program: subprocess.Popen[str]) -> None:
    """A new rate means nothing to it; a new class is refused rather than half done."""
    pin = Here(program.pid)
    asked = order(pin.target)
    effect = IoniceEnforcer().apply(pin, asked, lambda _: None)

    effect.adjust(msgspec.structs.replace(asked, rate_bytes_per_s=5))
    with pytest.raises(EnforcerError, match="release it first"):
        effect.adjust(order(pin.target, "best-effort"))


def test_nothing_is_set_when_it_cannot_be_noted(program: subprocess.Popen[str]) -> None:
    """The journal comes first."""
    pin = Here(program.pid)
    before = priorities(program.pid)

    def refuse(change: Change) -> None:
        raise EnforcerError(f"the journal is full: {change}")

    with pytest.raises(EnforcerError, match="journal"):
        IoniceEnforcer().apply(pin, order(pin.target), refuse)
    assert priorities(program.pid) == before
