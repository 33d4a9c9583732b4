"""How long ended processes are shown, and which of them when there are too many."""

from __future__ import annotations

from heapq import nsmallest

from iotop_ng.model.task import Task

LIMIT = 2000
"""Ended processes that are carried along; more end within two minutes on a machine that runs a
shell script in a loop, and nobody reads them all."""


class Ended:
    """Ended processes in the order in which they last did something.

    Every ended process is shown in the interval in which it ended, so that the rows of that
    interval sum up; only after that the smallest ones beyond `LIMIT` are folded away.
    """

    def __init__(self, ticks: int) -> None:
        self._ticks = ticks
        self._tasks: dict[int, Task] = {}
        self._folded: dict[int, int] = {}
        """Number of folded processes by the tick that they were kept from."""

    @property
    def folded(self) -> int:
        """Return how many processes within the history are not shown."""
        return sum(self._folded.values())

    def note(self, task: Task, tick: int, *, is_active: bool) -> None:
        """Take a process that ended, or that did something after its end.

        Data that it wrote is credited to it when it reaches the disk, often half a minute later.
        """
        if task.exited_tick is None:
            task.exited_tick = tick
        elif not is_active:
            return
        if task.is_hidden:
            task.is_hidden = False
            if self._folded.get(task.kept_from, 0):
                self._folded[task.kept_from] -= 1
        task.kept_from = tick
        self._tasks.pop(task.process.key, None)
        self._tasks[task.process.key] = task

    def revive(self, task: Task) -> None:
        """Take back that a process ended."""
        self._tasks.pop(task.process.key, None)
        task.exited_tick = None
        task.is_hidden = False

    def retire(self, tick: int) -> list[Task]:
        """Return the processes that are not shown from this tick on, marked as hidden."""
        limit = tick - self._ticks
        old: list[Task] = []
        for task in self._tasks.values():
            if task.kept_from >= limit:
                break
            old.append(task)
        for kept_from in [t for t in self._folded if t < limit]:
            del self._folded[kept_from]
        young = list(self._tasks.values())[len(old) :]
        surplus = nsmallest(max(len(young) - LIMIT, 0), young, key=Task.weight)
        for task in surplus:
            self._folded[task.kept_from] = self._folded.get(task.kept_from, 0) + 1
        hidden = old + surplus
        for task in hidden:
            task.hide()
            del self._tasks[task.process.key]
        return hidden
