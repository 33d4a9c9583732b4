"""A real keeper process and its clients; nothing is acted on here."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from iotop_ng.enforcers import audit, run_dir
from iotop_ng.enforcers.changes import FileValue
from iotop_ng.enforcers.client import KeeperClient, KeeperGoneError, NoKeeperError, this_author
from iotop_ng.enforcers.journal import Intent, Journal
from iotop_ng.enforcers.processes import boot_id, read_stat
from iotop_ng.enforcers.run_dir import RunDir, take_lock
from iotop_ng.enforcers.undo import recover
from iotop_ng.errors import EnforcerError, NotPermittedError, TargetError, UsageError
from iotop_ng.policy.actions import CgroupTarget, ProcessTarget, Reason
from tests.fakes.enforcers import order

REASON = Reason(rule="", text="")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunDir]:
    """Give a run directory of the test's own; its keeper is ended afterwards."""
    made = RunDir(tmp_path / "run")
    monkeypatch.setenv(run_dir.VARIABLE, str(made.path))
    monkeypatch.setenv(audit.VARIABLE, str(tmp_path / "audit.jsonl"))
    yield made
    if (pid := keeper_of(made)) is not None:
        os.kill(pid, signal.SIGTERM)
    until(lambda: keeper_of(made) is None)


def keeper_of(place: RunDir) -> int | None:
    """Return the pid of the living keeper."""
    if not place.lock.exists():
        return None
    while (lock := take_lock(place.lock)) is None:
        # Empty for the moment between its locking and its pid.
        if text := place.lock.read_text():
            return int(text)
    lock.release()
    return None


def until(is_so: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.005)


def opened(kind: str = "command") -> KeeperClient:
    return KeeperClient.open(this_author(kind))


def test_the_first_client_starts_a_keeper_and_the_next_ones_find_it(place: RunDir) -> None:
    with opened() as first, opened() as second:
        assert first.keeper_pid == second.keeper_pid == keeper_of(place)
        assert first.keeper_pid not in {0, os.getpid()}
        assert first.look().policies == ()
        assert place.complaints.read_text() == ""


def test_many_that_start_at_once_share_one(place: RunDir) -> None:
    clients: list[KeeperClient] = []
    threads = [threading.Thread(target=lambda: clients.append(opened())) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(clients) == 6
    assert {one.keeper_pid for one in clients} == {keeper_of(place)}
    for one in clients:
        one.close()


@pytest.mark.usefixtures("place")
def test_it_has_a_session_of_its_own_and_nothing_of_ours_open() -> None:
    reading, writing = os.pipe()
    os.set_inheritable(writing, True)
    with opened() as one:
        os.close(writing)

        assert os.getsid(one.keeper_pid) == one.keeper_pid
        assert os.read(reading, 1) == b""  # nobody has the other end any more
        assert Path(f"/proc/{one.keeper_pid}/cwd").readlink() == Path("/")
        stat = read_stat(one.keeper_pid)
        assert stat is not None
        assert stat.comm == "iotop-ng keeper"
    os.close(reading)


def test_nothing_is_imported_from_the_current_directory(place: RunDir, tmp_path: Path) -> None:
    """Root may stand in a directory where anybody can leave a module."""
    trap = tmp_path / "trap"
    trap.mkdir()
    for name in ("socket", "msgspec", "selectors", "json", "iotop_ng"):
        (trap / f"{name}.py").write_text("raise SystemExit('trapped')\n")
    program = (
        "import sys; sys.path[:0] = ['', '.']; del sys.path[:2];"
        "from iotop_ng.enforcers.client import KeeperClient, this_author;"
        "sys.path[:0] = ['', '.'];"
        "print(KeeperClient.open(this_author('command')).keeper_pid)"
    )

    done = subprocess.run(
        [sys.executable, "-I", "-c", program], cwd=trap, capture_output=True, text=True, check=False
    )

    assert done.stderr == ""
    assert int(done.stdout) > 0
    assert place.complaints.read_text() == ""


def test_without_a_keeper_nothing_is_started_unless_asked(place: RunDir) -> None:
    with pytest.raises(NoKeeperError, match="nothing is in force"):
        KeeperClient.open(this_author("command"), spawn=False)

    assert not place.path.exists()


def test_it_ends_when_the_last_client_has_left(place: RunDir) -> None:
    with opened():
        pass

    until(lambda: keeper_of(place) is None)
    assert not place.socket.exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_it_in_good_order(place: RunDir, number: signal.Signals) -> None:
    with opened() as one:
        os.kill(one.keeper_pid, number)
        until(lambda: keeper_of(place) is None)

        assert not place.socket.exists()
        with pytest.raises(KeeperGoneError):
            one.look()


def test_when_it_is_killed_its_client_puts_back_what_it_left(place: RunDir, tmp_path: Path) -> None:
    with opened() as one:
        leave_behind(place, tmp_path / "io.max", one.keeper_pid)
        os.kill(one.keeper_pid, signal.SIGKILL)

        with pytest.raises(KeeperGoneError) as caught:
            one.look()

        assert (tmp_path / "io.max").read_text() == "max"
        assert len(caught.value.recovered) == 1
        assert not one.is_open
        with pytest.raises(KeeperGoneError, match="has ended"):
            one.look()
    with opened() as another:
        assert another.welcome.recovered == ()


def leave_behind(place: RunDir, file: Path, pid: int) -> None:
    """Make it look as if the keeper had noted and made a change, and stop it."""
    change = FileValue(str(file), file.parent.stat().st_ino, "", "max", "5")
    file.write_text("5")
    os.kill(pid, signal.SIGSTOP)
    place.journal.write_bytes(msgspec.json.encode(Intent(1, boot_id(), 1, change)) + b"\n")


def test_a_client_that_asks_nothing_puts_back_as_well(place: RunDir, tmp_path: Path) -> None:
    """A screen may have an interval of a minute."""
    with opened() as one:
        leave_behind(place, tmp_path / "io.max", one.keeper_pid)

        os.kill(one.keeper_pid, signal.SIGKILL)

        until(lambda: (tmp_path / "io.max").read_text() == "max")
        with pytest.raises(KeeperGoneError) as caught:
            one.look()
        assert len(caught.value.recovered) == 1


def test_a_client_that_leaves_a_dead_keeper_puts_back_first(place: RunDir, tmp_path: Path) -> None:
    with opened() as one:
        leave_behind(place, tmp_path / "io.max", one.keeper_pid)
        os.kill(one.keeper_pid, signal.SIGKILL)
        until(lambda: one._watch is not None and one._watch.is_dead())

    assert (tmp_path / "io.max").read_text() == "max"


def test_a_client_that_leaves_puts_nothing_back(place: RunDir) -> None:
    """The keeper lives, and does it."""
    before = threading.active_count()
    with opened() as one, opened() as other:
        one.close()
        until(lambda: threading.active_count() == before + 1)
        assert other.look().policies == ()
    until(lambda: threading.active_count() == before)
    assert keeper_of(place) is not None


def test_the_next_keeper_puts_back_what_a_killed_one_left(place: RunDir, tmp_path: Path) -> None:
    place.make()
    change = FileValue(str(tmp_path / "io.max"), tmp_path.stat().st_ino, "", "max", "5")
    (tmp_path / "io.max").write_text("5")
    journal = Journal(place.journal, boot_id())
    journal.note(1, change)
    journal.close()

    with opened() as one:
        assert one.welcome.recovered == (f"put back 'max' in {tmp_path}/io.max",)
        assert (tmp_path / "io.max").read_text() == "max"
        assert [event.what for event in one.look().events] == ["recovered"]


@pytest.mark.usefixtures("place")
def test_a_failure_is_raised_as_the_error_of_its_exit_code() -> None:
    with opened() as one:
        with pytest.raises(UsageError):
            one.apply(order(CgroupTarget("/a"), rate=0))
        with pytest.raises(TargetError):
            one.apply(order(ProcessTarget(4194303, 4194303, 0)))
        with pytest.raises(TargetError):
            one.change(99, REASON, 10**9, 5)
        assert one.release((99,), REASON).problems


def test_recovery_beside_a_living_keeper_does_nothing_and_does_not_wait(place: RunDir) -> None:
    with opened() as one:
        begun = time.monotonic()

        assert recover(place.path, wait_s=60) == ()

        assert time.monotonic() - begun < 30
        assert one.look().policies == ()


def test_a_stale_socket_is_no_obstacle(place: RunDir) -> None:
    place.make()
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as stale:
        stale.bind(str(place.socket))

    with opened() as one:
        assert one.look().policies == ()


def test_while_somebody_else_recovers_a_client_waits(place: RunDir) -> None:
    place.make()
    lock = take_lock(place.lock)
    assert lock is not None
    timer = threading.Timer(0.5, lock.release)
    timer.start()

    with opened() as one:
        assert one.look().policies == ()
    timer.join()


def test_a_keeper_that_cannot_start_says_why(place: RunDir) -> None:
    place.make()
    place.journal.mkdir()

    with pytest.raises(EnforcerError, match=r"journal.*Is a directory"):
        opened()


def test_a_directory_of_somebody_else_needs_root(
    place: RunDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.make()
    monkeypatch.setattr(os, "geteuid", lambda: 12345)

    with pytest.raises(NotPermittedError, match="CAP_SYS_ADMIN"):
        opened()


def test_a_keeper_that_does_not_answer_is_left(place: RunDir) -> None:
    with opened() as one, opened() as late:
        late._socket.settimeout(0.1)
        os.kill(one.keeper_pid, signal.SIGSTOP)
        try:
            with pytest.raises(EnforcerError, match="did not answer"):
                late.look()
        finally:
            os.kill(one.keeper_pid, signal.SIGCONT)

        assert not late.is_open
        assert one.look().policies == ()
    assert place.complaints.read_text() == ""


def test_closing_twice_is_fine_and_then_nothing_can_be_asked(place: RunDir) -> None:
    one = opened()
    assert one.fileno() >= 0
    one.close()
    one.close()

    assert one.fileno() == -1
    with pytest.raises(KeeperGoneError, match="closed"):
        one.look()
    assert keeper_of(place) is not None


def test_who_logged_in_is_known_over_sudo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUDO_USER", "ann\x1b[2J")

    author = this_author("screen")

    assert author.client == "screen"
    assert author.pid == os.getpid()
    assert author.user.isprintable()
    if Path("/proc/self/loginuid").read_text() == str(2**32 - 1):
        assert author.user.startswith("ann")
