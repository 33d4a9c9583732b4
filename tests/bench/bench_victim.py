"""What a victim gains when the hog is limited: fsync latencies and the scores of resctl-bench.

python -m tests.bench.bench_victim [--quick] [--directory DIR] [--with hold,guard] [--way write]

DIR should be on a slow disk: python -m tests.guest.machine '… --directory /data' has one. Each
phase starts the hog anew, lets it flood, applies its means, and is measured from the request on.

isol     per second min(1, operations / operations alone); mean, 5th and 1st percentile
lat-imp  per second max(0, mean latency / mean latency alone - 1)
work-csv used / (used + min(unused, lost)): used is what the disk wrote, unused what it could have
         written besides, lost what the hog could not write of what it wants (beyond 1 s of debt)
"""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from iotop_ng.enforcers.client import KeeperClient
from iotop_ng.enforcers.orders import Kind, Mechanism
from iotop_ng.errors import IotopError
from iotop_ng.policy import scores
from iotop_ng.policy.actions import NS_PER_S
from iotop_ng.policy.scores import Operation
from tests.bench.acting import (
    Limiter,
    Place,
    Undo,
    by_keeper,
    markdown,
    opened,
    own_cgroup,
    place,
    plain_io_max,
    plain_ionice,
    started_in,
)
from tests.bench.measure import IOTOP_NG, median
from tests.kernel.counts import SECTOR, diskstats
from tests.kernel.hogs import MB, Counts, Hog, Way
from tests.kernel.victims import PERIOD_US, Sync, Victim

FLOOD_S = 5.0
REST_S = 2.0
RULES = """\
[[guard]]
name = "victim"
victim = {{ comm = "victim" }}
hogs = {{ comm = "hog" }}
keep_fsync_p99 = "{limit_ms}ms"
"""


class Phase(NamedTuple):
    """What happened in one phase."""

    name: str
    seconds: int
    began_ns: int
    syncs: tuple[Sync, ...]
    hog: Counts | None
    device_bytes: int


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the value below which `percent` % of the values are; nan for none."""
    ordered = sorted(values)
    if not ordered:
        return float("nan")
    return ordered[min(int(len(ordered) * percent / 100), len(ordered) - 1)]


def scored(phase: Phase, alone: Phase) -> scores.Isolation:
    """Return isol and lat-imp."""
    base = scores.alone(_operations(alone), alone.seconds)
    end_ns = phase.began_ns + phase.seconds * NS_PER_S
    return scores.isolation(scores.windows(_operations(phase), phase.began_ns, end_ns, base))


def work_conservation(phase: Phase, capacity: float) -> float:
    """Return work-csv."""
    lost = phase.hog.lost_bytes if phase.hog else 0
    return scores.work_conservation(phase.device_bytes, capacity * phase.seconds, lost)


def protected_s(phase: Phase, limit_ms: float) -> float:
    """Return how long it took until the p99 of all that followed was within the limit, s; or nan.

    From the request on.
    """
    limit_ns = round(limit_ms * 1e6)
    took_ns = scores.settling_time(_operations(phase), phase.began_ns, limit_ns, PERIOD_US * 1000)
    return float("nan") if took_ns is None else took_ns / 1e9


def _operations(phase: Phase) -> list[Operation]:
    return [Operation(sync.began_ns, sync.ended_ns) for sync in phase.syncs]


class Bench:
    """The victim, the disk, and what is the same in all phases."""

    def __init__(
        self, here: Place, victim: Victim, cgroup: Path | None, options: argparse.Namespace
    ) -> None:
        self._here, self._victim, self._cgroup, self._options = here, victim, cgroup, options
        self.wants = 0

    def watch(self, name: str, seconds: int, hog: Hog | None, begin: Callable[[], Undo]) -> Phase:
        """Begin something and watch victim, hog and disk from then on."""
        ops, counts = self._victim.ops(), hog.counts() if hog else None
        sectors, began = diskstats(self._here.disk).sectors_written, time.monotonic_ns()
        undo = begin()
        time.sleep(max(began / 1e9 + seconds - time.monotonic(), 0))
        phase = Phase(
            name,
            seconds,
            began,
            tuple(self._victim.syncs(ops)),
            hog.counts().since(counts) if hog and counts else None,
            (diskstats(self._here.disk).sectors_written - sectors) * SECTOR,
        )
        undo()
        return phase

    def _hog(self) -> Hog:
        options = self._options
        return Hog(
            self._here.programs / "hog",
            self._here.directory,
            self._here.memory,
            Way(options.way, options.size, sync=options.sync),
            rate=self.wants,
            span=options.span * MB,
            started_by=started_in(self._cgroup),
        )

    def flooded(self, name: str, limiter: Limiter | None) -> Phase | None:
        """Flood, limit, watch, take back, rest; None when the limit cannot be set."""
        cap = int(self._options.cap * MB)
        phase = None
        with self._hog() as hog:
            time.sleep(FLOOD_S)
            try:
                if limiter:
                    limiter.prepare(hog, cap)
                phase = self.watch(
                    name,
                    self._options.seconds,
                    hog,
                    lambda: limiter.apply(hog, cap) if limiter else _nothing,
                )
            except IotopError as problem:
                print(f"{name}: {problem}", flush=True)
        rest()
        return phase

    def guarded(self, limit_ms: float) -> Phase:
        """Let `iotop-ng guard --enforce` stand guard, flood, watch from the flood's first byte."""
        with tempfile.NamedTemporaryFile("w", suffix=".toml") as rules:
            rules.write(RULES.format(limit_ms=round(limit_ms)))
            rules.flush()
            guard = subprocess.Popen(
                [*IOTOP_NG, "guard", rules.name, "--enforce"],
                stdout=None if self._options.tell else subprocess.DEVNULL,
            )
            time.sleep(self._options.guard_start)
            try:
                with self._hog() as hog:
                    phase = self.watch("guard", self._options.seconds, hog, lambda: _nothing)
                if guard.poll() is not None:
                    print(f"guard: ended by itself with {guard.returncode}")
            finally:
                guard.terminate()
                guard.wait(20)
        rest()
        return phase


def rest() -> None:
    """Let the disk come to rest."""
    os.sync()
    time.sleep(REST_S)


def _nothing() -> None:
    """Nothing is to be taken back."""


def limiters(client: KeeperClient, here: Place, cgroup: Path | None) -> dict[str, Limiter | None]:
    """Return every means that can be tried here."""
    found: dict[str, Limiter | None] = {
        "flood": None,
        "hold": by_keeper(client, Mechanism.HOLD),
        "drop": by_keeper(client, Mechanism.DROP, Kind.DROP),
        "pause": by_keeper(client, Mechanism.PAUSE),
        "ionice": Limiter(plain_ionice),
    }
    if cgroup is not None:
        found["io_max"] = by_keeper(client, Mechanism.IO_MAX)
        found["io.max by hand"] = plain_io_max(cgroup, here.disk)
    return found


HEADER = (
    "phase", "fsync p50 ms", "p99", "max", "p99 of 2nd half", "well after s", "hog MB/s",
    "device MB/s", "isol mean", "05", "01", "lat-imp", "work-csv",
)  # fmt: skip


def line(phase: Phase, alone: Phase, capacity: float, limit_ms: float) -> list[str]:
    """Return a line of the table."""
    took = [sync.latency_ms for sync in phase.syncs]
    half_ns = phase.began_ns + phase.seconds * 500_000_000
    later = [sync.latency_ms for sync in phase.syncs if sync.ended_ns > half_ns]
    found = scored(phase, alone)
    return [
        phase.name,
        *(f"{percentile(took, percent):.1f}" for percent in (50, 99, 100)),
        f"{percentile(later, 99):.1f}",
        f"{protected_s(phase, limit_ms):.1f}",
        f"{phase.hog.bytes / phase.seconds / MB:.2f}" if phase.hog else "-",
        f"{phase.device_bytes / phase.seconds / MB:.2f}",
        *(f"{100 * one:.1f} %" for one in (found.isol, found.isol_05, found.isol_01)),
        f"{100 * found.lat_imp:.0f} %",
        f"{100 * work_conservation(phase, capacity):.1f} %",
    ]


def calibrated(bench: Bench, here: Place, options: argparse.Namespace) -> float:
    """Return what the disk can write, bytes per second: the median second of a free hog."""
    found = []
    way = Way(options.way, options.size, sync=options.sync)
    with Hog(here.programs / "hog", here.directory, here.memory, way, span=options.span * MB):
        for _ in range(options.calibrate):
            sectors = diskstats(here.disk).sectors_written
            time.sleep(1)
            found.append((diskstats(here.disk).sectors_written - sectors) * SECTOR)
    rest()
    bench.wants = int(options.wants * median(found))
    return median(found)


def phases(options: argparse.Namespace, here: Place) -> None:
    """Run all phases and print the table."""
    rows = []
    with (
        closing(opened()) as client,
        own_cgroup() as cgroup,
        Victim(here.programs / "victim", here.directory, here.memory) as victim,
    ):
        bench = Bench(here, victim, cgroup, options)
        time.sleep(REST_S)
        alone = bench.watch("alone", options.seconds, None, lambda: _nothing)
        limit_ms = options.limit or 2 * percentile([s.latency_ms for s in alone.syncs], 99)
        capacity = calibrated(bench, here, options)
        print(f"the disk writes {capacity / MB:.1f} MB/s; the hog wants {options.wants:g} x that")
        print(f"way {options.way}, cap {options.cap:g} MB/s, limit {limit_ms:.0f} ms\n")
        means = limiters(client, here, cgroup)
        found: list[Phase | None] = [alone]
        for name in options.means or [*means, "guard"]:
            if name == "guard":
                found.append(bench.guarded(limit_ms))
            elif name in means:
                found.append(bench.flooded(name, means[name]))
            else:
                print(f"{name}: not here, left out")
                continue
            if found[-1] is not None:
                print(" | ".join(line(found[-1], alone, capacity, limit_ms)), flush=True)
        found.append(bench.watch("after", options.seconds, None, lambda: _nothing))
        rows = [line(one, alone, capacity, limit_ms) for one in found if one is not None]
    print(f"\n{markdown(HEADER, rows)}")


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--directory", type=Path, help="on the disk to write to")
    parser.add_argument("--with", dest="means", default="", help="phases, by commas")
    parser.add_argument("--way", default="write", help="see workloads/hog.c")
    parser.add_argument("--size", type=int, default=65536)
    parser.add_argument("--sync", type=int, default=0)
    parser.add_argument("--span", type=int, default=512, help="MB that the hog writes in turn")
    parser.add_argument("--cap", type=float, default=5, help="MB/s")
    parser.add_argument("--wants", type=float, default=2, help="the hog's rate, x the disk's")
    parser.add_argument("--limit", type=float, help="ms; without: twice the p99 alone")
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--guard-start", type=float, default=8, help="s that guard has to begin")
    parser.add_argument("--calibrate", type=int, default=10, metavar="SECONDS")
    parser.add_argument("--tell", action="store_true", help="show what guard says")
    parser.add_argument("--quick", action="store_true", help="6 s each: a rough look")
    options = parser.parse_args()
    if options.quick:
        options.seconds, options.calibrate = 6, 4
    options.means = [word for word in options.means.split(",") if word]
    with place(options.directory) as here:
        phases(options, here)


if __name__ == "__main__":
    main()
