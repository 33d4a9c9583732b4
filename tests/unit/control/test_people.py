"""What people order, beside rules and without them."""

from __future__ import annotations

import os
from pathlib import Path

from iotop_ng.control.engine import ours
from iotop_ng.control.ruling import HAND_REST_NS
from iotop_ng.enforcers.orders import (
    LADDER,
    Failed,
    InForce,
)
from iotop_ng.policy.actions import Notice
from iotop_ng.policy.protect import Protection
from tests.fakes.enforcers import order
from tests.fakes.keepers import KEEPER_PID
from tests.fakes.stages import MB, Stage
from tests.unit.control.test_engine import RULE, flooded, held, kinds


def test_what_is_held_by_hand_is_not_touched_by_a_rule(tmp_path: Path) -> None:
    stage = flooded(tmp_path)
    stage.open_keeper().apply(order(stage.world.target(100), rate=1 * MB))

    stage.tick(times=40)

    assert stage.core is not None
    (policy,) = stage.core.in_force()
    assert policy.order.rate_bytes_per_s == 1 * MB
    assert policy.order.reason.rule == ""
    assert "already" in stage.engine.problem


def test_what_a_person_released_a_rule_leaves_alone(tmp_path: Path) -> None:
    stage = held(tmp_path)

    stage.open_keeper().release(None, stage.actions[0].reason)
    stage.tick(times=4 * 300)
    assert stage.in_force() == []
    stage.tick(times=4 * 310)

    assert stage.in_force() == ["flood[100]"]
    first, second = (at for at in stage.audit.events if at.what == "applied")
    assert second.mono_ns - first.mono_ns >= HAND_REST_NS


def test_release_everything_counts_for_the_own_rules_too(tmp_path: Path) -> None:
    stage = held(tmp_path)

    released = stage.engine.release()
    stage.tick(times=40)

    assert not isinstance(released, Failed)
    assert released.names == ("flood[100]",)
    assert stage.in_force() == []


def test_a_person_takes_a_target_over_from_the_rules(tmp_path: Path) -> None:
    stage = held(tmp_path)

    answer = stage.engine.apply(order(stage.world.target(100), rate=2 * MB))
    stage.tick(times=40)

    assert isinstance(answer, InForce)
    assert stage.core is not None
    (policy,) = stage.core.in_force()
    assert policy.id == answer.id
    assert policy.order.rate_bytes_per_s == 2 * MB


def test_orders_come_back_as_values(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    stage.start(100, "flood")
    target = stage.world.target(100)

    assert stage.engine.release() == stage.engine.release()
    assert stage.opened == 0
    assert stage.engine.warm() is None
    rungs = stage.engine.ladder(order(target))
    assert isinstance(rungs, tuple)
    assert [rung.mechanism for rung in rungs] == list(LADDER)
    applied = stage.engine.apply(order(target))
    assert isinstance(applied, InForce)
    changed = stage.engine.change(applied.id, 7 * MB)
    assert isinstance(changed, InForce)
    assert changed.order.rate_bytes_per_s == 7 * MB
    again = stage.engine.apply(order(target))
    assert isinstance(again, Failed)
    assert again.exit_code == 1
    assert stage.engine.problem == again.message
    stage.world.end(100)
    gone = stage.engine.apply(order(target))
    assert isinstance(gone, Failed)
    assert stage.engine.change(99) == Failed("policy 99 is not in force any more", 4)
    stage.engine.release((applied.id,))
    assert stage.engine.problem == ""
    assert stage.opened == 1


def test_a_protected_process_is_refused_to_a_person_too(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    stage.start(100, "sshd")
    stage.world.processes[100].protected = "the machine needs sshd"

    answer = stage.engine.apply(order(stage.world.target(100)))

    assert isinstance(answer, Failed)
    assert answer.exit_code == 4
    assert stage.world.writes == []


def test_a_notice_is_told_and_nothing_is_done(tmp_path: Path) -> None:
    stage = Stage(tmp_path, RULE, own=Protection(programs=("flood",)))
    stage.start(100, "flood", 90 * MB)

    stage.tick(times=5)
    (event,) = stage.shown().policy_events

    assert kinds(stage) == [Notice]
    assert stage.opened == 0
    assert (event.seq, event.what, event.name) == (-1, "notice", "flood[100]")
    assert (event.text, event.by) == (
        "left alone: the operator protects the program",
        "rule flood",
    )


def test_this_process_and_its_terminal_are_protected() -> None:
    assert ours().own_pids == {os.getpid()}
    assert ours().terminal_pids == {os.getsid(0)} - {0}


def test_the_keeper_is_protected_as_soon_as_there_is_one(tmp_path: Path) -> None:
    stage = held(tmp_path)
    stage.start(KEEPER_PID, "flood", 90 * MB)

    stage.tick(times=8)

    assert stage.in_force() == ["flood[100]"]
    notices = [one.reason.text for one in stage.actions if isinstance(one, Notice)]
    assert notices == ["left alone: iotop-ng runs in it or under it"]
