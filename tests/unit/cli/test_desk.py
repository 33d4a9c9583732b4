"""What commands stand on: signals, and the way to the keeper."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from iotop_ng.cli import desk
from iotop_ng.clock import NS_PER_S, SystemClock
from iotop_ng.enforcers.changes import Stopped
from iotop_ng.enforcers.journal import Journal
from iotop_ng.enforcers.orders import Failed
from iotop_ng.enforcers.processes import boot_id
from iotop_ng.errors import EnforcerError, IotopError, NotPermittedError, TargetError, UsageError

LONG_NS = 3600 * NS_PER_S


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_a_wait_and_is_kept(number: signal.Signals) -> None:
    clock = SystemClock()
    before = signal.getsignal(number)

    with desk.catching(clock) as caught:
        assert not caught.is_set
        os.kill(os.getpid(), number)
        caught.wait(clock.mono_ns() + LONG_NS, -1)
        assert caught.is_set
        # From now on it is as if nobody caught it: a second one ends us at once.
        assert signal.getsignal(number) is before
        caught.wait(clock.mono_ns() + LONG_NS, -1)
    assert signal.getsignal(number) is before


def test_a_file_that_can_be_read_ends_a_wait() -> None:
    clock = SystemClock()
    reading, writing = os.pipe()
    os.close(writing)

    with desk.catching(clock) as caught:
        caught.wait(clock.mono_ns() + LONG_NS, reading)

        assert not caught.is_set
    os.close(reading)


def test_a_connection_that_was_just_closed_is_not_waited_for() -> None:
    clock = SystemClock()

    with desk.catching(clock) as caught:
        reading, writing = os.pipe()
        os.close(writing)
        os.close(reading)
        caught.wait(clock.mono_ns() + LONG_NS, reading)


def test_a_time_that_has_come_is_not_waited_for() -> None:
    clock = SystemClock()

    with desk.catching(clock) as caught:
        caught.wait(clock.mono_ns() - 1, -1)
        caught.wait(clock.mono_ns() + 1000, -1)


@pytest.mark.parametrize(
    ("code", "kind"),
    [(1, EnforcerError), (2, UsageError), (3, NotPermittedError), (4, TargetError)],
)
def test_an_answer_becomes_the_error_of_its_exit_code(code: int, kind: type[IotopError]) -> None:
    error = desk.as_error(Failed("why", code))

    assert type(error) is kind
    assert (str(error), error.exit_code) == ("why", code)


def test_the_journal_is_read_newest_first_and_nothing_is_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IOTOP_NG_RUN_DIR", str(tmp_path))
    assert desk.left_behind() == ()
    journal = Journal(tmp_path / "journal", boot_id())
    journal.note(1, Stopped(7, 8))
    journal.note(2, Stopped(9, 10))
    journal.close()
    raw = (tmp_path / "journal").read_bytes()

    assert desk.left_behind() == (Stopped(9, 10), Stopped(7, 8))
    assert (tmp_path / "journal").read_bytes() == raw


def test_what_an_earlier_boot_left_is_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IOTOP_NG_RUN_DIR", str(tmp_path))
    journal = Journal(tmp_path / "journal", "another boot")
    journal.note(1, Stopped(7, 8))
    journal.close()

    assert desk.left_behind() == ()


def test_where_no_keeper_runs_none_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IOTOP_NG_RUN_DIR", str(tmp_path))

    assert desk.open_keeper(False) is None
    assert list(tmp_path.iterdir()) == []
