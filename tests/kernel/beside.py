"""Other tools that count the same things at the same time: fio, bpftrace, iostat."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from iotop_ng.sample import HISTOGRAM_SLOTS, Histogram
from tests.kernel.rows import log2_slot

_ENDING_S = 30
_AGAIN_S = 5
_FIO_S = 60


def fio(*options: str) -> dict[str, Any]:
    """Run fio with one job; return the job's part of its JSON report."""
    words = ["fio", "--name=job", "--fallocate=none", "--output-format=json+", *options]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=_FIO_S)
    assert done.returncode == 0, done.stderr
    jobs: list[dict[str, Any]] = json.loads(done.stdout)["jobs"]
    assert len(jobs) == 1
    return jobs[0]


def histogram(counts: Mapping[str, int]) -> Histogram:
    """Return durations (ns, as text) -> counts as slots like ours."""
    slots = [0] * HISTOGRAM_SLOTS
    for ns, count in counts.items():
        slots[log2_slot(float(ns))] += count
    return tuple(slots)


class Traced:
    """What a bpftrace script printed when it ended."""

    def __init__(self) -> None:
        self.maps: dict[str, Any] = {}

    def take(self, output: str) -> None:
        """Remember the maps in its JSON lines."""
        for line in output.splitlines():
            if line.startswith("{"):
                record = json.loads(line)
                if record["type"] in {"map", "hist", "stats"}:
                    self.maps.update(record["data"])

    def histogram(self, name: str) -> Histogram:
        """Return a map that hist() filled."""
        return histogram({str(row["min"]): row["count"] for row in self.maps[name]})


@contextlib.contextmanager
def bpftrace(script: str) -> Iterator[Traced]:
    """Trace while the context is open; the maps are there after it."""
    traced = Traced()
    with subprocess.Popen(
        ["bpftrace", "-f", "json", "-e", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            ready, _, _ = select.select([process.stdout], [], [], _ENDING_S)
            assert ready, f"bpftrace has not attached after {_ENDING_S} s"
            first = process.stdout.readline()
            assert "attached_probes" in first, process.communicate()[1]
            yield traced
            output = _interrupted(process)
        finally:
            # Nothing to do when it has ended; else leaving the context would wait for ever.
            process.kill()
    traced.take(output)


def _interrupted(process: subprocess.Popen[str]) -> str:
    """End bpftrace and return what it printed.

    Release 0.17 looks whether it was interrupted and then waits for events: a signal in between
    is not seen until the next one. Between two signals it has time to print.
    """
    for _ in range(_ENDING_S // _AGAIN_S):
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.communicate(timeout=_AGAIN_S)[0]
    raise AssertionError(f"bpftrace has not ended within {_ENDING_S} s")


class Reported:
    """What iostat said of one device over its interval."""

    def __init__(self) -> None:
        self.values: dict[str, float] = {}


@contextlib.contextmanager
def iostat(device: str, seconds: int) -> Iterator[Reported]:
    """Run `iostat -x` over one interval, in which the context's work has to fit."""
    reported = Reported()
    with subprocess.Popen(
        ["iostat", "-x", "-y", "-o", "JSON", device, str(seconds), "1"],
        stdout=subprocess.PIPE,
        env={**os.environ, "LC_ALL": "C"},
        text=True,
    ) as process:
        # Its second reading of the counters is the end of the interval; the first is at once.
        yield reported
        assert process.poll() is None, f"the work took longer than iostat's {seconds} s"
        output, _ = process.communicate(timeout=_ENDING_S)
    disks = json.loads(output)["sysstat"]["hosts"][0]["statistics"][0]["disk"]
    reported.values = {k: float(v) for k, v in disks[0].items() if k != "disk_device"}


def device_number(path: Path) -> int:
    """Return the kernel's own dev_t of a block device, as tracepoints print it."""
    status = path.stat()
    return os.major(status.st_rdev) << 20 | os.minor(status.st_rdev)
