"""The keeper's directory is its owner's alone, and its lock has one holder."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import msgspec
import pytest

from iotop_ng.enforcers import audit
from iotop_ng.enforcers.changes import FileValue
from iotop_ng.enforcers.journal import Journal
from iotop_ng.enforcers.orders import Event
from iotop_ng.enforcers.processes import boot_id
from iotop_ng.enforcers.run_dir import DEFAULT, VARIABLE, RunDir, run_dir, take_lock
from iotop_ng.enforcers.serving import listen
from iotop_ng.enforcers.undo import recover
from iotop_ng.errors import EnforcerError, NotPermittedError


def test_only_the_owner_can_enter(tmp_path: Path) -> None:
    place = RunDir(tmp_path / "run")
    place.make()
    place.path.chmod(0o777)

    place.make()

    assert place.path.stat().st_mode & 0o777 == 0o700


def test_what_is_somebody_else_s_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = RunDir(tmp_path / "run")
    place.make()
    monkeypatch.setattr(os, "geteuid", lambda: 12345)

    with pytest.raises(NotPermittedError, match="another user"):
        place.make()


def test_a_link_or_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "file").touch()

    for name in ("link", "file"):
        with pytest.raises(EnforcerError):
            RunDir(tmp_path / name).make()


def test_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert run_dir().path == DEFAULT

    monkeypatch.setenv(VARIABLE, "/elsewhere")
    assert run_dir().path == Path("/elsewhere")


def test_the_lock_has_one_holder(tmp_path: Path) -> None:
    first = take_lock(tmp_path / "lock")

    assert first is not None
    assert take_lock(tmp_path / "lock") is None
    first.release()
    first.release()
    second = take_lock(tmp_path / "lock")
    assert second is not None
    second.release()


def test_the_lock_is_free_when_its_holder_is_killed(tmp_path: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path;"
        "from iotop_ng.enforcers.run_dir import take_lock;"
        "lock = take_lock(Path(sys.argv[1])); print('locked', flush=True); time.sleep(600)"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", program, tmp_path / "lock"], stdout=subprocess.PIPE
    )
    assert holder.stdout is not None
    with holder.stdout as said:
        assert said.readline() == b"locked\n"
    assert take_lock(tmp_path / "lock") is None
    assert (tmp_path / "lock").read_text() == f"{holder.pid}\n"

    holder.kill()
    mine = take_lock(tmp_path / "lock", wait_s=10)
    holder.wait()

    assert mine is not None
    mine.release()


# -- recovery --------------------------------------------------------------------------------------


def left_behind(place: RunDir, file: Path) -> FileValue:
    """Leave what a keeper leaves that was killed: a value, and its intent."""
    place.make()
    change = FileValue(str(file), file.parent.stat().st_ino, "", "max", "5")
    journal = Journal(place.journal, boot_id())
    journal.note(1, change)
    journal.close()
    file.write_text("5")
    return change


@pytest.fixture(autouse=True)
def audit_file(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep what these tests do out of the machine's own log."""
    file = tmp_path_factory.mktemp("log") / "audit.jsonl"
    monkeypatch.setenv(audit.VARIABLE, str(file))
    return file


def test_recovery_is_in_the_audit_log(tmp_path: Path, audit_file: Path) -> None:
    place = RunDir(tmp_path / "run")
    left_behind(place, tmp_path / "io.max")

    (said,) = recover(place.path)

    event = msgspec.json.decode(audit_file.read_bytes(), type=Event)
    assert (event.what, event.text) == ("recovered", said)


def test_recovery_puts_back_and_says_so_once(tmp_path: Path) -> None:
    place = RunDir(tmp_path / "run")
    left_behind(place, tmp_path / "io.max")

    said = recover(place.path)

    assert (tmp_path / "io.max").read_text() == "max"
    assert said == (f"put back 'max' in {tmp_path}/io.max",)
    assert recover(place.path) == ()


def test_recovery_leaves_a_living_keeper_s_journal_alone(tmp_path: Path) -> None:
    place = RunDir(tmp_path / "run")
    left_behind(place, tmp_path / "io.max")
    lock = take_lock(place.lock)
    assert lock is not None

    assert recover(place.path, wait_s=0.05) == ()

    assert (tmp_path / "io.max").read_text() == "5"
    lock.release()


def test_a_socket_that_nobody_answers_on_is_no_sign_of_life(tmp_path: Path) -> None:
    """A keeper that was killed has its socket and its lock a moment longer than its clients."""
    place = RunDir(tmp_path / "run")
    left_behind(place, tmp_path / "io.max")
    lock = take_lock(place.lock)
    assert lock is not None
    listener = listen(str(place.socket))

    def die() -> None:
        listener.close()
        lock.release()

    timer = threading.Timer(0.3, die)
    timer.start()

    said = recover(place.path, wait_s=20)

    timer.join()
    assert (tmp_path / "io.max").read_text() == "max"
    assert len(said) == 1


def test_recovery_without_anything_makes_nothing(tmp_path: Path) -> None:
    assert recover(tmp_path / "run") == ()
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_put_back_is_said_and_kept_for_the_next_try(tmp_path: Path) -> None:
    place = RunDir(tmp_path / "run")
    left_behind(place, tmp_path / "io.max")
    (tmp_path / "io.max").unlink()
    (tmp_path / "io.max").mkdir()

    (problem,) = recover(place.path)
    assert "Is a directory" in problem
    (tmp_path / "io.max").rmdir()
    (tmp_path / "io.max").write_text("5")
    recover(place.path)

    assert (tmp_path / "io.max").read_text() == "max"


def test_recovery_never_raises_for_garbage(tmp_path: Path) -> None:
    place = RunDir(tmp_path / "run")
    place.make()
    place.journal.write_bytes(b"\0\xff{garbage\n" * 100)

    (said,) = recover(place.path)

    assert said.startswith("100 lines of the journal could not be read")


def test_a_journal_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    place = RunDir(tmp_path / "run")
    place.make()
    place.journal.mkdir()

    with pytest.raises(EnforcerError, match="Is a directory"):
        recover(place.path)
