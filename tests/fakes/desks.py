"""Everything outside of a command: a small world with the real core of a keeper, on one clock."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from msgspec.structs import replace

from iotop_ng.cli.desk import Desk
from iotop_ng.clock import NS_PER_S, ManualClock
from iotop_ng.enforcers.changes import Change
from iotop_ng.enforcers.core import Core
from iotop_ng.policy.actions import CgroupTarget, Reason
from tests.fakes.enforcers import (
    AUTHOR,
    FakeAudit,
    FakeEffect,
    fake_core,
    fake_enforcers,
)
from tests.fakes.keepers import FakeKeeper
from tests.fakes.procfs import FakeIo, FakeProc
from tests.fakes.world import FakeWorld

TICKS_PER_S = 100
Step = Callable[[], object]


class FakeSignals:
    """Waits on the clock; each wait first plays one step of the script."""

    def __init__(self, stage: FakeDesk) -> None:
        self._stage = stage
        self.is_set = False

    def wait(self, until_ns: int, descriptor: int) -> None:  # noqa: ARG002 - of the protocol
        stage = self._stage
        if stage.script:
            stage.script.pop(0)()
        if not self.is_set:
            stage.clock.sleep_until(until_ns)
        if stage.core is not None:
            stage.core.tick()


class FakeDesk:
    """A machine, and one command on it.

    Attributes:
        script: what happens at each wait of the command, in order.
        core: of the keeper; None where none runs.
        spawned: how many keepers were started.
        out: what was printed.
        left: what a dead keeper left.
        keepers: every connection, in order.
        welcome: what a new keeper says that it put back.
        write_error: what stdout fails with.
        recovered: what `recover` says that it put back; None: nobody may ask.
    """

    def __init__(self, directory: Path, *, is_root: bool = True) -> None:
        self.directory = directory
        self.world = FakeWorld()
        self.proc = FakeProc(directory / "root")
        self.clock = ManualClock(wall_ns=1_700_000_000 * NS_PER_S, mono_ns=5000 * NS_PER_S)
        self.audit = FakeAudit()
        self.enforcers = fake_enforcers(self.world)
        self.core: Core | None = None
        self.spawned = 0
        self.script: list[Step] = []
        self.keepers: list[FakeKeeper] = []
        self.welcome: tuple[str, ...] = ()
        self.write_error: Exception | None = None
        self.out = b""
        self.left: tuple[Change, ...] = ()
        self.recovered: tuple[str, ...] | None = None
        self.signals = FakeSignals(self)
        self._is_root = is_root
        self._clients = 0
        self._written: dict[int, int] = {}

    def desk(self) -> Desk:
        """Return what the command gets."""
        return Desk(
            open_keeper=self.open_keeper,
            recover=self._recover,
            left_behind=lambda: self.left,
            signals=self._catching,
            clock=self.clock,
            write=self._write,
            root=self.proc.root,
            is_root=self._is_root,
        )

    def open_keeper(self, spawn: bool, client: str = "command") -> FakeKeeper | None:
        """Connect; start a keeper where none runs."""
        if self.core is None and not spawn:
            return None
        if self.core is None:
            self.spawned += 1
            run = self.directory / "run"
            run.mkdir(exist_ok=True)
            self.core = fake_core(
                self.world, run, clock=self.clock, enforcers=self.enforcers, audit=self.audit
            )
        self._clients += 1
        author = replace(AUTHOR, client=client)
        keeper = FakeKeeper(lambda: self.core, author, self._clients)
        keeper.welcome = replace(keeper.welcome, recovered=self.welcome)
        self.keepers.append(keeper)
        return keeper

    def start(
        self, pid: int, name: str = "dd", *, cgroup: str = "/app", protected: str = "",
        flags: int = 0x400000,
    ) -> None:  # fmt: skip
        """Begin a process, in the world and in /proc."""
        target = self.world.start(pid, name, cgroup, protected)
        ticks = target.start_ns * TICKS_PER_S // NS_PER_S
        self.proc.start(pid, name, start_ticks=ticks, cgroup=f"0::{cgroup}\n", flags=flags)
        self.proc.write(f"proc/{pid}/status", f"Name:\t{name}\nTgid:\t{pid}\nPid:\t{pid}\n")
        self._written[pid] = 0

    def end(self, pid: int) -> None:
        """End a process."""
        self.world.end(pid)
        self.proc.end(pid)

    def write_bytes(self, pid: int, amount: int) -> None:
        """Let a process write; what holds it counts it, too."""
        self._written[pid] += amount
        self.proc.set_io(pid, FakeIo(write_bytes=self._written[pid]))
        for effect in self.effects(pid):
            effect.charged_bytes += amount

    def effects(self, pid: int) -> list[FakeEffect]:
        """Return what is in force on a process or its cgroup."""
        if self.core is None:
            return []
        process = self.world.processes[pid]
        found = []
        for held in self.core._policies.all():
            target = held.order.target
            is_meant = (
                target.path == process.cgroup
                if isinstance(target, CgroupTarget)
                else target.pid == pid
            )
            if is_meant and isinstance(held.effect, FakeEffect):
                found.append(held.effect)
        return found

    def interrupt(self) -> None:
        """Send the command a signal."""
        self.signals.is_set = True

    @staticmethod
    def reason(text: str) -> Reason:
        """Return a person's reason."""
        return Reason("", text)

    def die(self) -> None:
        """Kill the keeper."""
        self.core = None
        self.world.die()

    def _recover(self) -> tuple[str, ...]:
        assert self.recovered is not None, "nobody may put anything back here"
        return self.recovered

    def _write(self, data: bytes) -> None:
        if self.write_error is not None:
            raise self.write_error
        self.out += data

    @contextmanager
    def _catching(self) -> Iterator[FakeSignals]:
        yield self.signals
