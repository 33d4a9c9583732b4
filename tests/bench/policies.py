"""Protecting a victim from a hog: every means that the kernel has, and ours, on one device.

python -m tests.bench.policies here --directory DIR --raw FILE.jsonl
python -m tests.bench.policies guest --scenario slow --raw FILE.jsonl
python -m tests.bench.policies report FILE.jsonl… --into docs

`here` writes to a directory of this machine; `guest` does the same in a machine of its own, with a
disk of a known speed that can slow down. Both only measure; `report` makes the Markdown and its
pictures from what they wrote, and from nothing else.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shlex
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from iotop_ng.errors import IotopError
from tests.bench.comparison import guest
from tests.bench.comparison.contestants import CONTESTANTS
from tests.bench.comparison.place import place
from tests.bench.comparison.raw import SCENARIOS, Line, Measured, RawError, Run, encode, read
from tests.bench.comparison.report import pictures, report
from tests.bench.comparison.rounds import Bench, Options, compare, warm
from tests.bench.comparison.speed import AskedSpeed
from tests.guest.machine import DISK_BYTES_PER_S

MODULE = "python -m tests.bench.policies"


def parser() -> argparse.ArgumentParser:
    """Return what the command line may say."""
    made = argparse.ArgumentParser(prog=MODULE, description=(__doc__ or "").splitlines()[0])
    jobs = made.add_subparsers(dest="job", required=True)
    here = jobs.add_parser("here", help="measure on a directory of this machine")
    here.add_argument(
        "--directory",
        type=Path,
        default=Path("/var/tmp"),
        help="on the disk to write to [/var/tmp]",
    )
    here.add_argument("--device", default="", help="what kind of device that is, in words")
    here.add_argument("--iops", type=int, help="what the disk can do, where that is known")
    here.add_argument("--speed-directory", type=Path, help=argparse.SUPPRESS)
    here.add_argument("--kernel-config", type=Path, help=argparse.SUPPRESS)
    here.add_argument("--command", default="", help=argparse.SUPPRESS)
    inside = jobs.add_parser("guest", help="measure in a guest, on a disk of a known speed")
    inside.add_argument("--kernel", default=guest.WITH_HEADERS, help="metapackage")
    inside.add_argument("--file-system", choices=guest.FILE_SYSTEMS, default="ext4")
    inside.add_argument("--timeout", type=float, default=1500, help="s for the whole boot")
    for job in (here, inside):
        job.add_argument("--raw", type=Path, required=True, help="takes the results, JSON lines")
        _add_choices(job)
    shown = jobs.add_parser("report", help="make the report from results")
    shown.add_argument("raw", type=Path, nargs="+")
    shown.add_argument("--into", type=Path, default=Path("docs"), help="a directory [docs]")
    return made


def _add_choices(job: argparse.ArgumentParser) -> None:
    add = job.add_argument
    add("--scenario", choices=SCENARIOS, default="steady")
    add("--seconds", type=int, default=10, help="of each run [10]")
    add("--rounds", type=int, default=3, help="[3]")
    add("--rest", type=float, default=2, help="s between runs [2]")
    add("--calibrate", type=int, default=8, help="s of each of the two calibrations [8]")
    add("--mode", default="threads", help="of the hog, see iotop-ng demo hog --help [threads]")
    add("--writers", type=int, default=2, help="that write at once [2]")
    add("--span", type=int, default=256, help="MiB that the hog rewrites in turn [256]")
    add("--wants", type=float, default=2, help="the hog's rate, x the device's [2]")
    add("--period", type=int, default=50, help="ms between two fsyncs of the victim [50]")
    add("--limit", type=int, help="ms that an fsync may take [twice the p99 alone]")
    add("--guard-settle", type=float, default=2, help="s from when guard watches to the flood [2]")
    add("--slow-to", type=int, default=30, help="%% of its speed that a slowed device has [30]")
    add("--only", action="append", default=[], metavar="NAME", help="of these contestants")


def choices(asked: argparse.Namespace) -> list[str]:
    """Return the words on a command line that repeat what was chosen."""
    words = ["--scenario", asked.scenario]
    for name in ("seconds", "rounds", "rest", "calibrate", "mode", "writers", "span", "wants",
                 "period", "limit", "guard_settle", "slow_to"):  # fmt: skip
        value = getattr(asked, name)
        if value is not None:
            words += [f"--{name.replace('_', '-')}", f"{value:g}" if name != "mode" else value]
    for name in asked.only:
        words += ["--only", name]
    return words


def options(asked: argparse.Namespace) -> Options:
    """Return what was chosen."""
    return Options(
        scenario=asked.scenario,
        seconds=asked.seconds,
        rounds=asked.rounds,
        rest_s=asked.rest,
        calibrate_s=asked.calibrate,
        mode=asked.mode,
        writers=asked.writers,
        span=asked.span << 20,
        wants=asked.wants,
        period_ms=asked.period,
        limit_ms=asked.limit,
        iops=asked.iops,
        guard_settle_s=asked.guard_settle,
        full_speed=DISK_BYTES_PER_S,
        slow_speed=DISK_BYTES_PER_S * asked.slow_to // 100,
        device=asked.device,
        command=asked.command or f"{MODULE} here {shlex.join(choices(asked))}",
        only=tuple(asked.only),
    )


def here(asked: argparse.Namespace) -> int:
    """Measure on a directory of this machine."""
    if os.geteuid() != 0:
        print("this needs root: it sets limits of the kernel", file=sys.stderr)
        return 3
    if asked.scenario == "slow" and asked.speed_directory is None:
        print("the speed of this device cannot be changed: --scenario slow is for guests")
        return 1
    unknown = set(asked.only) - {one.name for one in CONTESTANTS}
    if unknown:
        print(f"no such contestant: {', '.join(sorted(unknown))}", file=sys.stderr)
        return 2
    speed = None if asked.speed_directory is None else AskedSpeed(asked.speed_directory)
    asked.raw.parent.mkdir(parents=True, exist_ok=True)
    with kept(asked.raw) as write, place(asked.directory, asked.kernel_config) as on:
        bench = Bench(on, speed, options(asked))
        began = time.monotonic()

        def say(text: str) -> None:
            print(f"{time.monotonic() - began:4.0f} s  {text}", flush=True)

        with contextlib.closing(bench):
            warm()
            compare(bench, options(asked), write, say)
    return 0


@contextlib.contextmanager
def kept(path: Path) -> Iterator[Callable[[Line], None]]:
    """Give what writes lines to a file; the file of before stays until there is a first run."""
    new = path.with_name(f"{path.name}.new")
    runs = 0
    with new.open("wb", buffering=0) as raw:

        def write(line: Line) -> None:
            nonlocal runs
            raw.write(encode(line))
            runs += isinstance(line, Run)

        try:
            yield write
        finally:
            if runs:
                new.rename(path)
            else:
                new.unlink()


def measured_in(paths: Sequence[Path]) -> dict[str, Measured]:
    """Return what files hold by their names, steady devices first, whatever order was asked for.

    Raises:
        RawError, OSError: one cannot be read.
    """
    found = {path.stem: read(path) for path in sorted(paths)}
    return dict(sorted(found.items(), key=lambda item: item[1].setting.scenario != "steady"))


def show(asked: argparse.Namespace) -> int:
    """Make the report."""
    names = measured_in(asked.raw)
    drawn = asked.into / "benchmark"
    drawn.mkdir(parents=True, exist_ok=True)
    for name, picture in pictures(names).items():
        (drawn / name).write_text(picture, "utf-8")
    (asked.into / "benchmark.md").write_text(report(names), "utf-8")
    return 0


def main() -> int:
    """Read the command line and do what it says."""
    # Whoever ends us with one of these wants the machine as it was, too.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(130))
    asked = parser().parse_args()
    try:
        if asked.job == "report":
            return show(asked)
        if asked.job == "guest":
            return guest.measure(asked, MODULE, choices(asked))
        return here(asked)
    except (IotopError, RawError, OSError) as problem:
        print(f"{MODULE}: {problem}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
