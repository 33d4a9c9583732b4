"""The tour on this machine: it does what it says, and leaves nothing, however it ends."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.screens.test_terminal import Terminal, end

pytestmark = pytest.mark.kernel

PATIENCE_S = 60.0


@pytest.fixture
def tour(tmp_path: Path) -> Iterator[Terminal]:
    """Open the tour in directories of its own, with a hog that does no harm."""
    (tmp_path / "data").mkdir()
    terminal = Terminal(
        [
            sys.executable,
            "-m",
            "iotop_ng",
            "demo",
            "--dir",
            str(tmp_path / "data"),
            "--rate",
            "20M",
        ],
        TEXTUAL_ANIMATIONS="none",
        XDG_CONFIG_HOME="/nonexistent",
        IOTOP_NG_RUN_DIR=str(tmp_path / "run"),
        IOTOP_NG_AUDIT=str(tmp_path / "audit.jsonl"),
    )
    try:
        terminal.until(lambda: terminal.shows("guide 1/6"), "the guide", PATIENCE_S)
        yield terminal
    finally:
        terminal.close()


def started_in(directory: Path) -> set[int]:
    """Return the processes that have a file open below a directory, or name it."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes()
            opened = [str(link.readlink()) for link in (process / "fd").iterdir()]
        except OSError:
            continue
        if str(directory).encode() in words or any(str(directory) in path for path in opened):
            found.add(int(process.name))
    return found


def wait_until(claim: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not claim():
        assert time.monotonic() < deadline, f"not in time: {what}"
        time.sleep(0.05)


def test_quitting_leaves_nothing(tour: Terminal, tmp_path: Path) -> None:
    assert started_in(tmp_path / "data")

    os.write(tour.fd, b"q")

    assert end(tour) == 0
    tour.assert_left_as_it_was()
    assert started_in(tmp_path / "data") == set()
    assert list((tmp_path / "data").iterdir()) == []


def test_a_killed_screen_takes_everything_with_it(tour: Terminal, tmp_path: Path) -> None:
    """In the worst moment: the hog writes, and is throttled."""
    os.write(tour.fd, b">")
    tour.until(lambda: tour.shows("guide 2/6"), "the second step", PATIENCE_S)
    tour.until(lambda: tour.shows("log-flood  "), "the hog's row", PATIENCE_S)
    os.write(tour.fd, b"t")
    tour.until(lambda: tour.shows("Throttle log-flood"), "the dialog", PATIENCE_S)
    tour.until(lambda: tour.shows("hold"), "what works here", PATIENCE_S)
    os.write(tour.fd, b"\r")
    tour.until(lambda: tour.shows("guide 3/6"), "that it is throttled", PATIENCE_S)
    children = started_in(tmp_path / "data")

    os.kill(tour.pid, signal.SIGKILL)

    assert end(tour) == -signal.SIGKILL
    wait_until(lambda: not started_in(tmp_path / "data"), f"the end of {children}")
    wait_until(lambda: not list((tmp_path / "data").iterdir()), "their files are gone")
    wait_until(lambda: not started_in(tmp_path / "run"), "the keeper ends")
