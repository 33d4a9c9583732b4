"""One load after the other: rest, begin, wait, end; what the victim says of each."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from iotop_ng.clock import NS_PER_S
from iotop_ng.demo.oplog import Line, Reader
from tests.bench.detecting.loads import (
    Load,
    Running,
    command_of,
    fast_directory,
    started,
    victim_command,
)
from tests.bench.detecting.records import Problem, Result, Sink

SETTLE_S = 1.5
_PATIENCE_S = 60.0
MB = 1e6


class Phase:
    """One load in one round; times are those of frames (CLOCK_BOOTTIME)."""

    def __init__(self, load: Load, number: int) -> None:
        self.load, self.round = load, number
        self.began_ns = 0
        self.ended_ns = 0
        self.top_mb_per_s: list[float] = []

    def has(self, ended_ns: int, interval_s: float) -> bool:
        """Say whether most of an interval that ended at a time lies in this phase."""
        middle_ns = ended_ns - round(interval_s * NS_PER_S / 2)
        return 0 < self.began_ns < middle_ns and not 0 < self.ended_ns < middle_ns


class Victim:
    """A running `iotop-ng demo victim` and its log."""

    def __init__(self, directory: Path, memory: Path, cgroup: Path | None) -> None:
        log = memory / f"victim-{time.monotonic_ns()}"
        command = victim_command(directory, log)
        if cgroup is not None:
            # Before it begins, so that all that it starts is in there too.
            move = f'echo $$ >{cgroup}/cgroup.procs && exec "$@"'
            command = ("sh", "-c", move, "sh", *command)
        self._running = started(command, directory)
        self._log = Reader(log)
        self._lines: list[Line] = []

    def await_calls(self, count: int) -> None:
        """Wait until it has done its work so many times.

        Raises:
            TimeoutError: it has not.
        """
        end = time.monotonic() + _PATIENCE_S
        while len(self._lines) < count:
            if self._running.is_over or time.monotonic() > end:
                raise TimeoutError(f"the victim does not work: {self._running.said()}")
            time.sleep(0.1)
            self._lines += self._log.read()

    def latencies_ms(self, began_ns: int, ended_ns: int) -> list[float]:
        """Return those that began between two times of CLOCK_MONOTONIC; what is stuck has an age.

        Raises:
            TimeoutError: it has ended by itself.
        """
        if self._running.is_over:
            raise TimeoutError(f"the victim ended by itself: {self._running.said()}")
        self._lines += self._log.read()
        under_way = self._log.under_way
        found = [
            (line.latency_ns or 0) / 1e6
            for line in self._lines
            if began_ns <= line.began_ns < ended_ns and line.latency_ns is not None
        ]
        if under_way is not None and under_way.began_ns < ended_ns:
            found.append((ended_ns - max(under_way.began_ns, began_ns)) / 1e6)
        return found

    @property
    def is_over(self) -> bool:
        """Say whether it ended by itself."""
        return self._running.is_over

    def end(self) -> None:
        """End it; a second time is fine."""
        self._running.end()


class Scene(NamedTuple):
    """Where it happens."""

    directory: Path
    """On the disk."""
    disk: str
    memory: Path
    cgroup: Path | None
    """Of the victim."""


class Director:
    """Runs the loads.

    Attributes:
        phase: the one under way, or in preparation.
    """

    def __init__(
        self, loads: Sequence[Load], rounds: int, seconds: float, scene: Scene, sink: Sink
    ) -> None:
        self._loads, self._rounds, self._seconds = loads, rounds, seconds
        self._scene, self._sink = scene, sink
        self._victim: Victim | None = None
        """The one on the disk: started once, as starting takes seconds."""
        self._stopping = threading.Event()
        self.phase: Phase | None = None

    def stop(self) -> None:
        """Let the load at hand be the last one."""
        self._stopping.set()

    def run(self) -> None:
        """Run every load; one that fails is written down, and the next one begins."""
        try:
            self._run()
        finally:
            if self._victim is not None:
                self._victim.end()

    def _run(self) -> None:
        for number in range(1, self._rounds + 1):
            for load in self._loads:
                if self._stopping.is_set():
                    self._sink.add(Problem(load.name, number, "no time was left for it"))
                    continue
                try:
                    self._play(Phase(load, number))
                except Exception as error:  # noqa: BLE001 - the other loads can still be measured
                    text = " ".join(f"{type(error).__name__}: {error}".split())[:300]
                    self._sink.add(Problem(load.name, number, text))
                    print(f"{load.name}: {text}", flush=True)
                finally:
                    self.phase = None
                    os.sync()

    def _play(self, phase: Phase) -> None:
        load, scene = phase.load, self._scene
        with ExitStack() as stack:
            directory, victim = scene.directory, None
            if load.is_fast:
                directory = stack.enter_context(fast_directory(scene.memory))
                victim = Victim(directory, scene.memory, scene.cgroup)
                stack.callback(victim.end)
                victim.await_calls(10)
            elif load.has_victim:
                victim = self._victim_on_disk()
            self.phase = phase
            time.sleep(SETTLE_S)
            running = self._begin(load, directory)
            if running is not None:
                stack.callback(running.end)
            phase.began_ns, began_ns = _now()
            time.sleep(self._seconds)
            phase.ended_ns, ended_ns = _now()
            if running is not None and running.is_over:
                raise ChildProcessError(f"the load ended by itself: {running.said()}")
            took = [] if victim is None else victim.latencies_ms(began_ns, ended_ns)
        result = _result(phase, took)
        self._sink.add(result)
        print(result, flush=True)

    def _victim_on_disk(self) -> Victim:
        if self._victim is None or self._victim.is_over:
            scene = self._scene
            self._victim = Victim(scene.directory, scene.memory, scene.cgroup)
            self._victim.await_calls(10)
        return self._victim

    def _begin(self, load: Load, directory: Path) -> Running | None:
        command = command_of(load, directory, self._seconds + _PATIENCE_S)
        if not command:
            return None
        running = started(command, directory, self._scene.disk)
        # It says who it is when its writers begin; Python takes a second or two before that.
        if load.mode and not running.speaks(_PATIENCE_S):
            raise ChildProcessError(f"the generator does not begin: {running.said()}")
        return running


def _now() -> tuple[int, int]:
    """Return the time of frames and that of the victim's log."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME), time.monotonic_ns()


def percentile(values: Sequence[float], percent: float) -> float | None:
    """Return what so many percent of the values do not exceed (nearest rank); None of none."""
    ordered = sorted(values)
    if not ordered:
        return None
    rank = max(-(-len(ordered) * percent // 100), 1)
    return ordered[int(rank) - 1]


def _result(phase: Phase, took: Sequence[float]) -> Result:
    def at(percent: float) -> float | None:
        found = percentile(took, percent)
        return None if found is None else round(found, 3)

    rates = phase.top_mb_per_s
    return Result(
        phase.load.name,
        phase.round,
        phase.load.is_flood,
        len(took),
        at(50),
        at(95),
        at(99),
        at(100),
        round(sum(rates) / len(rates) * MB) if rates else None,
    )
