"""The demo's stage on a real machine: victim, hog and guard as processes, the keeper, the disk."""

from __future__ import annotations

import contextlib
import glob
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from iotop_ng.cli.demo_child import Child
from iotop_ng.cli.demo_hog_child import HogChild
from iotop_ng.cli.desk import Desk, Signals
from iotop_ng.cli.targets import Asked, Finder
from iotop_ng.clock import NS_PER_S
from iotop_ng.control.link import Keeper
from iotop_ng.demo import oplog, story
from iotop_ng.demo.modes import demo_options
from iotop_ng.demo.record import Record
from iotop_ng.enforcers.orders import Kind, Mechanism, Order
from iotop_ng.enforcers.places import Places
from iotop_ng.errors import IotopError
from iotop_ng.policy.actions import Reason, Target
from iotop_ng.sources.build import compiled_for
from iotop_ng.sources.devices import Devices

LOOK_NS = NS_PER_S // 4
START_NS = 120 * NS_PER_S
"""An interpreter, and a compiler of probes, on a machine that is emulated."""
LONGEST_NS = 3600 * NS_PER_S
WATCHING = "watching"
REASON = Reason("", "iotop-ng demo --headless")
_RULES = """\
[[guard]]
name = "demo"
victim = {{ comm = "victim", command = "*{log}*" }}
keep_fsync_p99 = "{limit_us}us"
hogs = {{ comm = "log-flood", command = "*{directory}*" }}
"""
# By their command lines too: nobody else on this machine is to be judged or held for the demo.


class EndedError(Exception):
    """Somebody wants the demo to end."""


class Cast(NamedTuple):
    """Who plays."""

    directory: Path
    """Absolute."""
    memory: Path
    """For logs and rules, away from the disk that is flooded."""
    mode: str
    engine: str
    rate: str
    seed: int
    period_ns: int


class RealStage:
    """Runs the victim while it is open; see `story.Stage`.

    Args:
        cast: who plays.
        desk: the keeper and the clock.
        signals: end everything.
        tell: told what takes long.
    """

    def __init__(
        self, cast: Cast, desk: Desk, signals: Signals, tell: Callable[[str], None]
    ) -> None:
        self._record = Record()
        self._cast = cast
        self._desk = desk
        self._signals = signals
        self._tell = tell
        self._log = cast.memory / "victim.log"
        self._operations = oplog.Reader(self._log)
        self._victim: Child | None = None
        self._hog: HogChild | None = None
        self._keeper: Keeper | None = None
        self._devices = Devices(desk.root)
        self._disks: frozenset[str] = frozenset()

    @property
    def record(self) -> Record:
        """What was seen."""
        return self._record

    @property
    def disks(self) -> frozenset[str]:
        """Whose bytes are counted; none for a file system without a disk."""
        return self._disks

    @contextmanager
    def opened(self) -> Iterator[RealStage]:
        """Compile what will be needed, start the victim, and end everything in the end.

        Raises:
            IotopError: it does not start.
        """
        for job in ("count", "hold", "drop"):
            with contextlib.suppress(IotopError):
                compiled_for(job, lambda _: self._tell("compiling, once for this kernel"))
        period = f"{self._cast.period_ns // 1_000_000}ms"
        arguments = (
            "demo", "victim", str(self._cast.directory), "--period", period, "--log",
            str(self._log), "--seed", str(self._cast.seed), "--until-stdin-ends", "--json",
        )  # fmt: skip
        with Child("victim", arguments) as self._victim:
            try:
                self._until(lambda: bool(self._record.operations), "the victim")
                self._disks = self._find_disks(self._victim.pid)
                self._record.has_device = bool(self._disks)
                yield self
            finally:
                self._leave_keeper()

    # -- what the story asks for --------------------------------------------------------------

    def now_ns(self) -> int:
        """Return CLOCK_MONOTONIC."""
        return time.monotonic_ns()

    def wait(self, until_ns: int) -> None:
        """Watch until then.

        Raises:
            EndedError: somebody wants it to end.
            IotopError: victim or hog have ended.
        """
        while (now_ns := self.now_ns()) < until_ns:
            self._sleep(min(until_ns, now_ns + LOOK_NS) - now_ns)
            self.look()

    @contextmanager
    def flood(self) -> Iterator[int]:
        """Let the hog write."""
        cast = self._cast
        arguments = (
            "demo", "hog", str(cast.directory), "--rate", cast.rate, *demo_options(cast.mode),
            "--engine", cast.engine, "--seed", str(cast.seed),
            "--for", f"{LONGEST_NS // NS_PER_S}s", "--until-stdin-ends", "--json",
        )  # fmt: skip
        child = Child("hog", arguments)
        hog = self._hog = HogChild(child, self._record)
        try:
            self._until(lambda: hog.about is not None, "the hog")
            if hog.about is None:
                raise AssertionError("it was waited for")
            yield hog.about.start_ns
        finally:
            self._hog = None
            child.end()
        hog.look()

    def why_not(self, phase: str) -> str:
        """Say why the hog cannot be throttled, or its writes dropped, here."""
        kind = Kind.DROP if phase == story.DROP else Kind.THROTTLE
        try:
            for target in self._targets(kind):
                rungs = self._open_keeper().ladder(_order(kind, target, None))
                if not any(rung.works for rung in rungs):
                    return next((rung.why for rung in rungs if rung.why), "no mechanism works")
        except IotopError as error:
            return str(error)
        return ""

    @contextmanager
    def throttled(self, rate: int) -> Iterator[str]:
        """Hold the hog to a rate."""
        with self._in_force(Kind.THROTTLE, rate) as how:
            yield how

    @contextmanager
    def dropped(self) -> Iterator[str]:
        """Refuse whatever the hog writes."""
        with self._in_force(Kind.DROP, None) as how:
            yield how

    @contextmanager
    def guarded(self, limit_ns: int) -> Iterator[None]:
        """Have a guard stand by for the victim."""
        # It has a keeper of its own, as it would have on any machine: ours is not needed any more.
        self._leave_keeper()
        rules = self._cast.memory / "rules.toml"
        text = _RULES.format(
            log=self._log,
            limit_us=max(limit_ns // 1000, 1),
            directory=_pattern(self._cast.directory),
        )
        rules.write_text(text, "utf-8")
        lasts = f"{LONGEST_NS // NS_PER_S}s"
        with Child("guard", ("guard", str(rules), "--enforce", "--duration", lasts)) as guard:

            def is_watching() -> bool:
                guard.check()
                return WATCHING in guard.said()

            self._until(is_watching, "the guard")
            yield
            guard.check()

    # -- what happens below -------------------------------------------------------------------

    def look(self) -> None:
        """Take in what there is to see.

        Raises:
            IotopError: victim or hog have ended, or say what cannot be understood.
        """
        record, now_ns = self._record, self.now_ns()
        if self._victim is not None:
            self._victim.lines()
            self._victim.check()
        for line in self._operations.read():
            one = oplog.operation(line, now_ns)
            if one is None:
                record.failed += 1
            else:
                record.operations.append(one)
        begun = self._operations.under_way
        record.under_way = None if begun is None else oplog.operation(begun, now_ns)
        if self._disks:
            read = (one for one in self._devices.read() if one.name in self._disks)
            record.device.add(time.monotonic_ns(), sum(one.write_bytes for one in read))
        if self._hog is not None:
            self._hog.look()
            self._hog.child.check()

    def _until(self, is_there: Callable[[], bool], what: str) -> None:
        """Look until something is there.

        Raises:
            IotopError: it is not, after two minutes.
        """
        end_ns = self.now_ns() + START_NS
        while True:
            self.look()
            if is_there():
                return
            if self.now_ns() >= end_ns:
                raise IotopError(f"{what} does not begin: is the disk stuck already?")
            self._sleep(LOOK_NS // 10)

    def _sleep(self, ns: int) -> None:
        self._signals.wait(self._desk.clock.mono_ns() + ns, -1)
        if self._signals.is_set:
            raise EndedError

    @contextmanager
    def _in_force(self, kind: Kind, rate: int | None) -> Iterator[str]:
        keeper, targets = self._open_keeper(), self._targets(kind)
        share = None if rate is None else max(rate // len(targets), 1)
        ids: list[int] = []
        names: dict[str, None] = {}
        try:
            for target in targets:
                policy = keeper.apply(_order(kind, target, share))
                ids.append(policy.id)
                names[policy.mechanism.value] = None
                if policy.problem:
                    self._tell(policy.problem)
            yield ", ".join(names)
        finally:
            if ids:
                for problem in keeper.release(tuple(ids), REASON).problems:
                    self._tell(problem)

    def _targets(self, kind: Kind) -> tuple[Target, ...]:
        """Return whom to act on: the one writer; of several, who has forked them, if that works."""
        about = None if self._hog is None else self._hog.about
        if about is None:
            raise IotopError("the hog is not there")
        if len(about.writers) > 1:
            parent = _target(about.pid, self._desk.root)
            rungs = self._open_keeper().ladder(_order(kind, parent, None))
            first = next((rung.mechanism for rung in rungs if rung.works), None)
            if first in {Mechanism.HOLD, Mechanism.DROP}:
                return (parent,)
        return tuple(_target(pid, self._desk.root) for pid in about.writers)

    def _open_keeper(self) -> Keeper:
        if self._keeper is None:
            self._keeper = self._desk.keeper(spawn=True)
        if self._keeper is None:
            raise IotopError("iotop-ng could not start its keeper")
        return self._keeper

    def _leave_keeper(self) -> None:
        if self._keeper is not None:
            self._keeper.close()
            self._keeper = None

    def _find_disks(self, pid: int) -> frozenset[str]:
        number = self._cast.directory.stat().st_dev
        whole = self._devices.fold(os.major(number), os.minor(number))
        named = {one.name for one in self._devices.read() if (one.major, one.minor) == whole}
        # btrfs and overlays have numbers of their own: what the victim writes to says it.
        return frozenset(named or {disk.name for disk in Places(self._desk.root).open_now((pid,))})


def _target(pid: int, root: Path) -> Target:
    return Finder(root).find((Asked("pid", str(pid)),), every=False)[0].target


def _order(kind: Kind, target: Target, rate: int | None) -> Order:
    # Looking for what works does not ask for a rate, but an order to throttle has one.
    is_bare = kind is Kind.THROTTLE and rate is None
    return Order(kind, target, REASON, rate_bytes_per_s=1 << 20 if is_bare else rate)


def _pattern(directory: Path) -> str:
    """Return a shell pattern for a path, as text in a TOML string."""
    return glob.escape(str(directory)).replace("\\", "\\\\").replace('"', '\\"')
