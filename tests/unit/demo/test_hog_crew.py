"""Processes of ours: how they begin, and how they end."""

from __future__ import annotations

import errno
import os
import signal
from pathlib import Path

import pytest

from iotop_ng.demo import kernel
from iotop_ng.demo.crew import COMM, Children
from iotop_ng.errors import IotopError


def is_child(pid: int) -> bool:
    """Whether it is still ours to wait for."""
    try:
        return os.waitpid(pid, os.WNOHANG) == (0, 0)
    except ChildProcessError:
        return False


def test_the_pipe_ends_with_the_last_of_them() -> None:
    children = Children([signal.pause, lambda: None])

    os.kill(children.pids[0], signal.SIGTERM)

    assert os.read(children.alive, 1) == b""
    while children.has_living():
        os.sched_yield()
    assert children.problem == "the writers were ended by SIGTERM"


def test_they_have_their_name_from_the_first_moment_and_we_keep_ours() -> None:
    before = kernel.name()
    children = Children([signal.pause])
    comm = Path(f"/proc/{children.pids[0]}/comm").read_text()
    children.end()

    assert comm == f"{COMM}\n"
    assert kernel.name() == before == Path("/proc/thread-self/comm").read_text().removesuffix("\n")


def test_an_exit_code_is_told() -> None:
    def fail() -> None:
        os._exit(3)

    children = Children([fail])
    while children.has_living():
        os.sched_yield()

    assert children.problem == "the writers ended with exit code 3"


def test_those_that_are_stopped_end_too() -> None:
    children = Children([signal.pause, signal.pause])
    os.kill(children.pids[1], signal.SIGSTOP)

    children.end()

    assert not children.has_living()
    assert not any(is_child(pid) for pid in children.pids)


def test_when_there_can_be_no_more_those_that_there_are_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fork, made = os.fork, list[int]()

    def two() -> int:
        if len(made) == 2:
            raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        pid = fork()
        made.append(pid)
        return pid

    monkeypatch.setattr(os, "fork", two)
    with pytest.raises(IotopError, match="no process for a writer: Resource temporarily"):
        Children([signal.pause] * 3)

    assert len(made) == 2
    assert not any(is_child(pid) for pid in made)
