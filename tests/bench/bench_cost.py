"""What watching costs: iotop-ng beside iotop-c, iotop, htop and top, in one interleaved run.

python -m tests.bench.bench_cost [--quick] [--seconds S] [--rounds N] [--idle N] [--busy N]
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from typing import NamedTuple

from tests.bench.measure import (
    IOTOP_NG,
    Crowd,
    Program,
    Window,
    goal,
    installed,
    interleaved,
    median,
    spread,
    table,
)


class Tool(NamedTuple):
    """One way of running one monitor, at an interval of 1 s."""

    name: str
    command: tuple[str, ...]
    on_terminal: bool


def tools() -> list[Tool]:
    """Return the monitors that are installed; say which are not."""
    found = [
        Tool("iotop-ng", (*IOTOP_NG, "-d", "1"), on_terminal=True),
        Tool("iotop-ng -b", (*IOTOP_NG, "-b", "-d", "1"), on_terminal=False),
    ]
    others = (
        ("iotop-c", "iotop-c", ("-d", "1"), True),
        ("iotop-c -b", "iotop-c", ("-b", "-d", "1"), False),
        ("iotop", "iotop", ("-d", "1"), True),
        ("iotop -b", "iotop", ("-b", "-d", "1"), False),
        ("htop", "htop", ("-d", "10"), True),
        ("top", "top", ("-d", "1"), True),
    )
    for name, program, arguments, on_terminal in others:
        path = installed(program)
        if path is None:
            print(f"{name}: not installed, left out")
        else:
            found.append(Tool(name, (path, *arguments), on_terminal))
    return found


def main() -> None:
    """Run and print a table with ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=60, help="watched per tool, all rounds")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--settle", type=float, default=5, help="seconds before each window")
    parser.add_argument("--idle", type=int, default=1000)
    parser.add_argument("--busy", type=int, default=50)
    parser.add_argument("--quick", action="store_true", help="two rounds of 4 s: a rough look")
    options = parser.parse_args()
    if options.quick:
        options.seconds, options.rounds, options.settle = 8, 2, 3

    windows: defaultdict[str, list[Window]] = defaultdict(list)
    candidates = tools()
    with Crowd(options.idle, options.busy):
        # The first start on a kernel compiles the probes: that is bench_start's figure.
        watch(candidates[0], 10, 0)
        for tool in interleaved(candidates, options.rounds):
            window = watch(tool, options.settle, options.seconds / options.rounds)
            if window is not None:
                windows[tool.name].append(window)
    report(windows, options.idle, options.busy)


def watch(tool: Tool, settle_s: float, seconds: float) -> Window | None:
    """Start a tool, let it settle, return what it used; None when it ended by itself."""
    try:
        with Program(tool.command, on_terminal=tool.on_terminal) as program:
            program.watch(settle_s)
            return program.use(seconds)
    except EOFError as problem:
        print(f"{tool.name}: ended by itself: {problem}")
        return None


def report(windows: dict[str, list[Window]], idle: int, busy: int) -> None:
    """Print the table and the ratios."""
    cpu = {
        name: [100 * one.cpu_s / one.seconds for one in several]
        for name, several in windows.items()
    }
    own = median(cpu.get("iotop-ng", []))
    rows = [
        (
            name,
            f"{sum(one.cpu_s for one in several):.2f}",
            spread(cpu[name]),
            f"{median(cpu[name]) / own:.2f}",
            f"{max(one.peak_mib for one in several):.1f}",
            f"{median([one.resident_mib for one in several]):.1f}",
            f"{median([one.written_bytes / one.seconds for one in several]):.0f}",
        )
        for name, several in windows.items()
    ]
    watched = sum(one.seconds for one in next(iter(windows.values())))
    print(f"\n{idle} idle and {busy} busy processes, interval 1 s, {watched:.0f} s per tool\n")
    header = ("tool", "CPU s", "% of a core", "x iotop-ng", "peak MiB", "resident MiB", "bytes/s")
    print(table(header, rows))
    print()
    for name, other, limit in (
        ("iotop-ng", "iotop-c", 0.6),
        ("iotop-ng", "htop", 0.5),
        ("iotop-ng -b", "iotop-c -b", 0.5),
    ):
        if cpu.get(name) and cpu.get(other):
            ratio = median(cpu[name]) / median(cpu[other])
            print(goal(f"CPU of {name} / {other}", ratio, limit))
    if windows.get("iotop-ng"):
        resident = median([one.resident_mib for one in windows["iotop-ng"]])
        print(goal("resident once the probes are in", resident, 60, "MiB"))


if __name__ == "__main__":
    main()
