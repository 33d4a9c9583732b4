"""A small world that fake enforcers act on: values, processes, and who is stopped or held."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from iotop_ng.clock import NS_PER_S
from iotop_ng.enforcers.changes import (
    Change,
    FileValue,
    Helper,
    IoPriority,
    Stopped,
    UnitProperty,
)
from iotop_ng.enforcers.outcome import NOTHING_TO_DO, Outcome, left_alone
from iotop_ng.policy.actions import ProcessTarget
from iotop_ng.sample import process_key

HELPER_PIDS = 900_000
"""Pids of fake helpers begin here."""


class Crash(BaseException):
    """The keeper is killed at this step: nothing in it may catch this."""


class FakeProcess(msgspec.Struct):
    """One process of the world."""

    start_ns: int
    name: str
    cgroup: str
    protected: str


class FakeWorld:
    """What enforcers change, and where they fail."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}
        """ "path key" -> value; a value that nobody has set is "max"."""
        self.processes: dict[int, FakeProcess] = {}
        self.stopped: set[tuple[int, int]] = set()
        self.helpers: set[int] = set()
        self.priorities: dict[tuple[int, int], int] = {}
        self.writes: list[str] = []
        """Everything that was ever done, in order: "hold 42", "/fake/42 max"."""
        self.touched: set[tuple[int, int]] = set()
        """(pid, start) of every process that something was done to."""
        self._failures: dict[str, list[BaseException]] = {}
        self._happenings: dict[str, list[Callable[[], object]]] = {}
        self._starts = 0
        self._next_helper = HELPER_PIDS

    def start(
        self, pid: int, name: str = "dd", cgroup: str = "/user.slice", protected: str = ""
    ) -> ProcessTarget:
        """Begin a process; one that has the pid ends."""
        self.end(pid)
        self._starts += 1
        self.processes[pid] = FakeProcess(self._starts * NS_PER_S, name, cgroup, protected)
        return self.target(pid)

    def end(self, pid: int) -> None:
        """End a process: the kernel forgets what was done to it."""
        process = self.processes.pop(pid, None)
        if process is not None:
            self.stopped.discard((pid, process.start_ns))
            self.priorities.pop((pid, process.start_ns), None)

    def target(self, pid: int) -> ProcessTarget:
        """Return the target that this process is now."""
        start_ns = self.processes[pid].start_ns
        return ProcessTarget(process_key(pid, start_ns), pid, start_ns)

    def is_alive(self, pid: int, start_ns: int) -> bool:
        """Say whether it is still this very process."""
        process = self.processes.get(pid)
        return process is not None and process.start_ns == start_ns

    def fail(self, step: str, error: BaseException) -> None:
        """Let a step fail once, after failures of the same step that were asked for earlier."""
        self._failures.setdefault(step, []).append(error)

    def meanwhile(self, step: str, happens: Callable[[], object]) -> None:
        """Let something happen at a step, once."""
        self._happenings.setdefault(step, []).append(happens)

    def heal(self) -> None:
        """Take back everything that was asked for and has not happened."""
        self._failures.clear()
        self._happenings.clear()

    def step(self, name: str) -> None:
        """Be at a step."""
        if happening := self._happenings.get(name):
            happening.pop(0)()
        if waiting := self._failures.get(name):
            # Afresh: one that was raised keeps the frames that it went through.
            raise waiting.pop(0).with_traceback(None)

    def read(self, path: str, key: str = "") -> str:
        """Return a value."""
        return self.values.get(f"{path} {key}", "max")

    def write(self, path: str, value: str, key: str = "") -> None:
        """Set a value."""
        self.writes.append(f"{path} {value}")
        if value == "max":
            self.values.pop(f"{path} {key}", None)
        else:
            self.values[f"{path} {key}"] = value

    def start_helper(self) -> int:
        """Begin a helper and return its pid."""
        self._next_helper += 1
        self.helpers.add(self._next_helper)
        return self._next_helper

    def die(self) -> None:
        """Be what the kernel does when the keeper dies: what hangs on its descriptors goes."""
        self.helpers.clear()

    def state(self) -> object:
        """Return all that may not stay changed, to be compared."""
        return (
            dict(self.values), frozenset(self.stopped), frozenset(self.helpers),
            dict(self.priorities),
        )  # fmt: skip

    def put_back(self, change: Change) -> Outcome:
        """Undo one change as `iotop_ng.enforcers.restore` does in the kernel."""
        self.step("put_back")
        match change:
            case FileValue():
                return self._put_back(change.path, change.key, change)
            case UnitProperty():
                return self._put_back(change.unit, change.name, change)
            case IoPriority():
                if self.priorities.get((change.tid, change.start_ns)) == change.after:
                    self.priorities[change.tid, change.start_ns] = change.before
                    if not change.before:
                        del self.priorities[change.tid, change.start_ns]
            case Stopped():
                self.stopped.discard((change.pid, change.start_ns))
            case Helper():
                self.helpers.discard(change.pid)
        return NOTHING_TO_DO

    def _put_back(self, path: str, key: str, change: FileValue | UnitProperty) -> Outcome:
        now = self.read(path, key)
        if now == change.before:
            return NOTHING_TO_DO
        if now not in {change.after, *change.earlier}:
            return left_alone(f"{path} is {now}: left as it is")
        self.write(path, change.before, key)
        return Outcome(is_settled=True, text=f"put back {path}")
