r"""The victim's log: one line per operation, half of it written before the operation began.

``BEGAN_NS KIND LATENCY_NS\n``: when it began (CLOCK_MONOTONIC), what it was (append, read,
sqlite), and how long it took, or the name of the error with which it failed. The first half is
there before the operation begins: a last line without its second half is one that is under way, and
its age says how long the victim has been waiting.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from iotop_ng.errors import SourceError
from iotop_ng.policy.scores import Operation
from iotop_ng.units import clean

_LONGEST_LINE = 200


class Line(NamedTuple):
    """One line; the last one may be half of one."""

    began_ns: int
    kind: str
    latency_ns: int | None = None
    """None while it is under way, and when it failed."""
    error: str = ""
    """Such as ENOSPC."""

    @property
    def is_under_way(self) -> bool:
        """The second half is missing."""
        return self.latency_ns is None and not self.error


class OpLogError(SourceError):
    """A file is no log of operations. The message names it and the line."""


class Writer:
    """Writes the log. Put it into memory (/dev/shm): a log on the disk that is flooded would wait.

    Args:
        path: a new file; one that is there is emptied.

    Raises:
        OpLogError: it cannot be made; the methods: it cannot be written.
    """

    def __init__(self, path: Path) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC
        self._path = path
        try:
            self._fd = os.open(path, flags, 0o644)
        except OSError as error:
            raise _unusable(path, error) from None

    def begin(self, began_ns: int, kind: str) -> None:
        """Say that one begins."""
        self._put(f"{began_ns} {kind} ")

    def end(self, latency_ns: int) -> None:
        """Say that it has ended."""
        self._put(f"{latency_ns}\n")

    def fail(self, error: str) -> None:
        """Say that it failed."""
        self._put(f"{error}\n")

    def _put(self, text: str) -> None:
        try:
            os.write(self._fd, text.encode("ascii", "replace"))
        except OSError as error:
            raise _unusable(self._path, error) from None

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)


class Reader:
    """Follows a log while it is written.

    Args:
        path: the log; it need not be there yet.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._at = 0
        self._rest = b""
        self._number = 0

    def read(self) -> list[Line]:
        """Return the whole lines since the last call.

        Raises:
            OpLogError: the file is no such log, or cannot be read.
        """
        data = self._rest + self._grown()
        *lines, self._rest = data.split(b"\n")
        if len(self._rest) > _LONGEST_LINE:
            raise self._problem(self._number + len(lines) + 1, self._rest)
        found = []
        for raw in lines:
            self._number += 1
            line = parse_line(raw)
            if line is None or line.is_under_way:
                raise self._problem(self._number, raw)
            found.append(line)
        return found

    @property
    def under_way(self) -> Line | None:
        """The operation that had begun and not ended at the last call."""
        line = parse_line(self._rest)
        # Half of a number may be on its way to us, never half of a half: each is one write.
        return None if line is None else Line(line.began_ns, line.kind)

    def _grown(self) -> bytes:
        try:
            with self._path.open("rb") as file:
                file.seek(self._at)
                data = file.read()
        except FileNotFoundError:
            return b""
        except OSError as error:
            raise _unusable(self._path, error) from None
        self._at += len(data)
        return data

    def _problem(self, number: int, raw: bytes) -> OpLogError:
        where = f"{clean(str(self._path), 200)}:{number}"
        return OpLogError(f"{where}: {clean(raw, 40)!r} is no line of a victim's log")


def parse_line(raw: bytes) -> Line | None:
    """Return a line without its end; None when it is none, or not even a first half."""
    parts = raw.split(b" ")
    if len(parts) != 3 or not _is_number(parts[0]) or not _is_word(parts[1]):
        return None
    began_ns, kind, last = int(parts[0]), parts[1].decode("ascii"), parts[2]
    if not last:
        return Line(began_ns, kind)
    if _is_number(last):
        return Line(began_ns, kind, int(last))
    return Line(began_ns, kind, None, last.decode("ascii")) if _is_word(last) else None


def operation(line: Line, now_ns: int) -> Operation | None:
    """Return a line as the scores take it; None for one that failed.

    Args:
        line: whole, or under way.
        now_ns: CLOCK_MONOTONIC; the age of what is under way ends there.
    """
    if line.error:
        return None
    if line.latency_ns is None:
        return Operation(line.began_ns, max(now_ns, line.began_ns), has_ended=False)
    return Operation(line.began_ns, line.began_ns + line.latency_ns)


def _unusable(path: Path, error: OSError) -> OpLogError:
    return OpLogError(f"{clean(str(path), 200)}: {error.strerror}")


def _is_number(raw: bytes) -> bool:
    # isdigit() of bytes knows ASCII only; longer ones are no time of this machine.
    return raw.isdigit() and len(raw) <= 20


def _is_word(raw: bytes) -> bool:
    return 0 < len(raw) <= 32 and raw.isalnum() and not raw[:1].isdigit()
