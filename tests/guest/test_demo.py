"""The demo's story in a guest, told in short: on a slow disk, and with drop, all of it happens."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from iotop_ng.sources.build import compiled_for
from tests.guest.boots import CHECKOUT
from tests.kernel.acting import own_keeper

pytestmark = pytest.mark.guest


def told(directory: Path) -> dict[str, Any]:
    """Run the demo and return what it printed."""
    words = [
        sys.executable, "-m", "iotop_ng", "demo", "--headless", "--json", "--seconds", "2",
        "--mode", "threads", "--directory", str(directory),
    ]  # fmt: skip
    done = subprocess.run(words, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert done.returncode in {0, 1}, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    assert done.returncode == (0 if found["helped"] else 1)
    return found


def test_the_whole_story(directory: Path) -> None:
    """Each phase was measured, drop refused what the hog wrote, nothing stays."""
    for job in ("count", "hold", "drop"):
        compiled_for(job, lambda _: None)

    with own_keeper(Path("/run")):
        found = told(directory)

    phases = {one["phase"]: one for one in found["phases"]}
    assert all(one["here"] for one in phases.values())
    assert all(one["max_ns"] > 0 for one in phases.values())
    assert (phases["throttle"]["how"], phases["drop"]["how"]) == ("hold", "drop")
    assert phases["flood"]["hog_bytes_per_s"] > 0
    assert phases["drop"]["hog_refused_calls"] > 0
    assert {one["what"] for one in found["verdicts"]} == {"problem", "throttle", "drop", "guard"}
    assert [*directory.iterdir()] == []
