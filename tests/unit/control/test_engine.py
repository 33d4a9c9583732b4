"""Rules and people through the real engine and the real keeper's core, over a fake world."""

from __future__ import annotations

from pathlib import Path

import pytest

from iotop_ng.control.engine import Engine
from iotop_ng.enforcers.orders import (
    Apply,
    Change,
    Failed,
    InForce,
    Mechanism,
    Release,
    Request,
)
from iotop_ng.errors import EnforcerError, IotopError
from iotop_ng.policy.actions import Adjust, Throttle
from iotop_ng.policy.actions import Release as ReleaseAction
from iotop_ng.policy.rules import parse_rules
from iotop_ng.sample import Need
from tests.fakes.enforcers import order
from tests.fakes.keepers import GUARD
from tests.fakes.stages import MB, Stage

RULE = parse_rules(
    """
[[rule]]
name = "flood"
match = { comm = "flood" }
writes_over = "50MB/s"
to = "5MB/s"
lease = "60s"
renew = true
"""
)
GUARDED = parse_rules(
    """
[[guard]]
name = "commits"
victim = { comm = "db" }
keep_fsync_p99 = "20ms"
"""
)


def flooded(directory: Path, *, enforce: bool = True) -> Stage:
    """Return a stage where one process writes 90 MB/s against a rule."""
    stage = Stage(directory, RULE, enforce=enforce)
    stage.start(100, "flood", 90 * MB)
    stage.start(200, "cp", 90 * MB)
    return stage


def held(directory: Path) -> Stage:
    """Return a stage where the rule holds its target."""
    stage = flooded(directory)
    stage.tick()
    assert stage.in_force() == ["flood[100]"]
    return stage


def kinds(stage: Stage) -> list[type]:
    return [type(action) for action in stage.actions]


def test_without_rules_nothing_is_looked_at_in_between() -> None:
    engine = Engine(None, GUARD, open_keeper=pytest.fail, find_keeper=lambda: None)

    assert engine.interval_s is None
    assert engine.needs == frozenset()


def test_a_rule_holds_its_target_and_nobody_else(tmp_path: Path) -> None:
    stage = flooded(tmp_path)

    stage.tick()

    assert stage.in_force() == ["flood[100]"]
    assert stage.world.touched == {(100, stage.world.processes[100].start_ns)}
    assert stage.engine.interval_s == 0.25


def test_only_rules_about_latency_need_system_calls(tmp_path: Path) -> None:
    assert Stage(tmp_path, RULE).engine.needs == frozenset()
    assert Stage(tmp_path, GUARDED).engine.needs == {Need.SYSCALLS}


def test_a_lease_is_renewed_while_the_rule_holds(tmp_path: Path) -> None:
    stage = held(tmp_path)
    stage.rates[100] = 5 * MB

    stage.tick(times=4 * 200)

    assert stage.in_force() == ["flood[100]"]
    assert any(isinstance(one, Change) for one in stage.keepers[0].asked)
    assert kinds(stage) == [Throttle]


def test_an_ended_target_is_let_go_of(tmp_path: Path) -> None:
    stage = held(tmp_path)

    stage.world.end(100)
    stage.tick(times=8)

    assert stage.in_force() == []
    assert kinds(stage)[-1] is ReleaseAction


def test_a_guard_adjusts_what_it_holds(tmp_path: Path) -> None:
    stage = Stage(tmp_path, GUARDED)
    stage.start(100, "flood", 90 * MB)
    stage.start(200, "db", cgroup="/db")
    stage.fsync_ms[200] = 60

    stage.tick(times=6)

    assert kinds(stage) == [Throttle, Adjust, Adjust]
    assert stage.core is not None
    (policy,) = stage.core.in_force()
    assert policy.order.rate_bytes_per_s == stage.actions[-1].rate_bytes_per_s  # type: ignore[union-attr]


def test_a_dry_run_takes_the_same_path_and_does_nothing(tmp_path: Path) -> None:
    real, dry = Stage(tmp_path / "a", RULE), Stage(tmp_path / "b", RULE, enforce=False)
    for stage in (real, dry):
        stage.directory.mkdir()
        stage.start(100, "flood", 90 * MB)
        stage.tick(times=20)

    assert kinds(real) == kinds(dry)
    assert [type(one) for one in real.keepers[0].asked] == [
        type(one) for one in dry.keepers[0].asked
    ]
    assert dry.world.writes == []
    assert real.world.writes
    assert dry.core is not None
    assert [one.mechanism for one in dry.core.in_force()] == [Mechanism.DRY_RUN]
    assert dry.audit.whats() == ["would"]


def test_closing_takes_everything_back(tmp_path: Path) -> None:
    stage = Stage(tmp_path, RULE)
    before = stage.world.state()
    stage.start(100, "flood", 90 * MB)
    stage.start(200, "cp", 90 * MB)
    stage.tick()
    stage.engine.apply(order(stage.world.target(200)))

    stage.engine.close()
    stage.engine.close()

    assert stage.in_force() == []
    assert stage.world.state() == before


# -- what goes wrong ------------------------------------------------------------------------------


def test_three_missed_frames_release_everything_and_are_told(tmp_path: Path) -> None:
    stage = held(tmp_path)

    for count in range(3):
        assert stage.in_force() == ["flood[100]"], count
        stage.engine.blind("the source failed")

    assert stage.in_force() == []
    assert "nothing was measured for 3 ticks: the source failed" in stage.engine.problem
    assert stage.engine.problem in stage.shown().policy_problem


def test_a_look_that_comes_far_too_late_releases_everything_first(tmp_path: Path) -> None:
    stage = held(tmp_path)
    stage.tick()

    stage.tick(seconds=1.3)

    assert [type(one) for one in stage.keepers[0].asked if not hasattr(one, "after_seq")][-2:] == [
        Release,
        Apply,
    ]
    assert "nothing was measured for 1.3 s" in stage.audit.events[-2].text


def test_an_order_that_took_long_is_no_reason_to_let_go(tmp_path: Path) -> None:
    """The first hold on a kernel compiles a program, and meanwhile nothing is read."""
    stage = held(tmp_path)

    stage.clock.advance(5 * 10**9)
    stage.tick(times=4)
    assert kinds(stage) == [Throttle]

    stage.tick(seconds=5)
    assert kinds(stage)[1:] == [ReleaseAction, Throttle]


def test_one_frame_in_time_forgives_two_missed_ones(tmp_path: Path) -> None:
    stage = held(tmp_path)

    for _ in range(5):
        stage.engine.blind("late")
        stage.engine.blind("late")
        stage.tick()

    assert stage.in_force() == ["flood[100]"]


def test_an_error_in_the_rules_releases_everything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = held(tmp_path)

    def broken(*_: object) -> None:
        raise ZeroDivisionError("bad\nluck")

    with monkeypatch.context() as patch:
        patch.setattr("iotop_ng.policy.decide.decide", broken)
        stage.tick()
    assert stage.in_force() == []
    stage.tick(times=3)
    assert stage.in_force() == []
    stage.tick()
    assert stage.in_force() == ["flood[100]"]
    assert "the rules failed: ZeroDivisionError: bad luck" in stage.audit.events[1].text


def test_a_target_that_cannot_be_held_is_tried_less_and_less_often(tmp_path: Path) -> None:
    stage = flooded(tmp_path)
    stage.refuses = lambda one: EnforcerError("no: EPERM") if isinstance(one, Apply) else None

    stage.tick()
    assert stage.shown().policy_problem == "no: EPERM"
    stage.tick(times=4 * 600)

    tries = [one for one in stage.keepers[0].asked if isinstance(one, Apply)]
    assert 6 <= len(tries) <= 16


def test_without_a_keeper_the_rules_rest_longer_and_longer(tmp_path: Path) -> None:
    stage = flooded(tmp_path)
    stage.why_closed = "acting needs root"

    stage.tick(times=4 * 600)

    assert 6 <= stage.opened <= 16
    assert stage.shown().policy_problem == "acting needs root"


def test_a_rate_that_cannot_be_adjusted_is_let_go_of(tmp_path: Path) -> None:
    stage = Stage(tmp_path, GUARDED)
    stage.start(100, "flood", 90 * MB)
    stage.start(200, "db", cgroup="/db")
    stage.fsync_ms[200] = 60
    stage.tick()
    assert stage.in_force() == ["flood[100]"]

    stage.keepers[0].refuses = lambda one: (
        EnforcerError("short write") if isinstance(one, Change) else None
    )
    stage.tick(times=2)

    assert stage.in_force() == []
    assert stage.engine.problem == "short write"


def test_a_release_that_fails_is_tried_again(tmp_path: Path) -> None:
    stage = held(tmp_path)
    stage.rates[100] = 0
    failures = [EnforcerError("busy")] * 3

    def refuse(request: Request) -> IotopError | None:
        return failures.pop() if isinstance(request, Release) and failures else None

    stage.keepers[0].refuses = refuse
    for _ in range(3):
        stage.engine.blind("a test")
    assert stage.in_force() == ["flood[100]"]
    stage.tick(times=3)

    assert stage.in_force() == []
    assert failures == []


def test_when_the_keeper_dies_the_rules_begin_anew_after_a_rest(tmp_path: Path) -> None:
    stage = held(tmp_path)

    stage.kill_keeper()
    frame = stage.shown()
    assert frame.policies == ()
    assert "the keeper ended" in frame.policy_problem
    stage.tick(times=3)
    assert stage.in_force() == []
    stage.tick(times=3)
    assert stage.in_force() == ["flood[100]"]


def test_everything_is_released_when_our_keeper_died_and_there_is_another(tmp_path: Path) -> None:
    stage = held(tmp_path)
    stage.kill_keeper()
    stage.open_keeper().apply(order(stage.world.target(200)))

    released = stage.engine.release()

    assert not isinstance(released, Failed)
    assert released.names == ("cp[200]",)
    assert stage.in_force() == []


def test_a_dialog_finds_out_that_the_keeper_died_and_starts_one(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    stage.start(100, "dd")
    assert stage.engine.warm() is None
    stage.kill_keeper()

    assert stage.engine.warm() is None
    assert isinstance(stage.engine.apply(order(stage.world.target(100))), InForce)
    assert stage.opened == 2


def test_an_answer_that_nobody_understands_releases_everything(tmp_path: Path) -> None:
    stage = held(tmp_path)

    def confuse(_: Request) -> IotopError | None:
        raise ValueError("\x1b[31mnonsense")

    stage.keepers[0].refuses = confuse
    frame = stage.shown()

    assert stage.in_force() == []
    assert frame.policy_problem == "unexpected ValueError: ·[31mnonsense; everything was released"
    stage.tick(times=8)
    assert stage.in_force() == ["flood[100]"]


def test_read_only_shows_what_others_hold_and_orders_nothing(tmp_path: Path) -> None:
    """Not even a release, although a keeper is there and could be asked."""
    stage = held(tmp_path)
    looker = Engine(
        None,
        GUARD,
        open_keeper=pytest.fail,
        find_keeper=lambda: stage.keepers[0],
        read_only=True,
    )

    frame = looker.mark(stage.frame())
    target = order(stage.world.target(200))
    answers = (
        looker.warm(),
        looker.ladder(target),
        looker.apply(target),
        looker.change(1, 5 * MB),
        looker.release(),
    )

    assert [policy.rule for policy in frame.policies] == ["flood"]
    assert {answer.exit_code for answer in answers if isinstance(answer, Failed)} == {3}
    assert all(isinstance(answer, Failed) for answer in answers)
    assert len(stage.shown().policies) == 1
