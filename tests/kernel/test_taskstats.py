"""Delay accounting of a real writer, beside the kernel's other account of it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from iotop_ng.sample import Process
from iotop_ng.sources.procfs import ProcfsSource
from iotop_ng.sources.task_file import DescriptorBudget
from iotop_ng.sources.taskstats import TaskStats

pytestmark = pytest.mark.kernel

SWITCH = Path("/proc/sys/kernel/task_delayacct")
TICKS = 42 - 3  # delayacct_blkio_ticks, proc_pid_stat(5), counted behind the name

WRITER = """
import os, sys
fd = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT, 0o600)
sys.stdin.readline()
for i in range(101):
    os.pwrite(fd, os.urandom(65536), i * 65536)
    os.fsync(fd)
print("done", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def accounting() -> Iterator[None]:
    """Turn delay accounting on, and back to what it was."""
    before = SWITCH.read_text("ascii")
    SWITCH.write_text("1\n", "ascii")
    yield
    SWITCH.write_text(before, "ascii")


@pytest.mark.usefixtures("accounting")
def test_waits_of_a_writer_are_those_of_its_stat_line(tmp_path: Path) -> None:
    source = ProcfsSource(delays=TaskStats(), budget=DescriptorBudget(200))
    source.open()
    source.read(frozenset())
    # The start of a process is known to a clock tick: only later ones surely began after "on".
    time.sleep(0.02)
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path / "data")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        before = _read(source, child.pid)
        child.stdin.write("go\n")
        child.stdin.flush()
        child.stdout.readline()
        after = _read(source, child.pid)
        stat = Path(f"/proc/{child.pid}/stat").read_text("ascii").rpartition(")")[2].split()
        child.stdin.write("end\n")
        child.stdin.flush()
    source.close()

    waited_ns = after.totals.io_delay_ns
    tick_ns = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
    assert before.totals.io_delay_ns is not None
    assert waited_ns is not None
    assert waited_ns > before.totals.io_delay_ns
    assert waited_ns // tick_ns == int(stat[TICKS])


def _read(source: ProcfsSource, pid: int) -> Process:
    processes = source.read(frozenset()).processes
    return next(process for process in processes if process.pid == pid)
