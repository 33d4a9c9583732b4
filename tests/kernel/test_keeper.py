"""kill -9 at random moments: what was changed in the kernel is as it was before.

The mechanism here stops a real process, sets its real I/O priority and writes a file; that of each
real mechanism is tested beside it.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, NamedTuple

import pytest

from iotop_ng.enforcers import audit, run_dir
from iotop_ng.enforcers.client import KeeperClient, NoKeeperError, this_author
from iotop_ng.enforcers.orders import Kind, Mechanism, Order
from iotop_ng.enforcers.processes import read_stat
from iotop_ng.enforcers.run_dir import READY, RunDir
from iotop_ng.enforcers.undo import recover
from iotop_ng.sources.ioprio import IoPriorities
from tests.kernel.keeping import BEFORE, REASON, target_of, value_file

pytestmark = pytest.mark.kernel

CHECKOUT = Path(__file__).resolve().parents[2]
CLIENT_ROUNDS = 40
KEEPER_ROUNDS = 20
LONGEST_LIFE_S = 0.06
"""A round of apply, three changes and release takes about half of this."""
PROMISED_S = 2.0
PATIENCE = 5
"""The machine that tests may be busy with other things than the promise is about."""


class State(NamedTuple):
    """What a kill must not leave changed."""

    is_stopped: bool
    priority: int | None
    value: str


class Arena:
    """A process to act on, a directory of values, and a keeper."""

    def __init__(self, directory: Path, place: RunDir) -> None:
        self.values = directory / "values"
        self.values.mkdir()
        self.place = place
        self.log = directory / "stderr"
        self.target = subprocess.Popen(["sleep", "600"])
        value_file(self.values, self.target.pid).write_text(BEFORE)
        self._started: list[subprocess.Popen[bytes]] = []
        self.before = self.state()

    def state(self) -> State:
        stat = read_stat(self.target.pid)
        assert stat is not None
        value = value_file(self.values, self.target.pid).read_text().strip()
        return State(stat.state == "T", IoPriorities().raw(self.target.pid), value)

    def start_keeper(self) -> subprocess.Popen[bytes]:
        """Start one with our mechanism, before a client starts the ordinary one."""
        reading, writing = os.pipe()
        with self.log.open("ab") as log:
            made = self._run("keeper", str(self.values), str(writing), stderr=log, keep=writing)
        os.close(writing)
        with os.fdopen(reading, "rb") as said:
            assert said.readline() == READY, self.log.read_text()
        return made

    def start_client(self) -> subprocess.Popen[bytes]:
        """Start one that applies, adjusts and releases without rest."""
        with self.log.open("ab") as log:
            made = self._run("client", str(self.target.pid), stderr=log)
        assert made.stdout is not None
        assert made.stdout.readline() == b"begun\n", self.log.read_text()
        return made

    def _run(
        self, *words: str, stderr: IO[bytes], keep: int | None = None
    ) -> subprocess.Popen[bytes]:
        made = subprocess.Popen(
            [sys.executable, "-m", "tests.kernel.keeping", *words],
            cwd=CHECKOUT,
            stdout=subprocess.PIPE,
            stderr=stderr,
            pass_fds=() if keep is None else (keep,),
            start_new_session=True,
        )
        self._started.append(made)
        return made

    def close(self) -> None:
        for process in (*self._started, self.target):
            process.kill()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()


@pytest.fixture
def arena(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Arena]:
    place = RunDir(tmp_path / "run")
    monkeypatch.setenv(run_dir.VARIABLE, str(place.path))
    monkeypatch.setenv(audit.VARIABLE, str(tmp_path / "audit.jsonl"))
    made = Arena(tmp_path, place)
    try:
        yield made
    finally:
        made.close()


def until(is_so: Callable[[], bool]) -> float:
    """Wait for it; return how long it took."""
    begun = time.monotonic()
    while not is_so():
        assert time.monotonic() - begun < PATIENCE * PROMISED_S
        time.sleep(0.002)
    return time.monotonic() - begun


def kill(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGKILL)
    process.wait()


def nothing_in_force() -> bool:
    """Ask the keeper after everything that the dead client had sent."""
    with KeeperClient.open(this_author("command"), spawn=False) as client:
        return client.look().policies == ()


def changed(arena: Arena) -> bool:
    return arena.state() != arena.before


def test_a_client_killed_at_any_moment_leaves_nothing(
    arena: Arena, note: Callable[[str], None]
) -> None:
    dice = random.Random(3)
    keeper = arena.start_keeper()
    with KeeperClient.open(this_author("command")):  # the keeper stays for all rounds
        slowest = 0.0
        hit = 0
        for _ in range(CLIENT_ROUNDS):
            client = arena.start_client()
            time.sleep(dice.uniform(0, LONGEST_LIFE_S))
            hit += changed(arena)
            kill(client)

            slowest = max(slowest, until(nothing_in_force))
            assert arena.state() == arena.before
        assert keeper.poll() is None
    keeper.terminate()
    assert keeper.wait(10) == 0
    # Most kills found something in force, or the rounds above have shown nothing.
    assert hit > CLIENT_ROUNDS // 4
    note(f"keeper: client killed {CLIENT_ROUNDS} times, undone within {1000 * slowest:.0f} ms")


def test_a_keeper_killed_at_any_moment_is_made_up_for_by_its_client(
    arena: Arena, note: Callable[[str], None]
) -> None:
    dice = random.Random(4)
    slowest = 0.0
    hit = 0
    for _ in range(KEEPER_ROUNDS):
        keeper = arena.start_keeper()
        client = arena.start_client()
        time.sleep(dice.uniform(0, LONGEST_LIFE_S))
        hit += changed(arena)

        kill(keeper)
        begun = time.monotonic()
        assert client.wait(PATIENCE * PROMISED_S) == 0
        slowest = max(slowest, time.monotonic() - begun)

        assert client.stdout is not None
        said = client.stdout.read()
        assert b"the keeper has ended" in said
        assert arena.state() == arena.before, (said, arena.log.read_text())
        assert recover(arena.place.path) == ()
    assert hit > KEEPER_ROUNDS // 4
    note(f"keeper: killed {KEEPER_ROUNDS} times, put back within {1000 * slowest:.0f} ms")


def test_when_both_are_killed_undo_puts_everything_back(arena: Arena) -> None:
    dice = random.Random(5)
    hit = 0
    for _ in range(KEEPER_ROUNDS):
        keeper, client = arena.start_keeper(), arena.start_client()
        time.sleep(dice.uniform(0, LONGEST_LIFE_S))

        for process in dice.sample((keeper, client), 2):
            process.send_signal(signal.SIGKILL)
        keeper.wait()
        client.wait()
        hit += changed(arena)
        said = recover(arena.place.path)

        assert arena.state() == arena.before, said
        assert recover(arena.place.path) == ()
    assert hit > KEEPER_ROUNDS // 4


def test_the_next_keeper_puts_back_what_a_killed_one_left(arena: Arena) -> None:
    keeper, client = arena.start_keeper(), arena.start_client()
    until(lambda: arena.state().is_stopped)
    for process in (keeper, client):
        process.send_signal(signal.SIGKILL)
    keeper.wait()
    client.wait()
    assert changed(arena)

    with KeeperClient.open(this_author("command")) as next_one:
        assert arena.state() == arena.before
        assert any("continued" in said for said in next_one.welcome.recovered)
        os.kill(next_one.keeper_pid, signal.SIGTERM)


def test_a_keeper_that_is_told_to_end_releases_first(arena: Arena) -> None:
    keeper = arena.start_keeper()
    with KeeperClient.open(this_author("command")) as client:
        target = target_of(arena.target.pid)
        client.apply(Order(Kind.THROTTLE, target, REASON, 5, mechanism=Mechanism.PAUSE))
        assert arena.state() == State(is_stopped=True, priority=3 << 13, value="5")

        keeper.terminate()

        assert keeper.wait(10) == 0
        assert arena.state() == arena.before


def test_a_target_that_is_killed_ends_its_policy(arena: Arena) -> None:
    keeper = arena.start_keeper()
    other = subprocess.Popen(["sleep", "600"])
    value_file(arena.values, other.pid).write_text(BEFORE)
    with KeeperClient.open(this_author("command")) as client:
        order = Order(Kind.THROTTLE, target_of(other.pid), REASON, 5, mechanism=Mechanism.PAUSE)
        client.apply(order)

        kill(other)

        until(lambda: client.look().policies == ())
        assert client.look().events[-1].what == "ended"
        assert value_file(arena.values, other.pid).read_text() == BEFORE
    keeper.terminate()
    keeper.wait(10)


def test_descriptors_do_not_grow(arena: Arena) -> None:
    """Neither in the keeper nor in its journal, over many policies."""
    keeper = arena.start_keeper()
    with KeeperClient.open(this_author("command")) as client:
        target = target_of(arena.target.pid)
        order = Order(Kind.THROTTLE, target, REASON, 5, mechanism=Mechanism.PAUSE)
        seen = []
        for _ in range(30):
            client.release((client.apply(order).id,), REASON)
            seen.append(len(list(Path(f"/proc/{keeper.pid}/fd").iterdir())))

        assert seen[-1] <= seen[2]
    keeper.terminate()
    keeper.wait(10)
    with contextlib.suppress(NoKeeperError):
        KeeperClient.open(this_author("command"), spawn=False).close()
