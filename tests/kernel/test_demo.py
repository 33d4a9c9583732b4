"""The demo's story on a real disk, told in short: all of it happens, and nothing of it stays."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.kernel.acting import own_keeper
from tests.kernel.disks import Mounted
from tests.kernel.gate import wait_until

pytestmark = pytest.mark.kernel

CHECKOUT = Path(__file__).resolve().parents[2]
PATIENCE_S = 120.0


@pytest.fixture
def run_directory(memory_directory: Path, own_cache: None) -> Iterator[Path]:  # noqa: ARG001
    """Give the run directory of a keeper of the test's own."""
    with own_keeper(memory_directory) as run:
        yield run


@contextmanager
def started(directory: Path, seconds: int) -> Iterator[subprocess.Popen[str]]:
    """Begin the story."""
    words = [
        sys.executable, "-m", "iotop_ng", "demo", "--headless", "--json",
        "--directory", str(directory), "--seconds", str(seconds),
    ]  # fmt: skip
    with subprocess.Popen(
        words, cwd=CHECKOUT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def users(directory: Path) -> set[int]:
    """Return the processes that name a directory on their command lines."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes()
        except OSError:
            continue
        if os.fsencode(directory) in words and int(path.parent.name) != os.getpid():
            found.add(int(path.parent.name))
    return found


def in_memory() -> set[str]:
    """Return the demo's directories in memory."""
    return {path.name for path in Path("/dev/shm").glob("iotop-ng-demo-*")}


def check_nothing_stays(directory: Path, before: set[str]) -> None:
    """Compare with what was there before."""
    wait_until(lambda: not users(directory), "nobody of the demo runs", 20)
    wait_until(lambda: [*directory.iterdir()] == [], "the files are gone", 20)
    wait_until(lambda: in_memory() <= before, "the log is gone", 20)


def applied_and_undone(audit: Path) -> tuple[list[str], list[str]]:
    """Return the kinds of the policies that were in force, and of those that no longer are."""
    events = [json.loads(line) for line in audit.read_text("utf-8").splitlines()]
    ends = {"released", "expired", "ended", "failed"}
    began = [one["kind"] for one in events if one["what"] == "applied"]
    ended = [one["kind"] for one in events if one["what"] in ends]
    return sorted(began), sorted(ended)


def test_the_whole_story(run_directory: Path, ext4: Mounted, memory_directory: Path) -> None:
    assert run_directory
    place, before = ext4.path / "here", in_memory()
    place.mkdir()

    with started(place, 1) as process:
        out, err = process.communicate(timeout=PATIENCE_S)

    assert process.returncode in {0, 1}, err
    told: dict[str, Any] = json.loads(out)
    assert process.returncode == (0 if told["helped"] else 1)
    assert told["disks"] == [ext4.disk.name]
    phases = {one["phase"]: one for one in told["phases"]}
    assert [*phases] == ["baseline", "flood", "throttle", "drop", "guard", "after"]
    here = {name for name, one in phases.items() if one["here"]}
    assert here >= {"baseline", "flood", "throttle", "guard", "after"}
    assert all(phases[name]["max_ns"] > 0 for name in here)
    assert phases["baseline"]["operations"] > 0
    assert phases["flood"]["hog_bytes_per_s"] > 0
    assert phases["after"]["hog_bytes_per_s"] == 0
    assert phases["throttle"]["how"] == "hold"
    assert {one["what"] for one in told["verdicts"]} == {"problem"} | (here & {
        "throttle", "drop", "guard"
    })  # fmt: skip
    check_nothing_stays(place, before)
    began, ended = applied_and_undone(memory_directory / "audit.jsonl")
    assert "throttle" in began
    assert began == ended


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_interrupted_in_the_middle(
    run_directory: Path, ext4: Mounted, number: signal.Signals
) -> None:
    """While the hog is held and the victim works."""
    assert run_directory
    place, before = ext4.path / "here", in_memory()
    place.mkdir()

    with started(place, 1) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "throttle: asked" in line:
                break
        assert len(users(place)) > 1
        process.send_signal(number)
        out, _ = process.communicate(timeout=PATIENCE_S)

    assert (process.returncode, out) == (130 if number is signal.SIGINT else -number, "")
    check_nothing_stays(place, before)
