"""Whom throttle and drop act on, and whom they refuse."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from iotop_ng.enforcers.orders import Mechanism
from iotop_ng.errors import (
    EnforcerError,
    IotopError,
    NotPermittedError,
    TargetError,
    UsageError,
)
from iotop_ng.policy.actions import CgroupTarget
from tests.fakes.desks import FakeDesk
from tests.unit.cli.acting import MB, applied, drop, said, throttle


def test_a_cgroup_is_one_target(stage: FakeDesk) -> None:
    stage.start(43, "cat", cgroup="/app")

    def both() -> None:
        stage.write_bytes(42, MB)
        stage.write_bytes(43, MB)

    stage.script = [both]

    assert throttle(stage, "cgroup:/sys/fs/cgroup/app/", lease="1s") == 0

    (order,) = applied(stage)
    assert order.target == CgroupTarget("/app")
    assert order.before_bytes_per_s == 10 * MB


def test_a_target_named_twice_is_one(stage: FakeDesk) -> None:
    assert throttle(stage, "42", "comm:dd", "042") == 0

    assert len(applied(stage)) == 1


def prepare_gone(_: FakeDesk) -> str:
    return "4242"


def prepare_thread(stage: FakeDesk) -> str:
    stage.start(77, "java")
    stage.proc.write("proc/77/status", "Name:\tjava\nTgid:\t70\nPid:\t77\n")
    return "77"


def prepare_zombie(stage: FakeDesk) -> str:
    stage.start(78, "make")
    path = stage.proc.proc / "78/stat"
    path.write_text(path.read_text().replace(" S ", " Z ", 1))
    return "78"


def prepare_protected(stage: FakeDesk) -> str:
    stage.start(1, "systemd", protected="it is PID 1")
    return "1"


def prepare_reused(stage: FakeDesk) -> str:
    """Between the reading of its start and the act another process gets the number."""
    stage.start(79, "old")
    stage.script = [lambda: stage.world.start(79, "new")]
    return "79"


def prepare_nobody(_: FakeDesk) -> str:
    return "comm:nobody"


def prepare_no_cgroup(_: FakeDesk) -> str:
    return "cgroup:/gone"


@pytest.mark.parametrize(
    ("prepare", "expected"),
    [
        (prepare_gone, "4242: there is no such process"),
        (prepare_thread, "77 is a thread of the process 70: name that"),
        (prepare_zombie, "make[78] has ended"),
        (prepare_protected, "systemd[1] is protected: it is PID 1"),
        (prepare_reused, "new[79] has ended"),
        (prepare_nobody, "comm:nobody: no process is called that"),
        (prepare_no_cgroup, "/gone has ended"),
    ],
)
@pytest.mark.parametrize("command", [throttle, drop])
@pytest.mark.parametrize("dry_run", [False, True])
def test_what_cannot_be_acted_on_is_refused_with_4(
    stage: FakeDesk,
    prepare: Callable[[FakeDesk], str],
    expected: str,
    command: Callable[..., int],
    dry_run: bool,
) -> None:
    target = prepare(stage)

    with pytest.raises(TargetError) as caught:
        command(stage, target, dry_run=dry_run)

    assert str(caught.value) == expected
    assert caught.value.exit_code == 4
    assert stage.world.writes == []


def test_one_bad_target_keeps_the_others_from_being_touched(stage: FakeDesk) -> None:
    stage.start(43, "sshd", protected="the machine needs sshd")

    with pytest.raises(TargetError, match=r"sshd\[43\] is protected"):
        throttle(stage, "42", "43")

    assert stage.world.writes == []


def test_an_error_at_the_second_target_undoes_the_first(stage: FakeDesk) -> None:
    stage.start(43, "cat")
    before = stage.world.state()
    stage.world.fail("pause.apply.half", EnforcerError("EBUSY"))
    stage.enforcers[Mechanism.HOLD].works = False
    stage.enforcers[Mechanism.IO_MAX].works = False

    with pytest.raises(IotopError, match="EBUSY"):
        throttle(stage, "42", "43")

    assert stage.world.state() == before


def test_a_name_of_several_is_refused_and_lists_them(stage: FakeDesk) -> None:
    stage.start(43, "dd")

    with pytest.raises(UsageError) as caught:
        throttle(stage, "comm:dd")

    assert str(caught.value) == (
        "comm:dd means 2 processes: dd[42], dd[43]; name one by its PID, or add --all"
    )
    assert stage.spawned == 0


def test_all_of_a_name_are_taken_but_the_protected(
    stage: FakeDesk, capfd: pytest.CaptureFixture[str]
) -> None:
    stage.start(43, "dd", protected="iotop-ng runs in it or under it")
    stage.start(44, "dd")

    assert throttle(stage, "comm:dd", every=True, lease="1s") == 0

    assert [order.reason.name for order in applied(stage)] == ["dd[42]", "dd[44]"]
    assert said(capfd)[0] == (
        "dd[43] is left out: dd[43] is protected: iotop-ng runs in it or under it"
    )


def test_all_of_a_name_being_protected_is_refused(stage: FakeDesk) -> None:
    stage.start(43, "sshd", protected="the machine needs sshd")

    with pytest.raises(TargetError, match=r"sshd\[43\] is protected"):
        throttle(stage, "comm:sshd", every=True)


@pytest.mark.parametrize("command", [throttle, drop])
def test_without_root_nothing_is_asked(tmp_path: Path, command: Callable[..., int]) -> None:
    stage = FakeDesk(tmp_path, is_root=False)
    stage.start(42, "dd")

    with pytest.raises(NotPermittedError, match=r"needs root \(.*CAP_SYS_ADMIN.*\): sudo iotop-ng"):
        command(stage)

    assert stage.spawned == 0
