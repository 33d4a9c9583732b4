"""Pause on a real cgroup v2: the freezer, signals beside it, and nothing after a kill."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from iotop_ng.enforcers.client import KeeperClient
from iotop_ng.enforcers.orders import Mechanism
from iotop_ng.policy.actions import Reason
from tests.guest.limited import (
    MIB,
    Writer,
    cgroup,
    keeper,
    kill_keeper,
    of_cgroup,
    order,
    rung_of,
)

pytestmark = pytest.mark.guest

CAP = 5 * MIB
PATIENCE_S = 60.0


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[KeeperClient]:
    """Give a keeper of our own."""
    with keeper(tmp_path, monkeypatch) as opened:
        yield opened


@pytest.fixture
def place() -> Iterator[Path]:
    """Give a cgroup."""
    with cgroup("service") as made:
        yield made


def is_frozen(place: Path) -> bool:
    """Say whether everybody in it stands still."""
    return "frozen 1" in (place / "cgroup.events").read_text("ascii")


def wait_frozen(place: Path) -> None:
    """Wait until it is frozen."""
    end = time.monotonic() + PATIENCE_S
    while not is_frozen(place):
        assert time.monotonic() < end
        time.sleep(0.005)


def test_a_cgroup_of_one_process_is_frozen_and_thawed(
    client: KeeperClient, place: Path, directory: Path
) -> None:
    """The process is never stopped by a signal, and the rate holds over seconds."""
    with Writer(place, directory / "data", "direct") as writer:
        asked = order(writer.target, Mechanism.PAUSE, CAP)
        rung = rung_of(client.ladder(asked), Mechanism.PAUSE)
        policy = client.apply(asked)
        wait_frozen(place)
        began, before = time.monotonic(), writer.written()
        states = set()
        while time.monotonic() < began + 6:
            states.add(writer.state())
            time.sleep(0.02)
        rate = (writer.written() - before) / (time.monotonic() - began)
        released = client.release((policy.id,), Reason("", "test"))

        assert "frozen" in rung.does
        assert "T" not in states
        assert rate == pytest.approx(CAP, rel=0.25)
        assert released.problems == ()
        assert (place / "cgroup.freeze").read_text("ascii") == "0\n"
        assert writer.rate(1) > 2 * CAP


def test_a_cgroup_is_frozen_with_all_its_processes(
    client: KeeperClient, place: Path, directory: Path
) -> None:
    """Both writers share the rate."""
    with (
        Writer(place, directory / "one", "direct") as one,
        Writer(place, directory / "two", "direct") as two,
    ):
        policy = client.apply(order(of_cgroup(place), Mechanism.PAUSE, CAP))
        wait_frozen(place)
        began, before = time.monotonic(), one.written() + two.written()
        time.sleep(6)
        rate = (one.written() + two.written() - before) / (time.monotonic() - began)
        client.release((policy.id,), Reason("", "test"))

        assert rate == pytest.approx(CAP, rel=0.25)


def test_a_killed_keeper_leaves_nothing_frozen(
    client: KeeperClient, place: Path, directory: Path
) -> None:
    """Its helper thaws at once, and the journal says the same."""
    with Writer(place, directory / "data", "direct") as writer:
        client.apply(order(writer.target, Mechanism.PAUSE, 1))
        wait_frozen(place)

        kill_keeper(client)

        assert (place / "cgroup.freeze").read_text("ascii") == "0\n"
        assert writer.rate(2) > 2 * CAP


def test_a_process_in_a_shared_cgroup_is_stopped_alone(
    client: KeeperClient, place: Path, directory: Path
) -> None:
    """The other one in the cgroup writes on."""
    with (
        Writer(place, directory / "one", "direct") as one,
        Writer(place, directory / "two", "direct") as two,
    ):
        policy = client.apply(order(one.target, Mechanism.PAUSE, 1))
        end = time.monotonic() + PATIENCE_S
        while one.state() != "T":
            assert time.monotonic() < end
            time.sleep(0.005)
        assert two.rate(2) > 2 * CAP
        assert one.rate(1) == 0
        assert client.release((policy.id,), Reason("", "test")).problems == ()
        assert one.state() != "T"
