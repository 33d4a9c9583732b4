"""How exactly a throttle holds: what a hog writes, beside its cap, for every way of writing.

python -m tests.bench.bench_throttle [--quick] [--caps 1,5] [--ways hold] [--with hold,ionice]

Without --directory the hog writes to an ext4 on a loop device over memory. The hog runs free, is
limited, and is measured from the moment of the answer on. `io.max by hand` and `io_max` need cgroup
v2 with io; the guest has it: python -m tests.guest.machine '… --directory /data'.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from iotop_ng.enforcers.client import KeeperClient
from iotop_ng.enforcers.orders import Kind, Mechanism
from iotop_ng.errors import IotopError
from tests.bench.acting import (
    Limiter,
    Place,
    by_keeper,
    markdown,
    opened,
    own_cgroup,
    place,
    plain_io_max,
    plain_ionice,
    started_in,
    stop_continue,
)
from tests.bench.measure import interleaved, median
from tests.kernel.counts import SECTOR, diskstats
from tests.kernel.hogs import MB, Counts, Hog, Way

BURST_S = 0.1
"""What may be made up for (charging.BURST_NS); a write more than that is not held."""
DEPTH = 8
"""Asynchronous writes that are under way at once (workloads/hog_async.h)."""
ASYNC = ("aio", "uring", "uring_direct", "uring_sqpoll")
EVERY_WAY = (
    Way("write"),
    Way("write", 4096),
    Way("write", MB),
    Way("write", sync=16),
    Way("write", threads=8),
    Way("write", sync=16, threads=8),
    Way("pwrite"),
    Way("append"),
    Way("direct"),
    Way("direct", 4096),
    Way("direct", MB),
    Way("direct", sync=16),
    Way("direct", threads=8),
    Way("direct", sync=16, threads=8),
    Way("mmap"),
    Way("aio"),
    Way("uring"),
    Way("uring_direct"),
    Way("uring_sqpoll"),
    Way("splice"),
    Way("sendfile"),
    Way("copy_file_range"),
    Way("fork"),
    Way("write", signals="block"),
    Way("write", signals="go"),
    Way("write", signals="stop"),
    Way("write", signals="idle"),
)
FEW_WAYS = (Way("write"), Way("direct"), Way("write", sync=16))
OTHERS = ("pause", "io_max", "io.max by hand", "ionice", "stop/continue")


class Run(NamedTuple):
    """One hog under one cap."""

    means: str
    cap: int
    way: Way
    free: float
    """Bytes per second before."""
    answer_ms: float
    held_ms: float | None
    """From the request to the last moment at which it wrote more than the cap lets pass."""
    seconds: tuple[float, ...]
    """Bytes that the kernel accepted from it, one per second from the answer on."""
    written: int | None
    """The same by /proc/PID/io; None for what forks."""
    device: int
    counts: Counts
    runs: bool

    @property
    def rate(self) -> float:
        """Bytes per second, over all seconds."""
        return sum(self.seconds) / len(self.seconds)

    def cells(self) -> list[str]:
        """Return a line of the table."""
        off = [100 * (one / self.cap - 1) for one in (self.rate, self.seconds[0])]
        worst = max((one / self.cap - 1 for one in self.seconds), key=abs) * 100
        marks = []
        if self.counts.errors:
            marks.append(f"{self.counts.errors} errors (errno {self.counts.last_errno})")
        if self.counts.interrupted:
            marks.append(f"{self.counts.interrupted} EINTR")
        if self.way.signals == "go":
            sent, handled = self.counts.urg_sent, self.counts.urg_handled
            marks.append(
                f"SIGURG {sent} sent, {handled} handled, {self.counts.urg_lost} lost, "
                f"{self.counts.urg_foreign} added"
            )
        if self.way.signals == "stop":
            marks.append(f"{self.counts.stops} stops, {self.counts.moved} B while stopped")
        if not self.runs:
            marks.append("ended")
        written = "-" if self.written is None else f"{self.written / len(self.seconds) / MB:.2f}"
        return [
            self.means,
            f"{self.cap / MB:g}",
            self.way.name,
            f"{self.free / MB:.0f}",
            f"{self.rate / MB:.2f}",
            f"{off[0]:+.1f} %",
            f"{off[1]:+.1f} %",
            f"{worst:+.1f} %",
            written,
            f"{self.device / len(self.seconds) / MB:.2f}",
            f"{self.answer_ms:.0f}",
            "-" if self.held_ms is None else f"{self.held_ms:.0f}",
            ", ".join(marks) or "none",
        ]


HEADER = (
    "means", "cap MB/s", "way", "free", "accepted", "off", "1st second", "worst second",
    "written", "device", "answer ms", "held ms", "errors, signals",
)  # fmt: skip


def held_at(moments: list[int], size: int, cap: int, slack: float) -> int | None:
    """Return the moment from which on no stretch of time holds more than the cap lets pass.

    Args:
        moments: when each write of `size` bytes ended, ns.
        size: of each.
        cap: bytes per second.
        slack: bytes that any stretch may hold beyond it (burst, writes under way).

    With f(i) = bytes up to i - cap * time of i, that is the first i with max f(j >= i) - f(i) <=
    slack: 100 writes of 1 MB at once and then one a second, cap 1 MB/s, slack 1 MB: the 99th.
    """
    highest, found = float("-inf"), None
    for number in range(len(moments) - 1, -1, -1):
        over = number * size - cap * moments[number] / 1e9
        highest = max(highest, over)
        if highest - over > slack:
            break
        found = moments[number]
    return found


class Job(NamedTuple):
    """One measurement to make."""

    means: str
    limiter: Limiter
    cap: int
    way: Way


def measure(here: Place, job: Job, cgroup: Path | None, options: argparse.Namespace) -> Run:
    """Run a hog free, limit it, watch it, take the limit back."""
    with Hog(
        here.programs / "hog",
        here.directory,
        here.memory,
        job.way,
        span=options.span * MB,
        started_by=started_in(cgroup),
    ) as hog:
        began, at_first = time.monotonic(), hog.counts()
        time.sleep(options.free)
        job.limiter.prepare(hog, job.cap)
        before, asked = hog.counts(), time.monotonic()
        undo = job.limiter.apply(hog, job.cap)
        answered = time.monotonic()
        last, written = hog.counts(), hog.written_bytes()
        sectors = diskstats(here.disk).sectors_written
        seconds, at = list[float](), answered
        for second in range(1, options.seconds + 1):
            time.sleep(max(answered + second - time.monotonic(), 0))
            now, counts = time.monotonic(), hog.counts()
            # Who measures may be late itself: bytes of a second that is exactly one.
            seconds.append((counts.bytes - last.bytes) / (now - at))
            last, at = counts, now
        run = Run(
            means=job.means,
            cap=job.cap,
            way=job.way,
            free=(before.bytes - at_first.bytes) / (asked - began),
            answer_ms=1e3 * (answered - asked),
            held_ms=held_ms(hog, before.ops, job, asked),
            seconds=tuple(seconds),
            written=None if job.way.way == "fork" else hog.written_bytes() - written,
            device=(diskstats(here.disk).sectors_written - sectors) * SECTOR,
            counts=last.since(before),
            runs=hog.runs(),
        )
        undo()
        return run


def held_ms(hog: Hog, since_ops: int, job: Job, asked: float) -> float | None:
    """Return how long after `asked` the hog was held; None: it is not at the end."""
    under_way = job.way.threads * (DEPTH if job.way.way in ASYNC else 1)
    slack = job.cap * BURST_S + 2 * job.way.size * under_way
    held = held_at(hog.moments(since_ops), job.way.size, job.cap, slack)
    return None if held is None else max(held / 1e6 - asked * 1e3, 0)


def limiters(
    client: KeeperClient, names: list[str], here: Place, cgroup: Path | None
) -> dict[str, Limiter]:
    """Return the asked means that can be had here; say which cannot."""
    found: dict[str, Limiter] = {
        "hold": by_keeper(client, Mechanism.HOLD),
        "pause": by_keeper(client, Mechanism.PAUSE),
        "our ionice": by_keeper(client, Mechanism.IONICE, Kind.IONICE),
        "ionice": Limiter(plain_ionice),
        "stop/continue": Limiter(stop_continue),
    }
    if cgroup is not None:
        found["io_max"] = by_keeper(client, Mechanism.IO_MAX)
        found["io.max by hand"] = plain_io_max(cgroup, here.disk)
    for name in names:
        if name not in found:
            print(f"{name}: not here, left out")
    return {name: found[name] for name in names if name in found}


def runs(here: Place, options: argparse.Namespace) -> Iterator[Run]:
    """Measure everything that was asked for, interleaved."""
    few = {way.name for way in FEW_WAYS}
    with closing(opened()) as client, own_cgroup() as cgroup:
        means = limiters(client, options.means, here, cgroup)
        jobs = [
            Job(name, limiter, cap * MB, way)
            for cap in options.caps
            for way in options.ways
            for name, limiter in means.items()
            if name == "hold" or options.all or way.name in few
        ]
        for job in interleaved(jobs, options.rounds):
            run = measured(here, job, cgroup, options)
            if run is not None:
                yield run


def measured(here: Place, job: Job, cgroup: Path | None, options: argparse.Namespace) -> Run | None:
    """Measure; print why, when it cannot be."""
    try:
        return measure(here, job, cgroup, options)
    except (IotopError, TimeoutError, AssertionError) as problem:
        print(f"{job.means}, {job.cap / MB:g} MB/s, {job.way.name}: {problem}", flush=True)
        return None


def report(found: list[Run]) -> None:
    """Print the sums: how many kept to 5 %, how fast they were held."""
    for name in dict.fromkeys(run.means for run in found):
        mine = [run for run in found if run.means == name and run.free > 2 * run.cap]
        within = [run for run in mine if abs(run.rate / run.cap - 1) <= 0.05]
        first = [run for run in mine if abs(run.seconds[0] / run.cap - 1) <= 0.05]
        held = [run.held_ms for run in mine if run.held_ms is not None]
        print(
            f"{name}: {len(within)} of {len(mine)} within 5 % of the cap, {len(first)} of them in "
            f"the first second; held after {median(held):.0f} ms, at most "
            f"{max(held, default=0):.0f} ms"
        )


def parsed() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--caps", default="1,5,20,50", help="MB/s")
    parser.add_argument("--ways", default="", help="only ways whose name starts so, by commas")
    parser.add_argument("--with", dest="means", default="hold," + ",".join(OTHERS))
    parser.add_argument("--all", action="store_true", help="every way for every means")
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--free", type=float, default=2.0, help="seconds before the limit")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--span", type=int, default=64, help="MB that the hog writes in turn")
    parser.add_argument("--directory", type=Path, help="on the disk to write to")
    parser.add_argument("--quick", action="store_true", help="5 MB/s, 3 s: a rough look")
    options = parser.parse_args()
    if options.quick:
        options.caps, options.seconds, options.free = "5", 3, 0.5
    options.caps = [int(word) for word in options.caps.split(",")]
    options.means = options.means.split(",")
    starts = tuple(options.ways.split(","))
    options.ways = [way for way in EVERY_WAY if way.name.startswith(starts)]
    return options


def main() -> None:
    """Run and print the table."""
    options = parsed()
    found = []
    with place(options.directory) as here:
        for run in runs(here, options):
            found.append(run)
            print(" | ".join(run.cells()), flush=True)
    print(f"\n{markdown(HEADER, [run.cells() for run in found])}\n")
    report(found)


if __name__ == "__main__":
    main()
