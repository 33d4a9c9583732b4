"""Orders, with the real core over a fake world."""

from __future__ import annotations

import pytest

from iotop_ng.enforcers.orders import (
    PROTOCOL,
    AskLadder,
    Author,
    Hello,
    Kind,
    Ladder,
    Mechanism,
)
from iotop_ng.enforcers.policies import MAX_POLICIES
from iotop_ng.errors import EnforcerError, TargetError
from iotop_ng.policy.actions import CgroupTarget, ProcessTarget
from iotop_ng.sample import process_key
from tests.fakes.enforcers import (
    AUTHOR,
    order,
)
from tests.unit.enforcers.stage import MINUTE, Stage, failed

# -- apply ----------------------------------------------------------------------------------------


def test_the_first_mechanism_that_works_is_taken(stage: Stage) -> None:
    stage.enforcers[Mechanism.HOLD].works = False

    assert stage.throttle().mechanism is Mechanism.IO_MAX


def test_the_mechanism_that_was_asked_for_is_taken(stage: Stage) -> None:
    assert stage.throttle(mechanism=Mechanism.PAUSE).mechanism is Mechanism.PAUSE
    assert stage.world.stopped == {(42, stage.world.target(42).start_ns)}


def test_one_that_does_not_work_is_refused_with_all_rungs(stage: Stage) -> None:
    stage.enforcers[Mechanism.HOLD].works = False
    stage.enforcers[Mechanism.HOLD].why = "strace is attached"

    answer = stage.refused(order(stage.world.target(42), mechanism=Mechanism.HOLD))

    assert "strace is attached" in answer.message
    assert [rung.works for rung in answer.rungs] == [False, True, True]
    assert stage.is_as_before()


def test_a_mechanism_that_fails_to_look_is_a_rung_that_does_not_work(stage: Stage) -> None:
    stage.world.fail("hold.rung", RuntimeError("surprise"))

    assert stage.throttle().mechanism is Mechanism.IO_MAX


def test_the_ladder_is_shown_and_changes_nothing(stage: Stage) -> None:
    answer = stage.core.handle(1, AskLadder(order(stage.world.target(42))))

    assert isinstance(answer, Ladder)
    assert [rung.mechanism for rung in answer.rungs] == [
        Mechanism.HOLD, Mechanism.IO_MAX, Mechanism.PAUSE,
    ]  # fmt: skip
    assert stage.is_as_before()
    assert stage.audit.events == []


def test_what_is_in_force_says_who_asked_and_for_how_long(stage: Stage) -> None:
    stage.clock.advance(7)

    policy = stage.throttle(lease_s=60)

    assert (policy.name, policy.author, policy.since_ns) == ("dd[42]", AUTHOR, 7)
    assert policy.until_ns == 7 + MINUTE
    assert stage.look().policies == (policy,)


@pytest.mark.parametrize("kind", [Kind.THROTTLE, Kind.DROP])
def test_a_second_one_on_a_target_is_refused_and_says_whose_the_first_is(
    stage: Stage, kind: Kind
) -> None:
    stage.throttle()
    state = stage.world.state()

    answer = stage.refused(order(stage.world.target(42), kind))

    assert answer.exit_code == EnforcerError.exit_code
    assert answer.message.startswith("already: dd[42] is held to 4.8M/s by hold (policy 1 of")
    assert "command of root on pts/3" in answer.message
    assert "use change" in answer.message
    assert stage.world.state() == state


def test_a_target_is_the_same_whichever_source_read_its_start(stage: Stage) -> None:
    target = stage.world.target(42)
    stage.throttle()
    finer = ProcessTarget(process_key(42, target.start_ns + 99), 42, target.start_ns + 99)

    assert "already" in stage.refused(order(finer)).message


def test_a_priority_goes_beside_a_throttle(stage: Stage) -> None:
    stage.throttle()
    stage.apply(order(stage.world.target(42), Kind.IONICE))

    assert len(stage.core.in_force()) == 2


def test_two_policies_never_set_the_same_value(stage: Stage) -> None:
    """Releasing one would take the other's limit away."""
    stage.throttle(mechanism=Mechanism.IO_MAX)
    state = stage.world.state()

    answer = stage.refused(order(CgroupTarget("/user.slice"), mechanism=Mechanism.IO_MAX))

    assert "policy 1 has set the same value" in answer.message
    assert stage.world.state() == state


def test_there_is_an_end_to_the_number_of_policies(stage: Stage) -> None:
    for pid in range(100, 100 + MAX_POLICIES):
        stage.world.start(pid)
        stage.throttle(pid)

    assert f"{MAX_POLICIES} policies" in stage.refused(order(stage.world.target(42))).message


def test_the_protected_are_never_touched(stage: Stage) -> None:
    target = stage.world.start(44, "sshd", protected="the machine needs sshd")

    answer = stage.refused(order(target))

    assert answer.exit_code == TargetError.exit_code
    assert answer.message == "sshd[44] is protected: the machine needs sshd"
    assert stage.audit.whats() == ["refused"]
    assert stage.world.touched == set()


def test_a_ladder_for_the_protected_is_refused(stage: Stage) -> None:
    target = stage.world.start(44, protected="it is PID 1")

    answer = failed(stage.core.handle(1, AskLadder(order(target))))

    assert answer.exit_code == TargetError.exit_code


def test_a_client_is_protected(stage: Stage) -> None:
    target = stage.world.start(AUTHOR.pid)

    assert "iotop-ng runs in it" in stage.refused(order(target)).message


def test_what_covers_a_new_client_is_released(stage: Stage) -> None:
    stage.throttle()
    author = Author("screen", 42, 0, "root", "")

    stage.core.handle(2, Hello(PROTOCOL, author))

    assert stage.is_as_before()
    assert stage.last().what == "released"
    assert "must not be touched any more" in stage.last().text


def test_a_reused_number_is_another_process(stage: Stage) -> None:
    old = stage.world.target(42)
    stage.world.start(42, "vi")

    answer = stage.refused(order(old))

    assert answer.exit_code == TargetError.exit_code
    assert stage.world.touched == set()


def test_a_number_that_is_reused_while_mechanisms_are_looked_at_is_not_acted_on(
    stage: Stage,
) -> None:
    """Looking takes its time: what was found is looked at again right before acting."""
    wanted = order(stage.world.target(42))
    stage.world.meanwhile("hold.rung", lambda: stage.world.start(42, "vi"))

    answer = stage.refused(wanted)

    assert answer.exit_code == TargetError.exit_code
    assert stage.world.touched == set()
    assert stage.is_as_before()


BAD_ORDERS = [
    {"rate": None},
    {"rate": 0},
    {"rate": -1},
    {"rate": 2**60 + 1},
    {"lease_s": 0},
    {"lease_s": -5},
    {"lease_s": 8 * 24 * 3600},
    {"mechanism": Mechanism.DROP},
    {"mechanism": Mechanism.IONICE},
    {"kind": Kind.DROP, "budget": 0},
    {"kind": Kind.DROP, "mechanism": Mechanism.HOLD},
]


@pytest.mark.parametrize("bad", BAD_ORDERS)
def test_an_order_that_makes_no_sense_is_refused_before_anything(
    stage: Stage, bad: dict[str, object]
) -> None:
    answer = stage.refused(order(stage.world.target(42), **bad))  # type: ignore[arg-type]

    assert answer.exit_code == 2
    assert stage.is_as_before()


def test_a_target_whose_key_is_not_its_own_is_refused(stage: Stage) -> None:
    target = stage.world.target(42)

    answer = stage.refused(order(ProcessTarget(target.key + 1, 42, target.start_ns)))

    assert answer.exit_code == 2


# -- dry run --------------------------------------------------------------------------------------


def test_a_dry_run_says_what_would_be_done_and_does_nothing(stage: Stage) -> None:
    policy = stage.throttle(dry_run=True)

    assert policy.mechanism is Mechanism.DRY_RUN
    assert stage.last().what == "would"
    assert stage.last().text == "would hold dd[42] to 4.8M/s"
    assert stage.world.state() == stage.before
    assert stage.world.writes == []


def test_a_dry_run_fails_where_the_real_one_would(stage: Stage) -> None:
    for enforcer in stage.enforcers.values():
        enforcer.works = False

    assert (
        "cannot throttle here" in stage.refused(order(stage.world.target(42), dry_run=True)).message
    )


def test_a_dry_run_takes_nobody_s_place(stage: Stage) -> None:
    stage.throttle(dry_run=True)

    stage.throttle()
    stage.core.handle(2, Hello(PROTOCOL, AUTHOR))
    stage.apply(order(stage.world.target(42), dry_run=True), client=2)

    assert len(stage.core.in_force()) == 3
    assert "already" in stage.refused(order(stage.world.target(42), dry_run=True)).message
