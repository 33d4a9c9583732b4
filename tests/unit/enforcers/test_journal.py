"""What was changed is on disk before it is changed, and survives whatever happens to the file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from iotop_ng.enforcers.changes import Change, FileValue, Helper, IoPriority, Stopped, UnitProperty
from iotop_ng.enforcers.journal import COMPACT_LINES, MAX_EARLIER, Journal, replay
from iotop_ng.errors import EnforcerError
from tests.fakes.enforcers import BOOT, fake_journal


def limit(after: str, before: str = "max", inode: int = 1) -> FileValue:
    return FileValue("/cg/a/io.max", inode, "8:0", before, after)


def changes(journal: Journal) -> list[Change]:
    return [intent.change for intent in journal.entries()]


def test_what_was_noted_is_there_for_the_next_one(tmp_path: Path) -> None:
    journal = fake_journal(tmp_path)
    noted: list[Change] = [
        limit("5"),
        UnitProperty("a.service", "IOWriteBandwidthMax", "", "/dev/sda 5"),
        IoPriority(42, 7, 43, 0, 24576),
        Stopped(42, 7),
        Helper(99, 8),
    ]
    for change in noted:
        journal.note(3, change)
    journal.close()

    assert changes(fake_journal(tmp_path)) == noted


def test_what_was_undone_is_not_undone_again(tmp_path: Path) -> None:
    journal = fake_journal(tmp_path)
    journal.note(1, limit("5"))
    journal.note(1, Stopped(42, 7))

    journal.settle(journal.entries()[0].seq)

    assert changes(fake_journal(tmp_path)) == [Stopped(42, 7)]


def test_a_later_change_of_a_place_keeps_what_was_there_at_first(tmp_path: Path) -> None:
    journal = fake_journal(tmp_path)
    journal.note(1, limit("5", before="max"))
    journal.note(1, limit("6", before="5"))
    journal.note(1, limit("7", before="6"))

    wanted = FileValue("/cg/a/io.max", 1, "8:0", "max", "7", ("5", "6"))
    assert changes(journal) == changes(fake_journal(tmp_path)) == [wanted]


def test_a_value_that_is_set_again_is_not_among_the_earlier_ones(tmp_path: Path) -> None:
    journal = fake_journal(tmp_path)
    for value in ("5", "6", "5"):
        journal.note(1, limit(value))

    assert changes(journal) == [FileValue("/cg/a/io.max", 1, "8:0", "max", "5", ("6",))]


def test_earlier_values_do_not_grow_without_end(tmp_path: Path) -> None:
    journal = fake_journal(tmp_path)
    for value in range(100):
        journal.note(1, limit(str(value)))

    (change,) = changes(journal)
    assert isinstance(change, FileValue)
    assert change.earlier == tuple(str(value) for value in range(99 - MAX_EARLIER, 99))


def test_a_cgroup_that_was_made_anew_has_a_first_value_of_its_own(tmp_path: Path) -> None:
    journal = fake_journal(tmp_path)
    journal.note(1, limit("5", before="9", inode=1))
    journal.note(1, limit("6", before="max", inode=2))

    assert changes(journal) == [limit("6", before="max", inode=2)]


def test_it_is_synced_before_note_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = fake_journal(tmp_path)
    synced: list[bytes] = []
    monkeypatch.setattr(os, "fsync", lambda _fd: synced.append((tmp_path / "journal").read_bytes()))

    journal.note(1, Stopped(42, 7))

    assert b'"pid":42' in synced[-1]


def test_the_directory_is_synced_when_the_file_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    monkeypatch.setattr(
        os, "fsync", lambda fd: synced.append(str(Path(f"/proc/self/fd/{fd}").readlink()))
    )

    fake_journal(tmp_path)

    assert str(tmp_path) in synced


def test_only_its_owner_can_read_it(tmp_path: Path) -> None:
    fake_journal(tmp_path)

    assert (tmp_path / "journal").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("cut", range(1, 60))
def test_a_torn_last_line_was_never_acted_on(tmp_path: Path, cut: int) -> None:
    journal = fake_journal(tmp_path)
    journal.note(1, limit("5"))
    whole = (tmp_path / "journal").stat().st_size
    journal.note(1, limit("6"))
    raw = (tmp_path / "journal").read_bytes()
    (tmp_path / "journal").write_bytes(raw[: whole + cut])

    assert changes(fake_journal(tmp_path)) == [limit("5")]


def test_after_a_torn_line_the_next_one_is_whole(tmp_path: Path) -> None:
    fake_journal(tmp_path).note(1, limit("5"))
    with (tmp_path / "journal").open("ab") as file:
        file.write(b'{"type":"intent","seq":2,"bo')

    fake_journal(tmp_path).note(1, Stopped(42, 7))

    assert changes(fake_journal(tmp_path)) == [limit("5"), Stopped(42, 7)]


@pytest.mark.parametrize(
    "garbage",
    [
        b"\0" * 4096,
        b"\xff\xfe\n{}\n[]\nnull\n",
        b'{"type":"intent"}\n',
        b'{"type":"intent","seq":1,"boot":"x","policy":1,"change":{"type":"gone"}}\n',
        b'{"type":"undone","seq":"one"}\n',
        b'{"a":' * 5000,
        b"[" * 100_000,
        b'{"type":"undone","seq":' + b"9" * 5000 + b"}\n",
    ],
)
def test_garbage_is_passed_over(tmp_path: Path, garbage: bytes) -> None:
    fake_journal(tmp_path).note(1, limit("5"))
    raw = (tmp_path / "journal").read_bytes()
    (tmp_path / "journal").write_bytes(garbage + b"\n" + raw + garbage)

    journal = fake_journal(tmp_path)

    assert changes(journal) == [limit("5")]
    assert "could not be read" in " ".join(journal.said)


def test_what_another_boot_did_is_forgotten_and_said(tmp_path: Path) -> None:
    fake_journal(tmp_path, "another boot").note(1, limit("5"))

    journal = fake_journal(tmp_path)

    assert journal.entries() == ()
    assert "earlier boot" in journal.said[0]
    assert fake_journal(tmp_path).said == ()


def test_it_does_not_grow_while_a_rule_adjusts(tmp_path: Path) -> None:
    journal = fake_journal(tmp_path)
    journal.note(1, Stopped(42, 7))
    sizes = []
    for value in range(4 * COMPACT_LINES):
        journal.note(2, limit(str(value)))
        sizes.append((tmp_path / "journal").read_bytes().count(b"\n"))

    assert max(sizes) <= COMPACT_LINES + 4 * 2 + 1
    assert changes(fake_journal(tmp_path)) == changes(journal)


def test_numbers_go_on_after_it_was_written_anew(tmp_path: Path) -> None:
    first = fake_journal(tmp_path)
    first.note(1, limit("5"))
    second = fake_journal(tmp_path)
    second.note(2, Stopped(42, 7))

    seqs = [intent.seq for intent in fake_journal(tmp_path).entries()]

    assert len(set(seqs)) == 2


def test_without_a_journal_nothing_is_done(tmp_path: Path) -> None:
    journal = fake_journal(tmp_path)
    journal.close()

    with pytest.raises(EnforcerError, match="nothing is done without a journal"):
        journal.note(1, limit("5"))

    assert journal.entries() == ()


def test_a_full_disk_tears_one_line_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = fake_journal(tmp_path)
    journal.note(1, limit("5"))
    write = os.write
    monkeypatch.setattr(os, "write", lambda fd, raw: write(fd, raw[:20]))
    with pytest.raises(EnforcerError, match="journal"):
        journal.note(1, limit("6"))
    monkeypatch.undo()

    journal.note(1, Stopped(42, 7))

    assert changes(journal) == changes(fake_journal(tmp_path)) == [limit("5"), Stopped(42, 7)]


def test_a_line_that_settles_and_is_lost_does_no_harm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = fake_journal(tmp_path)
    journal.note(1, limit("5"))
    write = os.write
    monkeypatch.setattr(os, "write", lambda fd, raw: write(fd, raw[:5]))

    journal.settle(1)
    monkeypatch.undo()
    journal.note(1, Stopped(42, 7))

    assert changes(journal) == [Stopped(42, 7)]
    assert changes(fake_journal(tmp_path)) == [limit("5"), Stopped(42, 7)]


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "journal.new").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(EnforcerError):
        fake_journal(tmp_path)

    assert not (tmp_path / "elsewhere").exists()


def test_who_holds_a_place_is_known(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal", BOOT)
    journal.note(4, limit("5"))

    holder = journal.holder(limit("9"))

    assert holder is not None
    assert holder.policy == 4
    assert journal.holder(Stopped(42, 7)) is None


def test_nothing_is_read_from_nothing() -> None:
    assert replay(b"") == ({}, 0)
