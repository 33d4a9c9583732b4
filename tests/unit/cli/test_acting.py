"""throttle and drop on a small machine: the real core of the keeper, fake mechanisms, one clock."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from iotop_ng.cli import act
from iotop_ng.clock import NS_PER_S
from iotop_ng.enforcers.orders import Apply, Kind, Mechanism, Order
from iotop_ng.errors import (
    EnforcerError,
    IotopError,
    NotPermittedError,
    TargetError,
    UsageError,
)
from iotop_ng.policy.actions import CgroupTarget, ProcessTarget
from tests.fakes.desks import FakeDesk

MB = 1 << 20


@pytest.fixture
def stage(tmp_path: Path) -> FakeDesk:
    """A machine with one process that writes."""
    made = FakeDesk(tmp_path)
    made.start(42, "dd")
    return made


def throttle(stage: FakeDesk, *targets: str, **options: Any) -> int:
    """Run the command as the command line would."""
    given = {
        "rate": "5M", "lease": "3s", "mechanism": None, "children": True, "every": False,
        "dry_run": False, "json": False, **options,
    }  # fmt: skip
    return act.throttle(targets=targets or ("42",), desk=stage.desk(), **given)


def drop(stage: FakeDesk, *targets: str, **options: Any) -> int:
    """Run the command as the command line would."""
    given = {
        "passing": None, "errno_name": "ENOSPC", "budget": None, "paths": (), "lease": "3s",
        "children": True, "every": False, "dry_run": False, "json": False, **options,
    }  # fmt: skip
    return act.drop(targets=targets or ("42",), desk=stage.desk(), **given)


def writes(stage: FakeDesk, amount: int, pid: int = 42) -> Callable[[], None]:
    """Return a step of the script in which the process writes."""
    return lambda: stage.write_bytes(pid, amount)


def applied(stage: FakeDesk) -> list[Order]:
    """Return the orders that were carried out."""
    assert stage.keepers
    return [one.order for keeper in stage.keepers for one in keeper.asked if isinstance(one, Apply)]


def said(capfd: pytest.CaptureFixture[str]) -> list[str]:
    """Return the lines on stderr, without the program's name."""
    out, err = capfd.readouterr()
    assert out == ""
    return [line.removeprefix("iotop-ng: ") for line in err.splitlines()]


def test_a_throttle_stays_until_its_lease_ends_and_leaves_nothing(
    stage: FakeDesk, capfd: pytest.CaptureFixture[str]
) -> None:
    before = stage.world.state()
    # The first wait measures what it writes before: 4 MiB in 0.2 s.
    stage.script = [writes(stage, 4 * MB), writes(stage, 5 * MB), writes(stage, 5 * MB)]

    code = throttle(stage, mechanism="pause")

    assert code == 0
    (order,) = applied(stage)
    start_ns = stage.world.processes[42].start_ns
    assert isinstance(order.target, ProcessTarget)
    assert (order.target.pid, order.target.start_ns) == (42, start_ns)
    assert (order.kind, order.rate_bytes_per_s, order.lease_ns) == (
        Kind.THROTTLE, 5 * MB, 3 * NS_PER_S,
    )  # fmt: skip
    assert (order.mechanism, order.with_children, order.dry_run) == (Mechanism.PAUSE, True, False)
    assert order.before_bytes_per_s == 20 * MB
    lines = stage.out.decode().splitlines()
    assert len(lines) == 2
    assert lines[0][8:] == "  dd[42]  written 5.0M/s  held     -  left 2 s"
    assert lines[1].endswith("left 1 s  effective")
    assert stage.world.state() == before
    assert said(capfd) == [
        "throttle dd[42] to 5.0M/s by pause, for 3 s; Ctrl-C or `iotop-ng release 42` ends it",
        "expired: dd[42]: the lease has ended (undone: completely)",
    ]


def test_json_is_one_object_a_second_and_a_last_one(stage: FakeDesk) -> None:
    stage.script = [writes(stage, 0), writes(stage, 7 * MB)]

    assert throttle(stage, json=True, lease="2s") == 0

    first, last = (json.loads(line) for line in stage.out.splitlines())
    assert first["schema"] == 1
    assert first["ended"] == []
    (policy,) = first["policies"]
    assert policy["target"] == "42"
    assert policy["name"] == "dd[42]"
    assert (policy["kind"], policy["mechanism"]) == ("throttle", "hold")
    assert policy["written_bytes_per_s"] == 7 * MB
    assert policy["written_bytes_total"] == 7 * MB
    assert policy["rate_bytes_per_s"] == 5 * MB
    assert policy["remaining_s"] == 1.0
    assert policy["by"] == "root on pts/3"
    assert policy["refused_calls_per_s"] is None
    assert last["policies"] == []
    (ended,) = last["ended"]
    assert (ended["what"], ended["name"], ended["undone"]) == ("expired", "dd[42]", "completely")
    assert ended["written_bytes_total"] == 7 * MB


def test_what_escapes_the_mechanism_is_seen(stage: FakeDesk) -> None:
    """The mechanism counts nothing, /proc does: that is no effect."""
    stage.script = [writes(stage, 4 * MB)]
    for _ in range(4):
        stage.script.append(lambda: escape(stage))

    assert throttle(stage, lease="5s", json=True) == 0

    seconds = [json.loads(line) for line in stage.out.splitlines()]
    policy = seconds[3]["policies"][0]
    assert policy["written_bytes_per_s"] == 20 * MB
    assert policy["effect"] == "no effect"
    assert "only 0/s of 20M/s can be held" in policy["why"]


def test_why_is_said_once_however_the_numbers_change(
    stage: FakeDesk, capfd: pytest.CaptureFixture[str]
) -> None:
    def escaping(amount: int) -> Callable[[], None]:
        return lambda: escape(stage, amount)

    stage.script = [writes(stage, 4 * MB), *(escaping(n * MB) for n in (19, 20, 21, 22, 23))]

    assert throttle(stage, lease="6s") == 0

    lines = stage.out.decode().splitlines()
    assert all(len(line) <= 80 for line in lines)
    assert [line.endswith("no effect") for line in lines] == [False, True, True, True, True]
    remarks = [line for line in said(capfd) if "can be held" in line]
    assert len(remarks) == 1
    assert remarks[0].startswith("dd[42]: no effect: only 0/s of ")


def escape(stage: FakeDesk, amount: int = 20 * MB) -> None:
    """Write what no mechanism counts."""
    stage.write_bytes(42, amount)
    for effect in stage.effects(42):
        effect.charged_bytes = 0


def test_an_interrupt_undoes_it_and_ends_with_130(
    stage: FakeDesk, capfd: pytest.CaptureFixture[str]
) -> None:
    before = stage.world.state()
    stage.script = [writes(stage, 0), writes(stage, 0), stage.interrupt]

    code = throttle(stage, lease="1h")

    assert code == 130
    assert stage.world.state() == before
    assert stage.core is not None
    assert stage.core.is_idle
    assert said(capfd)[1:] == ["released: dd[42]: interrupted (undone: completely)"]


def test_an_interrupt_before_it_acts_does_nothing(stage: FakeDesk) -> None:
    stage.script = [stage.interrupt]

    assert throttle(stage) == 130

    assert applied(stage) == []
    assert stage.world.writes == []


def test_what_cannot_be_undone_is_said_and_the_exit_code_is_1(
    stage: FakeDesk, capfd: pytest.CaptureFixture[str]
) -> None:
    stage.world.fail("put_back", EnforcerError("the kernel says no"))
    stage.script = [writes(stage, 0), stage.interrupt]

    assert throttle(stage) == 1

    assert any("the kernel says no" in line for line in said(capfd))


def test_the_end_of_the_target_ends_it_well(
    stage: FakeDesk, capfd: pytest.CaptureFixture[str]
) -> None:
    stage.script = [writes(stage, 0), writes(stage, 0), lambda: stage.end(42)]

    assert throttle(stage, lease="1h") == 0

    assert said(capfd)[-1].startswith("ended: ")


def test_somebody_elses_release_ends_it_well(
    stage: FakeDesk, capfd: pytest.CaptureFixture[str]
) -> None:
    def release() -> None:
        keeper = stage.open_keeper(False)
        assert keeper is not None
        keeper.release(None, stage.reason("enough"))

    stage.script = [writes(stage, 0), writes(stage, 0), release]

    assert throttle(stage, lease="1h") == 0

    assert said(capfd)[-1] == "released: dd[42]: enough (undone: completely)"


def test_a_mechanism_that_fails_ends_it_with_1(
    stage: FakeDesk, capfd: pytest.CaptureFixture[str]
) -> None:
    before = stage.world.state()
    stage.script = [
        writes(stage, 0),
        lambda: stage.world.fail("hold.tick", EnforcerError("its helper has ended")),
    ]

    assert throttle(stage, lease="1h") == 1

    assert stage.world.state() == before
    assert said(capfd)[-1] == "failed: dd[42]: its helper has ended (undone: completely)"


def test_a_keeper_that_dies_is_an_error(stage: FakeDesk) -> None:
    stage.script = [writes(stage, 0), stage.die]

    with pytest.raises(EnforcerError, match="the keeper ended"):
        throttle(stage, lease="1h")


def test_a_closed_stdout_undoes_it_before_the_command_ends(stage: FakeDesk) -> None:
    before = stage.world.state()
    stage.write_error = BrokenPipeError()

    with pytest.raises(BrokenPipeError):
        throttle(stage, lease="1h")

    assert stage.world.state() == before


def test_a_share_is_of_what_it_writes_within_a_second(stage: FakeDesk) -> None:
    stage.script = [writes(stage, 10 * MB)]

    assert throttle(stage, rate="20%") == 0

    (order,) = applied(stage)
    assert order.rate_bytes_per_s == 2 * MB
    assert order.before_bytes_per_s == 10 * MB


def test_a_share_of_nothing_is_refused(stage: FakeDesk) -> None:
    with pytest.raises(UsageError, match=r"dd\[42\]: rate '20%': it writes nothing now"):
        throttle(stage, rate="20%")

    assert stage.world.writes == []


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


def test_a_drop_has_all_that_was_asked_for(
    stage: FakeDesk, capfd: pytest.CaptureFixture[str]
) -> None:
    code = drop(
        stage, passing="1M", errno_name="edquot", budget="1G", paths=("*.log", "/var/log/*"),
        children=False, lease="1s",
    )  # fmt: skip

    assert code == 0
    (order,) = applied(stage)
    assert (order.kind, order.rate_bytes_per_s, order.budget_bytes) == (Kind.DROP, MB, 1 << 30)
    assert (order.errno_name, order.paths) == ("EDQUOT", ("*.log", "/var/log/*"))
    assert (order.with_children, order.lease_ns) == (False, NS_PER_S)
    assert said(capfd)[0] == (
        "refuse writes of dd[42] to *.log, /var/log/* beyond 1.0M/s with EDQUOT, at most 1.0G an"
        " hour by drop, for 1 s; Ctrl-C or `iotop-ng release 42` ends it"
    )


def test_a_drop_without_a_rate_lets_nothing_pass(stage: FakeDesk) -> None:
    assert drop(stage) == 0

    assert applied(stage)[0].rate_bytes_per_s is None


def test_a_drop_whose_budget_is_spent_goes_on_as_a_throttle(
    stage: FakeDesk, capfd: pytest.CaptureFixture[str]
) -> None:
    def spend() -> None:
        for effect in stage.effects(42):
            effect.refused_bytes = 2 * MB

    stage.script = [writes(stage, 0), spend]

    assert drop(stage, passing="1M", budget="1M", json=True) == 0

    seconds = [json.loads(line) for line in stage.out.splitlines()]
    assert [s["policies"][0]["kind"] for s in seconds[:-1]] == ["throttle", "throttle"]
    assert any(line.startswith("adjusted: ") and "dd[42]" in line for line in said(capfd))


def test_a_dry_run_asks_the_same_and_does_nothing(
    stage: FakeDesk, capfd: pytest.CaptureFixture[str]
) -> None:
    stage.enforcers[Mechanism.HOLD].works = False
    stage.enforcers[Mechanism.HOLD].why = "it is traced already, by gdb[7]"
    stage.script = [writes(stage, 4 * MB)]

    assert throttle(stage, dry_run=True, lease="10m") == 0

    assert stage.out.decode().splitlines() == [
        "would throttle dd[42] to 5.0M/s by io_max, for 10 min; it writes 20M/s now",
        "  hold   does not work: it is traced already, by gdb[7]",
        "  io_max works: io_max does it",
        "  pause  works: pause does it",
    ]
    assert stage.world.writes == []
    assert [event.what for event in stage.audit.events] == ["would", "released"]
    assert said(capfd) == []


def test_a_dry_run_of_what_cannot_be_done_ends_like_the_real_one(stage: FakeDesk) -> None:
    stage.enforcers[Mechanism.PAUSE].works = False
    stage.enforcers[Mechanism.PAUSE].why = "not today"

    errors = []
    for dry_run in (True, False):
        with pytest.raises(EnforcerError) as caught:
            throttle(stage, mechanism="pause", dry_run=dry_run)
        errors.append(str(caught.value))

    assert errors[0] == errors[1]
    assert "not today" in errors[0]
    lines = stage.out.decode().splitlines()
    assert lines[0] == f"nothing would be done: {errors[0]}"
    assert "  pause  does not work: not today" in lines
    assert stage.world.writes == []


def test_a_dry_run_as_json_has_the_ladder(stage: FakeDesk) -> None:
    assert throttle(stage, dry_run=True, json=True) == 0

    told = json.loads(stage.out)
    assert (told["schema"], told["dry_run"]) == (1, True)
    (would,) = told["would"]
    assert (would["target"], would["mechanism"], would["lease_s"]) == ("42", "hold", 3.0)
    assert [rung["mechanism"] for rung in would["ladder"]] == ["hold", "io_max", "pause"]


def test_what_a_dead_keeper_left_is_said(
    stage: FakeDesk, capfd: pytest.CaptureFixture[str]
) -> None:
    stage.welcome = ("put back '8:0 wbps=max' in /sys/fs/cgroup/app/io.max",)

    assert throttle(stage, lease="1s") == 0

    assert said(capfd)[0] == "put back '8:0 wbps=max' in /sys/fs/cgroup/app/io.max"
