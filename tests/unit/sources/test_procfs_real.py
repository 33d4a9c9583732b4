"""The procfs source beside this machine's own /proc; needs no privileges."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

from iotop_ng.sample import Need, Process, Sample
from iotop_ng.sources.procfs import ProcfsSource
from iotop_ng.sources.task_file import DescriptorBudget

KIB = 4001
"""Prime, and no multiple of a page."""

# Writes, then says what the kernel counted for it between two readings of its own.
WRITER = f"""
import os, sys
def counted():
    lines = open("/proc/self/io").read().split()
    return int(lines[3]), int(lines[11])
fd = os.open(sys.argv[1], os.O_RDWR)
sys.stdin.readline()
before = counted()
for i in range({KIB}):
    os.pwrite(fd, b"x" * 1024, i * 1024)
os.fsync(fd)
after = counted()
print(after[1] - before[1], flush=True)
sys.stdin.readline()
"""


def process_of(sample: Sample, pid: int) -> Process:
    return next(process for process in sample.processes if process.pid == pid)


def test_a_childs_writes_are_counted_exactly(tmp_path: Path) -> None:
    target = tmp_path / "data"
    target.write_bytes(bytes(KIB * 1024))
    source = ProcfsSource(budget=DescriptorBudget(50))
    source.open()
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(target)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        before = process_of(source.read(frozenset()), child.pid)
        child.stdin.write("go\n")
        child.stdin.flush()
        own = int(child.stdout.readline())
        after = process_of(source.read(frozenset()), child.pid)
        child.stdin.write("end\n")
        child.stdin.flush()
        child.wait()
        ended = process_of(source.read(frozenset()), child.pid)
    source.close()

    assert after.key == before.key
    assert after.totals.write_bytes is not None
    assert before.totals.write_bytes is not None
    assert after.totals.asked_write_bytes is not None
    assert before.totals.asked_write_bytes is not None
    assert after.totals.write_bytes - before.totals.write_bytes == own
    # Its one print of the figure is a write, too.
    assert after.totals.asked_write_bytes - before.totals.asked_write_bytes == KIB * 1024 + len(
        f"{own}\n"
    )
    assert ended.is_exited
    assert str(target) in after.command


SHELL = f"""
import os, subprocess, sys
sys.stdin.readline()
os.write(2, b"y" * 17)
subprocess.run([sys.executable, "-c", "import os; os.write(2, b'x' * {KIB})"])
print(flush=True)
sys.stdin.readline()
"""


def test_a_parent_is_not_charged_with_what_its_child_wrote() -> None:
    """The kernel adds it to the parent's /proc/PID/io in the moment the parent waits."""
    source = ProcfsSource(budget=DescriptorBudget(50))
    source.open()
    with subprocess.Popen(
        [sys.executable, "-c", SHELL],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as shell:
        assert shell.stdin is not None
        assert shell.stdout is not None
        before = process_of(source.read(frozenset()), shell.pid).totals.asked_write_bytes
        shell.stdin.write("go\n")
        shell.stdin.flush()
        shell.stdout.readline()
        after = process_of(source.read(frozenset()), shell.pid).totals.asked_write_bytes
        summed = int(Path(f"/proc/{shell.pid}/io").read_text("ascii").split()[3])
        shell.stdin.write("end\n")
        shell.stdin.flush()
    source.close()

    assert before is not None
    assert after is not None
    # 17 bytes and its line; subprocess itself writes nothing.
    assert after - before == 17 + 1
    assert summed - before >= KIB


def test_threads_of_this_process_are_seen() -> None:
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait)
    thread.start()
    source = ProcfsSource(budget=DescriptorBudget(50))
    source.open()
    own = process_of(source.read(frozenset({Need.THREADS})), _own_pid())
    stop.set()
    thread.join()
    source.close()

    assert thread.native_id in {one.tid for one in own.threads}
    assert own.pid in {one.tid for one in own.threads}


def test_every_process_of_the_machine_is_seen() -> None:
    """Those that live through all three listings."""
    source = ProcfsSource(budget=DescriptorBudget(50))
    source.open()
    before = _listed()
    sample = source.read(frozenset())
    after = _listed()
    source.close()

    seen = {process.pid for process in sample.processes}
    assert before & after <= seen
    assert len({process.key for process in sample.processes}) == len(sample.processes)


def _listed() -> set[int]:
    return {int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal()}


def _own_pid() -> int:
    return int(Path("/proc/self").readlink().name)
