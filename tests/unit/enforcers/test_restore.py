"""One change is put back where it is still ours, and left alone where it is not."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from iotop_ng.enforcers import processes
from iotop_ng.enforcers.changes import FileValue, Helper, IoPriority, Stopped
from iotop_ng.enforcers.restore import restore
from iotop_ng.enforcers.undo import put_back
from iotop_ng.sources.ioprio import IoPriorities

IDLE = 3 << 13
ERRORS = (errno.EPERM, errno.EBUSY, errno.EINVAL, errno.EIO, errno.EOPNOTSUPP)


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """Give a process that does nothing."""
    made = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    try:
        yield made
    finally:
        made.kill()
        made.wait()


def start_ns(pid: int) -> int:
    stat = processes.read_stat(pid)
    assert stat is not None
    return stat.start_ticks * processes.NS_PER_TICK


def state(pid: int) -> str:
    stat = processes.read_stat(pid)
    return "" if stat is None else stat.state


def until(is_so: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.002)


def limit(
    directory: Path, before: str, after: str, key: str = "", earlier: tuple[str, ...] = ()
) -> FileValue:
    inode = directory.stat().st_ino
    return FileValue(str(directory / "io.max"), inode, key, before, after, earlier)


# -- files ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("now", ["5\n", "4\n", "3"])
def test_a_value_of_ours_is_put_back(tmp_path: Path, now: str) -> None:
    (tmp_path / "io.max").write_text(now)

    outcome = restore(limit(tmp_path, "max", "5", earlier=("3", "4")))

    assert (tmp_path / "io.max").read_text() == "max"
    assert outcome.is_settled
    assert outcome.problem == ""
    assert "put back 'max'" in outcome.text


def test_a_value_of_somebody_else_is_left_and_said(tmp_path: Path) -> None:
    (tmp_path / "io.max").write_text("7\n")

    outcome = restore(limit(tmp_path, "max", "5"))

    assert (tmp_path / "io.max").read_text() == "7\n"
    assert outcome.is_settled
    assert "left as it is" in outcome.problem


def test_what_is_as_before_needs_nothing(tmp_path: Path) -> None:
    (tmp_path / "io.max").write_text("max\n")

    assert restore(limit(tmp_path, "max", "5")) == (True, "", "")


KEYED = "8:0 rbps=max wbps=5 riops=max wiops=max\n8:16 rbps=1 wbps=5 riops=max wiops=max\n"


def test_only_the_line_of_its_device_counts(tmp_path: Path) -> None:
    (tmp_path / "io.max").write_text(KEYED)

    outcome = restore(limit(tmp_path, "8:0 wbps=max", "8:0 wbps=5", key="8:0"))

    # A plain file keeps what was written last; the kernel merges the line into the others.
    assert (tmp_path / "io.max").read_text() == "8:0 wbps=max"
    assert outcome.problem == ""


@pytest.mark.parametrize(
    ("content", "before", "after", "is_left"),
    [
        (KEYED, "8:0 wbps=max", "8:0 wbps=6", True),
        (KEYED, "8:0 rbps=max wbps=max", "8:0 rbps=9 wbps=5", True),
        # Without a line nothing is limited.
        ("8:16 wbps=5\n", "8:0 rbps=max wbps=max", "8:0 wbps=5", False),
        ("", "8:0 0", "8:0 1048576", False),
        # A key is a whole word.
        ("8:01 wbps=5\n", "8:0 wbps=max", "8:0 wbps=5", False),
        ("", "8:0 wbps=9", "8:0 wbps=5", True),
    ],
)
def test_a_line_that_is_not_ours_is_not_written(
    tmp_path: Path, content: str, before: str, after: str, is_left: bool
) -> None:
    (tmp_path / "io.max").write_text(content)

    outcome = restore(limit(tmp_path, before, after, key="8:0"))

    assert (tmp_path / "io.max").read_text() == content
    assert outcome.is_settled
    assert ("left as it is" in outcome.problem) is is_left


def test_a_group_that_is_still_being_frozen_is_thawed(tmp_path: Path) -> None:
    (tmp_path / "io.max").write_text("FREEZING\n")

    restore(limit(tmp_path, "THAWED", "FROZEN"))

    assert (tmp_path / "io.max").read_text() == "THAWED"


def test_a_cgroup_that_was_made_anew_is_not_touched(tmp_path: Path) -> None:
    old = tmp_path / "cg"
    old.mkdir()
    change = limit(old, "max", "5")
    old.rename(tmp_path / "away")
    old.mkdir()
    (old / "io.max").write_text("5\n")

    assert restore(change) == (True, "", "")
    assert (old / "io.max").read_text() == "5\n"


def test_a_cgroup_that_is_gone_took_its_limit_with_it(tmp_path: Path) -> None:
    directory = tmp_path / "cg"
    directory.mkdir()
    change = limit(directory, "max", "5")

    assert restore(change) == (True, "", "")  # the file
    directory.rmdir()
    assert restore(change) == (True, "", "")  # the directory


@pytest.mark.parametrize("code", ERRORS)
def test_what_the_kernel_refuses_is_tried_again_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    (tmp_path / "io.max").write_text("5\n")
    change = limit(tmp_path, "max", "5")

    def refuse(_fd: int, _raw: bytes) -> int:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "write", refuse)
    outcome = restore(change)
    monkeypatch.undo()

    assert not outcome.is_settled
    assert os.strerror(code) in outcome.problem
    assert "\n" not in outcome.problem


@pytest.mark.parametrize("step", ["open", "read", "fstat"])
@pytest.mark.parametrize("code", ERRORS)
def test_a_failure_at_any_step_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, step: str
) -> None:
    (tmp_path / "io.max").write_text("5\n")
    change = limit(tmp_path, "max", "5")

    def refuse(*_: object, **__: object) -> int:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr(os, step, refuse)
        outcome = restore(change)

    assert not outcome.is_settled
    assert os.strerror(code) in outcome.problem
    assert restore(change).problem == ""


def test_a_short_write_is_no_success(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "io.max").write_text("5\n")
    write = os.write

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda fd, raw: write(fd, raw[:1]))
        outcome = restore(limit(tmp_path, "max", "5"))

    assert not outcome.is_settled
    assert "a part of the line" in outcome.problem


def test_a_write_that_changes_nothing_is_no_success(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "io.max").write_text("5\n")
    monkeypatch.setattr(os, "write", lambda _fd, raw: len(raw))

    outcome = restore(limit(tmp_path, "9", "5"))

    assert not outcome.is_settled
    assert "still says" in outcome.problem


def test_names_in_sentences_are_cleaned(tmp_path: Path) -> None:
    directory = tmp_path / "a\x1b[2Jb"
    directory.mkdir()
    (directory / "io.max").write_text("\x1b7\n")

    problem = put_back(limit(directory, "max", "5"))

    assert problem.isprintable()


# -- processes ------------------------------------------------------------------------------------


def test_a_stopped_process_goes_on(sleeper: subprocess.Popen[bytes]) -> None:
    os.kill(sleeper.pid, signal.SIGSTOP)
    until(lambda: state(sleeper.pid) == "T")

    outcome = restore(Stopped(sleeper.pid, start_ns(sleeper.pid)))

    until(lambda: state(sleeper.pid) != "T")
    assert outcome.is_settled


def test_a_start_time_in_nanoseconds_is_the_same_process(
    sleeper: subprocess.Popen[bytes],
) -> None:
    """BPF sees more digits than /proc."""
    os.kill(sleeper.pid, signal.SIGSTOP)
    until(lambda: state(sleeper.pid) == "T")

    restore(Stopped(sleeper.pid, start_ns(sleeper.pid) + processes.NS_PER_TICK - 1))

    until(lambda: state(sleeper.pid) != "T")


@pytest.mark.parametrize("ticks", [-1, 1])
def test_another_process_with_its_number_is_not_touched(
    sleeper: subprocess.Popen[bytes], ticks: int
) -> None:
    os.kill(sleeper.pid, signal.SIGSTOP)
    until(lambda: state(sleeper.pid) == "T")
    other = start_ns(sleeper.pid) + ticks * processes.NS_PER_TICK

    for change in (
        Stopped(sleeper.pid, other),
        Helper(sleeper.pid, other),
        IoPriority(sleeper.pid, other, sleeper.pid, IDLE, 0),
    ):
        assert restore(change) == (True, "", "")

    assert state(sleeper.pid) == "T"
    assert IoPriorities().raw(sleeper.pid) != IDLE


def test_a_helper_ends(sleeper: subprocess.Popen[bytes]) -> None:
    outcome = restore(Helper(sleeper.pid, start_ns(sleeper.pid)))

    assert sleeper.wait(10) == -signal.SIGKILL
    assert outcome.is_settled


def test_a_process_that_is_gone_needs_nothing(sleeper: subprocess.Popen[bytes]) -> None:
    pid, start = sleeper.pid, start_ns(sleeper.pid)
    sleeper.kill()
    sleeper.wait()

    for change in (Stopped(pid, start), Helper(pid, start), IoPriority(pid, start, pid, 0, IDLE)):
        assert restore(change) == (True, "", "")


@pytest.mark.parametrize(
    "change", [Stopped(0, 1), Stopped(-1, 1), Helper(0, 1), Helper(-5, 1), Stopped(2**31, 1)]
)
def test_a_number_that_is_no_process_is_never_signalled(change: Stopped | Helper) -> None:
    """kill(2) would signal whole process groups."""
    outcome = restore(change)

    assert "continued" not in outcome.text
    assert "ended" not in outcome.text


def test_an_io_priority_is_put_back(sleeper: subprocess.Popen[bytes]) -> None:
    priorities, pid = IoPriorities(), sleeper.pid
    before = priorities.raw(pid)
    assert before is not None
    priorities.set_raw(pid, IDLE)

    outcome = restore(IoPriority(pid, start_ns(pid), pid, before, IDLE))

    assert priorities.raw(pid) == before
    assert outcome.problem == ""


def test_an_io_priority_of_somebody_else_is_left(sleeper: subprocess.Popen[bytes]) -> None:
    pid = sleeper.pid
    IoPriorities().set_raw(pid, (2 << 13) | 7)

    outcome = restore(IoPriority(pid, start_ns(pid), pid, 0, IDLE))

    assert IoPriorities().raw(pid) == (2 << 13) | 7
    assert "left as it is" in outcome.problem


def test_a_thread_that_has_ended_needs_nothing(sleeper: subprocess.Popen[bytes]) -> None:
    pid = sleeper.pid

    assert restore(IoPriority(pid, start_ns(pid), 1, 0, IDLE)) == (True, "", "")
