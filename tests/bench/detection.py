"""Which signs tell that a node is starved by a logger: measure, and write docs/detection.md.

python -m tests.bench.detection [--guest] [--native] [--page] [--seconds 8]

Without a choice: everything, in a guest (its disk does 40 MB/s) with ext4 and with xfs, on this
machine, and the page. Raw results go to docs/detection/*.jsonl. What fails is written down there,
and does not keep the rest from being measured; results of before stay where nothing new came.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from iotop_ng.control.guard import default_rules
from tests.bench.detecting.page import page
from tests.bench.detecting.records import Results, read
from tests.guest.kernels import WITH_HEADERS, FetchError, fetch
from tests.guest.machine import boot

CHECKOUT = Path(__file__).resolve().parents[2]
RAW = Path("docs/detection")
PAGE = Path("docs/detection.md")
_WATCH = "tests.bench.detecting.watch"


class Plan(NamedTuple):
    """One run."""

    name: str
    """Of the file of results."""
    machine: str
    file_system: str
    share: float
    """Of the length of a phase: what is only looked at once more takes less time."""
    timeout_s: float


GUESTS = (
    Plan("guest-ext4", "guest, ext4, 40 MB/s", "ext4", 1.0, 300),
    Plan("guest-xfs", "guest, xfs, 40 MB/s", "xfs", 0.6, 240),
)
NATIVE = Plan("native", "a virtual machine with a fast disk", "ext4", 1.0, 240)


def in_guest(plan: Plan, seconds: float, loads: str) -> bool:
    """Measure in a guest; say whether there are new results."""
    with tempfile.TemporaryDirectory(prefix="iotop-ng-out-") as out:
        watch = [
            f"{sys.prefix}/bin/python -m {_WATCH} --directory /data --out /out/raw.jsonl",
            f"--machine '{plan.machine}' --file-system {plan.file_system}",
            f"--seconds {seconds:g} --loads '{loads}' --deadline {plan.timeout_s - 60:g}",
        ]
        try:
            ended = boot(
                fetch(WITH_HEADERS),
                f"cd '{CHECKOUT}' && {' '.join(watch)}",
                Path(out),
                sys.stdout.buffer,
                file_system=plan.file_system,
                timeout_s=plan.timeout_s,
                is_parallel=True,
            )
        except (FetchError, FileNotFoundError, subprocess.CalledProcessError) as error:
            print(f"{plan.name}: no guest: {error}", flush=True)
            return False
        if ended.status != 0:
            print(f"{plan.name}: the guest ended with {ended.status}", flush=True)
        return kept(Path(out) / "raw.jsonl", plan)


def here(plan: Plan, seconds: float, loads: str) -> bool:
    """Measure on this machine; say whether there are new results."""
    with tempfile.TemporaryDirectory(prefix="iotop-ng-out-") as out:
        raw = Path(out) / "raw.jsonl"
        command = [
            sys.executable, "-m", _WATCH, "--directory", out, "--out", str(raw),
            "--machine", plan.machine, "--file-system", plan.file_system,
            "--seconds", f"{seconds:g}", "--loads", loads,
            "--deadline", f"{plan.timeout_s - 20:g}",
        ]  # fmt: skip
        limited = ["timeout", "--kill-after=30", f"{plan.timeout_s:g}", *command]
        status = subprocess.run(limited, cwd=CHECKOUT, check=False).returncode
        if status:
            print(f"{plan.name}: ended with {status}", flush=True)
        return kept(raw, plan)


def kept(raw: Path, plan: Plan) -> bool:
    """Keep new results when they are whole enough to say something."""
    try:
        results = read(raw)
    except (OSError, ValueError) as error:
        print(f"{plan.name}: no results: {error}", flush=True)
        return False
    if not any(one.load == "victim" for one in results.results):
        print(f"{plan.name}: the victim alone was not measured", flush=True)
        return False
    target = CHECKOUT / RAW / f"{plan.name}.jsonl"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(raw.read_bytes())
    return True


def all_results(directory: Path) -> list[Results]:
    """Return the raw results that there are, guests first."""
    names = [f"{plan.name}.jsonl" for plan in (*GUESTS, NATIVE)]
    return [read(directory / name) for name in names if (directory / name).exists()]


def main() -> int:
    """Measure what was chosen and make the page; 1 when some of it could not be measured."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--guest", action="store_true", help="only in guests, and the page")
    parser.add_argument("--native", action="store_true", help="only here, and the page")
    parser.add_argument("--page", action="store_true", help="only the page, of what there is")
    parser.add_argument("--seconds", type=float, default=8, help="length of a phase")
    parser.add_argument("--file-system", choices=[plan.file_system for plan in GUESTS])
    parser.add_argument("--loads", default="", help="names, by commas; without: all")
    options = parser.parse_args()
    is_all = not (options.guest or options.native or options.page)
    done = []
    if options.guest or is_all:
        done += [
            in_guest(one, one.share * options.seconds, options.loads)
            for one in GUESTS
            if options.file_system in {None, one.file_system}
        ]
    if options.native or is_all:
        done.append(here(NATIVE, NATIVE.share * options.seconds, options.loads))
    (CHECKOUT / PAGE).write_text(page(all_results(CHECKOUT / RAW), default_rules()), "utf-8")
    print(f"wrote {PAGE}", flush=True)
    return 0 if all(done) else 1


if __name__ == "__main__":
    sys.exit(main())
