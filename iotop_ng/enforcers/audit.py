"""The audit log: JSON lines in a file, and the system journal. Who, what, when, why, undone how.

A thread of its own writes, because the disk under /var/log may be the very one that is flooded:
what does not fit into its queue is counted, and the count is written when there is room again.
msgspec escapes what JSON must escape, and names were cleaned, so one event is one line.
"""

from __future__ import annotations

import contextlib
import os
import queue
import socket
import struct
import threading
from pathlib import Path
from typing import Protocol

import msgspec

from iotop_ng.enforcers.orders import Event

VARIABLE = "IOTOP_NG_AUDIT"
DEFAULT = Path("/var/log/iotop-ng/audit.jsonl")
MAX_BYTES = 16 * 1024 * 1024
"""Then the file is renamed to NAME.1, in place of the one before."""
QUEUE = 1024
_STACK_BYTES = 256 * 1024
"""The keeper's memory is locked, a thread's stack with it."""
_JOURNAL_SOCKET = "/run/systemd/journal/socket"
_IDENTIFIER = "iotop-ng"
_NOTICE = 5


class Dropped(msgspec.Struct, frozen=True, tag="dropped"):
    """Events that were not written."""

    wall_ns: int
    dropped: int


class SystemLog(Protocol):
    """Takes one line."""

    def write(self, event: Event) -> None:
        """Write it.

        Raises:
            OSError: it could not be written.
        """
        ...


class AuditLog:
    """Writes events.

    Args:
        path: the file; its directory is made when it is missing.
        system: the system's own log, None for none.
        max_bytes: of the file.
    """

    def __init__(
        self, path: Path, system: SystemLog | None = None, max_bytes: int = MAX_BYTES
    ) -> None:
        self._path = path
        self._system = system
        self._max_bytes = max_bytes
        self._queue: queue.Queue[Event | None] = queue.Queue(QUEUE)
        self._dropped = 0
        self._thread: threading.Thread | None = None

    @property
    def dropped(self) -> int:
        """Events that were not written and not told of yet."""
        return self._dropped

    def write(self, event: Event) -> None:
        """Take one event; never waits, never raises."""
        try:
            self._start()
            self._queue.put_nowait(event)
        except (queue.Full, RuntimeError):
            self._dropped += 1

    def close(self, wait_s: float = 1.0) -> None:
        """Write what is queued, for so long at most."""
        if self._thread is None:
            return
        try:
            self._queue.put_nowait(None)
        except queue.Full:
            return
        self._thread.join(wait_s)

    def _start(self) -> None:
        """Begin the thread with the first event: an idle keeper has one thread."""
        if self._thread is not None:
            return
        before = threading.stack_size(_STACK_BYTES)
        try:
            # A daemon: a disk that does not answer must not keep the keeper from ending.
            thread = threading.Thread(target=self._work, name="audit", daemon=True)
            thread.start()
        finally:
            threading.stack_size(before)
        self._thread = thread

    def _work(self) -> None:
        while (event := self._queue.get()) is not None:
            self._write_down(event)

    def _write_down(self, event: Event) -> None:
        try:
            self._append(event)
        except OSError:
            self._dropped += 1
        if self._system is not None:
            # The file has it.
            with contextlib.suppress(OSError):
                self._system.write(event)

    def _append(self, event: Event) -> None:
        raw = msgspec.json.encode(event) + b"\n"
        dropped = self._dropped
        if dropped:
            raw = msgspec.json.encode(Dropped(event.wall_ns, dropped)) + b"\n" + raw
        fd = self._open()
        try:
            if os.fstat(fd).st_size + len(raw) > self._max_bytes:
                self._path.rename(f"{self._path}.1")
                os.close(fd)
                fd = self._open()
            if os.write(fd, raw) == len(raw):
                self._dropped -= dropped
            else:
                os.write(fd, b"\n")
                self._dropped += 1
        finally:
            os.close(fd)

    def _open(self) -> int:
        """Open it anew each time: whoever rotates logs may have moved it."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            return os.open(self._path, flags, 0o600)
        except FileNotFoundError:
            self._path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
            return os.open(self._path, flags, 0o600)


class SystemdJournal:
    """The native protocol of systemd-journald: one datagram of fields per entry."""

    def __init__(self, path: str = _JOURNAL_SOCKET) -> None:
        self._path = path

    def write(self, event: Event) -> None:
        """Send one entry."""
        fields = {
            "MESSAGE": sentence(event),
            "PRIORITY": str(_NOTICE),
            "SYSLOG_IDENTIFIER": _IDENTIFIER,
            "IOTOP_NG_WHAT": event.what,
            "IOTOP_NG_POLICY": str(event.id),
            "IOTOP_NG_NAME": event.name,
            "IOTOP_NG_RULE": event.rule,
            "IOTOP_NG_EVENT": msgspec.json.encode(event).decode(),
        }
        raw = b"".join(_field(name, value.encode()) for name, value in fields.items())
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
            sender.setblocking(False)
            sender.sendto(raw, self._path)


class Syslog:
    """syslog(3), where there is no systemd."""

    def write(self, event: Event) -> None:
        """Send one line; may wait, which only the audit's own thread does."""
        import syslog  # noqa: PLC0415 - most machines have systemd

        syslog.openlog(_IDENTIFIER, syslog.LOG_PID, syslog.LOG_DAEMON)
        syslog.syslog(syslog.LOG_NOTICE, sentence(event))


def sentence(event: Event) -> str:
    """Return an event in one line for a person."""
    rule = f" by rule {event.rule}" if event.rule else ""
    who = f" ({event.author.client} of {event.author.user or event.author.uid}{rule})"
    undone = f"; undone: {event.undone}" if event.undone else ""
    return f"{event.what}: {event.name}: {event.text}{who}{undone}"


def audit_log() -> AuditLog:
    """Return the log of this machine; with the environment's file, that file alone."""
    if path := os.environ.get(VARIABLE):
        return AuditLog(Path(path))
    journal = Path(_JOURNAL_SOCKET).is_socket()
    return AuditLog(DEFAULT, SystemdJournal() if journal else Syslog())


def _field(name: str, value: bytes) -> bytes:
    """Return one field; a value with line breaks goes with its length."""
    if b"\n" not in value:
        return b"%s=%s\n" % (name.encode(), value)
    return b"%s\n%s%s\n" % (name.encode(), struct.pack("<Q", len(value)), value)
