"""Rules from a file that may be trusted, and events that are told once."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from msgspec.structs import replace

from iotop_ng.control.guard import Reporter, read_rules, why_not_trusted
from iotop_ng.errors import UsageError
from iotop_ng.model.frame import EMPTY_FRAME, PolicyEvent

TEXT = '[[guard]]\nname = "g"\ncap = "5M"\n'


@pytest.fixture
def path(tmp_path: Path) -> Path:
    found = tmp_path / "rules.toml"
    found.write_text(TEXT)
    found.chmod(0o644)
    return found


def test_a_file_of_ours_is_read(path: Path) -> None:
    assert read_rules(str(path), enforce=True).guards[0].name == "g"


@pytest.mark.parametrize("mode", [0o664, 0o646, 0o666])
def test_what_others_may_write_is_not_enforced(path: Path, mode: int) -> None:
    path.chmod(mode)

    with pytest.raises(UsageError, match="others may write it"):
        read_rules(str(path), enforce=True)
    assert read_rules(str(path), enforce=False).guards


@pytest.mark.parametrize(
    ("owner", "mode", "words"),
    [
        (0, 0o100644, ""),
        (1000, 0o100600, ""),
        (1001, 0o100644, "another user"),
        (0, 0o100664, "others may write"),
    ],
)
def test_only_root_and_we_may_say_what_is_enforced(owner: int, mode: int, words: str) -> None:
    status = os.stat_result((mode, 1, 1, 1, owner, 0, 9, 0, 0, 0))

    why = why_not_trusted(status, 1000)

    assert words in why
    assert bool(why) is bool(words)


def test_what_is_no_file_of_rules_is_one_line(tmp_path: Path, path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    for name, words in (
        (tmp_path / "none", "cannot be read: No such file"),
        (tmp_path, "cannot be read: Is a directory"),
        (fifo, "not a file"),
    ):
        with pytest.raises(UsageError, match=words):
            read_rules(str(name), enforce=False)
    path.write_bytes(b"\xff")
    with pytest.raises(UsageError, match="not UTF-8"):
        read_rules(str(path), enforce=False)
    path.write_text("#" * (1 << 20) + TEXT)
    with pytest.raises(UsageError, match="more than 1048576 characters"):
        read_rules(str(path), enforce=False)


def event(seq: int) -> PolicyEvent:
    return PolicyEvent(seq, 0, "applied", "dd[1]", "", "")


def test_each_event_is_told_once() -> None:
    reporter = Reporter()
    first = replace(EMPTY_FRAME, policy_events=(event(5), event(-1), event(6)))
    second = replace(EMPTY_FRAME, policy_events=(event(-1), event(6), event(-2), event(9)))

    assert [one.seq for one in reporter.events(first)] == [5, -1, 6]
    assert [one.seq for one in reporter.events(second)] == [-2, 9]
    assert list(reporter.events(second)) == []


def test_a_problem_is_told_when_it_begins() -> None:
    reporter = Reporter()
    said = [
        reporter.problem(replace(EMPTY_FRAME, policy_problem=text))
        for text in ("", "no", "no", "", "no")
    ]

    assert said == ["", "no", "", "", "no"]
