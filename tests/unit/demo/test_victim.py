"""The victim as a process: what it does and logs, and that nothing of it stays, however it ends."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from iotop_ng.clock import ManualClock, SystemClock
from iotop_ng.demo import victim
from iotop_ng.demo.oplog import Reader
from iotop_ng.demo.victim import Job, State, text
from iotop_ng.demo.work import WORKS, Append, Commit, Read
from iotop_ng.errors import IotopError, UsageError

CHECKOUT = Path(__file__).resolve().parents[3]
PATIENCE_S = 20.0
MS = 1_000_000


@pytest.fixture(name="where")
def _where(tmp_path: Path) -> Path:
    made = tmp_path / "disk"
    made.mkdir()
    return made


def start(where: Path, *options: str | Path) -> subprocess.Popen[bytes]:
    words = [sys.executable, "-m", "iotop_ng", "demo", "victim", where, "--json", *options]
    return subprocess.Popen(
        [str(word) for word in words],
        cwd=CHECKOUT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def eventually(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.01)


def first_line(process: subprocess.Popen[bytes]) -> dict[str, Any]:
    assert process.stdout is not None
    found: dict[str, Any] = json.loads(process.stdout.readline())["victim"]
    return found


@pytest.mark.parametrize("mode", WORKS)
def test_each_mode_works_and_logs_what_it_did(where: Path, tmp_path: Path, mode: str) -> None:
    log = tmp_path / "log"
    options = ("--mode", mode, "--period", "0", "--for", "0.3s", "--span", "256K", "--log", log)

    out, err = start(where, *options).communicate(timeout=PATIENCE_S)

    *_, last = (json.loads(line) for line in out.splitlines())
    lines = Reader(log).read()
    assert err == b""
    assert last["ended"] is True
    assert last["operations_total"] == len(lines) > 0
    assert {line.kind for line in lines} == {mode}
    assert {line.error for line in lines} == {""}
    ends = [line.began_ns + (line.latency_ns or 0) for line in lines]
    assert all(end <= line.began_ns for end, line in zip(ends, lines[1:], strict=False))
    assert 0 < last["p50_ns"] <= last["p99_ns"] <= last["max_ns"]
    assert last["max_ns"] == max(line.latency_ns or 0 for line in lines)
    assert list(where.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_nothing_of_it_stays(where: Path, number: signal.Signals) -> None:
    with start(where) as process:
        assert first_line(process)["pid"] == process.pid
        assert Path(f"/proc/{process.pid}/comm").read_text("ascii") == "victim\n"
        assert len(list(where.iterdir())) == 1

        process.send_signal(number)
        process.communicate(timeout=PATIENCE_S)

        assert process.returncode == (-9 if number is signal.SIGKILL else 130)
        eventually(lambda: list(where.iterdir()) == [])


def test_it_ends_with_who_started_it(where: Path) -> None:
    with start(where, "--until-stdin-ends") as process:
        first_line(process)
        assert process.stdin is not None

        process.stdin.close()

        assert process.wait(PATIENCE_S) == 0
        assert list(where.iterdir()) == []


def test_the_file_never_grows_beyond_the_span(tmp_path: Path) -> None:
    work = Append(tmp_path / "data", 4096, 3 * 4096, 1)

    sizes = []
    for _ in range(8):
        work.do()
        sizes.append((tmp_path / "data").stat().st_size // 4096)
    work.close()

    assert sizes == [1, 2, 3, 1, 2, 3, 1, 2]


def test_a_database_keeps_as_many_rows_as_fit(tmp_path: Path) -> None:
    work = Commit(tmp_path / "data", 4096, 3 * 4096, 1)
    for _ in range(8):
        work.do()
    work.close()

    again = Commit(tmp_path / "data", 4096, 3 * 4096, 1)
    (rows,) = again._base.execute("SELECT count(*) FROM entry").fetchone()
    again.close()
    assert rows == 3


def test_reads_are_of_whole_blocks(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="4096"):
        Read(tmp_path / "data", 1000, 1 << 20, 1)


class Full:
    """Fails."""

    def do(self) -> None:
        raise OSError(28, "No space left on device")

    def close(self) -> None:
        pass


class After:
    """An ending that comes after some waits."""

    def __init__(self, clock: ManualClock, waits: int) -> None:
        self._clock = clock
        self._waits = waits
        self.untils: list[int] = []

    @property
    def is_set(self) -> bool:
        return len(self.untils) >= self._waits

    def wait(self, until_ns: int, _descriptor: int) -> None:
        self.untils.append(until_ns)
        self._clock.sleep_until(until_ns)


def test_what_fails_is_counted_and_the_work_goes_on(
    where: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(WORKS, "append", lambda *_: Full())
    monkeypatch.setattr(victim, "_set_comm", lambda: None)
    out: list[bytes] = []
    clock = ManualClock()

    victim.run(
        Job(where, period_ns=50 * MS, log=tmp_path / "log", is_json=True),
        After(clock, 3),
        clock,
        out.append,
    )

    last = json.loads(out[-1])
    assert (last["errors_total"], last["last_error"]) == (3, "ENOSPC")
    assert last["operations_total"] == 0
    assert last["p99_ns"] is None
    assert [line.error for line in Reader(tmp_path / "log").read()] == ["ENOSPC"] * 3


class Slow:
    """Takes its time, by a clock."""

    def __init__(self, clock: ManualClock, durations: list[int]) -> None:
        self._clock = clock
        self._durations = durations

    def do(self) -> None:
        self._clock.advance(self._durations.pop(0))

    def close(self) -> None:
        pass


def test_what_comes_late_is_the_first_of_a_new_beat(
    where: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = ManualClock()
    monkeypatch.setitem(WORKS, "append", lambda *_: Slow(clock, [5 * MS, 130 * MS, 5 * MS, 5 * MS]))
    monkeypatch.setattr(victim, "_set_comm", lambda: None)
    ending = After(clock, 3)

    victim.run(Job(where, period_ns=50 * MS), ending, clock, lambda _: None)

    # It begins at 0, 50, 180 (late: no wait), 230; then it ends.
    assert ending.untils == [50 * MS, 230 * MS, 280 * MS]


@pytest.mark.parametrize(
    "job", [Job(Path("/tmp"), mode="dance"), Job(Path("/tmp"), size=8192, span=4096)]
)
def test_contradictions_are_told(job: Job) -> None:
    with pytest.raises(UsageError, match="--"):
        victim.check(job)


def test_a_directory_that_is_not_there_is_told(tmp_path: Path) -> None:
    clock = SystemClock()

    with pytest.raises(IotopError, match="No such file"):
        victim.run(Job(tmp_path / "none"), After(ManualClock(), 1), clock, lambda _: None)


def test_a_line_for_people() -> None:
    state = State()
    for latency_ns in (1_000_000, 2_000_000, 90_000_000):
        state.add(latency_ns)
    figures = state.whole.figures()

    assert text("3 s", figures, None, state) == (
        "    3 s      3 operations  p50 2.0ms  p99  90ms  max  90ms"
    )
    state.errors, state.last_error = 2, "ENOSPC"
    assert text("4 s", figures, 1_500_000_000, state).endswith(
        "max  90ms  waiting for 1.5s  2 failed (ENOSPC)"
    )
