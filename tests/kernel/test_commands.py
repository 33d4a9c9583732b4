"""The commands that act, with a real keeper and a real writer: begun, seen from beside, ended."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.kernel.acting import own_keeper
from tests.kernel.disks import Mounted
from tests.kernel.gate import wait_until
from tests.kernel.hogs import MB, Hog, Way
from tests.kernel.leftovers import keeper_of, look, wait_until_gone

pytestmark = pytest.mark.kernel

CAP = MB
FREE = 8 * MB
OWN_NAME = f"hog-{os.getpid()}"
"""Rules are for whole machines: other tests may run on this one."""
PATIENCE_S = 20.0
CHECKOUT = Path(__file__).resolve().parents[2]


@pytest.fixture
def run_directory(memory_directory: Path, own_cache: None) -> Iterator[Path]:  # noqa: ARG001
    """Give the run directory of a keeper of the test's own."""
    with own_keeper(memory_directory) as run:
        yield run


@pytest.fixture
def hog(workloads: Callable[[str], Path], ext4: Mounted, memory_directory: Path) -> Iterator[Hog]:
    """Give a program that writes 8 MiB/s, under a name that nobody else has."""
    program = memory_directory / OWN_NAME
    shutil.copy(workloads("hog"), program)
    with Hog(program, ext4.path, memory_directory, Way("write"), rate=FREE) as writer:
        yield writer


def command(*words: str | int | Path) -> list[str]:
    """Return how iotop-ng is called."""
    return [sys.executable, "-m", "iotop_ng", *map(str, words)]


def run(*words: str | int | Path) -> subprocess.CompletedProcess[str]:
    """Run a command that ends by itself."""
    return subprocess.run(
        command(*words), cwd=CHECKOUT, capture_output=True, text=True, check=False, timeout=60
    )


class Foreground:
    """A command that stays, read second by second."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def second(self) -> dict[str, Any]:
        """Return the next object that it prints."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise EOFError(self.complaints())
        told: dict[str, Any] = json.loads(line)
        return told

    def complaints(self) -> str:
        """Return what it said on stderr, when it has ended."""
        assert self.process.stderr is not None
        return self.process.stderr.read()

    def end(self) -> int:
        """Return the exit code."""
        return self.process.wait(PATIENCE_S)


@contextmanager
def staying(*words: str | int) -> Iterator[Foreground]:
    """Run a command that stays, and kill it in the end if it has not ended."""
    with subprocess.Popen(
        command(*words, "--json"), cwd=CHECKOUT, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        try:
            yield Foreground(process)
        finally:
            if process.poll() is None:
                process.kill()


def wrote(hog: Hog, second: dict[str, Any]) -> float:
    """Return what the command says that the hog wrote."""
    (policy,) = second["policies"]
    assert policy["target"] == str(hog.pid)
    return float(policy["written_bytes_per_s"])


def test_a_throttle_is_seen_and_released_from_beside(run_directory: Path, hog: Hog) -> None:
    """One process holds it to the rate, a second one lists it, a third one takes it back."""
    before = look([hog.pid])
    with staying("throttle", hog.pid, "--rate", "1M", "--for", "5m") as throttle:
        seconds = [throttle.second() for _ in range(4)]
        listed = json.loads(run("policies", "--json").stdout)
        text = run("policies").stdout
        released = run("release", hog.pid)
        rest: list[dict[str, Any]] = []
        while not (rest and rest[-1]["ended"]):
            rest.append(throttle.second())
        code = throttle.end()
        said = throttle.complaints()

    # Beside the kernel's own count, which includes a write that overdraws.
    assert sum(wrote(hog, second) for second in seconds[1:]) / 3 == pytest.approx(CAP, rel=0.1)
    assert seconds[3]["policies"][0]["effect"] == "effective"
    assert seconds[3]["policies"][0]["held_pct"] > 30
    assert seconds[3]["policies"][0]["before_bytes_per_s"] == pytest.approx(FREE, rel=0.5)
    (policy,) = listed["policies"]
    assert (policy["target"], policy["mechanism"]) == (str(hog.pid), "hold")
    assert policy["written_bytes_per_s"] == pytest.approx(CAP, rel=0.25)
    assert 250 < policy["remaining_s"] < 300
    assert "throttle 1.0M/s by hold" in text
    assert (released.returncode, released.stdout) == (0, f"released {policy['name']}\n")
    assert (code, rest[-1]["ended"][0]["what"]) == (0, "released")
    assert "released on the command line" in said
    gone = wait_until_gone(run_directory, before, set(), PATIENCE_S)
    assert gone.left == []


def test_kill_9_of_the_command_releases(run_directory: Path, hog: Hog) -> None:
    before = look([hog.pid])
    with staying("throttle", hog.pid, "--rate", "1M") as throttle:
        throttle.second()
        throttle.process.kill()
        throttle.end()

        gone = wait_until_gone(run_directory, before, set(), PATIENCE_S)

    assert gone.left == []
    assert gone.effect_s < 2
    assert run("policies").stderr == "iotop-ng: nothing is in force\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.usefixtures("run_directory")
def test_a_signal_undoes_it_before_the_command_ends(hog: Hog, number: signal.Signals) -> None:
    before = look([hog.pid])
    with staying("throttle", hog.pid, "--rate", "1M", "--mechanism", "pause") as throttle:
        throttle.second()
        throttle.process.send_signal(number)
        code = throttle.end()

        assert look([hog.pid]) == before
        assert code == 130
        assert "undone: completely" in throttle.complaints()


@pytest.mark.usefixtures("run_directory")
def test_the_end_of_the_lease_ends_it(hog: Hog) -> None:
    before = look([hog.pid])
    with staying("throttle", hog.pid, "--rate", "1M", "--for", "2s") as throttle:
        seconds: list[dict[str, Any]] = []
        while not (seconds and seconds[-1]["ended"]):
            seconds.append(throttle.second())

        assert throttle.end() == 0
    assert seconds[-1]["ended"][0]["what"] == "expired"
    assert look([hog.pid]) == before


def test_a_keeper_that_is_killed_is_told(run_directory: Path, hog: Hog) -> None:
    before = look([hog.pid])
    with staying("throttle", hog.pid, "--rate", "1M", "--mechanism", "pause") as throttle:
        throttle.second()
        # The command has started it, so it is none of ours by its parent.
        os.kill(int((run_directory / "lock").read_text("ascii")), signal.SIGKILL)

        code = throttle.end()
        said = throttle.complaints()

    assert code == 1
    assert "the keeper has ended" in said
    gone = wait_until_gone(run_directory, before, set(), PATIENCE_S)
    assert gone.left == []


REFUSED = {
    "1": "is protected: it is PID 1",
    "2": "is protected: it is a kernel thread",
    str(os.getpid()): "is protected: ",
    "4194303": "4194303: there is no such process",
    "cgroup:/no/such/group": "there is no cgroup /no/such/group",
    "comm:no-such-name": "comm:no-such-name: no process is called that",
}


@pytest.mark.parametrize("words", [("throttle", "--rate", "1M"), ("drop", "--dry-run")])
@pytest.mark.usefixtures("run_directory")
def test_what_may_not_be_touched_is_refused_with_4(words: tuple[str, ...]) -> None:
    for target, expected in REFUSED.items():
        done = run(*words, target)

        assert (done.returncode, done.stdout) == (4, "")
        assert expected in done.stderr
        assert done.stderr.count("\n") == 1


def test_from_another_pid_namespace_nothing_is_touched(run_directory: Path, hog: Hog) -> None:
    """A container of its own: its numbers are not the kernel's."""
    before = look([hog.pid])

    done = subprocess.run(
        ["unshare", "--pid", "--fork", "--mount-proc", *command("throttle", 2, "--rate", "1M")],
        cwd=CHECKOUT, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip

    assert (done.returncode, done.stdout) == (4, "")
    assert done.stderr.count("\n") == 1
    gone = wait_until_gone(run_directory, before, set(), PATIENCE_S)
    assert gone.left == []


AS_NOBODY = """
import locale, os, sys
from iotop_ng.cli import act, main
os.setgroups([]); os.setgid(65534); os.setuid(65534)
sys.exit(main.run(sys.argv[1:]))
"""


def test_who_is_not_root_is_sent_to_sudo(run_directory: Path, hog: Hog) -> None:
    # The interpreter may lie where nobody else may go, so it is read before.
    done = subprocess.run(
        [sys.executable, "-c", AS_NOBODY, "throttle", str(hog.pid), "--rate", "1M"],
        cwd=CHECKOUT, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip

    assert (done.returncode, done.stdout) == (3, "")
    assert "sudo iotop-ng throttle" in done.stderr
    assert not run_directory.exists()


def test_a_dry_run_says_what_works_and_does_nothing(run_directory: Path, hog: Hog) -> None:
    before = look([hog.pid])

    done = run("throttle", hog.pid, "--rate", "20%", "--dry-run", "--json")

    assert done.returncode == 0, done.stderr
    (would,) = json.loads(done.stdout)["would"]
    assert would["mechanism"] == "hold"
    assert would["rate_bytes_per_s"] == pytest.approx(FREE / 5, rel=0.3)
    assert [rung["mechanism"] for rung in would["ladder"]] == ["hold", "io_max", "pause"]
    assert look([hog.pid]) == before
    wait_until(lambda: keeper_of(run_directory) is None, "the keeper ends", PATIENCE_S)


RULES = """
[[rule]]
name = "runaway"
match = {{ comm = "{name}" }}
writes_over = "{over}"
for = "1s"
to = "1M/s"
"""


@pytest.mark.parametrize("enforce", [False, True])
def test_guard_says_what_it_would_do_or_does_it(
    run_directory: Path, hog: Hog, tmp_path: Path, enforce: bool
) -> None:
    rules = tmp_path / "rules.toml"
    rules.write_text(RULES.format(name=OWN_NAME, over="4M/s"))
    before = look([hog.pid])
    options = ("--enforce",) if enforce else ()

    done = run("guard", rules, "--duration", "6s", "--json", *options)

    assert done.returncode == 0, done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert events[0]["what"] == ("applied" if enforce else "would")
    assert f"[{hog.pid}]" in events[0]["name"]
    assert events[0]["by"] == "rule runaway"
    assert events[0]["enforce"] is enforce
    assert ("dry run" in done.stderr) is not enforce
    gone = wait_until_gone(run_directory, before, set(), PATIENCE_S)
    assert gone.left == []


def test_undo_puts_back_what_nobody_was_left_to_put_back(run_directory: Path, hog: Hog) -> None:
    """Keeper and command are killed together: the journal names what may still be in force."""
    before = look([hog.pid])
    with staying("throttle", hog.pid, "--rate", "1M", "--mechanism", "pause") as throttle:
        throttle.second()
        throttle.process.send_signal(signal.SIGSTOP)
        os.kill(int((run_directory / "lock").read_text("ascii")), signal.SIGKILL)
        throttle.process.kill()
        throttle.end()

    journal = (run_directory / "journal").read_bytes()
    would = json.loads(run("undo", "--dry-run", "--json").stdout)["undone"]
    assert (run_directory / "journal").read_bytes() == journal
    done = run("undo")
    again = run("undo", "--dry-run", "--json")

    assert f"would continue process {hog.pid}" in would
    assert done.returncode == 0
    assert json.loads(again.stdout)["undone"] == []
    gone = wait_until_gone(run_directory, before, set(), PATIENCE_S)
    assert gone.left == []


def test_undo_without_anything_left_says_so(run_directory: Path) -> None:
    for words in (("undo",), ("undo", "--dry-run"), ("release", "--all")):
        done = run(*words)

        assert (done.returncode, done.stdout) == (0, "")
        assert done.stderr.startswith("iotop-ng: nothing ")
    assert keeper_of(run_directory) is None
