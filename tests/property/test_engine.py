"""Anything that can happen to a machine, through the real engine and the real keeper's core.

Processes begin, end and reuse pids; rules and people act; mechanisms fail at any step; the keeper
is killed at any step, and its clients; samples are lost and clocks jump. Whatever the order: nobody
who is protected is acted on, and afterwards the world is as it was.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from iotop_ng.clock import NS_PER_S
from iotop_ng.enforcers.orders import LADDER, Kind, Mechanism, Order
from iotop_ng.errors import EnforcerError, NotPermittedError, TargetError, UsageError
from iotop_ng.policy.actions import Adjust, Drop, ProcessTarget, Reason, Throttle
from iotop_ng.policy.protect import Protection
from iotop_ng.policy.rules import parse_rules
from iotop_ng.sample import process_key
from tests.fakes.keepers import FakeKeeper
from tests.fakes.stages import MB, Stage
from tests.fakes.world import Crash

RULES = parse_rules(
    """
max_targets = 2
[protect]
programs = ["precious"]
[[rule]]
name = "runaway"
writes_over = "20M/s"
while_fsync_p99_over = "50ms"
to = "5M/s"
lease = "6s"
[[rule]]
name = "lossy"
match = { comm = "log-*" }
writes_over = "40M/s"
do = "drop"
to = "1M/s"
budget = "1G"
renew = true
[[guard]]
name = "commits"
victim = { comm = "db" }
keep_fsync_p99 = "20ms"
"""
)
PIDS = (100, 101, 102, 103, 104)
NAMES = ("dd", "log-flood", "db", "precious", "sshd")
CGROUPS = ("/app", "/db", "/logs")
UNTOUCHABLE = {"sshd": "the machine needs sshd"}
"""By the keeper's own look, for everybody; `precious` and `db` only by the rules'."""
STEPS = ("pin", "check", "protect", "hold.rung", "hold.apply.look", "hold.apply.noted",
         "hold.apply.half", "hold.apply.done", "hold.adjust", "hold.adjust.noted", "hold.tick",
         "hold.counts", "hold.undo", "drop.apply.noted", "drop.apply.half", "drop.tick",
         "drop.undo", "io_max.apply.half", "pause.apply.noted", "pause.tick", "ionice.apply.half",
         "ionice.undo", "put_back")  # fmt: skip
ERRORS = (EnforcerError("EBUSY"), NotPermittedError("EPERM"), TargetError("gone"), OSError("EIO"))

pids = st.sampled_from(PIDS)
rates = st.sampled_from((0, 1 * MB, 30 * MB, 90 * MB, 400 * MB))
starts = st.tuples(st.just("start"), pids, st.sampled_from(NAMES), rates, st.sampled_from(CGROUPS))
crashes = st.tuples(st.just("crash"), st.sampled_from(STEPS))
orders = st.tuples(
    st.just("order"), st.booleans(), pids, st.sampled_from(tuple(Kind)),
    st.sampled_from((None, *LADDER)), st.sampled_from((False, False, True)),
)  # fmt: skip
ticks = st.tuples(st.just("tick"), st.integers(1, 6))
changes = st.tuples(st.just("change"), st.booleans(), rates)
steps = st.one_of(
    ticks, ticks, ticks, ticks, starts, starts, orders, orders, orders, crashes, crashes,
    changes, changes,
    st.tuples(st.just("fail"), st.sampled_from(STEPS), st.sampled_from(ERRORS)),
    st.tuples(st.just("fsync"), pids, st.sampled_from((0, 5, 60, 900))),
    st.tuples(st.just("write"), pids, rates),
    st.tuples(st.just("late"), st.sampled_from((2, 30, 700))),
    st.tuples(st.just("end"), pids),
    st.tuples(st.just("release"), st.booleans(), st.booleans()),
    st.sampled_from((("kill",), ("blind",), ("lose",), ("show",), ("leave",), ("die",),
                     ("wall", -(10**12)))),
)  # fmt: skip


class Drive:
    """Plays steps; `stranger` is another client of the same keeper, a person at a command line."""

    def __init__(self, directory: Path) -> None:
        self.stage = Stage(directory, RULES, own=Protection(own_pids=frozenset({5000})))
        # What was set before we came has to be there afterwards.
        self.stage.world.write("/fake/100/rate", "17")
        self.stage.world.write("/fake/101/drop", "before")
        self.before = self.stage.world.state()
        self.people: dict[tuple[int, int], tuple[str, str]] = {}
        self.stranger: FakeKeeper | None = None
        self.lost = 0
        self.is_undoing_unhurt = True
        """Otherwise something may wait for the keeper's end to be put back."""
        # Something to act on from the first step.
        self.do_start(100, "dd", 90 * MB, "/app")
        self.do_start(101, "log-flood", 90 * MB, "/logs")
        self.do_start(102, "db", 1 * MB, "/db")
        self.do_start(103, "log-flood", 90 * MB, "/logs")
        self.do_fsync(102, 60)

    def play(self, step: tuple[object, ...]) -> None:
        """Do one step; a keeper that is killed in it is put right by who notices."""
        try:
            getattr(self, f"do_{step[0]}")(*step[1:])
            self.check()
        except Crash:
            self.do_kill()
            self.check()

    def check(self) -> None:
        """Nobody who is protected was ever acted on."""
        stage = self.stage
        for pid, start_ns in stage.world.touched:
            assert self.people[pid, start_ns][0] not in UNTOUCHABLE
        for action in stage.actions:
            if isinstance(action, Throttle | Drop | Adjust):
                assert isinstance(action.target, ProcessTarget)
                name, cgroup = self.people[action.target.pid, action.target.start_ns]
                assert name not in {"db", "precious", "sshd"}, action
                assert action.target.key == process_key(
                    action.target.pid, action.target.start_ns
                ), cgroup
        if stage.core is not None:
            rules = [one for one in stage.core.in_force() if one.order.reason.rule]
            assert len(rules) <= RULES.max_targets

    def end(self) -> None:
        """Everybody leaves in good order; the keeper ends as it does when nobody is left."""
        stage = self.stage
        stage.world.heal()
        stage.engine.close()
        if self.stranger is not None:
            self.stranger.close()
        if stage.core is not None:
            assert stage.core.in_force() == ()
            if self.is_undoing_unhurt:
                assert stage.world.state() == self.before
            stage.core.release_all("the end")
        assert stage.world.state() == self.before

    # -- steps ---------------------------------------------------------------------------------

    def do_tick(self, times: int) -> None:
        for _ in range(times):
            frame = self.stage.frame()
            self.stage.engine.tick(replace(frame, lost=self.lost))

    def do_late(self, seconds: int) -> None:
        self.stage.tick(seconds=seconds)

    def do_start(self, pid: int, name: str, rate: float, cgroup: str) -> None:
        stage = self.stage
        stage.fsync_ms.pop(pid, None)
        stage.start(pid, name, rate, "/db" if name == "db" else cgroup)
        process = stage.world.processes[pid]
        process.protected = UNTOUCHABLE.get(name, "")
        self.people[pid, process.start_ns] = (name, process.cgroup)

    def do_end(self, pid: int) -> None:
        self.stage.world.end(pid)

    def do_write(self, pid: int, rate: float) -> None:
        self.stage.rates[pid] = rate

    def do_fsync(self, pid: int, ms: float) -> None:
        self.stage.fsync_ms[pid] = ms

    def do_fail(self, step: str, error: Exception) -> None:
        self.is_undoing_unhurt &= step != "put_back"
        self.stage.world.fail(step, error)

    def do_crash(self, step: str) -> None:
        self.stage.world.fail(step, Crash())

    def do_kill(self) -> None:
        """Kill the keeper: what it left is put back from its journal, all of it."""
        stage = self.stage
        stage.world.heal()
        stage.kill_keeper()
        assert stage.world.state() == self.before
        self.stranger = None

    def do_die(self) -> None:
        """Kill the process of the engine: what it applied is taken back, and nothing else."""
        stage = self.stage
        others = {} if self.stranger is None else {"a stranger": self.stranger}
        stage.die()
        assert bool(stage.in_force()) <= bool(others)

    def do_blind(self) -> None:
        self.stage.engine.blind("the source failed")

    def do_lose(self) -> None:
        self.lost += 1

    def do_wall(self, step_ns: int) -> None:
        self.stage.clock.wall += step_ns

    def do_show(self) -> None:
        frame = self.stage.shown()
        names = {one.name for one in frame.policies}
        assert names <= set(self.stage.in_force())

    def do_order(
        self, is_ours: bool, pid: int, kind: Kind, mechanism: Mechanism | None, dry_run: bool
    ) -> None:
        if pid not in self.stage.world.processes:
            return
        order = Order(
            kind=kind,
            target=self.stage.world.target(pid),
            reason=Reason("", "a test"),
            rate_bytes_per_s=None if kind is Kind.IONICE else MB,
            mechanism=mechanism if kind is Kind.THROTTLE else None,
            dry_run=dry_run,
        )
        if is_ours:
            self.stage.engine.apply(order)
            return
        with suppress(EnforcerError, NotPermittedError, TargetError):
            if self.stranger is None:
                self.stranger = self.stage.open_keeper()
            self.stranger.apply(order)

    def do_change(self, is_ours: bool, rate: int) -> None:
        for policy in self.stage.core.in_force() if self.stage.core else ():
            if is_ours:
                self.stage.engine.change(policy.id, rate)
            elif self.stranger is not None:
                with suppress(EnforcerError, NotPermittedError, TargetError, UsageError):
                    self.stranger.change(policy.id, Reason("", "a test"), 5 * NS_PER_S, rate)

    def do_release(self, is_ours: bool, is_all: bool) -> None:
        stage = self.stage
        policies = stage.core.in_force() if stage.core else ()
        ids = None if is_all else tuple(one.id for one in policies[:1])
        if is_ours:
            stage.engine.release(ids)
        elif self.stranger is not None:
            self.stranger.release(ids, Reason("", "a test"))
        if is_all and (is_ours or self.stranger is not None):
            assert stage.in_force() == []

    def do_leave(self) -> None:
        """The other client is killed: the keeper sees its connection end."""
        if self.stranger is not None:
            self.stranger.close()
            self.stranger = None


@contextmanager
def driving() -> Iterator[Drive]:
    with tempfile.TemporaryDirectory() as directory:
        drive = Drive(Path(directory))
        try:
            yield drive
        finally:
            drive.stage.close()
            Stage.living.remove(drive.stage)


@given(st.lists(steps, max_size=40))
@settings(max_examples=120, deadline=None)
def test_nobody_protected_is_touched_and_everything_is_undone(
    played: list[tuple[object, ...]],
) -> None:
    with driving() as drive:
        for step in played:
            drive.play(step)
        drive.end()


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("after", range(4))
def test_a_keeper_that_is_killed_at_a_step_leaves_nothing(step: str, after: int) -> None:
    """The step's first, second, third and fourth time; the kill checks the world."""
    ours, other = ("tick", 3), ("order", False, 104, Kind.IONICE, None, False)
    with driving() as drive:
        drive.do_start(104, "dd", MB, "/app")
        for _ in range(after):
            drive.do_fail(step, EnforcerError("not now"))
        drive.do_crash(step)
        for played in (
            ours, other, ("order", True, 104, Kind.THROTTLE, Mechanism.PAUSE, False),
            ("fsync", 102, 900), ours, ("change", True, 7 * MB), ours, ("end", 101), ours,
            ("release", True, True), ("order", False, 104, Kind.THROTTLE, Mechanism.IO_MAX, False),
            ("late", 700), ours, ("leave",), ours,
        ):  # fmt: skip
            drive.play(played)
        drive.end()
