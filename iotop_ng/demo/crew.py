"""Who writes for a hog: processes of our own, called log-flood, with a file per thread."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple, NoReturn, Protocol, final

from iotop_ng.demo import kernel, space
from iotop_ng.demo.counts import Counts, SharedCounts
from iotop_ng.demo.fill import Fill
from iotop_ng.demo.modes import Layout
from iotop_ng.demo.pacing import Pace
from iotop_ng.demo.ring import Backlog, Ring, Writeback
from iotop_ng.demo.writer import Orders, Stream
from iotop_ng.errors import IotopError

COMM = "log-flood"
LEAST_BEHIND = 16 << 20
"""Bytes of all writers: so that none waits while the disk has nothing to do."""


class Task(NamedTuple):
    """What writers are asked to do."""

    directory: Path
    """Their own."""
    layout: Layout
    rate: int | None
    """Bytes per second of all writers; None: all that the disk takes."""
    behind_bytes: int | None
    """What may be under way to the disk at the same time, of all writers; None: half a second's."""
    calls: int | None
    """Of all writers; None: without end."""
    seed: int
    stops_at_error: bool
    has_ranges: bool
    """Whether sync_file_range(2) works there."""

    def share(self, whole: int, stream: int) -> int:
        """Return the part of one stream, of whatever all of them share."""
        streams = self.layout.streams
        return whole // streams + (stream < whole % streams)

    def backlog(self) -> Backlog:
        """Return what one stream may have under way."""
        chunk = self.layout.chunk_bytes
        if self.behind_bytes is None:
            return Backlog(chunk, LEAST_BEHIND // self.layout.streams // chunk, self.layout.chunks)
        fixed = self.behind_bytes // self.layout.streams // chunk
        return Backlog(chunk, fixed, fixed)

    def pace(self, stream: int) -> Pace:
        """Return the pace of one stream."""
        rate = None if self.rate is None else self.share(self.rate, stream)
        return Pace(rate, self.layout.mode.pulse_ns)


class Crew(Protocol):
    """Those who write."""

    @property
    def pids(self) -> tuple[int, ...]:
        """Processes, from the start to the end."""
        ...

    @property
    def alive(self) -> int:
        """A descriptor that can be read when the last of them has ended."""
        ...

    @property
    def start_ns(self) -> int:
        """CLOCK_MONOTONIC right before the first of them began; what is wanted counts from here."""
        ...

    @property
    def paces(self) -> Sequence[Pace]:
        """What is wanted, of each that counts."""
        ...

    def problem(self) -> str:
        """Return what ended them before their time, "" if nothing did."""
        ...

    def counts(self) -> list[Counts]:
        """Return what each that counts has done so far."""
        ...

    def has_living(self) -> bool:
        """Say whether one of them is still there."""
        ...

    def stop(self) -> None:
        """Tell them to finish what they are at, and to end."""
        ...

    def end(self) -> None:
        """Kill and reap those that are left. A stopped or held one can be killed too."""
        ...


def make_files(task: Task, stack: ExitStack) -> list[tuple[Path, int]]:
    """Make one file for each stream, with room for all of it; the stack closes them.

    Raises:
        IotopError: they cannot be made, or there is no room.
    """
    files = []
    try:
        for number in range(task.layout.streams):
            path = task.directory / f"flood-{number}.log"
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            fd = os.open(path, flags, 0o600)
            stack.callback(os.close, fd)
            kernel.reserve(fd, task.layout.file_bytes)
            files.append((path, fd))
    except OSError as error:
        raise space.refused(task.directory.parent, error) from None
    return files


@final
class Children:
    """Processes of ours that end one by one; all have one end of a pipe.

    Raises:
        IotopError: there can be no more processes; those that there were are gone.
    """

    def __init__(self, works: Sequence[Callable[[], None]]) -> None:
        # It is at its end when the last of them has ended.
        self.alive, mine = os.pipe2(os.O_CLOEXEC)
        parent = os.getpid()
        self.problem = ""
        """What ended the last one that did not end well."""
        self.pids: tuple[int, ...] = ()
        self._living: set[int] = set()
        # They have the name from their first moment: who is told their pids finds them by it.
        name = kernel.name()
        kernel.set_name(COMM)
        try:
            for work in works:
                pid = os.fork()
                if pid == 0:
                    _become(work, parent)
                self.pids += (pid,)
                self._living.add(pid)
        except OSError as error:
            self.end()
            raise IotopError(f"no process for a writer: {error.strerror}") from None
        finally:
            kernel.set_name(name)
            os.close(mine)

    def has_living(self) -> bool:
        """Say whether one of them is still there."""
        for pid in [*self._living]:
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                self._living.discard(pid)
                self.problem = _ending(status) or self.problem
        return bool(self._living)

    def tell(self, number: int) -> None:
        """Send a signal to those that are left."""
        for pid in self._living:
            os.kill(pid, number)

    def end(self) -> None:
        """Kill and reap those that are left."""
        self.tell(signal.SIGKILL)
        for pid in self._living:
            os.waitpid(pid, 0)
        self._living.clear()


def _ending(status: int) -> str:
    if os.WIFSIGNALED(status):
        return f"the writers were ended by {signal.Signals(os.WTERMSIG(status)).name}"
    code = os.WEXITSTATUS(status)
    return f"the writers ended with exit code {code}" if code else ""


def _become(work: Callable[[], None], parent: int) -> NoReturn:
    """Work, in a process of its own that ends with its parent."""
    code = 1
    try:
        kernel.die_with(parent)
        # Ctrl-C goes to all of the group, and it is the supervisor that ends us then.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        work()
        code = 0
    finally:
        os._exit(code)


@final
class Writers:
    """A crew of our own processes."""

    def __init__(self, task: Task, stack: ExitStack) -> None:
        self._task = task
        self._files = make_files(task, stack)
        self._shared = SharedCounts(task.layout.streams)
        self.paces = [task.pace(number) for number in range(task.layout.streams)]
        self.start_ns = time.monotonic_ns()
        works = [
            lambda first=i * task.layout.threads: self._work(first)
            for i in range(task.layout.processes)
        ]
        self._children = Children(works)
        stack.callback(self.end)

    @property
    def pids(self) -> tuple[int, ...]:
        """Processes, from the start to the end."""
        return self._children.pids

    @property
    def alive(self) -> int:
        """A descriptor that can be read when the last of them has ended."""
        return self._children.alive

    def problem(self) -> str:
        """Return what ended them before their time, "" if nothing did."""
        return self._children.problem

    def counts(self) -> list[Counts]:
        """Return what each stream has done so far."""
        return [self._shared.counts(number) for number in range(self._shared.streams)]

    def has_living(self) -> bool:
        """Say whether one of them is still there."""
        return self._children.has_living()

    def stop(self) -> None:
        """Tell them to wait for the disk, and to end."""
        self._shared.stop()

    def end(self) -> None:
        """Kill and reap those that are left."""
        self._children.end()

    def _work(self, first: int) -> None:
        """Write with all threads of one process."""
        last = first + self._task.layout.threads
        others = [
            threading.Thread(target=self._stream, args=(number,))
            for number in range(first + 1, last)
        ]
        for thread in others:
            thread.start()
        self._stream(first)
        for thread in others:
            thread.join()

    def _stream(self, number: int) -> None:
        kernel.set_name(COMM)
        task, layout = self._task, self._task.layout
        _, fd = self._files[number]
        writeback: Writeback = (
            kernel.RangeWriteback(fd) if task.has_ranges else kernel.FileWriteback(fd)
        )
        Stream(
            fd,
            Ring(writeback, layout.chunk_bytes, layout.chunks, task.backlog()),
            Fill(
                layout.mode.record_bytes,
                is_lines=layout.mode.is_lines,
                seed=task.seed * layout.streams + number,
            ),
            shared=self._shared,
            stream=number,
            orders=Orders(
                layout.mode,
                self.paces[number],
                self.start_ns,
                None if task.calls is None else task.share(task.calls, number),
                task.stops_at_error,
            ),
        ).run()
