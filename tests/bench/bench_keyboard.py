"""How long a key waits while 10,000 processes are refreshed: key to paint, and the worst block.

python -m tests.bench.bench_keyboard [--quick] [--seconds S] [--idle N] [--busy N]
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from tests.bench.loopwatch import lateness
from tests.bench.measure import Crowd, Program, goal, median, table

WATCHED = (sys.executable, "-m", "tests.bench.loopwatch")
GOAL_MS = 50.0
PATIENCE_S = 3.0
KIB_PER_PROCESS = 400
"""Kernel and user memory of one sleeper, generously."""


class Key(NamedTuple):
    """A key that changes the screen, and the text that is only drawn when it has worked."""

    name: str
    presses: tuple[bytes, ...]
    """Pressed in turn."""
    signs: tuple[str, ...]
    """What each press draws."""


KEYS = (
    Key("cursor down, up", (b"j", b"k"), ("▶", "▶")),
    Key("reverse the order", (b"I", b"I"), ("▲", "▼")),
)


def possible(idle: int) -> int:
    """Return how many sleepers this machine takes, at most `idle`; say so when it is fewer."""
    running = sum(1 for entry in Path("/proc").iterdir() if entry.name.isdigit())
    pid_max = int(Path("/proc/sys/kernel/pid_max").read_text())
    threads_max = int(Path("/proc/sys/kernel/threads-max").read_text())
    limits = [idle, pid_max - 2 * running - 1000, threads_max // 2]
    per_user = resource.getrlimit(resource.RLIMIT_NPROC)[0]
    if per_user != resource.RLIM_INFINITY:
        limits.append(per_user // 2)
    limits += [
        int(line.split()[1]) // KIB_PER_PROCESS
        for line in Path("/proc/meminfo").read_text().splitlines()
        if line.startswith("MemAvailable:")
    ]
    fits = min(limits)
    if fits < idle:
        print(f"this machine takes {fits} sleepers, not {idle}: figures are for fewer processes")
    return fits


def press(program: Program, key: Key, turn: int) -> float | None:
    """Press a key; return the seconds until what it changes was written, None when it was not."""
    sign = key.signs[turn % len(key.signs)].encode()
    start = time.monotonic()
    program.send(key.presses[turn % len(key.presses)])
    text = program.watch(PATIENCE_S, until=lambda so_far: sign in so_far)
    return time.monotonic() - start if sign in text else None


def main() -> None:
    """Run and print the waits and the goal."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--idle", type=int, default=10_000)
    parser.add_argument("--busy", type=int, default=50)
    parser.add_argument("--settle", type=float, default=8)
    parser.add_argument("--quick", action="store_true", help="10 s")
    options = parser.parse_args()
    if options.quick:
        options.seconds = 10

    waits: dict[str, list[float]] = {key.name: [] for key in KEYS}
    unanswered = 0
    idle = possible(options.idle)
    with tempfile.TemporaryDirectory() as directory, Crowd(idle, options.busy):
        report, control = Path(directory, "loop"), Path(directory, "control")
        with (
            subprocess.Popen([*WATCHED, str(control), "--nothing"], stdin=subprocess.PIPE) as empty,
            Program((*WATCHED, str(report), "-d", "1")) as program,
        ):
            program.watch(options.settle)
            begin = time.monotonic()
            turn = 0
            while time.monotonic() < begin + options.seconds:
                for key in KEYS:
                    waited = press(program, key, turn)
                    if waited is None:
                        unanswered += 1
                    else:
                        waits[key.name].append(1000 * waited)
                    # Steps that are no fraction of the interval, so that keys fall anywhere in it.
                    program.watch(0.083)
                turn += 1
            end = time.monotonic()
            program.close()
            assert empty.stdin is not None
            empty.stdin.close()
            empty.wait()
        loop = [1000 * late for late in lateness(report, begin, end)]
        machine = [1000 * late for late in lateness(control, begin, end)]

    print(f"\n{idle} idle and {options.busy} busy processes, interval 1 s, 200 x 60\n")
    rows = [row(name, values) for name, values in waits.items()]
    rows += [row("event loop late", loop), row("(an empty event loop late)", machine)]
    print(table(("ms", "count", "median", "p99", "worst"), rows))
    print(f"\n  keys without an answer within {PATIENCE_S:.0f} s: {unanswered}")
    long = [sum(1 for late in several if late > GOAL_MS) for several in (loop, machine)]
    print(f"  blocks over {GOAL_MS:.0f} ms: {long[0]} (the empty loop: {long[1]})")
    print(goal("worst block of the event loop", max(loop, default=float("nan")), GOAL_MS, "ms"))


def row(name: str, values: list[float]) -> tuple[str, ...]:
    """Return one line of the table."""
    if not values:
        return (name, "0", "-", "-", "-")
    p99 = sorted(values)[int(0.99 * (len(values) - 1))]
    return (
        name,
        str(len(values)),
        f"{median(values):.1f}",
        f"{p99:.1f}",
        f"{max(values):.1f}",
    )


if __name__ == "__main__":
    main()
