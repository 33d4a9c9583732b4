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
from tests.kernel.gate import wait_until

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


def total(frames: list[Frame], pid: int, column: str) -> float:
    """Return what a column's rates add up to over all intervals."""
    parts = []
    for frame in frames:
        row = next(row for row in frame.rows if row.pid == pid)
        parts.append(getattr(row, column) * frame.interval_s)
    return float(sum(parts))


@pytest.mark.usefixtures("own_cache")
def test_rates_over_ten_seconds_are_those_of_the_kernel_and_of_fio(
    ext4: Mounted, note: Callable[[str], None]
) -> None:
    """A direct and a buffered writer at once; /proc/PID/io is read just before and after us."""
    session = Session(BccSource(), SystemClock(), 1.0)
    with ExitStack() as stack:
        session.open()
        stack.callback(session.close)
        writers = {
            "direct": stack.enter_context(steady(ext4, "direct", 20 * MIB, "--direct=1")),
            "buffered": stack.enter_context(steady(ext4, "buffered", 7 * MIB)),
        }

        def written() -> dict[str, int]:
            return {name: proc_io(fio.pid).write_bytes for name, fio in writers.items()}

        wait_until(lambda: min(written().values()) > MIB, "both write")
        before_first = written()
        session.step()
        after_first = written()
        frames = []
        for _ in range(SECONDS):
            time.sleep(1)
            before_last = written()
            frames.append(session.step())
        after_last = written()
        bandwidth = {
            name: json.loads(fio.communicate()[0])["jobs"][0]["write"]["bw_bytes"]
            for name, fio in writers.items()
        }

    seconds = sum(frame.interval_s for frame in frames)
    for name, fio in writers.items():
        ours = total(frames, fio.pid, "write_bytes_per_s")
        least = before_last[name] - after_first[name]
        most = after_last[name] - before_first[name]
        note(
            f"rate, {name}, over {seconds:.1f} s: ours {ours / seconds:.0f}, /proc/PID/io "
            f"{least / seconds:.0f} to {most / seconds:.0f}, fio {bandwidth[name]}"
        )
        assert least <= round(ours) <= most
        # fio starts and ends at other times; on a busy machine it is not that steady.
        assert ours / seconds == pytest.approx(bandwidth[name], rel=0.05)
    disk = total(frames, writers["direct"].pid, "disk_write_bytes_per_s")
    assert disk == pytest.approx(
        total(frames, writers["direct"].pid, "write_bytes_per_s"), rel=0.005
    )
