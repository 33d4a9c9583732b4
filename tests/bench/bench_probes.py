"""What the probes cost whoever does I/O: each tier attached and detached in turns.

python -m tests.bench.bench_probes [--quick] [--rounds N] [--directory DIR]

DIR must be on a block device (not tmpfs). Beside our tiers stands bpftrace, counting the same.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import subprocess
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from iotop_ng.errors import IotopError
from iotop_ng.resources import directory
from iotop_ng.sources import bpf_syscall as bpf
from iotop_ng.sources.btf import VMLINUX
from iotop_ng.sources.compiler import Request, amalgamate, compile_apart
from iotop_ng.sources.layout import find_tracefs
from iotop_ng.sources.plan import Tier
from iotop_ng.sources.programs import Programs
from tests.bench.measure import compiled, goal, installed, median, spread, table

PASSES = 5
"""How often load.c does its operations in one run."""


class Load(NamedTuple):
    """One kind of I/O (see load.c), and how bpftrace counts it per process."""

    kind: str
    unit: str
    operations: int
    hook: str
    """A raw tracepoint that fires once per operation; "" when there is none."""
    on_disk: bool
    bpftrace: str


LOADS = (
    Load(
        "write",
        "write into a dirty page",
        40_000,
        "",
        on_disk=False,
        bpftrace="tracepoint:syscalls:sys_exit_pwrite64 { @[pid] = sum(args->ret); }",
    ),
    Load(
        "dirty",
        "newly dirtied folio",
        2_048,
        "writeback_dirty_folio",
        on_disk=True,
        bpftrace="tracepoint:writeback:writeback_dirty_folio { @[pid] = count(); }",
    ),
    Load(
        "direct",
        "block request",
        2_048,
        "block_rq_issue",
        on_disk=True,
        bpftrace="""
            tracepoint:block:block_rq_issue { @start[args->dev, args->sector] = nsecs;
                @pid[args->dev, args->sector] = pid; }
            tracepoint:block:block_rq_complete /@start[args->dev, args->sector]/ {
                @us[@pid[args->dev, args->sector]] =
                    hist((nsecs - @start[args->dev, args->sector]) / 1000);
                delete(@start[args->dev, args->sector]);
                delete(@pid[args->dev, args->sector]); }""",
    ),
)
TIERS = {
    "always": {Tier.ALWAYS},
    "always + default": {Tier.ALWAYS, Tier.DEFAULT},
    "all tiers": {Tier.ALWAYS, Tier.DEFAULT, Tier.ON_DEMAND},
}
BPFTRACE = "bpftrace"
PATIENCE_S = 15.0
SETTLED_S = 0.7
BLOCK = {"on_bio", "on_insert", "on_issue", "on_complete"}


class Runs(NamedTuple):
    """What the kernel counted about one of our programs during one load."""

    hits: int
    ns: int


class Bench:
    """The loaded programs and the load generator."""

    def __init__(self, programs: Programs, groups: dict[str, Tier], load: list[str]) -> None:
        """Take programs with everything attached; `groups` says which tier each group is of."""
        self._programs = programs
        self._groups = groups
        self._load = load

    def attach(self, tiers: set[Tier]) -> None:
        """Attach exactly these tiers."""
        for group, tier in self._groups.items():
            self._programs.demand(group, wanted=tier in tiers)

    def run(self, load: Load, directory: Path) -> float:
        """Return ns of CPU time per operation."""
        place = directory / f"load.{load.kind}"
        done = subprocess.run(
            [*self._load, load.kind, str(place), str(load.operations)],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise IotopError(f"{load.unit}: {done.stderr.strip()} in {directory}")
        return float(done.stdout)

    def runs(self, load: Load, directory: Path) -> dict[str, Runs]:
        """Return hits and ns of each program during one run, with everything attached."""
        self.attach(TIERS["all tiers"])
        self._programs.count_runs(wanted=True)
        before = self._counted()
        self.run(load, directory)
        after = self._counted()
        self._programs.count_runs(wanted=False)
        self.attach(set())
        return {
            name: Runs(after[name].hits - before[name].hits, after[name].ns - before[name].ns)
            for name in after
        }

    def nothing(self, load: Load, directory: Path) -> float:
        """Return ns per run of a program that does nothing: what counting its time takes."""
        if not load.hook:
            return 0.0
        # r0 = 0; exit
        program = bpf.prog_load(
            bpf.PROG_RAW_TRACEPOINT, b"\xb7" + bytes(7) + b"\x95" + bytes(7), "nothing"
        )
        link = bpf.raw_tracepoint_open(load.hook, program)
        self._programs.count_runs(wanted=True)
        try:
            self.run(load, directory)
            hits, ns = bpf.program_runs(program)
        finally:
            self._programs.count_runs(wanted=False)
            os.close(link)
            os.close(program)
        return ns / hits if hits else 0.0

    def _counted(self) -> dict[str, Runs]:
        return {
            probe.name: Runs(probe.hits or 0, probe.run_ns or 0)
            for probe in self._programs.probes()
        }


@contextlib.contextmanager
def bpftrace(program: str) -> Iterator[None]:
    """Have bpftrace count while the block runs."""
    process = subprocess.Popen(
        [installed(BPFTRACE) or BPFTRACE, "-e", program],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until_attached(process)
        yield
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_until_attached(process: subprocess.Popen[bytes]) -> None:
    """Return when bpftrace holds a program and opens nothing more.

    Its output is no sign: what it prints first is now and then not written for as long as it runs.

    Raises:
        IotopError: it ended, or does not come that far.
    """
    end = time.monotonic() + PATIENCE_S
    seen: list[str] = []
    since = time.monotonic()
    while time.monotonic() < end and process.poll() is None:
        held = descriptors(process.pid)
        if held != seen:
            seen, since = held, time.monotonic()
        elif "anon_inode:bpf-prog" in held and time.monotonic() > since + SETTLED_S:
            return
        time.sleep(0.05)
    raise IotopError("bpftrace cannot attach its probes")


def descriptors(pid: int) -> list[str]:
    """Return what a process holds open."""
    try:
        return sorted(str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir())
    except OSError:  # one was closed meanwhile
        return []


@contextlib.contextmanager
def loaded() -> Iterator[tuple[Programs, dict[str, Tier]]]:
    """Load the programs of this kernel; give them with the tier of each group."""
    tracefs = find_tracefs()
    code = compile_apart(
        Request(
            source=amalgamate(directory("bpf")),
            release=os.uname().release,
            tracefs=str(tracefs) if tracefs else None,
            use_btf=VMLINUX.exists(),
        )
    )
    programs = Programs(code, {}, tracefs)
    try:
        yield programs, {program.group: program.tier for program in code.plan.programs}
    finally:
        programs.close()


def main() -> None:
    """Run and print the table and the goals."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--directory", type=Path, default=Path("/var/tmp"))
    parser.add_argument("--quick", action="store_true", help="three rounds")
    options = parser.parse_args()
    rounds = 3 if options.quick else options.rounds

    with tempfile.TemporaryDirectory(dir=options.directory) as name, loaded() as (programs, groups):
        disk = Path(name)
        program = compiled("load", disk)
        if program is None:
            raise SystemExit("no C compiler: the load cannot be built (apt install gcc libc6-dev)")
        bench = Bench(programs, groups, program)
        bench.attach(set())
        for load in LOADS:
            measure_and_print(bench, load, disk, rounds)


def measure_and_print(bench: Bench, load: Load, disk: Path, rounds: int) -> None:
    """Measure one load in every state and print it, or why it cannot be measured here."""
    try:
        measure(bench, load, disk, rounds)
    except IotopError as problem:
        print(f"left out: {problem}")


def measure(bench: Bench, load: Load, disk: Path, rounds: int) -> None:
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=None if load.on_disk else _in_memory(memory)) as quick:
        place = disk if load.on_disk else Path(quick)
        bench.run(load, place)  # makes the file
        states = [*TIERS, *([BPFTRACE] if installed(BPFTRACE) else [])]
        base: list[float] = []
        added: defaultdict[str, list[float]] = defaultdict(list)
        for turn in range(rounds):
            for state in states[turn % len(states) :] + states[: turn % len(states)]:
                alone, watched = pair(bench, load, place, state, attached_first=turn % 2 == 1)
                base.append(alone)
                added[state].append(watched - alone)
        report(load, base, added, bench.runs(load, place), bench.nothing(load, place))


def _in_memory(memory: Path) -> Path | None:
    """Writes that reach no disk show the cost of a probe best."""
    return memory if os.access(memory, os.W_OK) else None


def pair(
    bench: Bench, load: Load, directory: Path, state: str, *, attached_first: bool
) -> tuple[float, float]:
    """Return ns per operation detached and attached, measured one right after the other."""

    def watched() -> float:
        if state == BPFTRACE:
            with bpftrace(load.bpftrace):
                return bench.run(load, directory)
        bench.attach(TIERS[state])
        try:
            return bench.run(load, directory)
        finally:
            bench.attach(set())

    if attached_first:
        with_probes = watched()
        return bench.run(load, directory), with_probes
    alone = bench.run(load, directory)
    return alone, watched()


def report(
    load: Load,
    base: list[float],
    added: dict[str, list[float]],
    runs: dict[str, Runs],
    nothing_ns: float,
) -> None:
    """Print one load."""
    print(f"\nper {load.unit}: {spread(base, 0)} ns of CPU time without probes\n")
    rows = [
        (
            state,
            f"{median(several):+.0f}",
            spread(several, 0),
            f"{1 + median(several) / median(base):.3f}",
        )
        for state, several in added.items()
    ]
    print(table(("attached", "ns added", "median [least..most]", "ratio"), rows))
    print()
    operations = load.operations * PASSES
    counted = [
        (name, f"{one.hits / operations:.2f}", f"{one.ns / one.hits:.0f}")
        for name, one in runs.items()
        if one.hits > operations / 100
    ]
    print(table(("program (run statistics)", "runs per operation", "ns per run"), counted))
    print()
    if nothing_ns:
        print(f"  {nothing_ns:.0f} ns of each run are the counting itself (an empty program)")
    for line in verdicts(load, base, added, runs, nothing_ns):
        print(line)


def verdicts(
    load: Load,
    base: list[float],
    added: dict[str, list[float]],
    runs: dict[str, Runs],
    nothing_ns: float,
) -> Iterator[str]:
    """Give one line per goal."""
    operations = load.operations * PASSES
    net = {name: one.ns - nothing_ns * one.hits for name, one in runs.items()}
    needed = {"dirty": "on_dirty", "direct": "on_complete"}.get(load.kind)
    if needed and not (needed in runs and runs[needed].hits):
        yield f"  {needed} did not run: nothing to compare with the goal"
    elif load.kind == "write":
        always = sum(one.hits for name, one in runs.items() if name in {"on_exit", "on_exec"})
        yield f"  runs of the always tier during {operations} writes: {always}"
        added_ratio = median(added["always"]) / median(base)
        yield goal("always tier, added per write", added_ratio, 0.01, "x")
    elif load.kind == "dirty":
        folios = runs["on_dirty"].hits
        timed = median(added["always + default"]) * operations / folios
        yield goal("default tier, per newly dirtied folio (timed)", timed, 100, "ns")
        counted = net["on_dirty"] / folios
        yield goal("default tier, per newly dirtied folio (run statistics)", counted, 100, "ns")
    else:
        each = sum(net[name] for name in BLOCK & net.keys()) / runs["on_complete"].hits / 1000
        yield goal("default tier, per block request (run statistics)", each, 1, "us")


if __name__ == "__main__":
    main()
