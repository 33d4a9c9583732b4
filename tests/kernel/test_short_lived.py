"""Processes and threads that live for milliseconds are counted, with names and exact bytes."""

from __future__ import annotations

import pwd
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from iotop_ng.sample import Process
from iotop_ng.sources.bcc import BccSource
from tests.kernel.disks import Mounted
from tests.kernel.gate import Workload
from tests.kernel.rows import number

pytestmark = pytest.mark.kernel

COUNT = 1009  # prime
SIZE = 65536
UID = 65534


def test_a_thousand_processes_that_live_for_milliseconds_are_all_counted(
    workloads: Callable[[str], Path],
    ext4: Mounted,
    source: BccSource,
    note: Callable[[str], None],
) -> None:
    """Each has its name, command line, user and 65,536 bytes; iotop-c stands beside it."""
    seen: dict[int, Process] = {}
    with (
        subprocess.Popen(
            ["iotop-c", "-b", "-o", "-P", "-q", "-d", "1", "-n", "8"],
            stdout=subprocess.PIPE,
            text=True,
        ) as beside,
        Workload(workloads("shorties"), ext4.path, COUNT, UID) as parent,
    ):
        time.sleep(1.5)  # iotop-c has its first reading
        source.read(frozenset())
        parent.let_through()
        end = time.monotonic() + 5
        while time.monotonic() < end:
            time.sleep(1)
            sample = source.read(frozenset())
            seen.update((process.pid, process) for process in sample.processes)
        parent.wait_done()
        sample = source.read(frozenset())
        seen.update((process.pid, process) for process in sample.processes)
        parent.end()
        listed, _ = beside.communicate()

    lines = [line.split() for line in parent.output.decode("ascii").splitlines()]
    lives = sorted(int(us) for _, _, us in lines)
    named = sum(f"{ext4.path}/" in line for line in listed.splitlines())
    nobody = pwd.getpwuid(UID).pw_name
    note(
        f"short-lived: {COUNT} processes, alive {lives[len(lives) // 2] / 1000:.2f} ms (median), "
        f"{sum(us < 10_000 for us in lives)} of them under 10 ms; "
        f"seen {sum(int(pid) in seen for _, pid, _ in lines)}; lost {sample.lost}; "
        f"iotop-c saw {named}"
    )
    assert len(lines) == COUNT
    assert sample.lost == 0
    for index, pid, _ in lines:
        process = seen[int(pid)]
        assert process.is_exited
        assert process.comm == "shorties"
        assert process.command == f"shorties {ext4.path}/{index}"
        assert process.user == (nobody if int(index) % 2 else "root")
        assert process.totals.write_bytes == SIZE
        assert process.totals.dirtied_bytes == SIZE
    ext4.flush()
    after = {process.pid: process for process in source.read(frozenset()).processes}
    on_disk = [number(after[int(pid)].totals.disk_write_bytes) for _, pid, _ in lines]
    assert on_disk == [SIZE] * COUNT
