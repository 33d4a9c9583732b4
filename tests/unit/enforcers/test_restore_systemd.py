"""A runtime property of a unit is put back where it is still ours."""

from __future__ import annotations

import pytest

from iotop_ng.enforcers import systemd
from iotop_ng.enforcers.changes import UnitProperty
from iotop_ng.enforcers.restore import restore
from iotop_ng.errors import EnforcerError


class FakeSystemd:
    """Keeps one property."""

    def __init__(self, value: str, *, is_deaf: bool = False) -> None:
        self.value = value
        self.is_deaf = is_deaf

    def get_property(self, _unit: str, _name: str) -> str:
        return self.value

    def set_property(self, _unit: str, _name: str, value: str) -> None:
        if not self.is_deaf:
            self.value = value


def with_systemd(monkeypatch: pytest.MonkeyPatch, fake: FakeSystemd) -> FakeSystemd:
    monkeypatch.setattr(systemd, "get_property", fake.get_property)
    monkeypatch.setattr(systemd, "set_property", fake.set_property)
    return fake


UNIT = UnitProperty("a.service", "IOWriteBandwidthMax", "/dev/sda 9", "/dev/sda 5", ("/dev/sda 4",))


@pytest.mark.parametrize("now", ["/dev/sda 5", "/dev/sda 4"])
def test_a_property_of_ours_is_put_back(monkeypatch: pytest.MonkeyPatch, now: str) -> None:
    fake = with_systemd(monkeypatch, FakeSystemd(now))

    outcome = restore(UNIT)

    assert fake.value == "/dev/sda 9"
    assert outcome.problem == ""


@pytest.mark.parametrize(
    ("now", "is_left"), [("/dev/sda 7", True), ("/dev/sda 9", False), ("", False)]
)
def test_a_property_that_is_not_ours_is_left(
    monkeypatch: pytest.MonkeyPatch, now: str, is_left: bool
) -> None:
    fake = with_systemd(monkeypatch, FakeSystemd(now))

    outcome = restore(UNIT)

    assert fake.value == now
    assert outcome.is_settled
    assert bool(outcome.problem) is is_left


def test_a_property_that_was_not_kept_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    with_systemd(monkeypatch, FakeSystemd("/dev/sda 5", is_deaf=True))

    assert not restore(UNIT).is_settled


def test_a_systemd_that_does_not_answer_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def silent(_unit: str, _name: str) -> str:
        raise EnforcerError("systemd did not answer in 5 s")

    monkeypatch.setattr(systemd, "get_property", silent)

    outcome = restore(UNIT)

    assert not outcome.is_settled
    assert outcome.problem == "IOWriteBandwidthMax of a.service: systemd did not answer in 5 s"
