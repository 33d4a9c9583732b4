"""The audit log: every event is one line, nothing waits for the disk, nothing is lost unsaid."""

from __future__ import annotations

import json
import os
import socket
import struct
import threading
import time
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotop_ng.enforcers import audit
from iotop_ng.enforcers.audit import AuditLog, SystemdJournal, audit_log, sentence
from iotop_ng.enforcers.orders import Author, Event
from iotop_ng.policy.actions import CgroupTarget
from tests.fakes.enforcers import AUTHOR


def event(seq: int = 1, text: str = "dd[42] is held to 5.0M/s by hold", name: str = "x") -> Event:
    return Event(
        seq=seq, wall_ns=10, mono_ns=20, what="applied", id=3, kind="throttle", mechanism="hold",
        name=name, target=CgroupTarget("/a"), rule="flood", author=AUTHOR, old_bytes_per_s=None,
        new_bytes_per_s=5, before_bytes_per_s=9, after_bytes_per_s=None, text=text,
    )  # fmt: skip


class Blocked:
    """A system log that waits until it may go on, like a disk under a flood."""

    def __init__(self) -> None:
        self.may_go_on = threading.Event()
        self.written: list[int] = []

    def write(self, event: Event) -> None:
        self.may_go_on.wait(30)
        self.written.append(event.seq)


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def test_an_event_is_one_line_with_everything(tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "new" / "audit.jsonl")
    log.write(event())
    log.write(event(2))
    log.close()

    path = tmp_path / "new" / "audit.jsonl"
    assert [line["seq"] for line in lines(path)] == [1, 2]
    assert lines(path)[0]["author"] == msgspec.to_builtins(AUTHOR)
    assert path.stat().st_mode & 0o777 == 0o600
    assert msgspec.json.decode(path.read_bytes().splitlines()[0], type=Event) == event()


@given(st.text(max_size=50), st.text(max_size=50))
def test_no_text_breaks_a_line(text: str, name: str) -> None:
    raw = msgspec.json.encode(event(text=text, name=name))

    assert b"\n" not in raw
    assert msgspec.json.decode(raw, type=Event).text == text


def test_without_an_event_there_is_no_thread_and_no_file(tmp_path: Path) -> None:
    before = threading.active_count()
    log = AuditLog(tmp_path / "audit.jsonl")

    log.close()

    assert threading.active_count() == before
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_does_not_answer_blocks_nobody_and_losses_are_counted(tmp_path: Path) -> None:
    blocked = Blocked()
    log = AuditLog(tmp_path / "audit.jsonl", blocked)
    extra = 50

    for seq in range(audit.QUEUE + extra):
        log.write(event(seq))
    dropped = log.dropped
    assert extra - 1 <= dropped <= extra  # the thread may hold one already
    blocked.may_go_on.set()
    until_written(blocked, audit.QUEUE)
    log.write(event(10_000))
    log.close(10)

    found = lines(tmp_path / "audit.jsonl")
    assert sum(int(str(line["dropped"])) for line in found if "dropped" in line) == dropped
    assert len([line for line in found if "seq" in line]) == audit.QUEUE + extra + 1 - dropped
    assert log.dropped == 0


def until_written(blocked: Blocked, count: int) -> None:
    end = time.monotonic() + 10
    while len(blocked.written) < count:
        assert time.monotonic() < end
        time.sleep(0.002)


def test_closing_does_not_wait_for_a_disk_that_does_not_answer(tmp_path: Path) -> None:
    blocked = Blocked()
    log = AuditLog(tmp_path / "audit.jsonl", blocked)
    for seq in range(audit.QUEUE + 2):
        log.write(event(seq))

    log.close(0.01)

    assert blocked.written == []
    blocked.may_go_on.set()


def test_it_is_rotated_once_and_never_larger(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    limit = 4096
    log = AuditLog(path, max_bytes=limit)
    for seq in range(100):
        log.write(event(seq))
    log.close(10)

    assert sorted(file.name for file in tmp_path.iterdir()) == ["audit.jsonl", "audit.jsonl.1"]
    assert all(file.stat().st_size <= limit for file in tmp_path.iterdir())
    seqs = [
        line["seq"] for file in ("audit.jsonl.1", "audit.jsonl") for line in lines(tmp_path / file)
    ]
    assert seqs == list(range(100 - len(seqs), 100))


def test_a_file_that_cannot_be_written_is_counted(tmp_path: Path) -> None:
    (tmp_path / "audit.jsonl").mkdir()
    log = AuditLog(tmp_path / "audit.jsonl")

    log.write(event())
    log.close(10)

    assert log.dropped == 1


def test_a_short_write_is_told_and_the_next_line_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.write
    calls: list[int] = []

    def short(fd: int, raw: bytes) -> int:
        # The thread of an earlier test's log may be writing still.
        if Path(f"/proc/self/fd/{fd}").readlink() != tmp_path / "audit.jsonl":
            return write(fd, raw)
        calls.append(fd)
        return write(fd, raw[:10] if len(calls) == 1 else raw)

    monkeypatch.setattr(os, "write", short)
    log = AuditLog(tmp_path / "audit.jsonl")
    log.write(event(1))
    log.write(event(2))
    log.close(10)

    torn, told, whole = (tmp_path / "audit.jsonl").read_bytes().splitlines()
    assert len(torn) == 10
    assert json.loads(told)["dropped"] == 1
    assert json.loads(whole)["seq"] == 2


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "audit.jsonl").symlink_to(tmp_path / "elsewhere")
    log = AuditLog(tmp_path / "audit.jsonl")

    log.write(event())
    log.close(10)

    assert not (tmp_path / "elsewhere").exists()


def test_the_system_journal_gets_its_fields(tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(path)
        receiver.settimeout(10)

        SystemdJournal(path).write(event(text="two\nlines"))

        raw = receiver.recv(65536)
    fields = parse_native(raw)
    assert fields["SYSLOG_IDENTIFIER"] == "iotop-ng"
    assert fields["IOTOP_NG_WHAT"] == "applied"
    assert fields["MESSAGE"] == sentence(event(text="two\nlines"))
    assert msgspec.json.decode(fields["IOTOP_NG_EVENT"], type=Event).seq == 1


def parse_native(raw: bytes) -> dict[str, str]:
    """Read what systemd's JOURNAL_NATIVE_PROTOCOL describes."""
    fields = {}
    while raw:
        line, _, rest = raw.partition(b"\n")
        name, equals, value = line.partition(b"=")
        if not equals:
            (size,) = struct.unpack("<Q", rest[:8])
            value, rest = rest[8 : 8 + size], rest[9 + size :]
        fields[name.decode()] = value.decode()
        raw = rest
    return fields


def test_a_journal_that_is_not_there_loses_nothing_of_the_file(tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "audit.jsonl", SystemdJournal(str(tmp_path / "none")))

    log.write(event())
    log.close(10)

    assert len(lines(tmp_path / "audit.jsonl")) == 1
    assert log.dropped == 0


def test_the_environment_names_the_file_and_then_it_is_the_only_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(audit.VARIABLE, str(tmp_path / "here"))

    log = audit_log()
    log.write(event())
    log.close(10)

    assert len(lines(tmp_path / "here")) == 1
    assert log._system is None


def test_a_sentence_says_who_and_which_rule() -> None:
    author = Author("guard", 1, 1000, "ann", "")

    text = sentence(msgspec.structs.replace(event(), author=author, undone="completely"))

    assert text == (
        "applied: x: dd[42] is held to 5.0M/s by hold (guard of ann by rule flood);"
        " undone: completely"
    )
