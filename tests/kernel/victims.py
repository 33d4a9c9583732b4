"""The victim (workloads/victim.c): a small append and fdatasync every 20 ms, each one timed."""

from __future__ import annotations

import mmap
import os
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, final

_RING = 1 << 20
_RING_AT = 4096
PERIOD_US = 20_000


class Sync(NamedTuple):
    """One append with its fdatasync; CLOCK_MONOTONIC."""

    began_ns: int
    ended_ns: int

    @property
    def latency_ms(self) -> float:
        """How long it took."""
        return (self.ended_ns - self.began_ns) / 1e6


@final
class Victim:
    """A running victim.

    Args:
        program: the compiled workloads/victim.c.
        directory: where it writes, on a disk.
        counts: a directory in memory.
    """

    def __init__(self, program: Path, directory: Path, counts: Path) -> None:
        self._file = directory / "victim"
        self._counts = counts / f"victim-{time.monotonic_ns()}"
        self._counts.touch()
        os.truncate(self._counts, _RING_AT + 8 * _RING)
        with self._counts.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), 0)
        self._process = subprocess.Popen([program, self._file, self._counts, str(PERIOD_US)])
        self.pid = self._process.pid

    def __enter__(self) -> Victim:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.wait()
        self._file.unlink(missing_ok=True)
        self._counts.unlink(missing_ok=True)

    def ops(self) -> int:
        """Return how many have ended."""
        return memoryview(self._map)[:8].cast("Q")[0]

    def syncs(self, since_ops: int) -> list[Sync]:
        """Return what ended after the first `since_ops`, and last what is under way until now."""
        assert self._process.poll() is None, "the victim has ended by itself"
        ring = memoryview(self._map)[_RING_AT:].cast("Q")
        found = [
            Sync(ring[2 * slot], ring[2 * slot + 1])
            for slot in (number % (_RING // 2) for number in range(since_ops, self.ops()))
        ]
        under_way = memoryview(self._map)[8:16].cast("Q")[0]
        # A victim that is stuck has ended nothing: how long it waits already counts.
        return [*found, Sync(under_way, time.monotonic_ns())] if under_way else found
