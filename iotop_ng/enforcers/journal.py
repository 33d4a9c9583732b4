"""What was changed, on disk before it is done: append-only JSON lines.

An intent is written and synced before its effect, so after any death the file names at least all
that may be in force. A line is what counts: one that was torn by a power cut or a full disk is
passed over, and its effect was never begun.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

import msgspec

from iotop_ng.enforcers.changes import Change, FileValue, Helper, IoPriority, Stopped, same_place
from iotop_ng.errors import EnforcerError

MAX_EARLIER = 8
"""Older values of ours that are remembered: normally only the last one can still be there."""
COMPACT_LINES = 256
"""A rule adjusts 4 times a second; the file is written anew when it has this many lines."""


class Intent(msgspec.Struct, frozen=True, tag="intent"):
    """One change that may have been made."""

    seq: int
    boot: str
    """The kernel's state does not survive a boot, so neither does what it needs."""
    policy: int
    change: Change


class Undone(msgspec.Struct, frozen=True, tag="undone"):
    """One that needs nothing any more."""

    seq: int


_DECODER = msgspec.json.Decoder(Intent | Undone)


class Journal:
    """The open journal of the one keeper (or of who recovers after it).

    Args:
        path: the file; made when it is missing.
        boot: of now.

    Raises:
        EnforcerError: it can not be opened or written.
    """

    def __init__(self, path: Path, boot: str) -> None:
        self._path = path
        self._boot = boot
        self._fd = -1
        self._lines = 0
        self._is_torn = False
        try:
            found, bad = replay(path.read_bytes()) if path.exists() else ({}, 0)
            others = [one for one in found.values() if one.boot != boot]
            self._intents = {seq: one for seq, one in found.items() if one.boot == boot}
            self._next = max(found, default=0) + 1
            self._rewrite()
        except OSError as error:
            raise EnforcerError(f"{path}: {error.strerror}") from error
        self.said = _opening_words(len(others), bad)
        """What was found odd at opening, one sentence each."""

    def entries(self) -> tuple[Intent, ...]:
        """Return what may be in force, in the order in which it was first begun."""
        return tuple(self._intents.values())

    def of(self, policy: int) -> tuple[Intent, ...]:
        """Return what may be in force of one policy, oldest first."""
        return tuple(one for one in self._intents.values() if one.policy == policy)

    def holder(self, change: Change) -> Intent | None:
        """Return the intent for the same place."""
        return next((o for o in self._intents.values() if same_place(o.change, change)), None)

    def note(self, policy: int, change: Change) -> None:
        """Write and sync an intent; what it replaces keeps its first `before`.

        Raises:
            EnforcerError: it is not on disk: the change must not be made.
        """
        old = self.holder(change)
        if old is None:
            intent = Intent(self._next, self._boot, policy, change)
            self._next += 1
        else:
            intent = Intent(old.seq, self._boot, policy, merged(old.change, change))
        try:
            self._append(intent)
        except OSError as error:
            raise EnforcerError(
                f"nothing is done without a journal; {self._path}: {error.strerror}"
            ) from error
        self._intents[intent.seq] = intent

    def settle(self, seq: int) -> None:
        """Write that one needs nothing any more.

        A line that cannot be written is no harm: undoing twice changes nothing.
        """
        if self._intents.pop(seq, None) is None:
            return
        try:
            self._append(Undone(seq))
        except OSError:
            self._is_torn = True

    def close(self) -> None:
        """Close the file; twice is fine."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __del__(self) -> None:
        # As a file object does: who only looked need not say that it is done.
        self.close()

    def _append(self, record: Intent | Undone) -> None:
        if self._lines >= COMPACT_LINES + 4 * len(self._intents):
            self._rewrite()
        raw = msgspec.json.encode(record) + b"\n"
        # What came of a line before that failed must not swallow this one.
        raw = b"\n" + raw if self._is_torn else raw
        self._is_torn = True
        _write(self._fd, raw)
        self._is_torn = False
        self._lines += 1

    def _rewrite(self) -> None:
        """Write a new file with what still counts, and put it in the old one's place."""
        new = self._path.with_suffix(".new")
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        fd = os.open(new, flags, 0o600)
        try:
            _write(fd, b"".join(msgspec.json.encode(o) + b"\n" for o in self._intents.values()))
            new.rename(self._path)
            _sync_directory(self._path.parent)
        except OSError:
            os.close(fd)
            raise
        self.close()
        self._fd = fd
        self._lines = len(self._intents)
        self._is_torn = False


def merged(old: Change, new: Change) -> Change:
    """Return the later change of a place, with what was there at first."""
    if isinstance(old, Stopped | Helper) or isinstance(new, Stopped | Helper):
        return new
    if isinstance(old, IoPriority) or isinstance(new, IoPriority):
        return msgspec.structs.replace(new, before=old.before)
    if isinstance(old, FileValue) and isinstance(new, FileValue) and old.inode != new.inode:
        return new  # the cgroup was made anew, and the old limit went with the old one
    ours = dict.fromkeys((*old.earlier, old.after, *new.earlier))
    ours.pop(new.after, None)
    return msgspec.structs.replace(new, before=old.before, earlier=tuple(ours)[-MAX_EARLIER:])


def replay(raw: bytes) -> tuple[dict[int, Intent], int]:
    """Return what is not undone by number, and how many lines could not be read. Never raises."""
    found: dict[int, Intent] = {}
    bad = 0
    for line in raw.split(b"\n"):
        if not line:
            continue
        try:
            record = _DECODER.decode(line)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            bad += 1
            continue
        if isinstance(record, Intent):
            found[record.seq] = record
        else:
            found.pop(record.seq, None)
    return found, bad


def _write(fd: int, raw: bytes) -> None:
    if os.write(fd, raw) != len(raw):
        raise OSError(errno.ENOSPC, "no space for all of it")
    os.fsync(fd)


def _sync_directory(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _opening_words(others: int, bad: int) -> tuple[str, ...]:
    words = []
    if others:
        words.append(f"{others} entries of the journal are of an earlier boot: nothing to undo")
    if bad:
        words.append(f"{bad} lines of the journal could not be read: they were never acted on")
    return tuple(words)
