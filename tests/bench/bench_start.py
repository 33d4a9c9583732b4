"""How soon the screen is painted and the probes count, with a warm and a cold cache.

python -m tests.bench.bench_start [--quick] [--rounds N]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

from tests.bench.measure import (
    IOTOP_NG,
    Program,
    goal,
    installed,
    interleaved,
    median,
    process_tree,
    spread,
    table,
)

PATIENCE_S = 10.0
QUIET_S = 1.0
"""When no probe was added for this long, all are in."""


class Start(NamedTuple):
    """Seconds since the program was started; None for what did not happen."""

    painted_s: float | None
    counting_s: float | None
    """The last of the probes was attached."""


def probes(pid: int) -> int:
    """Return how many BPF links and perf events a process tree holds: what is attached."""
    return sum(map(_attached_by, process_tree(pid)))


def _attached_by(pid: int) -> int:
    try:
        return sum(map(_is_attachment, Path(f"/proc/{pid}/fd").iterdir()))
    except OSError:  # it has ended
        return 0


def _is_attachment(descriptor: Path) -> bool:
    try:
        target = str(descriptor.readlink())
    except OSError:
        return False
    return target.startswith("anon_inode:") and any(
        sign in target for sign in ("bpf_link", "bpf-link", "perf_event", "raw-tracepoint")
    )


def start(command: tuple[str, ...], painted_sign: str, environment: dict[str, str]) -> Start:
    """Start a program, watch it until it is painted and its probes are in, end it."""
    with Program(command, environment=environment) as program:
        sign = painted_sign.encode()
        try:
            text = program.watch(PATIENCE_S, until=lambda so_far: sign in so_far)
        except EOFError as problem:
            print(f"{command}: ended by itself: {problem}")
            return Start(None, None)
        painted = time.monotonic() - program.started if sign in text else None
        counting = None
        attached = 0
        changed = time.monotonic()
        patience = QUIET_S if "iotop_ng" not in command else PATIENCE_S / 2
        while time.monotonic() < changed + (QUIET_S if attached else patience):
            now_attached = probes(program.pid)
            if now_attached > attached:
                attached = now_attached
                changed = time.monotonic()
                counting = changed - program.started
            program.watch(0.01)
        return Start(painted, counting)


def main() -> None:
    """Run and print medians and goals."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--quick", action="store_true", help="two rounds")
    options = parser.parse_args()
    rounds = 2 if options.quick else options.rounds

    results: defaultdict[str, list[Start]] = defaultdict(list)
    ways = ["iotop-ng, warm cache", "iotop-ng, cold cache"]
    ways += [name for name in ("htop", "iotop-c", "iotop") if installed(name)]
    with tempfile.TemporaryDirectory() as warm:
        # Fills the warm cache, and the page cache with the program.
        start(IOTOP_NG, "COMMAND", {"IOTOP_NG_CACHE_DIR": warm})
        for way in interleaved(ways, rounds):
            results[way].append(start_one(way, warm))
    report(results)


def start_one(way: str, warm: str) -> Start:
    """Start in one way; each cold start has a new, empty cache directory."""
    if way == "iotop-ng, warm cache":
        return start(IOTOP_NG, "COMMAND", {"IOTOP_NG_CACHE_DIR": warm})
    if way == "iotop-ng, cold cache":
        with tempfile.TemporaryDirectory() as cold:
            return start(IOTOP_NG, "COMMAND", {"IOTOP_NG_CACHE_DIR": cold})
    return start((installed(way) or way,), "Command" if way == "htop" else "COMMAND", {})


def report(results: dict[str, list[Start]]) -> None:
    """Print the table and the goals."""
    rows = []
    painted: dict[str, list[float]] = {}
    later: dict[str, list[float]] = {}
    for way, starts in results.items():
        painted[way] = [one.painted_s for one in starts if one.painted_s is not None]
        later[way] = [
            one.counting_s - one.painted_s
            for one in starts
            if one.counting_s is not None and one.painted_s is not None
        ]
        rows.append((way, spread(painted[way], 3), spread(later[way], 3)))
    print("\nseconds from start, median [least..most]\n")
    print(table(("way", "first painted frame", "then probes counting"), rows))
    print()
    warm, cold = "iotop-ng, warm cache", "iotop-ng, cold cache"
    print(goal("start to first painted frame", median(painted[warm]), 0.45, "s"))
    print(goal("probes counting after that, warm", median(later[warm]), 0.3, "s"))
    print(goal("probes counting after that, cold", median(later[cold]), 1.5, "s"))


if __name__ == "__main__":
    main()
