"""A caller that waits in fsync is seen while it waits, by a clock that both sides share."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from iotop_ng.sample import Need, Process
from iotop_ng.sources.bcc import BccSource
from tests.kernel.disks import Mounted

pytestmark = pytest.mark.kernel

NEEDS = frozenset({Need.SYSCALLS})
SYNCS = """
import os, sys, threading
def sync():
    fd = os.open(sys.argv[1], os.O_CREAT | os.O_WRONLY)
    for _ in range(12):
        os.pwrite(fd, bytes(48 << 20), 0)
        os.fsync(fd)
thread = threading.Thread(target=sync)
thread.start()
thread.join()
print("done", flush=True)
sys.stdin.read()
"""


def test_an_fsync_has_an_age_until_it_returns(ext4: Mounted, source: BccSource) -> None:
    """The call is made by a second thread, and the age is its process's."""

    def look() -> Process | None:
        found = source.read(NEEDS).processes
        return next((p for p in found if p.pid == child.pid and not p.is_exited), None)

    source.read(NEEDS)
    begin_ns = time.monotonic_ns()
    child = subprocess.Popen(
        [sys.executable, "-c", SYNCS, ext4.path / "data"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert child.stdin is not None
    assert child.stdout is not None
    ages = []
    with child, child.stdin, child.stdout:
        while not (ended := look()) or sum(ended.totals.fsync or ()) < 12:
            before_ns = time.monotonic_ns()
            process = look()
            if process is not None and process.fsync_age_ns:
                ages.append(process.fsync_age_ns)
                assert process.fsync_age_ns <= time.monotonic_ns() - begin_ns
            assert before_ns - begin_ns < 120 * 10**9
        assert child.stdout.readline() == b"done\n"
        idle = look()

    assert ages
    assert idle is not None
    assert idle.fsync_age_ns == 0


def test_nothing_is_said_while_nobody_asks(source: BccSource) -> None:
    ages = {process.fsync_age_ns for process in source.read(frozenset()).processes}

    assert ages == {None}
