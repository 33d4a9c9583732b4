"""The hog and the victim of the tour, as children that end when this process does, however it does.

Each has a pipe from us as its stdin, and ends when that ends. What they write there is theirs to
remove, which they do also after a `kill -9`.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import msgspec

from iotop_ng.demo import oplog
from iotop_ng.demo.own_files import own_directory
from iotop_ng.errors import IotopError
from iotop_ng.units import clean
from iotop_ng.view.tour import Hog
from iotop_ng.view.tour_app import Look

PROGRAM = (sys.executable, "-m", "iotop_ng", "demo")
MEMORY = Path("/dev/shm")  # noqa: S108 - a log on the flooded disk would wait for it
_STAY = ("--for", "1h", "--until-stdin-ends")
"""Nobody looks at a guide for longer; without an end a hog is not started."""
END_S = 5.0
"""How long a child may take to end and to remove its files."""


class _Head(msgspec.Struct):
    """The first line of the hog."""

    pid: int
    writers: tuple[int, ...] = ()


class _HogLine(msgspec.Struct):
    """A line of the hog: the first one, or a report."""

    hog: _Head | None = None
    time_ns: int = 0
    written_bytes_total: int = 0
    errors_total: int = 0


class Child:
    """One of the two programs.

    Args:
        name: for messages.
        command: program and arguments.
    """

    def __init__(self, name: str, command: Sequence[str]) -> None:
        self._name = name
        self._rest = b""
        # A session of its own: what the terminal sends is for the screen, which then ends us.
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        self._out = _unblocked(self._process.stdout)
        self._err = _unblocked(self._process.stderr)

    def lines(self) -> list[bytes]:
        """Return the whole lines that it has printed since the last call.

        Raises:
            IotopError: it has ended.
        """
        status = self._process.poll()
        *found, self._rest = (self._rest + _read(self._out)).split(b"\n")
        if status is not None:
            said = clean(_read(self._err).decode("utf-8", "replace").strip(), 300)
            raise IotopError(f"{self._name} ended ({status}){f': {said}' if said else ''}")
        return found

    def end(self) -> None:
        """Have it end and clean up; twice is fine."""
        process = self._process
        if process.poll() is None:
            process.send_signal(signal.SIGCONT)
            process.send_signal(signal.SIGTERM)
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()
        try:
            process.wait(END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class Both:
    """The two programs, as the tour sees them.

    Args:
        directory: where both write.
        log: the victim's, in memory.
        rate: of the hog; "max" or such as 200M.
        seed: of both.
        program: what starts them.
    """

    def __init__(
        self,
        directory: Path,
        log: Path,
        *,
        rate: str,
        seed: int,
        program: Sequence[str] = PROGRAM,
    ) -> None:
        self._directory = directory
        self._hog_options = ("--rate", rate, "--seed", str(seed))
        self._program = program
        self._hog: Child | None = None
        self._hog_pids: frozenset[int] = frozenset()
        self._last: Hog | None = None
        options = ("--log", str(log), "--seed", str(seed), *_STAY)
        self._victim = Child("victim", (*program, "victim", str(directory), *options))
        self._operations = oplog.Reader(log)

    def close(self) -> None:
        """End both."""
        self.stop_hog()
        self._victim.end()

    def look(self, now_ns: int) -> Look:
        """Read what they said.

        Raises:
            IotopError: one of them has ended, and why.
        """
        self._victim.lines()
        for line in [] if self._hog is None else self._hog.lines():
            self._take(line)
        found = (oplog.operation(line, now_ns) for line in self._operations.read())
        ended = tuple(one for one in found if one is not None)
        under_way = self._operations.under_way
        waiting_ns = 0 if under_way is None else max(now_ns - under_way.began_ns, 0)
        return Look(ended, waiting_ns, self._last, self._hog_pids)

    def _take(self, raw: bytes) -> None:
        try:
            line = msgspec.json.decode(raw, type=_HogLine)
        except msgspec.MsgspecError as error:
            raise IotopError(f"log-flood said {clean(raw, 80)!r}: {error}") from None
        if line.hog is not None:
            self._hog_pids = frozenset({line.hog.pid, *line.hog.writers})
        else:
            self._last = Hog(line.time_ns, line.written_bytes_total, line.errors_total)

    def start_hog(self) -> None:
        """Begin the flood."""
        if self._hog is None:
            command = (*self._program, "hog", str(self._directory), *self._hog_options)
            self._hog = Child("log-flood", (*command, *_STAY, "--json"))

    def stop_hog(self) -> None:
        """End it; twice is fine."""
        hog, self._hog = self._hog, None
        if hog is not None:
            hog.end()


@contextmanager
def playing(
    directory: Path, *, rate: str, seed: int, program: Sequence[str] = PROGRAM
) -> Iterator[Both]:
    """Start the victim, and end both programs in the end.

    Raises:
        IotopError: it cannot be started.
    """
    with own_directory(MEMORY if MEMORY.is_dir() else directory, "tour") as own:
        log = own / "victim"
        both = Both(directory, log, rate=rate, seed=seed, program=program)
        try:
            yield both
        finally:
            both.close()


def _unblocked(pipe: IO[bytes] | None) -> int:
    if pipe is None:
        raise AssertionError("Popen was asked for a pipe")
    os.set_blocking(pipe.fileno(), False)
    return pipe.fileno()


def _read(descriptor: int) -> bytes:
    """Return what is there; nothing when it has ended or there is nothing yet."""
    found = b""
    with contextlib.suppress(BlockingIOError):
        while data := os.read(descriptor, 65536):
            found += data
    return found
