"""throttle and drop on a small machine: the real core of the keeper, fake mechanisms, one clock."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from iotop_ng.clock import NS_PER_S
from iotop_ng.enforcers.orders import Kind, Mechanism
from iotop_ng.errors import (
    EnforcerError,
    UsageError,
)
from iotop_ng.policy.actions import ProcessTarget
from tests.fakes.desks import FakeDesk
from tests.unit.cli.acting import MB, applied, drop, said, throttle, writes


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
