"""What a target writes, from /proc: before a throttle, and where its mechanism counts nothing."""

from __future__ import annotations

import os
from pathlib import Path

from iotop_ng.clock import NS_PER_S, Clock
from iotop_ng.policy.actions import ProcessTarget, Target
from iotop_ng.policy.protect import is_below
from iotop_ng.sources.identity import parse_cgroup, parse_stat
from iotop_ng.sources.kept_file import read_small
from iotop_ng.sources.own_io import IoCounters, OwnIo, parse_io


class Meter:
    """Written bytes of one target, as the kernel charged them, from the first reading on.

    What a process of a cgroup wrote between the last reading and its end is missed.

    Args:
        target: whose.
        clock: of the time since boot, as the start of processes.
        root: where /proc is.

    Attributes:
        start_ns: when it was first read.
        total_bytes: written since then.
    """

    def __init__(self, target: Target, clock: Clock, root: Path = Path("/")) -> None:
        self._target = target
        self._proc = root / "proc"
        self._clock = clock
        self._ns_per_tick = NS_PER_S // os.sysconf("SC_CLK_TCK")
        self._counted: dict[int, OwnIo] = {}
        self._first: dict[int, int] = {}
        self.start_ns = self._read_ns = clock.mono_ns()
        self.total_bytes = 0
        self.read()

    @property
    def elapsed_ns(self) -> int:
        """Time between the first reading and the last one."""
        return self._read_ns - self.start_ns

    @property
    def is_readable(self) -> bool:
        """Whether anything could be counted."""
        return bool(self._counted)

    @property
    def bytes_per_s(self) -> int | None:
        """Mean rate from the first reading to the last; None while it is not known."""
        if not self._counted or self.elapsed_ns <= 0:
            return None
        return self.total_bytes * NS_PER_S // self.elapsed_ns

    def read(self) -> None:
        """Take in the counters as they are now."""
        for pid in self._pids():
            self._read_one(pid)
        self._read_ns = self._clock.mono_ns()
        self.total_bytes = sum(
            one.own.write_bytes - self._first[pid] for pid, one in self._counted.items()
        )

    def _read_one(self, pid: int) -> None:
        if (whole := self._counters(pid)) is None:
            return
        if (known := self._counted.get(pid)) is not None:
            known.advance(whole, lambda: self._counters(pid))
            return
        self._counted[pid] = own = OwnIo(str(self._proc / str(pid)), whole)
        # Who was there before us is counted from now on, who started since from its start.
        self._first[pid] = 0 if self._start_of(pid) >= self.start_ns else own.own.write_bytes

    def _counters(self, pid: int) -> IoCounters | None:
        return parse_io(read_small(self._proc / str(pid) / "io", 1024) or b"")

    def _start_of(self, pid: int) -> int:
        stat = parse_stat(read_small(self._proc / str(pid) / "stat", 4096) or b"")
        return 0 if stat is None else stat.start_ticks * self._ns_per_tick

    def _pids(self) -> list[int]:
        if isinstance(self._target, ProcessTarget):
            return [self._target.pid]
        path = self._target.path
        every = [int(name) for name in os.listdir(self._proc) if name.isdecimal()]  # noqa: PTH208 (speed)
        return [pid for pid in every if self._is_inside(pid, path)]

    def _is_inside(self, pid: int, path: str) -> bool:
        cgroup = parse_cgroup(read_small(self._proc / str(pid) / "cgroup", 8192) or b"")
        return cgroup is not None and is_below(cgroup, path)
