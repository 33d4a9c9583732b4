"""The real engine and the real core over a small world, on one clock."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar

from msgspec.structs import replace

from iotop_ng.clock import NS_PER_S, ManualClock
from iotop_ng.control.engine import Engine
from iotop_ng.enforcers.core import Core
from iotop_ng.enforcers.orders import Request
from iotop_ng.errors import EnforcerError, IotopError
from iotop_ng.model.frame import EMPTY_FRAME, Frame, Row
from iotop_ng.policy.actions import Action
from iotop_ng.policy.protect import Protection
from iotop_ng.policy.rule import Rules
from iotop_ng.sample import process_key
from tests.fakes.enforcers import FakeAudit, fake_core, fake_enforcers
from tests.fakes.keepers import GUARD, FakeKeeper
from tests.fakes.world import FakeWorld
from tests.unit.policy.scenes import device

SLEPT_NS = 1000 * NS_PER_S
"""Frames count the time that the machine slept, the keeper's clock does not."""
MB = 1_000_000
TICK_S = 0.25


class Stage:
    """A machine with processes that write, and somebody who acts on them.

    Attributes:
        actions: everything that the rules did, in order.
        living: every stage that was made; `tests.unit.control.conftest` closes them.
        opened: how often a keeper was asked for.
        why_closed: why no keeper can be had.
        refuses: as of `FakeKeeper`, for those that are opened from now on.
        rates: pid -> bytes/s that it writes.
        fsync_ms: pid -> p99 of its fsyncs.
    """

    living: ClassVar[list[Stage]] = []

    def __init__(
        self,
        directory: Path,
        rules: Rules | None = None,
        *,
        enforce: bool = True,
        own: Protection = Protection(),  # noqa: B008 - frozen
    ) -> None:
        self.living.append(self)
        self.directory = directory
        self.world = FakeWorld()
        self.clock = ManualClock(mono_ns=500 * NS_PER_S)
        self.audit = FakeAudit()
        self.enforcers = fake_enforcers(self.world)
        self.core: Core | None = None
        self.keepers: list[FakeKeeper] = []
        self.opened = 0
        self.why_closed = ""
        self.refuses: Callable[[Request], IotopError | None] = lambda _: None
        self.actions: list[Action] = []
        self._made_of = (rules, enforce, own)
        self.engine = self._begin()
        self.rates: dict[int, float] = {}
        self.fsync_ms: dict[int, float] = {}
        self._tick = 0

    def die(self) -> None:
        """Kill the process with the engine, and start it again: the keeper sees its end."""
        for client, keeper in enumerate(self.keepers, 1):
            if keeper.is_open and keeper in self._own and self.core is not None:
                self.core.gone(client)
                keeper.is_open = False
        self.engine = self._begin()

    def _begin(self) -> Engine:
        rules, enforce, own = self._made_of
        self._own: list[FakeKeeper] = []
        return Engine(
            rules,
            GUARD,
            enforce=enforce,
            open_keeper=self._open_own,
            find_keeper=lambda: self._open_own() if self.core else None,
            protection=own,
            tell=self.actions.append,
        )

    def _open_own(self) -> FakeKeeper:
        self._own.append(self.open_keeper())
        return self._own[-1]

    def open_keeper(self) -> FakeKeeper:
        """Connect, and start a keeper where there is none."""
        self.opened += 1
        if self.why_closed:
            raise EnforcerError(self.why_closed)
        if self.core is None:
            self.core = fake_core(
                self.world,
                self.directory,
                clock=self.clock,
                enforcers=self.enforcers,
                audit=self.audit,
            )
        keeper = FakeKeeper(lambda: self.core, client=len(self.keepers) + 1)
        keeper.refuses = self.refuses
        self.keepers.append(keeper)
        return keeper

    def kill_keeper(self) -> None:
        """Kill the keeper; who notices puts back what its journal names."""
        self._close_journal(self.core)
        self.core = None
        self.world.die()
        after = fake_core(self.world, self.directory)
        after.recover()
        self._close_journal(after)

    def close(self) -> None:
        """Close files; twice is fine."""
        self._close_journal(self.core)

    @staticmethod
    def _close_journal(core: Core | None) -> None:
        if core is not None:
            core._undoing._journal.close()

    def start(self, pid: int, name: str, write: float = 0.0, cgroup: str = "/app") -> None:
        """Begin a process that writes so many bytes/s."""
        self.world.start(pid, name=name, cgroup=cgroup)
        self.rates[pid] = write

    def rows(self) -> Sequence[Row]:
        """Return the processes of now."""
        return [
            Row(
                key=process_key(pid, one.start_ns), pid=pid, tid=None, start_ns=one.start_ns,
                ppid=1, uid=1000, user="app", comm=one.name, command=one.name, cgroup=one.cgroup,
                prio=None, is_kthread=False, exited=False,
                write_bytes_per_s=self.rates.get(pid, 0.0),
                fsync_per_s=10.0 if pid in self.fsync_ms else 0.0,
                fsync_p99_us=self.fsync_ms[pid] * 1000 if pid in self.fsync_ms else None,
            )
            for pid, one in self.world.processes.items()
        ]  # fmt: skip

    def frame(self, seconds: float = TICK_S, rows: Sequence[Row] | None = None) -> Frame:
        """Let time pass and return a frame of what was seen in it."""
        self.clock.advance(round(seconds * NS_PER_S))
        if self.core is not None:
            self.core.tick()
        self._tick += 1
        found = tuple(self.rows() if rows is None else rows)
        return replace(
            EMPTY_FRAME,
            tick=self._tick,
            mono_ns=self.clock.mono_ns() + SLEPT_NS,
            wall_ns=self.clock.wall_ns(),
            interval_s=seconds,
            rows=found,
            devices=(device(sum(row.write_bytes_per_s or 0 for row in found), 1.0),),
        )

    def tick(self, seconds: float = TICK_S, times: int = 1) -> Frame:
        """Let the rules look at so many frames; return the last."""
        for _ in range(times):
            frame = self.frame(seconds)
            self.engine.tick(frame)
        return frame

    def shown(self, seconds: float = 1.0, rows: Sequence[Row] | None = None) -> Frame:
        """Return a frame as a screen gets it."""
        return self.engine.mark(self.frame(seconds, rows))

    def in_force(self) -> list[str]:
        """Return the names of what the keeper has in force."""
        return [] if self.core is None else [policy.name for policy in self.core.in_force()]
