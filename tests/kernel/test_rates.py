"""Rates on the screen are those of the writer, within half a percent over ten seconds."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest

from iotop_ng.clock import SystemClock
from iotop_ng.model.frame import Frame
from iotop_ng.session import Session
from iotop_ng.sources.bcc import BccSource
from tests.kernel.counts import proc_io
from tests.kernel.disks import Mounted

pytestmark = pytest.mark.kernel

SECONDS = 10
MIB = 1 << 20


@contextmanager
def steady(mount: Mounted, name: str, rate: int, *options: str) -> Iterator[subprocess.Popen[str]]:
    """Write at a fixed rate (bytes/s) from one process that is still there at the end."""
    with subprocess.Popen(
        ["fio", "--thread", f"--name={name}", f"--filename={mount.path / name}", "--rw=write",
         "--bs=64k", "--size=256M", f"--rate={rate}", "--time_based", f"--runtime={SECONDS + 3}",
         "--fallocate=none", "--output-format=json", *options],
        stdout=subprocess.PIPE, text=True,
    ) as fio:  # fmt: skip
        yield fio


def mean_rate(frames: list[Frame], pid: int, column: str) -> float:
    """Return the mean of a column over all intervals, weighted by their length."""
    parts = []
    for frame in frames:
        row = next(row for row in frame.rows if row.pid == pid)
        parts.append(getattr(row, column) * frame.interval_s)
    return float(sum(parts) / sum(frame.interval_s for frame in frames))


@pytest.mark.usefixtures("own_cache")
def test_mean_rates_over_ten_seconds_are_those_of_fio_and_of_the_kernel(
    ext4: Mounted, note: Callable[[str], None]
) -> None:
    """A direct and a buffered writer at once, beside /proc/PID/io at the same moments."""
    session = Session(BccSource(), SystemClock(), 1.0)
    frames: list[Frame] = []
    with ExitStack() as stack:
        session.open()
        stack.callback(session.close)
        writers = {
            "direct": stack.enter_context(steady(ext4, "direct", 20 * MIB, "--direct=1")),
            "buffered": stack.enter_context(steady(ext4, "buffered", 7 * MIB)),
        }
        time.sleep(1)
        counts: list[tuple[int, dict[str, int]]] = []
        for frame in session.frames(count=SECONDS):
            frames.append(frame)
            written = {name: proc_io(fio.pid).write_bytes for name, fio in writers.items()}
            counts.append((time.monotonic_ns(), written))
        bandwidth = {
            name: json.loads(fio.communicate()[0])["jobs"][0]["write"]["bw_bytes"]
            for name, fio in writers.items()
        }

    (start_ns, first), (end_ns, last) = counts[0], counts[-1]
    for name, fio in writers.items():
        ours = mean_rate(frames[1:], fio.pid, "write_bytes_per_s")
        kernels = (last[name] - first[name]) * 1e9 / (end_ns - start_ns)
        note(f"rate, {name}: ours {ours:.0f}, /proc/PID/io {kernels:.0f}, fio {bandwidth[name]}")
        assert ours == pytest.approx(kernels, rel=0.005)
        assert ours == pytest.approx(bandwidth[name], rel=0.005)
    disk = mean_rate(frames[1:], writers["direct"].pid, "disk_write_bytes_per_s")
    assert disk == pytest.approx(bandwidth["direct"], rel=0.005)
