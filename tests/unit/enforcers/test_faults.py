"""Whatever fails, at whatever step: no effect is left, and one clear line is said."""

from __future__ import annotations

import errno
import os

import pytest

from iotop_ng.clock import NS_PER_S
from iotop_ng.enforcers.orders import (
    Applied,
    Apply,
    Change,
    Failed,
    Kind,
    Mechanism,
    Release,
    Released,
)
from iotop_ng.errors import EnforcerError, NotPermittedError, TargetError
from tests.fakes.enforcers import order
from tests.unit.enforcers.stage import BY_HAND, MINUTE, Stage, failed

CODES = (errno.EPERM, errno.ENOENT, errno.EBUSY, errno.EINVAL, errno.ENODEV, errno.EIO)
ERRORS: tuple[Exception, ...] = (
    *(OSError(code, os.strerror(code)) for code in CODES),
    EnforcerError("writing io.max: the kernel took a part of the line only"),
    NotPermittedError("hold needs CAP_SYS_PTRACE"),
    TargetError("dd[42] has ended"),
    ValueError("surprise"),
)
MECHANISMS = tuple(one for one in Mechanism if one is not Mechanism.DRY_RUN)
APPLYING = ("apply.look", "apply.noted", "apply.half", "apply.done")


def kind_of(mechanism: Mechanism) -> Kind:
    match mechanism:
        case Mechanism.DROP:
            return Kind.DROP
        case Mechanism.IONICE:
            return Kind.IONICE
        case _:
            return Kind.THROTTLE


@pytest.mark.parametrize("error", ERRORS, ids=repr)
@pytest.mark.parametrize("step", APPLYING)
@pytest.mark.parametrize("mechanism", MECHANISMS, ids=lambda one: one.value)
def test_a_failure_while_applying_leaves_nothing(
    stage: Stage, mechanism: Mechanism, step: str, error: Exception
) -> None:
    wanted = order(stage.world.target(42), kind_of(mechanism), mechanism=mechanism)
    stage.world.fail(f"{mechanism.value}.{step}", error)

    answer = stage.refused(wanted)

    assert stage.is_as_before()
    assert answer.message
    assert "\n" not in answer.message
    assert stage.audit.whats() == ["failed"]
    # And the target is free for the next try.
    stage.apply(wanted)


@pytest.mark.parametrize("error", ERRORS, ids=repr)
@pytest.mark.parametrize("step", ["check", "protect", "pin"])
def test_a_failure_before_applying_touches_nothing(
    stage: Stage, step: str, error: Exception
) -> None:
    stage.world.fail(step, error)

    stage.refused(order(stage.world.target(42)))

    assert stage.is_as_before()
    assert stage.world.touched == set()


@pytest.mark.parametrize("error", ERRORS, ids=repr)
@pytest.mark.parametrize("step", ["adjust", "adjust.noted"])
def test_a_failure_while_adjusting_releases(stage: Stage, step: str, error: Exception) -> None:
    policy = stage.throttle(mechanism=Mechanism.IO_MAX)
    stage.world.fail(f"io_max.{step}", error)

    answer = failed(stage.core.handle(1, Change(policy.id, BY_HAND, MINUTE, 77)))

    assert stage.is_as_before()
    assert "\n" not in answer.message


@pytest.mark.parametrize("error", ERRORS, ids=repr)
@pytest.mark.parametrize("step", ["tick", "check"])
def test_a_failure_while_it_is_kept_up_releases(stage: Stage, step: str, error: Exception) -> None:
    stage.throttle()
    stage.world.fail(step if step == "check" else f"hold.{step}", error)

    stage.wait(1)

    assert stage.is_as_before()


@pytest.mark.parametrize("error", ERRORS, ids=repr)
def test_a_failure_to_count_is_no_failure(stage: Stage, error: Exception) -> None:
    stage.throttle()
    stage.world.fail("hold.counts", error)

    assert len(stage.look().policies) == 1


@pytest.mark.parametrize("error", ERRORS, ids=repr)
@pytest.mark.parametrize("mechanism", MECHANISMS, ids=lambda one: one.value)
def test_a_failure_while_undoing_does_not_stop_the_rest(
    stage: Stage, mechanism: Mechanism, error: Exception
) -> None:
    stage.apply(order(stage.world.target(42), kind_of(mechanism), mechanism=mechanism))
    stage.throttle(43, mechanism=Mechanism.IO_MAX)
    stage.world.fail(f"{mechanism.value}.undo", error)
    stage.world.fail("put_back", error)

    answer = stage.core.handle(1, Release(BY_HAND))

    assert isinstance(answer, Released)
    assert answer.problems
    assert all("\n" not in problem for problem in answer.problems)
    assert stage.core.is_idle
    # What was not put back is still in the journal, and is put back by the next who tries.
    stage.core.release_all("")
    assert stage.is_as_before()


@pytest.mark.parametrize("mechanism", MECHANISMS, ids=lambda one: one.value)
@pytest.mark.parametrize("step", APPLYING)
def test_a_process_that_ends_while_it_is_applied_leaves_nothing(
    stage: Stage, mechanism: Mechanism, step: str
) -> None:
    """Its number may be another's at once: that one keeps what it has."""
    wanted = order(stage.world.start(44), kind_of(mechanism), mechanism=mechanism)
    stage.world.meanwhile(f"{mechanism.value}.{step}", lambda: stage.world.start(44, "another"))

    answer = stage.core.handle(1, Apply(wanted))
    stage.wait(1)

    assert isinstance(answer, Applied | Failed)
    assert stage.is_as_before()
    assert (44, stage.world.target(44).start_ns) not in stage.world.touched


def test_one_that_failed_is_not_tried_again_by_itself(stage: Stage) -> None:
    stage.throttle(lease_s=60)
    stage.world.fail("hold.tick", EnforcerError("no"))
    stage.wait(1)

    stage.wait(60 * NS_PER_S)

    assert stage.audit.whats() == ["applied", "failed"]
    assert stage.is_as_before()
