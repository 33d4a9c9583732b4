"""systemd's properties, with a systemctl that keeps them in files."""

from __future__ import annotations

import stat
import sys
from pathlib import Path

import pytest

from iotop_ng.enforcers import systemd
from iotop_ng.enforcers.changes import Change, UnitProperty
from iotop_ng.enforcers.io_max import IoMaxEnforcer
from iotop_ng.enforcers.orders import Kind, Order
from iotop_ng.enforcers.systemd import Systemd, unit_name
from iotop_ng.errors import EnforcerError, IotopError, NotPermittedError
from iotop_ng.policy.actions import CgroupTarget, Reason
from tests.fakes.cgroupfs import FakeCgroupfs, TreePinned

UNIT = "app.service"
PATH = "/system.slice/app.service"
RATE = 5 << 20
PROPERTY = "IOWriteBandwidthMax"
SYSTEMCTL = """#!{python} -S
import json, os, pathlib, sys
state = pathlib.Path({state!r})
held = json.loads(state.read_text())
with open({calls!r}, "a") as calls:
    calls.write(json.dumps([sys.argv[1:], sorted(os.environ)]) + "\\n")
words = sys.argv[3:]
behaviour = held.get("behaviour", "")
if behaviour:
    sys.stderr.write("noise\\n" + behaviour + "\\n")
    sys.exit(1)
if words[0] == "show":
    name, unit = words[1].removeprefix("--property="), words[3]
    for entry in held.get(unit, {{}}).get(name, []):
        print(f"{{name}}={{entry}}")
else:
    assert words[:3] == ["set-property", "--runtime", "--"], words
    unit = words[3]
    for word in words[4:]:
        name, _, value = word.partition("=")
        entries = held.setdefault(unit, {{}}).setdefault(name, [])
        entries[:] = [] if not value else [value, *entries]
    state.write_text(json.dumps(held))
"""


class FakeSystemctl:
    """A program, its properties, and how it was called."""

    def __init__(self, directory: Path) -> None:
        self.program = directory / "systemctl"
        self._state = directory / "units.json"
        self._calls = directory / "calls.jsonl"
        text = SYSTEMCTL.format(
            python=sys.executable, state=str(self._state), calls=str(self._calls)
        )
        self.program.write_text(text)
        self.program.chmod(stat.S_IRWXU)
        self.hold({UNIT: {"ControlGroup": [PATH]}})

    def hold(self, units: dict[str, object]) -> None:
        import json

        self._state.write_text(json.dumps(units))

    def calls(self) -> list[tuple[list[str], list[str]]]:
        import json

        return [tuple(json.loads(line)) for line in self._calls.read_text().splitlines()]


@pytest.fixture
def fake(tmp_path: Path) -> FakeSystemctl:
    (tmp_path / "bin").mkdir()
    return FakeSystemctl(tmp_path / "bin")


@pytest.fixture
def tree(tmp_path: Path) -> FakeCgroupfs:
    """A host that runs systemd, with one service."""
    built = FakeCgroupfs(tmp_path / "root")
    (built.root / "run/systemd/system").mkdir(parents=True)
    built.add(PATH, pids=(42,))
    built.start(42, "app", cgroup=PATH)
    return built


@pytest.fixture
def manager(fake: FakeSystemctl, tree: FakeCgroupfs) -> Systemd:
    return Systemd(tree.root, str(fake.program))


def order(rate: int = RATE) -> Order:
    return Order(Kind.THROTTLE, CgroupTarget(PATH), Reason("", "test"), rate_bytes_per_s=rate)


@pytest.mark.parametrize(
    ("path", "unit"),
    [
        (PATH, UNIT),
        ("/system.slice", "system.slice"),
        ("/user.slice/user-1000.slice/session-3.scope", "session-3.scope"),
        (r"/system.slice/system-get\x2dty.slice/a@b.service", "a@b.service"),
        ("/system.slice/_cgroup.service", "cgroup.service"),
        ("/user.slice/user-1000.slice/user@1000.service/app.slice/x.service", None),
        ("/system.slice/docker.service/deadbeef", None),
        ("/kubepods/pod1", None),
        ("/system.slice/--help.service\n", None),
        ("/system.slice/$(reboot).service", None),
        ("/", None),
        ("", None),
    ],
)
def test_the_unit_of_a_cgroup_is_that_of_pid_1(path: str, unit: str | None) -> None:
    """Not what a unit was delegated, and not the units of a user's own systemd."""
    assert unit_name(path) == unit


def test_a_property_is_read_and_written_in_one_form(fake: FakeSystemctl, manager: Systemd) -> None:
    """Sorted entries, one per line, whatever order systemd shows them in."""
    fake.hold({UNIT: {PROPERTY: ["/dev/sdb 7", "/dev/sda 9"]}})
    before = manager.get_property(UNIT, PROPERTY)

    manager.set_property(UNIT, PROPERTY, "/dev/sda 5\n/dev/sdc 6")

    assert before == "/dev/sda 9\n/dev/sdb 7"
    assert manager.get_property(UNIT, PROPERTY) == "/dev/sda 5\n/dev/sdc 6"
    manager.set_property(UNIT, PROPERTY, "")
    assert manager.get_property(UNIT, PROPERTY) == ""


def test_nothing_of_our_environment_reaches_it(
    fake: FakeSystemctl, manager: Systemd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pager, another bus or a library path would be followed as root."""
    monkeypatch.setenv("SYSTEMD_PAGER", "reboot")
    monkeypatch.setenv("LD_PRELOAD_X", "x")

    manager.get_property(UNIT, PROPERTY)

    ((words, names),) = fake.calls()
    assert "LD_PRELOAD_X" not in names
    assert words == [
        "--no-pager",
        "--no-ask-password",
        "show",
        f"--property={PROPERTY}",
        "--",
        UNIT,
    ]


@pytest.mark.parametrize(
    ("said", "error"),
    [
        ("Failed to set unit properties: Access denied", NotPermittedError),
        ("Unit app.service not found.", EnforcerError),
        ("bad \x1b[2J word", EnforcerError),
    ],
)
def test_what_systemd_refuses_is_one_clean_line(
    fake: FakeSystemctl, manager: Systemd, said: str, error: type[IotopError]
) -> None:
    """With the last line that it said."""
    fake.hold({"behaviour": said})

    with pytest.raises(error) as raised:
        manager.set_property(UNIT, PROPERTY, "/dev/sda 5")

    assert said.replace("\x1b", "·") in str(raised.value)
    assert "\n" not in str(raised.value)
    assert "noise" not in str(raised.value)


def test_a_systemd_that_does_not_answer_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The keeper has other things to do."""
    program = tmp_path / "systemctl"
    program.write_text("#!/bin/sh\nexec sleep 1000\n")
    program.chmod(stat.S_IRWXU)
    monkeypatch.setattr(systemd, "_TIMEOUT_S", 0.2)

    with pytest.raises(EnforcerError, match="did not answer"):
        Systemd(tmp_path, str(program)).get_property(UNIT, PROPERTY)
    with pytest.raises(EnforcerError, match="No such file"):
        Systemd(tmp_path, str(tmp_path / "none")).get_property(UNIT, PROPERTY)


def test_a_unit_is_limited_through_systemd(
    tree: FakeCgroupfs, manager: Systemd, fake: FakeSystemctl
) -> None:
    """cgroupfs is not written; entries of other disks stay."""
    fake.hold({UNIT: {"ControlGroup": [PATH], PROPERTY: ["/dev/sdz 77"]}})
    before = tree.state()
    notes: list[Change] = []
    pinned = TreePinned(tree, CgroupTarget(PATH))
    enforcer = IoMaxEnforcer(tree.root, tree, manager)

    rung = enforcer.rung(pinned, order())
    effect = enforcer.apply(pinned, order(), notes.append)
    applied = manager.get_property(UNIT, PROPERTY)
    effect.adjust(order(7))

    assert "through systemd (app.service)" in rung.does
    assert applied == f"/dev/sda {RATE}\n/dev/sdz 77"
    assert manager.get_property(UNIT, PROPERTY) == "/dev/sda 7\n/dev/sdz 77"
    assert tree.state() == before
    first = UnitProperty(UNIT, PROPERTY, "/dev/sdz 77", applied)
    second = UnitProperty(UNIT, PROPERTY, "/dev/sdz 77", "/dev/sda 7\n/dev/sdz 77", (applied,))
    assert notes == [first, second]


def test_a_unit_without_the_controller_gets_it_from_systemd(
    tree: FakeCgroupfs, manager: Systemd
) -> None:
    """It is switched on for who has a limit; anybody else has to do it by hand."""
    tree.add(PATH, controllers="memory pids", pids=(42,))
    pinned = TreePinned(tree, CgroupTarget(PATH))

    assert IoMaxEnforcer(tree.root, tree, manager).rung(pinned, order()).works
    other = IoMaxEnforcer(tree.root, tree, Systemd(tree.root / "none")).rung(pinned, order())
    assert not other.works


def test_undoing_goes_the_same_way(
    tree: FakeCgroupfs, manager: Systemd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The keeper's generic undo asks this module; what was there comes back."""
    monkeypatch.setattr(systemd, "get_property", manager.get_property)
    monkeypatch.setattr(systemd, "set_property", manager.set_property)
    notes: list[Change] = []
    pinned = TreePinned(tree, CgroupTarget(PATH))
    IoMaxEnforcer(tree.root, tree, manager).apply(pinned, order(), notes.append)

    assert tree.put_back(notes) == ()
    assert manager.get_property(UNIT, PROPERTY) == ""


def test_a_name_that_systemd_does_not_know_is_written_directly(
    tree: FakeCgroupfs, manager: Systemd, fake: FakeSystemctl
) -> None:
    """Somebody made a cgroup that looks like a unit's."""
    fake.hold({})
    pinned = TreePinned(tree, CgroupTarget(PATH))

    IoMaxEnforcer(tree.root, tree, manager).apply(pinned, order(), lambda _: None)

    assert f"wbps={RATE}" in tree.io_max(PATH)
