"""Programs compiled from installed kernel headers, as for kernels without BTF, count the same."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from iotop_ng.sample import Need
from iotop_ng.sources.bcc import BccSource
from tests.kernel.gate import Workload
from tests.kernel.rows import children, find

pytestmark = pytest.mark.guest

SIZE = 65536
COUNT = 211
SHORT_LIVED = 53
NEEDS = frozenset({Need.SYSCALLS})


def test_programs_compiled_from_headers_count_the_same(
    workloads: Callable[[str], Path], directory: Path
) -> None:
    """A buffered writer, a direct one, short-lived ones; only the task iterator is missing."""
    source = BccSource(use_btf=False)
    source.open()
    try:
        sample = source.read(frozenset(Need))
        problems = {probe.name: probe.problem for probe in sample.probes if probe.problem}
        found = {}
        for way in ("write", "direct"):
            with Workload(workloads("writer"), way, directory / way, COUNT, SIZE) as writer:
                source.read(NEEDS)
                writer.run()
                os.sync()
                totals = find(source.read(NEEDS), writer.pid).totals
                writer.end()
            found[way] = (
                totals.write_bytes, totals.dirtied_bytes, totals.disk_write_bytes,
                totals.asked_write_bytes,
            )  # fmt: skip
        with Workload(workloads("shorties"), directory, SHORT_LIVED, 0) as parent:
            source.read(NEEDS)
            parent.run()
            ended = children(source.read(NEEDS), parent.pid)
            parent.end()
    finally:
        source.close()

    written = COUNT * SIZE
    assert problems == {}
    assert found["write"] == (written, written, written, written)
    assert found["direct"] == (written, 0, written, written)
    assert [process.totals.write_bytes for process in ended] == [SIZE] * SHORT_LIVED
