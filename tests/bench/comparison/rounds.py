"""All contestants, one after the other, round after round, on one device."""

from __future__ import annotations

import contextlib
import itertools
import os
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple, Protocol

from iotop_ng.demo.figures import limit_of
from iotop_ng.enforcers.client import KeeperClient, this_author
from iotop_ng.errors import IotopError
from iotop_ng.policy.scores import Operation
from iotop_ng.sources.build import compiled_for
from tests.bench.comparison.contestants import CONTESTANTS, Contestant, Guard, Setup, Unavailable
from tests.bench.comparison.place import Place, kind_of
from tests.bench.comparison.programs import GuardProgram, Hog, Victim, in_cgroup
from tests.bench.comparison.raw import (
    ALONE,
    SCHEMA,
    Line,
    Missing,
    Run,
    Setting,
    without_paths,
)
from tests.bench.comparison.restoring import Restorer
from tests.bench.comparison.speed import Speed
from tests.bench.measure import interleaved
from tests.kernel.counts import SECTOR, diskstats

_NS = 1_000_000_000
_TAIL_S = 1.3
"""Until the hog's report of the last second is there."""
_LONGER_S = 60.0
"""What programs are given beyond the run, before they end by themselves."""


class Options(NamedTuple):
    """What one may choose."""

    scenario: str
    seconds: int
    rounds: int
    rest_s: float
    calibrate_s: int
    mode: str
    writers: int | None
    span: int
    wants: float
    """The hog's rate, x the device's."""
    period_ms: int
    limit_ms: int | None
    iops: int | None
    guard_settle_s: float
    full_speed: int
    """Of a device whose speed can be set, bytes/s."""
    slow_speed: int
    device: str
    """In words; "": what its name says."""
    command: str
    only: tuple[str, ...] = ()


class Bench:
    """One device with a victim on it.

    Args:
        here: where.
        speed: sets the device's; None where nobody can.
        options: what was chosen.
    """

    def __init__(self, here: Place, speed: Speed | None, options: Options) -> None:
        self._here, self._speed, self._options = here, speed, options
        self._victim: Victim | None = None
        self._capacity = self._limit_ms = 0

    def written_bytes(self) -> int:
        """Return what the device has written since it is there."""
        return diskstats(self._here.disk).sectors_written * SECTOR

    def calibrate(self) -> Setting:
        """Measure victim and device, each without the other's trouble; return the setting.

        Raises:
            IotopError: hog or victim did not start, or the speed cannot be set.
        """
        options = self._options
        victim = self._living_victim()
        _pause(2)  # its first operations make its file
        begin_ns = time.monotonic_ns()
        _pause(options.calibrate_s)
        fsyncs, _ = victim.fsyncs(begin_ns, time.monotonic_ns())
        if not fsyncs:
            raise IotopError("the victim did nothing")
        limit_ns = limit_of([Operation(1000 * at, 1000 * (at + took)) for at, took in fsyncs])
        self._limit_ms = options.limit_ms or -(-limit_ns // 1_000_000)
        slow = None
        if options.scenario == "slow":
            slow = self._device_capacity(options.slow_speed)
        self._capacity = self._device_capacity(options.full_speed)
        return Setting(
            schema=SCHEMA,
            scenario=options.scenario,
            device=options.device or kind_of(self._here.disk),
            file_system=self._here.file_system,
            kernel=os.uname().release,
            date=time.strftime("%Y-%m-%d", time.gmtime()),
            command=options.command,
            seconds=options.seconds,
            rest_s=options.rest_s,
            rounds=options.rounds,
            hog=_hog_words(options),
            hog_bytes_per_s=self._wanted(),
            victim=f"append of 4 KiB and fdatasync every {options.period_ms} ms",
            limit_ms=self._limit_ms,
            capacity_bytes_per_s=self._capacity,
            slow_at_s=self._slow_at_s(),
            slow_capacity_bytes_per_s=slow,
        )

    def alone(self, number: int) -> Run:
        """Watch the victim without a hog."""
        victim = self._living_victim()
        begin_ns = time.monotonic_ns()
        device = self._watch(begin_ns, self.written_bytes())
        fsyncs, under_way = victim.fsyncs(begin_ns, begin_ns + self._options.seconds * _NS)
        return Run(number, ALONE, fsyncs, (), device, under_way)

    def run(self, contestant: Contestant, number: int) -> Run:
        """Watch one contestant.

        Raises:
            Unavailable: it cannot run here.
            IotopError, OSError: it failed.
        """
        victim = self._living_victim()
        with Restorer() as restorer, contextlib.ExitStack() as ends:
            setup = Setup(
                self._here.stage(self._capacity, self._options.iops, self._limit_ms),
                restorer,
                lambda: ends.enter_context(KeeperClient.open(this_author("command"))),
                lambda: self._guard(ends),
            )
            contestant.prepare(setup)
            with self._hog(self._wanted(), setup.prefix) as hog, setup.undo:
                target, begin_ns = hog.begun()
                written = self.written_bytes()
                contestant.begun(setup, target)
                device = self._watch(begin_ns, written)
                _pause(_TAIL_S)
                writes = None if setup.guard is None else setup.guard.writes()
                told = hog.reports(begin_ns)
                note = hog.complaint() or (setup.guard.complaint() if setup.guard else "")
                fsyncs, under_way = victim.fsyncs(begin_ns, begin_ns + self._options.seconds * _NS)
        note = note or victim.complaint()
        return Run(
            number, contestant.name, fsyncs, told, device, under_way, writes, without_paths(note)
        )

    def rest(self) -> None:
        """Give the device its speed back and let it come to rest."""
        if self._speed is not None:
            self._speed.set(self._options.full_speed)
        os.sync()
        _pause(self._options.rest_s)

    def close(self) -> None:
        """End the victim."""
        if self._victim is not None:
            self._victim.close()

    def _living_victim(self) -> Victim:
        if self._victim is None or self._victim.complaint():
            self.close()
            groups = self._here.cgroups
            self._victim = Victim(
                self._here.directory, self._options.period_ms, groups and groups.victim
            )
        return self._victim

    def _wanted(self) -> int:
        return int(self._options.wants * self._capacity)

    def _slow_at_s(self) -> float | None:
        return self._options.seconds / 2 if self._options.scenario == "slow" else None

    @contextmanager
    def _hog(self, rate: int | None, prefix: Sequence[str] = ()) -> Iterator[Hog]:
        options, groups = self._options, self._here.cgroups
        hog = Hog(
            self._here.directory,
            options.mode,
            writers=options.writers,
            rate=rate,
            span=options.span,
            seconds=options.seconds + _LONGER_S,
            prefix=(*in_cgroup(groups and groups.hog), *prefix),
        )
        try:
            yield hog
        finally:
            try:
                # What is under way must not take longer to end than it took to begin.
                if self._speed is not None:
                    self._speed.set(self._options.full_speed)
            finally:
                hog.close()

    def _guard(self, ends: contextlib.ExitStack) -> Guard:
        options = self._options
        guard = GuardProgram(self._limit_ms, options.guard_settle_s, options.seconds + _LONGER_S)
        ends.callback(guard.close)
        return guard

    def _device_capacity(self, speed: int) -> int:
        """Return the median second of a hog without a limit, bytes."""
        if self._speed is not None:
            self._speed.set(speed)
        with self._hog(None) as hog:
            hog.begun()
            _pause(1)
            totals = [self.written_bytes()]
            for _ in range(self._options.calibrate_s):
                _pause(1)
                totals.append(self.written_bytes())
            if problem := hog.complaint():
                raise IotopError(problem)
        self.rest()
        return int(statistics.median(b - a for a, b in itertools.pairwise(totals)))

    def _watch(self, begin_ns: int, first: int) -> tuple[tuple[int, int], ...]:
        """Watch the device for a run; slow it down on the way where the scenario says so."""
        moments = [(second * _NS, False) for second in range(1, self._options.seconds + 1)]
        if (slow_at_s := self._slow_at_s()) is not None:
            moments = sorted([*moments, (int(slow_at_s * _NS), True)])
        found = [(0, 0)]
        for moment_ns, is_slowing in moments:
            _pause((begin_ns + moment_ns - time.monotonic_ns()) / _NS)
            if is_slowing and self._speed is not None:
                self._speed.set(self._options.slow_speed)
            else:
                at_us = (time.monotonic_ns() - begin_ns) // 1000
                found.append((at_us, self.written_bytes() - first))
        return tuple(found)


class Runs(Protocol):
    """What makes runs; `Bench` does."""

    def alone(self, number: int) -> Run:
        """Watch the victim without a hog."""
        ...

    def run(self, contestant: Contestant, number: int) -> Run:
        """Watch one contestant."""
        ...

    def rest(self) -> None:
        """Let the device come to rest."""
        ...


def compare(
    bench: Bench, options: Options, write: Callable[[Line], None], say: Callable[[str], None]
) -> None:
    """Measure what is there, and then everybody.

    Raises:
        IotopError: victim and device cannot be measured at all.
    """
    write(bench.calibrate())
    chosen = [one for one in CONTESTANTS if not options.only or one.name in options.only]
    compare_runs(bench, chosen, options.rounds, write, say)


def compare_runs(
    bench: Runs,
    chosen: Sequence[Contestant],
    rounds: int,
    write: Callable[[Line], None],
    say: Callable[[str], None],
) -> None:
    """Run everybody in each round; one that fails is told of and does not end the others."""
    everybody: list[Contestant | None] = [None, *chosen]
    for place, contestant in enumerate(interleaved(everybody, rounds)):
        number = place // len(everybody)
        line = attempt(bench, contestant, number)
        write(line)
        problem = line.why if isinstance(line, Missing) else line.note
        text = f"round {number + 1} of {rounds}: {line.contestant}"
        say(f"{text}: {problem}" if problem else text)
        if not (isinstance(line, Missing) and line.never_ran):
            with contextlib.suppress(IotopError, OSError):
                bench.rest()


def _hog_words(options: Options) -> str:
    writers = f" --writers {options.writers}" if options.writers else ""
    return f"--mode {options.mode}{writers} --span {options.span >> 20}M"


def attempt(bench: Runs, contestant: Contestant | None, number: int) -> Run | Missing:
    """Return one run, or why there is none."""
    name = ALONE if contestant is None else contestant.name
    try:
        return bench.alone(number) if contestant is None else bench.run(contestant, number)
    except Unavailable as missing:
        return Missing(number, name, without_paths(str(missing)), never_ran=True)
    except Exception as problem:  # noqa: BLE001  # it is told of, and the others go on
        return Missing(number, name, without_paths(str(problem)) or type(problem).__name__)


def warm() -> None:
    """Compile what a guard and a hold need: that is no part of what is measured."""
    for job in ("count", "hold"):
        with contextlib.suppress(IotopError):
            compiled_for(job, lambda _: None)


def _pause(seconds: float) -> None:
    time.sleep(max(seconds, 0))
