"""A signal reaches exactly the process that was shown, or nobody."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from iotop_ng.model.frame import Row
from iotop_ng.sources.identity import parse_stat
from iotop_ng.view.signalling import send
from tests.fakes import frames


def row_of(pid: int) -> Row:
    stat = parse_stat(Path(f"/proc/{pid}/stat").read_bytes())
    assert stat is not None
    start_ns = stat.start_ticks * 10**9 // os.sysconf("SC_CLK_TCK")
    return replace(frames.row(pid, "sleeper"), start_ns=start_ns)


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as process:
        yield process
        process.kill()


def test_it_arrives(sleeper: subprocess.Popen[bytes]) -> None:
    assert send(row_of(sleeper.pid), signal.SIGTERM) == ""
    assert sleeper.wait(30) == -signal.SIGTERM


def test_another_process_with_the_pid_gets_nothing(sleeper: subprocess.Popen[bytes]) -> None:
    row = row_of(sleeper.pid)
    older = replace(row, start_ns=row.start_ns - 10**9)

    assert send(older, signal.SIGKILL).endswith("its pid is another process by now")
    assert sleeper.poll() is None


def test_the_start_is_compared_in_ticks(sleeper: subprocess.Popen[bytes]) -> None:
    """The kernel's probes know the start to the nanosecond, /proc to the tick."""
    row = row_of(sleeper.pid)
    assert send(replace(row, start_ns=row.start_ns + 9_999_999), signal.SIGCONT) == ""


def test_one_that_has_ended_is_said_to_have(sleeper: subprocess.Popen[bytes]) -> None:
    row = row_of(sleeper.pid)
    sleeper.kill()
    sleeper.wait(30)
    assert send(row, signal.SIGTERM) == f"sleeper[{row.pid}] has ended"


@pytest.mark.parametrize(
    ("row", "why"),
    [
        (frames.row(1, "init"), "init[1] runs the machine"),
        (frames.row(9, "kworker", is_kthread=True), "kworker[9] is a thread of the kernel"),
        (frames.row(os.getpid(), "me"), "is this iotop-ng"),
        (frames.row(os.getppid(), "parent"), "is this iotop-ng, or what started it"),
    ],
)
def test_who_must_not_be_signalled_is_not(row: Row, why: str) -> None:
    assert why in send(row, signal.SIGCONT)
