"""On every kernel, the program starts, prints and leaves nothing behind."""

from __future__ import annotations

import ctypes
import json
import signal
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.guest.boots import CHECKOUT
from tests.kernel.gate import Workload, wait_until

pytestmark = pytest.mark.guest(every_kernel=True)

Workloads = Callable[[str], Path]
PROGRAM = (sys.executable, "-m", "iotop_ng")
SIZE = 65536
COUNT = 101
_BPF = 321  # x86-64
_NEXT_ID = {"program": 11, "map": 12, "link": 31}  # include/uapi/linux/bpf.h: enum bpf_cmd
_libc = ctypes.CDLL(None)


@contextmanager
def batch(source: str, *before: str) -> Iterator[subprocess.Popen[str]]:
    """Run batch output, a JSON line a second, until the block ends; `before` is what starts it."""
    options = ("-b", "-P", "--format", "json", "-n", "600", "--source", source)
    command = [*before, *PROGRAM, *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        try:
            yield running
        finally:
            running.kill()


def reading(running: subprocess.Popen[str]) -> dict[str, Any]:
    """Return the next interval that batch output prints."""
    assert running.stdout is not None
    line = running.stdout.readline()
    assert line, "batch output has ended"
    found: dict[str, Any] = json.loads(line)
    return found


def assert_writer_is_counted(
    running: subprocess.Popen[str], workloads: Workloads, directory: Path
) -> None:
    """Let a writer write while batch output runs; its row says what /proc/PID/io says."""
    with Workload(workloads("writer"), "write", directory / "data", COUNT, SIZE) as writer:
        reading(running)
        writer.run()
        counted = writer.io().write_bytes  # btrfs adds nodes of its trees
        seen = -1
        for _ in range(10):
            rows = [row for row in reading(running)["tasks"] if row["pid"] == writer.pid]
            seen = rows[0]["write_bytes_total"] if rows else -1
            if seen >= counted:
                break
        writer.end()
    assert counted >= COUNT * SIZE
    assert seen == counted


@pytest.mark.parametrize("source", ["bcc", "procfs"])
def test_batch_output_counts_with_each_source(
    source: str, workloads: Workloads, directory: Path
) -> None:
    """The bytes of a writer are on its row, exactly."""
    with batch(source) as running:
        assert reading(running)["source"] == source
        assert_writer_is_counted(running, workloads, directory)


def test_doctor_finds_nothing_missing() -> None:
    """A stock kernel with BCC beside it has all that the program needs."""
    done = subprocess.run([*PROGRAM, "doctor", "--json"], stdout=subprocess.PIPE, check=True)
    report = json.loads(done.stdout)

    assert (report["source"], report["is_complete"], report["gaps"]) == ("bcc", True, [])
    assert {
        check["id"]: check["state"] for check in report["checks"] if check["state"] != "ok"
    } == {}


WITHOUT_TRACEFS = 'umount /sys/kernel/tracing; umount -R /sys/kernel/debug; exec "$@"'


@pytest.mark.guest  # another compilation: on one kernel only
def test_bcc_counts_without_tracefs(workloads: Workloads, directory: Path) -> None:
    """Only pauses and system calls need it; the counts are as exact."""
    with batch("bcc", "unshare", "--mount", "sh", "-c", WITHOUT_TRACEFS, "sh") as running:
        assert reading(running)["source"] == "bcc"
        assert_writer_is_counted(running, workloads, directory)


_HOLDER = """
import time
from iotop_ng.sample import Need
from iotop_ng.sources.bcc import BccSource
source = BccSource()
source.open()
source.read(frozenset(Need))
print("counting", flush=True)
time.sleep(600)
"""


def test_kill_9_leaves_no_program_map_or_link() -> None:
    """Every BPF object that this kernel has afterwards was there before."""
    before = bpf_ids()
    command = [sys.executable, "-c", _HOLDER]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=CHECKOUT) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"counting\n"
        ours = bpf_ids() - before
        holder.send_signal(signal.SIGKILL)

    assert {kind for kind, _ in ours} == {"program", "map", "link"}
    assert len(ours) >= 25
    wait_until(lambda: bpf_ids() <= before, "the kernel frees what was held", 30)


def bpf_ids() -> set[tuple[str, int]]:
    """Return every BPF object of this kernel, as bpf(2) enumerates them."""
    found = set()
    for kind, command in _NEXT_ID.items():
        number = 0
        while True:
            attributes = ctypes.create_string_buffer(struct.pack("<III", number, 0, 0), 144)
            if _libc.syscall(_BPF, command, attributes, 144) < 0:
                break
            number = struct.unpack_from("<I", attributes, 4)[0]
            found.add((kind, number))
    return found
