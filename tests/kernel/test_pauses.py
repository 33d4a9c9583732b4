"""The kernel's back-pressure on a writer shows on the writer's row."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from iotop_ng.sources.bcc import BccSource
from tests.kernel.beside import bpftrace
from tests.kernel.disks import Mounted, setting
from tests.kernel.gate import Workload
from tests.kernel.rows import find, number

pytestmark = pytest.mark.kernel

_PAUSES = """
tracepoint:writeback:balance_dirty_pages /pid == PID && args->pause > 0/ {
    @pauses = count();
    @ms = sum(args->pause);
}
"""


def test_pauses_of_a_writer_that_dirties_too_fast_are_on_its_row(
    workloads: Callable[[str], Path],
    ext4: Mounted,
    source: BccSource,
    note: Callable[[str], None],
) -> None:
    """A device that may have 1 % of the dirty pages: the pauses are those that bpftrace sums."""
    status = ext4.disk.path.stat()
    bdi = Path(f"/sys/class/bdi/{os.major(status.st_rdev)}:{os.minor(status.st_rdev)}")
    with ExitStack() as stack:
        stack.enter_context(setting(bdi / "max_ratio", "1"))
        stack.enter_context(setting(bdi / "strict_limit", "1"))
        writer = stack.enter_context(
            Workload(workloads("writer"), "write", ext4.path / "data", 6007, 65536)
        )
        with bpftrace(_PAUSES.replace("PID", str(writer.pid))) as traced:
            writer.run()
            process = find(source.read(frozenset()), writer.pid)
            writer.end()

    paused_ms = number(process.totals.kernel_pause_ns) / 1e6
    note(f"pauses: {traced.maps['@pauses']}, {traced.maps['@ms']} ms; on its row {paused_ms} ms")
    assert traced.maps["@ms"] > 0
    assert paused_ms == traced.maps["@ms"]
