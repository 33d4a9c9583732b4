"""Changes, leases and endings, with the real core over a fake world."""

from __future__ import annotations

import pytest

from iotop_ng.clock import NS_PER_S
from iotop_ng.enforcers.orders import (
    PROTOCOL,
    Applied,
    AskLadder,
    Change,
    Hello,
    Kind,
    Mechanism,
    Release,
    Released,
)
from iotop_ng.errors import EnforcerError
from tests.fakes.enforcers import (
    AUTHOR,
    order,
)
from tests.unit.enforcers.stage import BY_HAND, MINUTE, Stage, failed

# -- change ---------------------------------------------------------------------------------------


def test_another_rate_is_set_and_the_lease_starts_anew(stage: Stage) -> None:
    policy = stage.throttle(lease_s=60)
    stage.clock.advance(50 * NS_PER_S)

    answer = stage.core.handle(1, Change(policy.id, BY_HAND, MINUTE, rate_bytes_per_s=99))

    assert isinstance(answer, Applied)
    assert answer.policy.order.rate_bytes_per_s == 99
    assert answer.policy.until_ns == 50 * NS_PER_S + MINUTE
    assert stage.world.read("/fake/42/rate") == "99"
    event = stage.last()
    assert (event.what, event.old_bytes_per_s, event.new_bytes_per_s) == ("adjusted", 5_000_000, 99)


def test_a_renewal_writes_no_limit(stage: Stage) -> None:
    policy = stage.throttle(lease_s=60)
    writes = list(stage.world.writes)
    stage.clock.advance(30 * NS_PER_S)

    stage.core.handle(1, Change(policy.id, BY_HAND, MINUTE))
    stage.core.handle(1, Change(policy.id, BY_HAND, MINUTE, rate_bytes_per_s=5_000_000))

    assert stage.world.writes == writes
    assert stage.audit.whats() == ["applied", "renewed"]
    stage.wait(MINUTE - 1)
    assert not stage.core.is_idle


def test_an_adjustment_that_fails_releases(stage: Stage) -> None:
    policy = stage.throttle()
    stage.world.fail("hold.adjust.noted", EnforcerError("EBUSY"))

    answer = stage.core.handle(1, Change(policy.id, BY_HAND, MINUTE, rate_bytes_per_s=99))

    assert "EBUSY" in failed(answer).message
    assert stage.is_as_before()
    assert stage.last().what == "failed"


@pytest.mark.parametrize(
    ("change", "exit_code"),
    [
        (Change(99, BY_HAND, MINUTE, 5), 4),
        (Change(1, BY_HAND, 0, 5), 2),
        (Change(1, BY_HAND, MINUTE, 0), 2),
        (Change(1, BY_HAND, MINUTE, -1), 2),
    ],
)
def test_a_change_that_makes_no_sense_changes_nothing(
    stage: Stage, change: Change, exit_code: int
) -> None:
    policy = stage.throttle()

    answer = failed(stage.core.handle(1, change))

    assert answer.exit_code == exit_code
    assert stage.look().policies == (policy,)


def test_a_priority_has_no_rate_to_change(stage: Stage) -> None:
    policy = stage.apply(order(stage.world.target(42), Kind.IONICE))

    answer = failed(stage.core.handle(1, Change(policy.id, BY_HAND, MINUTE, 5)))

    assert answer.exit_code == 2
    assert len(stage.core.in_force()) == 1


# -- the end --------------------------------------------------------------------------------------


def test_a_lease_ends_by_itself(stage: Stage) -> None:
    stage.throttle(lease_s=60)

    stage.wait(MINUTE - 1)
    assert not stage.core.is_idle
    stage.wait(1)

    assert stage.is_as_before()
    assert stage.audit.whats() == ["applied", "expired"]


def test_the_target_s_end_ends_its_policy(stage: Stage) -> None:
    stage.throttle(mechanism=Mechanism.IO_MAX)
    stage.world.end(42)

    stage.wait(1)

    assert stage.is_as_before()
    assert stage.audit.whats() == ["applied", "ended"]


@pytest.mark.parametrize(
    "error", [EnforcerError("the holder has died"), RuntimeError("surprise"), OSError(5, "EIO")]
)
def test_a_mechanism_that_fails_lets_go(stage: Stage, error: Exception) -> None:
    stage.throttle()
    stage.world.fail("hold.tick", error)

    stage.wait(1)

    assert stage.is_as_before()
    assert stage.last().what == "failed"
    assert stage.last().undone == "completely"


def test_one_that_fails_does_not_end_the_others(stage: Stage) -> None:
    stage.throttle(42)
    stage.throttle(43)
    stage.world.fail("hold.tick", EnforcerError("only the first"))

    stage.wait(1)

    assert [policy.name for policy in stage.core.in_force()] == ["tar[43]"]


def test_release_by_number_leaves_the_others(stage: Stage) -> None:
    first, second = stage.throttle(42), stage.throttle(43)

    answer = stage.core.handle(1, Release(BY_HAND, (first.id,)))

    assert answer == Released(("dd[42]",))
    assert [policy.id for policy in stage.core.in_force()] == [second.id]
    assert stage.world.read("/fake/43/rate") == "5000000"


def test_release_everything_is_for_everybody_s(stage: Stage) -> None:
    stage.core.handle(2, Hello(PROTOCOL, AUTHOR))
    stage.throttle(42)
    stage.apply(order(stage.world.target(43), Kind.DROP), client=2)

    answer = stage.core.handle(1, Release(BY_HAND))

    assert answer == Released(("tar[43]", "dd[42]"))
    assert stage.is_as_before()


def test_releasing_what_is_not_there_is_said(stage: Stage) -> None:
    assert stage.core.handle(1, Release(BY_HAND, (9,))) == Released(
        (), ("policy 9 is not in force any more",)
    )


def test_the_end_of_a_client_takes_back_what_it_applied_and_no_more(stage: Stage) -> None:
    stage.core.handle(2, Hello(PROTOCOL, AUTHOR))
    stage.throttle(42)
    stage.apply(order(stage.world.target(43)), client=2)

    stage.core.gone(2)
    assert [policy.name for policy in stage.core.in_force()] == ["dd[42]"]
    stage.core.gone(1)

    assert stage.is_as_before()
    assert "its client has ended" in stage.last().text


def test_what_cannot_be_undone_is_said_and_tried_again(stage: Stage) -> None:
    policy = stage.throttle()
    stage.world.fail("put_back", OSError(16, "busy"))

    answer = stage.core.handle(1, Release(BY_HAND, (policy.id,)))

    assert isinstance(answer, Released)
    assert "busy" in answer.problems[0]
    assert "busy" in stage.last().undone
    assert stage.world.state() != stage.before
    stage.core.release_all("the keeper was told to end")
    assert stage.is_as_before()


def test_a_mechanism_that_fails_to_undo_does_not_stop_the_rest(stage: Stage) -> None:
    stage.throttle(42)
    stage.throttle(43)
    stage.world.fail("hold.undo", RuntimeError("surprise"))

    stage.core.release_all("bye")

    assert stage.is_as_before()


def test_nothing_is_kept_pinned(stage: Stage) -> None:
    """Descriptors do not leak."""
    pinner = stage.core._policies._pinner
    stage.throttle()
    stage.refused(order(stage.world.target(42)))
    stage.refused(order(stage.world.start(44, protected="no")))
    stage.world.fail("hold.apply.half", EnforcerError("no"))
    stage.refused(order(stage.world.target(43)))
    stage.core.handle(1, AskLadder(order(stage.world.target(43))))

    stage.core.release_all("bye")

    assert pinner.open == []  # type: ignore[attr-defined]


# -- drop -----------------------------------------------------------------------------------------


def test_a_drop_whose_budget_is_spent_becomes_a_throttle(stage: Stage) -> None:
    policy = stage.apply(order(stage.world.target(42), Kind.DROP, budget=1000))
    held = stage.core._policies.get(policy.id)
    assert held is not None
    held.effect.refused_bytes = 1001  # type: ignore[attr-defined]

    stage.wait(1)

    (now,) = stage.core.in_force()
    assert (now.id, now.order.kind, now.mechanism) == (policy.id, Kind.THROTTLE, Mechanism.HOLD)
    assert now.until_ns == policy.until_ns
    assert stage.audit.whats() == ["applied", "adjusted"]
    assert "1001 bytes were refused" in stage.last().text
    assert stage.world.read("/fake/42/drop") == "max"
    stage.core.gone(1)
    assert stage.is_as_before()


@pytest.mark.parametrize("rate", [None, 5_000_000])
def test_a_drop_that_cannot_become_a_throttle_is_released(stage: Stage, rate: int | None) -> None:
    policy = stage.apply(order(stage.world.target(42), Kind.DROP, rate, budget=1000))
    held = stage.core._policies.get(policy.id)
    assert held is not None
    held.effect.refused_bytes = 1001  # type: ignore[attr-defined]
    stage.world.fail("hold.apply.half", EnforcerError("EPERM"))

    stage.wait(1)

    assert stage.is_as_before()
