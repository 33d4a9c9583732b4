"""io.max on a real cgroup v2: the cap, what was there before, and nothing after a kill."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from iotop_ng.enforcers.cgroupfs import parse_nested
from iotop_ng.enforcers.client import KeeperClient
from iotop_ng.enforcers.orders import Mechanism
from iotop_ng.enforcers.rungs import NoRungError
from iotop_ng.policy.actions import Reason
from tests.guest.limited import (
    DISK,
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
BEFORE = {"rbps": "max", "wbps": "900000000", "riops": "777777", "wiops": "max"}
LOOKS_S = 5
PATIENCE_S = 60.0


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[KeeperClient]:
    """Give a keeper of our own."""
    with keeper(tmp_path, monkeypatch) as opened:
        yield opened


@pytest.fixture
def place() -> Iterator[Path]:
    """Give a cgroup with limits of somebody else."""
    with cgroup("service") as made:
        words = " ".join(f"{name}={value}" for name, value in BEFORE.items())
        (made / "io.max").write_text(f"{DISK} {words}", "ascii")
        yield made


def line(place: Path) -> dict[str, str]:
    """Return the limits of the disk."""
    return parse_nested((place / "io.max").read_text("ascii")).get(DISK, {})


def on_disk(place: Path) -> int:
    """Return what the cgroup has written to the disk."""
    return int(parse_nested((place / "io.stat").read_text("ascii"))[DISK]["wbytes"])


@pytest.mark.guest(every_kernel=True)
def test_a_direct_writer_stays_at_the_cap(
    client: KeeperClient, place: Path, directory: Path
) -> None:
    """From the start; another rate holds too; what was there before comes back."""
    with Writer(place, directory / "data", "direct") as writer:
        policy = client.apply(order(writer.target, Mechanism.IO_MAX, CAP))
        assert line(place) == {**BEFORE, "wbps": str(CAP)}
        first = writer.rate(LOOKS_S)
        client.change(policy.id, Reason("", "less"), policy.order.lease_ns, CAP // 2)
        second = writer.rate(LOOKS_S)
        released = client.release((policy.id,), Reason("", "test"))

        # Never above it; below it where the machine that emulates this one is busy.
        for rate in (first / CAP, 2 * second / CAP):
            assert 0.8 <= rate <= 1.05
        assert released.problems == ()
        assert line(place) == BEFORE
        assert writer.rate(1) > 3 * CAP


@pytest.mark.guest(every_kernel=True)
def test_what_reaches_the_disk_of_a_buffered_writer_stays_at_the_cap(
    client: KeeperClient, place: Path, directory: Path
) -> None:
    """The writer itself fills memory first, and is at the cap only when that is full."""
    with Writer(place, directory / "data", "buffered"):
        # Little memory, so that it is full soon; what is dirty already counts to nobody's limit.
        (place / "memory.high").write_text(str(64 * MIB), "ascii")
        policy = client.apply(order(of_cgroup(place), Mechanism.IO_MAX, CAP))
        began, before = next_growth(place)
        ended, after = began, before
        # Several MiB become due at once, and then nothing for a second or two.
        while after - before < 24 * MIB:
            ended, after = next_growth(place)
        assert (after - before) / (ended - began) <= CAP * 1.1
        assert client.release((policy.id,), Reason("", "test")).problems == ()
        (place / "memory.high").write_text("max", "ascii")
    assert line(place) == BEFORE


def next_growth(place: Path) -> tuple[float, int]:
    """Wait until the cgroup has written more to the disk; return when that was, and how much."""
    before, end = on_disk(place), time.monotonic() + PATIENCE_S
    while (now := on_disk(place)) == before:
        assert time.monotonic() < end
        time.sleep(0.005)
    return time.monotonic(), now


def test_a_cgroup_with_somebody_else_in_it_is_not_limited_for_one_process(
    client: KeeperClient, place: Path, directory: Path
) -> None:
    """It says who; nothing is written."""
    with (
        Writer(place, directory / "one", "direct") as one,
        Writer(place, directory / "two", "direct") as two,
    ):
        with pytest.raises(NoRungError) as refused:
            client.apply(order(one.target, Mechanism.IO_MAX))
        rung = rung_of(refused.value.rungs, Mechanism.IO_MAX)
        assert (rung.works, rung.others) == (False, (f"dd[{two.pid}]",))
        assert line(place) == BEFORE


def test_a_killed_keeper_leaves_nothing(client: KeeperClient, place: Path, directory: Path) -> None:
    """The client puts back what was there, from the journal."""
    with Writer(place, directory / "data", "direct") as writer:
        client.apply(order(writer.target, Mechanism.IO_MAX, CAP))
        assert line(place)["wbps"] == str(CAP)

        recovered = kill_keeper(client)

        assert len(recovered) == 1
        assert line(place) == BEFORE


def test_the_disk_under_a_loop_device_is_limited(
    client: KeeperClient, place: Path, directory: Path
) -> None:
    """A file is the disk of a file system; its own disk is what gets the line."""
    image, point = directory / "image", directory / "point"
    point.mkdir()
    with image.open("wb") as file:
        file.truncate(1024 * MIB)
    for command in (
        ("modprobe", "-a", "loop", "ext4"),
        ("mkfs.ext4", "-q", "-F", image),
        ("mount", "-o", "loop", image, point),
    ):
        subprocess.run(command, check=True)
    try:
        with Writer(place, point / "data", "direct") as writer:
            client.apply(order(writer.target, Mechanism.IO_MAX, CAP))
            rate = writer.rate(LOOKS_S)
            assert line(place)["wbps"] == str(CAP)
            assert rate <= CAP * 1.1
    finally:
        client.release(None, Reason("", "test"))
        subprocess.run(("umount", point), check=True)
