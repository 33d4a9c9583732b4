"""A hog in a container is found, throttled and dropped by the container's name; others are not."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest

from iotop_ng.sources.containers import Containers
from tests.guest.contained import Contained, docker, inner_pid, pod
from tests.guest.test_acting_commands import run, second, staying, until_ended
from tests.kernel.acting import own_keeper, rates
from tests.kernel.hogs import MB, Hog, Way
from tests.kernel.leftovers import look, wait_until_gone

pytestmark = pytest.mark.guest

MEMORY = Path("/dev/shm")
FLOOD_ID = "0123456789abcdef" * 4
SHOP_ID = "fedcba9876543210" * 4
CAP = MB
NEIGHBOUR = MB // 2
PATIENCE_S = 30.0


class Scene(NamedTuple):
    """Two containers side by side, each with a hog."""

    flood: Contained
    shop: Contained
    hogs: dict[str, Hog]
    run_directory: Path


@pytest.fixture(scope="module")
def scene(workloads: Callable[[str], Path]) -> Iterator[Scene]:
    """Give one of docker's that floods, and one of a pod that writes little."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(dir="/data")))
        run_directory = stack.enter_context(own_keeper(Path("/run")))
        flood = stack.enter_context(docker("flood", FLOOD_ID))
        shop = stack.enter_context(pod("shop-0/web", SHOP_ID))
        hogs = {
            one.name: stack.enter_context(
                Hog(
                    workloads("hog"), directory, MEMORY, Way("write", sync=16),
                    rate=rate, span=16 * MB, started_by=one.started_by,
                )
            )
            for one, rate in ((flood, 0), (shop, NEIGHBOUR))
        }  # fmt: skip
        yield Scene(flood, shop, hogs, run_directory)


def namespaces(pid: int) -> dict[str, int]:
    """Return the namespaces of a process."""
    return {
        name: os.stat(f"/proc/{pid}/ns/{name}").st_ino  # noqa: PTH116 - it is no path
        for name in ("user", "pid", "mnt", "cgroup")
    }


@pytest.mark.parametrize("mechanism", ["hold", "io_max"])
def test_a_container_is_throttled_by_its_name_and_its_neighbour_is_not(
    mechanism: str, scene: Scene
) -> None:
    """Its processes are in other namespaces than ours; afterwards all is as before."""
    pids = {name: inner_pid(hog) for name, hog in scene.hogs.items()}
    before = look(pids.values())
    apart = namespaces(pids["flood"]), namespaces(os.getpid())
    assert all(apart[0][name] != apart[1][name] for name in apart[1])
    free = rates(scene.hogs, 1)["flood"]

    command = ("throttle", "container:flood", "--rate", "1M", "--mechanism", mechanism)
    with staying(*command) as throttling:
        second(throttling)
        held = rates(scene.hogs, 5)
        for _ in range(4):
            if held["flood"] < 1.2 * CAP:
                break
            held = rates(scene.hogs, 5)
        (policy,) = second(throttling)["policies"]
        released = run("release", f"container:{FLOOD_ID[:12]}")
        last = until_ended(throttling)

    assert free > 2 * CAP
    assert 0.5 * CAP < held["flood"] < 1.2 * CAP
    assert held["shop-0/web"] > 0.8 * NEIGHBOUR
    assert (policy["name"], policy["mechanism"]) == ("flood", mechanism)
    assert policy["target"] == f"cgroup:{scene.flood.path}"
    assert (released.returncode, released.stdout) == (0, "released flood\n")
    assert last["ended"][0]["what"] == "released"
    assert wait_until_gone(scene.run_directory, before, set(), PATIENCE_S).left == []
    assert rates(scene.hogs, 2)["flood"] > 2 * CAP


def test_the_table_says_which_container_writes(scene: Scene) -> None:
    """The first row is the hog's."""
    said = run("-b", "-n", "1", "--source", "procfs", "--format", "json").stdout
    first = json.loads(said)["tasks"][0]

    assert first["pid"] == inner_pid(scene.hogs["flood"])
    assert Containers().shown(first["cgroup"]) == "flood"


def test_drop_refuses_what_the_container_writes_and_nothing_else(scene: Scene) -> None:
    """Its count is the hog's own."""
    with staying("drop", "container:flood", "--pass", "256K") as dropping:
        for _ in range(3):
            found = second(dropping)
        released = run("release", "container:flood")
        (ended,) = until_ended(dropping)["ended"]
    counts = {name: hog.counts() for name, hog in scene.hogs.items()}

    assert found["policies"][0]["refused_bytes_per_s"] > 0
    assert released.stdout == "released flood\n"
    assert ended["refused_calls_total"] == counts["flood"].errors > 0
    assert counts["shop-0/web"].errors == 0
