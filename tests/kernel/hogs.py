"""The hog (workloads/hog.c): started, watched through the memory that it counts in, ended."""

from __future__ import annotations

import mmap
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, final

from iotop_ng.policy.actions import ProcessTarget
from iotop_ng.sample import process_key
from tests.kernel.counts import proc_io
from tests.kernel.gate import wait_until

MB = 1 << 20
_RING = 1 << 20
_RING_AT = 4096
_TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")


class Counts(NamedTuple):
    """struct counts of workloads/hog_counts.h, in its order."""

    bytes: int
    ops: int
    errors: int
    last_errno: int
    interrupted: int
    shorter: int
    usr1: int
    realtime: int
    urg_sent: int
    urg_handled: int
    urg_foreign: int
    urg_lost: int
    stops: int
    continued: int
    moved: int
    children: int
    lost_bytes: int
    ready: int
    refused_bytes: int

    def since(self, before: Counts) -> Counts:
        """Return the differences (of last_errno: what it is now)."""
        grown = Counts._make(a - b for a, b in zip(self, before, strict=True))
        return grown._replace(last_errno=self.last_errno)


class Way(NamedTuple):
    """One way of writing, as the hog is asked for it."""

    way: str
    size: int = 65536
    threads: int = 1
    sync: int = 0
    signals: str = "plain"

    @property
    def name(self) -> str:
        """For tables: "direct 4K 8 threads fsync/16"."""
        size = f"{self.size // 1024}K" if self.size < MB else f"{self.size // MB}M"
        parts = [self.way, size]
        parts += [f"{self.threads} threads"] if self.threads > 1 else []
        parts += [f"fsync/{self.sync}"] if self.sync else []
        parts += [self.signals] if self.signals != "plain" else []
        return " ".join(parts)


@final
class Counted:
    """What a hog counts, in memory that it shares with us."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.touch()
        os.truncate(path, _RING_AT + 8 * _RING)
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), 0)

    def counts(self) -> Counts:
        """Return what was counted so far; the hog need not run for that."""
        numbers = memoryview(self._map)[: 8 * len(Counts._fields)].cast("Q")
        return Counts._make(numbers.tolist())

    def moments(self, since_ops: int) -> list[int]:
        """Return when each operation after the first `since_ops` ended, CLOCK_MONOTONIC ns.

        The newest 1 Mi are kept.
        """
        ops = self.counts().ops
        since_ops = max(since_ops, ops - _RING + 4096)
        ring = memoryview(self._map)[_RING_AT:].cast("Q")
        return sorted(ring[number % _RING] for number in range(since_ops, ops))

    def close(self) -> None:
        """Remove the file."""
        self.path.unlink(missing_ok=True)


@final
class Hog:
    """A running hog.

    Args:
        program: the compiled workloads/hog.c.
        directory: where it writes, on a disk.
        counts: a directory in memory, for its counts.
        way: how it writes.
        rate: bytes per second that it wants; 0: all it can.
        span: bytes of all its files together.
    """

    def __init__(
        self,
        program: Path,
        directory: Path,
        counts: Path,
        way: Way,
        *,
        rate: int = 0,
        span: int = 64 * MB,
        started_by: tuple[str, ...] = (),
    ) -> None:
        self.way = way
        self._files = directory / f"hog-{time.monotonic_ns()}"
        self._counted = Counted(counts / self._files.name)
        self._process = subprocess.Popen(
            [
                *started_by, program, way.way, self._files, self._counted.path,
                f"size={way.size}", f"threads={way.threads}", f"sync={way.sync}",
                f"signals={way.signals}", f"rate={rate}", f"span={span // way.threads}",
            ]
        )  # fmt: skip
        self.pid = self._process.pid

    def __enter__(self) -> Hog:
        def begun() -> bool:
            assert self._process.poll() is None, "the hog has ended by itself"
            counts = self.counts()
            return counts.bytes > 0 and counts.ready >= self.way.threads

        try:
            wait_until(begun, "the hog writes", 20)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def counts(self) -> Counts:
        """Return what it has counted so far; it need not run for that."""
        return self._counted.counts()

    def moments(self, since_ops: int) -> list[int]:
        """Return when each operation after the first `since_ops` ended, CLOCK_MONOTONIC ns."""
        return self._counted.moments(since_ops)

    @property
    def target(self) -> ProcessTarget:
        """The process as orders name it."""
        return process_target(self.pid)

    def written_bytes(self) -> int:
        """Return /proc/PID/io's write_bytes: of all its threads, and of children it waited for."""
        return proc_io(self.pid).write_bytes

    def runs(self) -> bool:
        """Say whether it lives."""
        return self._process.poll() is None

    def send(self, number: int) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    def end(self, patience_s: float = 10) -> int:
        """Ask it to end, and return its exit status."""
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(patience_s)

    def close(self) -> None:
        """End it and remove its files; twice is fine."""
        if self._process.returncode is None:
            self._process.kill()
            self._process.send_signal(signal.SIGCONT)
            self._process.wait()
        for path in self._files.parent.glob(f"{self._files.name}.*"):
            path.unlink()
        self._counted.close()


def process_target(pid: int) -> ProcessTarget:
    """Return a living process as orders name it."""
    start_ns = _start_ns(pid)
    return ProcessTarget(process_key(pid, start_ns), pid, start_ns)


def _start_ns(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(") ")[2].split()
    return int(fields[19]) * _TICK_NS


def state(pid: int) -> str:
    """Return the letter of a process's state, "" when it is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return text.rpartition(") ")[2][0]


def tracers(pid: int) -> dict[int, int]:
    """Return tid -> the process that traces it, 0 for none."""
    found = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        for line in (task / "status").read_text("utf-8", "replace").splitlines():
            if line.startswith("TracerPid:"):
                found[int(task.name)] = int(line.split()[1])
    return found


@contextmanager
def hogs(*several: Hog) -> Iterator[tuple[Hog, ...]]:
    """Give several hogs at once; all are ended."""
    try:
        for hog in several:
            hog.__enter__()
        yield several
    finally:
        for hog in several:
            hog.close()
