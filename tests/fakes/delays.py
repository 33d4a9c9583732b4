"""A taskstats that says what it was told."""

from __future__ import annotations

from collections.abc import Sequence

from iotop_ng.errors import IotopError
from iotop_ng.sources.taskstats import Delays


class FakeDelays:
    """Answers from two dictionaries and remembers who was asked for."""

    def __init__(self, problem: IotopError | None = None) -> None:
        self.problem = problem
        self.processes: dict[int, Delays] = {}
        self.threads: dict[int, Delays] = {}
        self.asked: list[int] = []

    def open(self) -> None:
        if self.problem is not None:
            raise self.problem

    def of_processes(self, pids: Sequence[int]) -> dict[int, Delays]:
        self.asked += pids
        return {pid: self.processes[pid] for pid in pids if pid in self.processes}

    def of_threads(self, tids: Sequence[int]) -> dict[int, Delays]:
        self.asked += tids
        return {tid: self.threads[tid] for tid in tids if tid in self.threads}

    def close(self) -> None:
        self.asked.clear()
