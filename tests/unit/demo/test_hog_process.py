"""The real thing, small: processes that write into a directory, and every way of ending."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, final

import pytest

CHECKOUT = Path(__file__).resolve().parents[3]
PATIENCE_S = 60.0
SMALL = ("--span", "4M", "--rate", "1M")


@final
class Running:
    """A hog in a process of its own."""

    def __init__(self, directory: Path, *options: str) -> None:
        self.directory = directory
        self.process = subprocess.Popen(
            [sys.executable, "-m", "iotop_ng", "demo", "hog", directory, "--json", *options],
            cwd=CHECKOUT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def about(self) -> dict[str, Any]:
        """Return the first object: the writers are there then."""
        assert self.process.stdout is not None
        about: dict[str, Any] = json.loads(self.process.stdout.readline())["hog"]
        return about

    def line(self) -> dict[str, Any]:
        """Return the next of the other objects."""
        assert self.process.stdout is not None
        line: dict[str, Any] = json.loads(self.process.stdout.readline())
        return line

    def end(self) -> tuple[int, list[dict[str, Any]], str]:
        """Wait for its end; return the exit code, the objects that were left, and stderr."""
        out, err = self.process.communicate(timeout=PATIENCE_S)
        return (
            self.process.returncode,
            [json.loads(line) for line in out.splitlines()],
            err.decode(),
        )

    def files(self) -> list[Path]:
        """Return what it has in its directory."""
        return [path for path in self.directory.rglob("*") if path.is_file()]


@contextmanager
def hog(directory: Path, *options: str) -> Iterator[Running]:
    """Run one; it is gone afterwards."""
    running = Running(directory, *options)
    try:
        yield running
    finally:
        if running.process.poll() is None:
            running.process.kill()
        running.process.communicate()


def wait_until(claim: Callable[[], bool]) -> None:
    """Wait until a claim holds."""
    end = time.monotonic() + PATIENCE_S
    while not claim():
        assert time.monotonic() < end
        time.sleep(0.01)


def is_gone(pid: int) -> bool:
    """Whether a process has ended."""
    try:
        state = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return True
    return state == b"Z"


def test_it_ends_by_itself_and_says_what_it_did(tmp_path: Path) -> None:
    with hog(tmp_path, "--for", "1.2s", *SMALL) as running:
        about = running.about()
        comms = [Path(f"/proc/{pid}/comm").read_text() for pid in about["writers"]]
        files = running.files()
        code, lines, err = running.end()

    assert (code, err) == (0, "")
    assert about == {
        "pid": running.process.pid,
        "writers": about["writers"],
        "mode": "lines",
        "directory": str(tmp_path),
        "rate_bytes_per_s": 1 << 20,
        "start_ns": about["start_ns"],
    }
    assert len(about["writers"]) == 1
    assert comms == ["log-flood\n"]
    assert [path.name for path in files] == ["flood-0.log"]
    assert [line["ended"] for line in lines] == [False] * (len(lines) - 1) + [True]
    last = lines[-1]
    assert last["calls_total"] * 512 == last["written_bytes_total"]
    assert last["written_bytes_total"] + last["lost_bytes_total"] <= last["wanted_bytes_total"]
    assert list(tmp_path.iterdir()) == []


def test_a_number_of_calls_is_a_number_of_calls(tmp_path: Path) -> None:
    options = ("--mode", "processes", "--writers", "3", "--calls", "1009", "--span", "1M")
    with hog(tmp_path, *options) as running:
        assert len(running.about()["writers"]) == 3
        code, lines, err = running.end()

    assert (code, err, len(lines)) == (0, "", 1)
    assert (lines[0]["calls_total"], lines[0]["written_bytes_total"]) == (1009, 1009 * 4096)
    assert lines[0]["ended"] is True


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_it_and_its_files_are_gone(tmp_path: Path, number: signal.Signals) -> None:
    with hog(tmp_path, *SMALL) as running:
        pids = running.about()["writers"]
        running.process.send_signal(number)
        code, lines, err = running.end()

    assert (code, err) == (130, "")
    assert lines[-1]["ended"] is True
    assert all(is_gone(pid) for pid in pids)
    assert list(tmp_path.iterdir()) == []


def test_when_it_is_killed_writers_and_files_go_too(tmp_path: Path) -> None:
    with hog(tmp_path, "--mode", "threads", "--writers", "3", "--span", "4M") as running:
        pids = running.about()["writers"]
        assert len(running.files()) == 3
        running.process.kill()

        wait_until(lambda: all(is_gone(pid) for pid in pids))
        wait_until(lambda: list(tmp_path.iterdir()) == [])


def test_a_writer_that_is_stopped_is_reported_on_and_ended(tmp_path: Path) -> None:
    """What it wants by its rate and does not write is owed for a second, and then lost."""
    with hog(tmp_path, *SMALL) as running:
        (pid,) = running.about()["writers"]
        os.kill(pid, signal.SIGSTOP)
        line = running.line()
        while not line["lost_bytes_total"]:
            line = running.line()
        running.process.terminate()
        code, lines, err = running.end()

    assert (code, err, lines[-1]["ended"]) == (130, "", True)
    owed = line["wanted_bytes_total"] - line["written_bytes_total"] - line["lost_bytes_total"]
    assert owed <= 1 << 20
    assert is_gone(pid)


def test_the_end_of_stdin_ends_it_where_that_was_asked_for(tmp_path: Path) -> None:
    with hog(tmp_path, "--until-stdin-ends", *SMALL) as running:
        running.about()
        assert running.process.stdin is not None
        running.process.stdin.write(b"thrown away\n")
        running.process.stdin.close()
        running.process.stdin = None
        code, lines, err = running.end()

    assert (code, err) == (0, "")
    assert lines[-1]["ended"] is True
    assert list(tmp_path.iterdir()) == []


def test_a_stdin_without_another_end_has_ended(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "iotop_ng", "demo", "hog", tmp_path, "--until-stdin-ends", *SMALL],
        cwd=CHECKOUT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, b"")


def test_when_somebody_kills_the_writers_it_ends_and_says_so(tmp_path: Path) -> None:
    with hog(tmp_path, *SMALL) as running:
        (pid,) = running.about()["writers"]
        os.kill(pid, signal.SIGKILL)
        code, lines, err = running.end()

    assert (code, err) == (1, "iotop-ng: the writers were ended by SIGKILL\n")
    assert lines[-1]["ended"] is True
    assert list(tmp_path.iterdir()) == []


def test_where_there_is_too_little_room_nothing_is_made(tmp_path: Path) -> None:
    with hog(tmp_path, "--span", "1024T") as running:
        code, lines, err = running.end()

    assert (code, lines) == (1, [])
    assert err.startswith(f"iotop-ng: {tmp_path}: ")
    assert "are free, needed are 1.0P and" in err
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_hog_left_is_removed_by_the_next(tmp_path: Path) -> None:
    left = tmp_path / "iotop-ng-hog-left"
    left.mkdir()
    (left / "flood-0.log").write_bytes(b"x")
    os.utime(left, (0, 0))
    with hog(tmp_path, "--calls", "1", "--span", "1M") as running:
        running.about()
        code, _, err = running.end()

    assert code == 0
    assert err == f"iotop-ng: removed {left}, which a hog that was killed had left\n"
    assert list(tmp_path.iterdir()) == []


def test_a_reader_that_goes_away_ends_it(tmp_path: Path) -> None:
    with hog(tmp_path, *SMALL) as running:
        pids = running.about()["writers"]
        assert running.process.stdout is not None
        running.process.stdout.close()
        running.process.stdout = None
        running.process.communicate(timeout=PATIENCE_S)

    assert running.process.returncode == 1
    assert all(is_gone(pid) for pid in pids)
    assert list(tmp_path.iterdir()) == []
