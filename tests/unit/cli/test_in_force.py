"""policies, release and undo: what all clients have in force, seen and taken back by another."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from iotop_ng.cli import in_force, undo
from iotop_ng.clock import NS_PER_S
from iotop_ng.control.link import Keeper
from iotop_ng.enforcers.changes import FileValue, Helper, IoPriority, Stopped, UnitProperty
from iotop_ng.enforcers.orders import Kind
from iotop_ng.errors import EnforcerError, IotopError, NotPermittedError
from iotop_ng.policy.actions import CgroupTarget, Target
from tests.fakes.desks import FakeDesk
from tests.fakes.enforcers import order

MB = 1 << 20


@pytest.fixture
def stage(tmp_path: Path) -> FakeDesk:
    """A machine with three processes, and a screen that holds two of them and a cgroup."""
    made = FakeDesk(tmp_path)
    made.start(42, "dd")
    made.start(43, "dd", cgroup="/other")
    made.start(44, "cat", cgroup="/third")
    return made


def screen(stage: FakeDesk) -> Keeper:
    """Let another client act."""
    keeper = stage.open_keeper(True, "screen")
    assert keeper is not None
    targets: list[Target] = [stage.world.target(42), stage.world.target(43), CgroupTarget("/third")]
    for target in targets:
        keeper.apply(order(target, Kind.THROTTLE, MB, lease_s=600))
    stage.spawned = 0
    return keeper


def release(
    stage: FakeDesk, *targets: str, every: bool = False, dry_run: bool = False, json: bool = False
) -> int:
    """Run the command as the command line would."""
    return in_force.release(
        targets=targets, every=every, dry_run=dry_run, json=json, desk=stage.desk()
    )


def names(stage: FakeDesk) -> list[str]:
    """Return who is held."""
    assert stage.core is not None
    return [policy.name for policy in stage.core.in_force()]


@pytest.mark.parametrize("as_json", [False, True])
def test_without_a_keeper_nothing_is_in_force_and_none_is_started(
    stage: FakeDesk, capfd: pytest.CaptureFixture[str], as_json: bool
) -> None:
    assert in_force.policies(json=as_json, desk=stage.desk()) == 0

    assert stage.spawned == 0
    assert capfd.readouterr().err == "iotop-ng: nothing is in force\n"
    if as_json:
        assert json.loads(stage.out)["policies"] == []
    else:
        assert stage.out == b""


def test_what_others_have_in_force_is_listed(stage: FakeDesk) -> None:
    screen(stage)
    stage.clock.advance(60 * NS_PER_S)
    stage.script = [lambda: stage.write_bytes(42, 2 * MB)]

    assert in_force.policies(json=False, desk=stage.desk()) == 0

    lines = stage.out.decode().splitlines()
    assert lines[0].split() == [
        "TARGET", "NAME", "POLICY", "BY", "WRITTEN", "HELD", "REFUSED", "LEFT", "EFFECT",
    ]  # fmt: skip
    assert lines[1].split("  ")[0] == "42"
    assert "throttle 1.0M/s by hold" in lines[1]
    assert "root on pts/3" in lines[1]
    assert "2.0M/s" in lines[1]
    assert "8:59 min" in lines[1]
    assert "no effect (" in lines[1]
    assert lines[3].startswith("cgroup:/third")
    # A second look does not take anything back.
    assert names(stage) == ["dd[42]", "dd[43]", "/third"]


def test_the_json_list_has_the_fields_of_the_foreground(stage: FakeDesk) -> None:
    screen(stage)
    stage.script = [lambda: stage.write_bytes(42, 2 * MB)]

    assert in_force.policies(json=True, desk=stage.desk()) == 0

    told = json.loads(stage.out)
    assert told["schema"] == 1
    assert [one["target"] for one in told["policies"]] == ["42", "43", "cgroup:/third"]
    assert told["policies"][0]["written_bytes_per_s"] == 2 * MB
    assert told["policies"][0]["remaining_s"] == 599.0


@pytest.mark.parametrize(
    ("targets", "left"),
    [
        (("42",), ["dd[43]", "/third"]),
        (("comm:dd",), ["/third"]),
        (("cgroup:/third/",), ["dd[42]", "dd[43]"]),
        (("42", "43", "cgroup:/third"), []),
        ((), []),
    ],
)
def test_anybodys_policies_are_released(
    stage: FakeDesk, targets: tuple[str, ...], left: list[str]
) -> None:
    before = names_of_all(stage)
    screen(stage)

    code = release(stage, *targets, every=not targets)

    assert code == 0
    assert names(stage) == left
    gone = sorted(set(before) - set(left))
    assert sorted(stage.out.decode().splitlines()) == [f"released {name}" for name in gone]


@pytest.mark.parametrize("wanted", ["web", "docker-aaaaaaaaaaaa", "a" * 12])
def test_a_container_is_released_by_its_name_and_by_its_id(stage: FakeDesk, wanted: str) -> None:
    """Whether or not somebody is left in it."""
    number = "a" * 64
    path = f"/system.slice/docker-{number}.scope"
    config = f"var/lib/docker/containers/{number}/config.v2.json"
    stage.proc.write(config, '{"Name": "/web"}')
    stage.start(45, "app", cgroup=path)
    keeper = screen(stage)
    keeper.apply(order(CgroupTarget(path), Kind.THROTTLE, MB, lease_s=600))

    assert release(stage, f"container:{wanted}") == 0
    assert release(stage, f"container:{wanted}") == 1
    assert names(stage) == names_of_all(stage)


def names_of_all(_: FakeDesk) -> list[str]:
    return ["dd[42]", "dd[43]", "/third"]


def test_a_target_without_a_policy_is_named_and_the_others_are_released(
    stage: FakeDesk, capfd: pytest.CaptureFixture[str]
) -> None:
    screen(stage)

    code = release(stage, "42", "44", json=True)

    assert code == 1
    assert names(stage) == ["dd[43]", "/third"]
    assert json.loads(stage.out) == {
        "schema": 1, "dry_run": False, "released": ["dd[42]"], "undone": [], "problems": [],
    }  # fmt: skip
    assert capfd.readouterr().err == "iotop-ng: 44: nothing is in force on it\n"


def test_what_cannot_be_put_back_is_said(
    stage: FakeDesk, capfd: pytest.CaptureFixture[str]
) -> None:
    screen(stage)
    stage.world.fail("put_back", EnforcerError("the kernel says no"))

    code = release(stage, "42")

    assert code == 1
    assert "the kernel says no" in capfd.readouterr().err


def test_release_all_without_a_keeper_puts_back_what_a_dead_one_left(stage: FakeDesk) -> None:
    stage.recovered = ("put back '8:0 wbps=max' in /x/io.max",)

    assert release(stage, every=True, json=True) == 0

    assert stage.spawned == 0
    told = json.loads(stage.out)
    assert (told["released"], told["undone"]) == ([], list(stage.recovered))


def test_release_of_a_target_without_a_keeper_is_an_error(
    stage: FakeDesk, capfd: pytest.CaptureFixture[str]
) -> None:
    assert release(stage, "42") == 1

    assert stage.spawned == 0
    assert capfd.readouterr().err == "iotop-ng: 42: nothing is in force on it\n"


def test_release_all_of_nothing_is_no_error(
    stage: FakeDesk, capfd: pytest.CaptureFixture[str]
) -> None:
    stage.recovered = ()

    assert release(stage, every=True) == 0

    assert capfd.readouterr().err == "iotop-ng: nothing is in force\n"


def test_a_dry_release_says_what_it_would_take_back(stage: FakeDesk) -> None:
    screen(stage)

    for targets, every, expected in (
        (("comm:dd",), False, ["dd[42]", "dd[43]"]),
        ((), True, ["dd[42]", "dd[43]", "/third"]),
    ):
        stage.out = b""
        code = release(stage, *targets, every=every, dry_run=True)

        assert code == 0
        assert stage.out.decode().splitlines() == [f"would release {name}" for name in expected]
    assert names(stage) == names_of_all(stage)


def test_a_dry_release_of_all_without_a_keeper_only_reads(stage: FakeDesk) -> None:
    stage.left = (Stopped(8, 9),)

    assert release(stage, every=True, dry_run=True) == 0

    assert stage.out == b"would continue process 8\n"


def test_undo_says_what_it_put_back(stage: FakeDesk, capfd: pytest.CaptureFixture[str]) -> None:
    stage.recovered = ("continued process 7", "put back '0' in /x")

    assert undo.run(json=False, dry_run=False, desk=stage.desk()) == 0

    assert stage.out == b"continued process 7\nput back '0' in /x\n"
    assert capfd.readouterr().err == ""


def test_undo_of_nothing_says_so(stage: FakeDesk, capfd: pytest.CaptureFixture[str]) -> None:
    stage.recovered = ()

    assert undo.run(json=True, dry_run=False, desk=stage.desk()) == 0

    assert json.loads(stage.out) == {"schema": 1, "dry_run": False, "undone": []}
    assert capfd.readouterr().err == "iotop-ng: nothing was left behind\n"


def test_what_undo_could_not_put_back_is_said(
    stage: FakeDesk, capfd: pytest.CaptureFixture[str]
) -> None:
    stage.recovered = ("/x/io.max: Device or resource busy",)
    stage.left = (FileValue("/x/io.max", 7, "8:0", "8:0 wbps=max", "8:0 wbps=5"),)

    assert undo.run(json=False, dry_run=False, desk=stage.desk()) == 1
    assert release(stage, every=True) == 1

    said = capfd.readouterr().err.splitlines()
    assert (
        said
        == [
            "iotop-ng: still to do: put back '8:0 wbps=max' in /x/io.max",
        ]
        * 2
    )


def test_a_dry_undo_only_reads(stage: FakeDesk) -> None:
    stage.left = (
        FileValue("/x/io.max", 7, "8:0", "8:0 wbps=max", "8:0 wbps=5"),
        UnitProperty("a.service", "IOWriteBandwidthMax", "", "x"),
        IoPriority(4, 5, 6, 0, 1),
        Stopped(8, 9),
        Helper(10, 11),
    )

    assert undo.run(json=False, dry_run=True, desk=stage.desk()) == 0

    assert stage.out.decode().splitlines() == [
        "would put back '8:0 wbps=max' in /x/io.max",
        "would put back IOWriteBandwidthMax of a.service to ''",
        "would put back the I/O priority of thread 6",
        "would continue process 8",
        "would end helper 10",
    ]


def test_undo_leaves_a_keeper_at_work_alone(
    stage: FakeDesk, capfd: pytest.CaptureFixture[str]
) -> None:
    screen(stage)

    assert undo.run(json=False, dry_run=False, desk=stage.desk()) == 0

    assert names(stage) == names_of_all(stage)
    assert "iotop-ng is running" in capfd.readouterr().err


@pytest.mark.parametrize("command", ["policies", "release", "undo"])
def test_without_root_nothing_is_asked(tmp_path: Path, command: str) -> None:
    desk = FakeDesk(tmp_path, is_root=False).desk()
    calls = {
        "policies": lambda: in_force.policies(json=False, desk=desk),
        "release": lambda: in_force.release(
            targets=(), every=True, dry_run=False, json=False, desk=desk
        ),
        "undo": lambda: undo.run(json=False, dry_run=False, desk=desk),
    }

    with pytest.raises(
        NotPermittedError, match=f"{command} needs root .*: sudo iotop-ng {command}"
    ):
        calls[command]()


def test_a_keeper_that_ends_meanwhile_is_an_error(stage: FakeDesk) -> None:
    screen(stage)
    stage.script = [stage.die]

    with pytest.raises(IotopError, match="keeper ended"):
        in_force.policies(json=False, desk=stage.desk())
