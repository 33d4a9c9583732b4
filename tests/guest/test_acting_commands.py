"""The commands that act, where the kernel has BPF LSM and cgroup v2: drop, and io.max."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.guest.limited import Writer, cgroup
from tests.kernel.acting import WRITE, own_keeper, rate_of
from tests.kernel.hogs import MB, Hog
from tests.kernel.leftovers import look, wait_until_gone

pytestmark = pytest.mark.guest

PROGRAM = (sys.executable, "-m", "iotop_ng")
MEMORY = Path("/dev/shm")
FREE = 2 * MB
PASS = MB // 4
CAP = 5 * MB
PATIENCE_S = 30.0
Second = dict[str, Any]


@pytest.fixture
def run_directory() -> Iterator[Path]:
    """Give the run directory of the test's own keeper."""
    with own_keeper(Path("/run")) as run:
        yield run


@contextmanager
def staying(*words: str | int) -> Iterator[subprocess.Popen[str]]:
    """Run a command that stays, as JSON."""
    command = [*PROGRAM, *map(str, words), "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        try:
            yield running
        finally:
            running.kill()


def second(running: subprocess.Popen[str]) -> Second:
    """Return the next object that it prints."""
    assert running.stdout is not None
    line = running.stdout.readline()
    assert line, "the command has ended"
    found: Second = json.loads(line)
    return found


def until_ended(running: subprocess.Popen[str]) -> Second:
    """Return the object that says how it ended."""
    while True:
        found = second(running)
        if found["ended"]:
            return found


def run(*words: str | int) -> subprocess.CompletedProcess[str]:
    """Run a command that ends by itself."""
    command = [*PROGRAM, *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_drop_counts_what_it_refuses_and_ends_with_ctrl_c(
    run_directory: Path, workloads: Callable[[str], Path], directory: Path
) -> None:
    """Its last count is the writer's own; afterwards every write passes again."""
    with Hog(workloads("hog"), directory, MEMORY, WRITE, rate=FREE) as hog:
        before = look([hog.pid])
        with staying("drop", hog.pid, "--pass", "256K", "--path", "*hog-*") as command:
            seconds = [second(command) for _ in range(6)]
            listed = json.loads(run("policies", "--json").stdout)
            command.send_signal(signal.SIGINT)
            last = until_ended(command)
            assert command.wait(PATIENCE_S) == 130

        counts = hog.counts()
        (policy,) = seconds[-1]["policies"]
        assert (policy["kind"], policy["mechanism"]) == ("drop", "drop")
        assert policy["effect"] == "effective", policy
        assert policy["written_bytes_per_s"] < 2 * PASS
        assert policy["refused_bytes_per_s"] > PASS
        assert listed["policies"][0]["refused_calls_total"] >= policy["refused_calls_total"]
        (ended,) = last["ended"]
        assert ended["what"] == "released"
        assert ended["refused_calls_total"] == counts.errors > 0
        assert ended["refused_bytes_total"] == counts.refused_bytes
        gone = wait_until_gone(run_directory, before, set(), PATIENCE_S)
        assert gone.left == []
        assert rate_of(hog, 2) > FREE / 2
        assert hog.counts().errors == counts.errors


@pytest.mark.usefixtures("run_directory")
def test_a_cgroup_is_limited_through_io_max_and_released_from_beside(directory: Path) -> None:
    with cgroup("service") as place, Writer(place, directory / "data", "direct") as writer:
        line = (place / "io.max").read_text("ascii")
        words = ("throttle", "cgroup:/service", "--rate", "5M", "--mechanism", "io_max")
        would = json.loads(run(*words, "--dry-run", "--json").stdout)["would"]
        with staying(*words) as command:
            seconds = [second(command) for _ in range(5)]
            limited = (place / "io.max").read_text("ascii")
            released = run("release", "cgroup:/service")
            last = until_ended(command)
            assert command.wait(PATIENCE_S) == 0

        assert would[0]["mechanism"] == "io_max"
        assert f"dd[{writer.pid}]" in str(would[0]["ladder"])
        assert f"wbps={CAP}" in limited
        rates = [one["policies"][0]["written_bytes_per_s"] for one in seconds[1:]]
        assert sum(rates) / len(rates) == pytest.approx(CAP, rel=0.1)
        assert seconds[-1]["policies"][0]["effect"] == "effective"
        assert (released.returncode, released.stdout) == (0, "released /service\n")
        assert last["ended"][0]["what"] == "released"
        assert (place / "io.max").read_text("ascii") == line


@pytest.mark.usefixtures("run_directory")
def test_doctor_says_that_all_works_here() -> None:
    told = json.loads(run("doctor", "--json").stdout)["acting"]

    works = {one["mechanism"]: one["works"] for one in told}
    assert {name: works[name] for name in ("hold", "io_max", "pause", "drop")} == {
        "hold": True, "io_max": True, "pause": True, "drop": True,
    }, told  # fmt: skip
