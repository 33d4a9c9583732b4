"""`iotop-ng guard` without rules of one's own, against the generator, with a victim beside it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.kernel.acting import own_keeper

pytestmark = pytest.mark.guest

PROGRAM = (sys.executable, "-m", "iotop_ng")


@contextmanager
def running(*words: str | Path) -> Iterator[subprocess.Popen[str]]:
    """Run one of our commands for a minute at most; end it as one does at a terminal."""
    command = ["timeout", "--signal=INT", "90", *PROGRAM, *map(str, words)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=60)


def test_the_default_rules_take_hold_of_a_flood_and_of_nobody_else(directory: Path) -> None:
    """The victim alone is no reason for anything; then the generator is held, by its name."""
    with own_keeper(Path("/run")), running("demo", "victim", directory) as victim:
        assert victim.stdout is not None
        assert victim.stdout.readline()
        with (
            running("guard", "--enforce", "--json") as guard,
            running("demo", "hog", directory, "--mode", "big", "--for", "80s", "--json") as hog,
        ):
            assert hog.stdout is not None
            writers = json.loads(hog.stdout.readline())["hog"]["writers"]
            assert guard.stdout is not None
            event = json.loads(guard.stdout.readline())

    assert event["what"] == "applied"
    assert event["name"] in [f"log-flood[{pid}]" for pid in writers]
    assert event["by"] == "rule starved by writers"
