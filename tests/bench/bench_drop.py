"""What a drop in force costs each read and write of a regular file, of the target and of others.

python -m tests.guest.machine '.venv/bin/python -m tests.bench.bench_drop'

It needs BPF among the kernel's security modules. Under TCG (the guests) a nanosecond is none: what
says something is the share of the call.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from iotop_ng.enforcers.drop import DropEnforcer
from iotop_ng.enforcers.drop_kernel import HOOK, load_kernel
from iotop_ng.enforcers.orders import Order
from iotop_ng.errors import IotopError
from tests.guest.dropping import dropping, order, process

PLENTY = 1 << 40
"""A rate that nobody reaches."""


def each_ns(call: Callable[[], object], times: int) -> float:
    """Return the mean time of a call; one that is refused counts as well."""
    began = time.perf_counter_ns()
    for _ in range(times):
        try:
            call()
        except OSError:  # noqa: PERF203 - it is what is measured
            continue
    return (time.perf_counter_ns() - began) / times


def hook_ns(enforcer: DropEnforcer, wanted: Order, call: Callable[[], object], times: int) -> float:
    """Return the mean time of the hook's program, by the kernel's run statistics."""
    with dropping(enforcer, wanted) as effect:
        programs = effect._kernel._charging.programs

        def runs() -> tuple[int, int]:
            probe = next(probe for probe in programs.probes() if probe.name == HOOK)
            return probe.hits or 0, probe.run_ns or 0

        programs.count_runs(wanted=True)
        try:
            before = runs()
            each_ns(call, times)
            after = runs()
        finally:
            programs.count_runs(wanted=False)
    return (after[1] - before[1]) / max(after[0] - before[0], 1)


def main() -> int:
    """Print one line for each kind of call."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--directory", default="/data", help="on a disk (default: the guest's)")
    parser.add_argument("--calls", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    try:
        load_kernel().close()
    except IotopError as error:
        parser.exit(1, f"{error}\n")
    enforcer = DropEnforcer()
    idle = subprocess.Popen(["sleep", "1000"])
    with tempfile.NamedTemporaryFile(dir=Path(asked.directory)) as file:
        descriptor = file.fileno()
        calls: dict[str, Callable[[], object]] = {
            "pwrite of 1 byte": lambda: os.pwrite(descriptor, b"x", 0),
            "pread of 1 byte": lambda: os.pread(descriptor, 1, 0),
        }
        os.pwrite(descriptor, b"x", 0)
        mine, others = process(os.getpid()), process(idle.pid)
        for what, wanted, name in (
            ("somebody else's", order(others), "pwrite of 1 byte"),
            ("somebody else's", order(others), "pread of 1 byte"),
            ("the target's, within its rate", order(mine, PLENTY), "pwrite of 1 byte"),
            ("the target's, refused", order(mine), "pwrite of 1 byte"),
        ):
            call = calls[name]
            alone = median(each_ns(call, asked.calls) for _ in range(asked.rounds))
            hook = median(hook_ns(enforcer, wanted, call, asked.calls) for _ in range(asked.rounds))
            line = f"{name}, {what}: the hook {hook:.0f} ns, {100 * hook / alone:.0f} % of a call"
            print(f"{line} ({alone:.0f} ns)")
    idle.kill()
    idle.wait()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
