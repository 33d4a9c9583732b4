"""The programs that a comparison starts: hog, victim and guard, each told by its own JSON lines."""

from __future__ import annotations

import subprocess
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import final

import msgspec

from iotop_ng.demo.oplog import Line, Reader
from iotop_ng.errors import IotopError
from iotop_ng.policy.actions import ProcessTarget
from tests.bench.comparison.raw import Told
from tests.bench.measure import IOTOP_NG
from tests.kernel.hogs import process_target

START_S = 60.0
"""Python starts slowly in a guest without hardware virtualization."""
_END_S = 30.0
_PAUSE_S = 0.01
_SHARED_MEMORY = Path("/dev/shm")
_RULES = """\
[[guard]]
name = "victim"
victim = {{ comm = "victim" }}
hogs = {{ comm = "log-flood" }}
keep_fsync_p99 = "{limit_ms}ms"
"""
_WATCHES = "watching"
_ACTS = frozenset({"applied", "adjusted", "released"})


class About(msgspec.Struct, frozen=True):
    """What a hog says of itself."""

    pid: int
    writers: tuple[int, ...]
    start_ns: int
    """Right before the first writer began."""


class Second(msgspec.Struct, frozen=True):
    """A line of a hog: the first one has `hog`, the others the counts."""

    hog: About | None = None
    time_ns: int = 0
    written_bytes_total: int = 0
    wanted_bytes_total: int = 0
    lost_bytes_total: int = 0


class Act(msgspec.Struct, frozen=True):
    """A line of a guard."""

    what: str


class Child:
    """A program that prints lines; it ends at the latest when its stdin does.

    Args:
        command: the program.
        name: for messages.
    """

    def __init__(self, command: Sequence[str | Path], name: str) -> None:
        self.name = name
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  # as long as the program
        self._process = subprocess.Popen(
            [str(word) for word in command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
        )
        self.lines: list[bytes] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.lines.append(line)

    def first_line(self) -> bytes:
        """Wait for the first line.

        Raises:
            IotopError: it ended before, or says nothing.
        """
        until = time.monotonic() + START_S
        while not self.lines:
            if not self._reader.is_alive() or time.monotonic() > until:
                raise IotopError(f"{self.name} did not start: {self.complaint() or 'no word why'}")
            time.sleep(_PAUSE_S)
        return self.lines[0]

    def complaint(self) -> str:
        """Return how it ended, if it has, with its last line on stderr; else ""."""
        status = self._process.poll()
        if status is None:
            return ""
        said = self.said().splitlines()
        return f"{self.name} ended by itself with {status}{f': {said[-1]}' if said else ''}"

    def said(self) -> str:
        """Return its stderr so far."""
        self._errors.seek(0)
        return self._errors.read().decode("utf-8", "replace").strip()

    def close(self) -> None:
        """End it, and wait until it has gone."""
        if self._process.poll() is None:
            self._process.terminate()
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join()
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        self._errors.close()

    def __enter__(self) -> Child:  # noqa: PYI034  # typing.Self needs Python 3.11
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def in_cgroup(cgroup: Path | None) -> tuple[str, ...]:
    """Return a command that starts another one in a cgroup."""
    if cgroup is None:
        return ()
    return ("sh", "-c", f'echo $$ >{cgroup}/cgroup.procs && exec "$@"', "sh")


@final
class Hog(Child):
    """The hog of the demo.

    Args:
        directory: where it writes.
        mode: how.
        writers: how many at once; None: as the mode has them.
        rate: bytes per second; None: all it can.
        span: bytes of all its files.
        seconds: it ends after that time by itself.
        prefix: the command that starts it.
    """

    def __init__(
        self,
        directory: Path,
        mode: str,
        *,
        writers: int | None,
        rate: int | None,
        span: int,
        seconds: float,
        prefix: Sequence[str] = (),
    ) -> None:
        super().__init__(
            [
                *prefix, *IOTOP_NG, "demo", "hog", directory, "--mode", mode,
                *(() if writers is None else ("--writers", str(writers))),
                "--rate", "max" if rate is None else str(rate), "--span", str(span),
                "--for", f"{seconds:.0f}s", "--until-stdin-ends", "--json",
            ],
            "the hog",
        )  # fmt: skip

    def begun(self) -> tuple[ProcessTarget, int]:
        """Wait until it writes; return whom a limit has to be put on, and when it began.

        Raises:
            IotopError: it did not start.
        """
        about = told(self.first_line()).hog
        if about is None or not about.writers:
            raise IotopError("the hog does not say who it is")
        # Its children go with it.
        pid = about.writers[0] if len(about.writers) == 1 else about.pid
        return process_target(pid), about.start_ns

    def reports(self, begin_ns: int) -> tuple[Told, ...]:
        """Return what it has told so far."""
        found = [told(line) for line in list(self.lines)]
        return tuple(
            Told(
                max(one.time_ns - begin_ns, 0) // 1000,
                one.written_bytes_total,
                one.wanted_bytes_total,
                one.lost_bytes_total,
            )
            for one in found
            if one.hog is None
        )


def told(line: bytes) -> Second:
    """Return one line of a hog.

    Raises:
        IotopError: it is none.
    """
    try:
        return msgspec.json.decode(line, type=Second)
    except msgspec.DecodeError as error:
        raise IotopError(f"the hog says what nobody understands: {error}") from None


@final
class Victim(Child):
    """The victim of the demo, and what it has waited for.

    Args:
        directory: where it writes.
        period_ms: between two fsyncs.
        cgroup: where it runs, None: where we do.
    """

    def __init__(self, directory: Path, period_ms: int, cgroup: Path | None) -> None:
        self._log = _SHARED_MEMORY / f"iotop-ng-victim-{time.monotonic_ns()}"
        self._log.touch()
        self._reading = Reader(self._log)
        self._seen: list[Line] = []
        super().__init__(
            [
                *in_cgroup(cgroup), *IOTOP_NG, "demo", "victim", directory,
                "--period", f"{period_ms}ms", "--log", self._log, "--until-stdin-ends", "--json",
            ],
            "the victim",
        )  # fmt: skip
        self.first_line()

    def fsyncs(
        self, begin_ns: int, end_ns: int
    ) -> tuple[tuple[tuple[int, int], ...], tuple[int, int] | None]:
        """Return (begin, latency) of what ended between two moments, and what was under way then.

        Microseconds after the first moment. What failed is left out.

        Raises:
            IotopError: the log cannot be read.
        """
        self._seen += self._reading.read()
        last = self._reading.under_way
        lines = self._seen if last is None else [*self._seen, last]
        ended: list[tuple[int, int]] = []
        under_way = None
        for line in lines:
            at_us = (line.began_ns - begin_ns) // 1000
            is_done = line.latency_ns is not None and line.began_ns + line.latency_ns <= end_ns
            if line.latency_ns is not None and is_done:
                if line.began_ns + line.latency_ns >= begin_ns:
                    ended.append((at_us, line.latency_ns // 1000))
            elif not line.error and line.began_ns <= end_ns:
                under_way = (at_us, (end_ns - line.began_ns) // 1000)
        return tuple(ended), under_way

    def close(self) -> None:
        """End it and remove its log."""
        super().close()
        self._log.unlink(missing_ok=True)


@final
class GuardProgram(Child):
    """`iotop-ng guard --enforce` over one victim.

    Args:
        limit_ms: what it has to keep.
        settle_s: how long it is given to know the device, once it watches.
        seconds: it ends after that time by itself.
    """

    def __init__(self, limit_ms: int, settle_s: float, seconds: float) -> None:
        with tempfile.NamedTemporaryFile("w", suffix=".toml", delete=False) as rules:
            rules.write(_RULES.format(limit_ms=limit_ms))
        self._rules = Path(rules.name)
        super().__init__(
            [
                *IOTOP_NG, "guard", self._rules, "--enforce", "--json",
                "--duration", f"{seconds + settle_s + START_S:.0f}s",
            ],
            "the guard",
        )  # fmt: skip
        until = time.monotonic() + START_S
        while _WATCHES not in self.said() and not self.complaint() and time.monotonic() < until:
            time.sleep(_PAUSE_S)
        time.sleep(settle_s)
        if problem := self.complaint():
            self.close()
            raise IotopError(problem)

    def writes(self) -> int:
        """Return how often it has set, changed or taken away a limit."""
        acts = [msgspec.json.decode(line, type=Act) for line in list(self.lines)]
        return sum(act.what in _ACTS for act in acts)

    def close(self) -> None:
        """End it, so that it takes back what it has done."""
        super().close()
        self._rules.unlink(missing_ok=True)
