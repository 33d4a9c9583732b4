"""kill -9 of a client or of the keeper at a random moment: all is as it was before.

A few moments here; IOTOP_NG_KILLS=200,50 tries so many of clients and of keepers.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest

from iotop_ng.enforcers.orders import Mechanism
from tests.kernel.acting import own_keeper, rates
from tests.kernel.disks import Mounted
from tests.kernel.hogs import MB, Hog, Way
from tests.kernel.leftovers import State, belonging, bpf_of, keeper_of, look, wait_until_gone

pytestmark = pytest.mark.kernel

CAP = MB
FREE = 8 * CAP
KILLS = dict(
    zip(
        ("client", "keeper"),
        (int(word) for word in os.environ.get("IOTOP_NG_KILLS", "8,4").split(",")),
        strict=True,
    )
)
MECHANISMS = (Mechanism.HOLD, Mechanism.PAUSE, Mechanism.IONICE)
LONGEST_S = 0.5
"""Several rounds of apply, adjust and release fit in it."""
LATER = 0.9
"""How likely each further step is waited for, up to the first release."""
PATIENCE_S = 10.0


class Kill(NamedTuple):
    """One process that was killed, and what was left of its work."""

    mechanism: Mechanism
    after_s: float
    last_word: str
    """What the client was doing."""
    effect_s: float
    all_s: float
    left: list[str]
    objects: int


@pytest.fixture
def run_directory(memory_directory: Path, own_cache: None) -> Iterator[Path]:  # noqa: ARG001
    """Give the run directory of a keeper of the test's own."""
    with own_keeper(memory_directory) as run:
        yield run


@pytest.fixture
def hogs(
    workloads: Callable[[str], Path], ext4: Mounted, memory_directory: Path
) -> Iterator[dict[str, Hog]]:
    """Give two programs that write: one thread, and three."""
    ways = {"one": Way("write"), "three": Way("direct", threads=3)}
    with ExitStack() as stack:
        yield {
            name: stack.enter_context(
                Hog(workloads("hog"), ext4.path, memory_directory, way, rate=4 * FREE, span=16 * MB)
            )
            for name, way in ways.items()
        }


def kill_one(
    who: str, mechanism: Mechanism, run_directory: Path, pids: list[int], before: State
) -> Kill:
    """Let a client work, kill it or its keeper at a random moment, wait until all is as before."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.kernel.driver", mechanism.value, str(CAP), *map(str, pids)],
        stdout=subprocess.PIPE,
        text=True,
    ) as client:
        assert client.stdout is not None
        assert client.stdout.readline() == "open\n"
        # The first apply takes long (programs are loaded): most shall hit what comes after it.
        while random.random() < LATER and client.stdout.readline() != "release\n":
            pass
        after_s = random.uniform(0, LONGEST_S)
        time.sleep(after_s)
        objects = bpf_of(belonging(run_directory))
        keeper = keeper_of(run_directory)
        assert keeper is not None
        if who == "keeper":
            os.kill(keeper, 9)
        else:
            client.kill()
        said = client.stdout.read().split("\n")
        client.wait()
    gone = wait_until_gone(run_directory, before, objects, PATIENCE_S)
    words = [word for word in said if word and not word.startswith("failed")]
    last = words[-1] if words else "open"
    return Kill(mechanism, after_s, last, gone.effect_s, gone.all_s, gone.left, len(objects))


@pytest.mark.parametrize("who", ["client", "keeper"])
def test_kill_9_at_random_moments_leaves_nothing(
    who: str, run_directory: Path, hogs: dict[str, Hog], note: Callable[[str], None]
) -> None:
    """No limit, no stopped or traced process, no cgroup, no program; every value as before."""
    pids = [hog.pid for hog in hogs.values()]
    before = look(pids)
    kills = []

    for number in range(KILLS[who]):
        kill = kill_one(who, MECHANISMS[number % len(MECHANISMS)], run_directory, pids, before)
        kills.append(kill)
        assert kill.left == [], kill
        free = rates(hogs, 0.1)
        if min(free.values()) <= FREE:
            # Slow is not limited: look for longer.
            free = rates(hogs, 1)
        assert min(free.values()) > FREE, kill

    words = [kill.last_word for kill in kills]
    note(
        f"kill -9 of the {who}, {len(kills)} moments: "
        f"no effect left after {_times([kill.effect_s for kill in kills])}, "
        f"no process after {_times([kill.all_s for kill in kills])}; while doing "
        + ", ".join(f"{words.count(word)} {word}" for word in sorted(set(words)))
    )
    assert sum(kill.objects > 0 for kill in kills) > 0 or KILLS[who] == 0


def _times(seconds: list[float]) -> str:
    """Return "0.10 s (at most 0.20 s)"."""
    return f"{sorted(seconds)[len(seconds) // 2]:.2f} s (at most {max(seconds):.2f} s)"
