"""The log generator: a supervisor that reports, and writers that do nothing but write.

The supervisor forks the writers (comm `log-flood`), which count in memory that it shares with them:
they may be held, stopped or refused, and the reports go on. Its death is theirs.
"""

from __future__ import annotations

import os
import select
import signal
import stat
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple, NoReturn, Protocol, final

from iotop_ng.clock import NS_PER_S, Clock
from iotop_ng.demo import kernel, leftovers, report, space
from iotop_ng.demo.counts import Counts, SharedCounts, added
from iotop_ng.demo.fill import Fill
from iotop_ng.demo.modes import Layout, Mode
from iotop_ng.demo.own_files import own_directory
from iotop_ng.demo.pacing import Pace
from iotop_ng.demo.report import About, Reading
from iotop_ng.demo.ring import Ring, Writeback
from iotop_ng.demo.writer import Orders, Stream
from iotop_ng.errors import IotopError

COMM = "log-flood"
_GRACE_NS = 2 * NS_PER_S
"""For writers that were told to stop, to wait for the disk; then they are killed."""


class Job(NamedTuple):
    """What a hog is asked to do."""

    directory: Path
    layout: Layout
    rate: int | None
    """Bytes per second of all writers; None: all that the disk takes."""
    behind_bytes: int
    """What may be under way to the disk at the same time, of all writers."""
    for_ns: int
    calls: int | None
    """Of all writers; None: until the time is over."""
    seed: int
    stops_at_error: bool
    until_stdin_ends: bool
    is_json: bool

    @property
    def mode(self) -> Mode:
        """How it writes."""
        return self.layout.mode


class Ending(Protocol):
    """The wish to end, from outside."""

    @property
    def is_set(self) -> bool:
        """Whether it came."""
        ...

    def wait(self, until_ns: int, descriptor: int) -> None:
        """Return at a time of the clock, or before when the wish or something to read comes."""
        ...


class Outside(NamedTuple):
    """Everything outside of a hog."""

    ending: Ending
    clock: Clock
    write: Callable[[bytes], None]
    """To stdout."""
    say: Callable[[str], None]
    """One line to a person."""


def run(job: Job, outside: Outside) -> None:
    """Write until the time is over or the ending comes, and report on the way.

    Raises:
        IotopError: there is too little room, files cannot be made, writes are refused and it
            should stop then, or all writers were ended by somebody else.
    """
    for path in leftovers.remove(job.directory, "iotop-ng-hog-"):
        outside.say(f"removed {path}, which a hog that was killed had left")
    space.require(job.directory, space.space(job.directory), job.layout.span_bytes)
    kind = space.kind(job.directory)
    if note := space.NOTES.get(kind):
        outside.say(f"{job.directory} {note}")
    with own_directory(job.directory, "hog") as own, ExitStack() as stack:
        stack.enter_context(leftovers.held(own))
        shared = SharedCounts(job.layout.streams)
        files = _files(job, own, stack)
        start_ns = time.monotonic_ns()
        paces = _paces(job)
        writeback = kernel.FileWriteback if kind == "overlay" else kernel.RangeWriteback
        writers = Writers(job, shared, files, writeback, paces=paces, start_ns=start_ns)
        stack.callback(writers.end)
        Supervisor(job, outside, writers, shared=shared, paces=paces, start_ns=start_ns).run()


def _files(job: Job, own: Path, stack: ExitStack) -> list[int]:
    """Make one file for each stream, with room for all of it."""
    files = []
    try:
        for number in range(job.layout.streams):
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            fd = os.open(own / f"flood-{number}.log", flags, 0o600)
            stack.callback(os.close, fd)
            kernel.reserve(fd, job.layout.file_bytes)
            files.append(fd)
    except OSError as error:
        raise space.refused(job.directory, error) from None
    return files


def _paces(job: Job) -> list[Pace]:
    streams = job.layout.streams
    if job.rate is None:
        return [Pace(None, job.mode.pulse_ns)] * streams
    shares = [job.rate // streams + (i < job.rate % streams) for i in range(streams)]
    return [Pace(share, job.mode.pulse_ns) for share in shares]


@final
class Writers:
    """The processes that write, from their start to their end."""

    def __init__(
        self,
        job: Job,
        shared: SharedCounts,
        files: list[int],
        writeback: Callable[[int], Writeback],
        *,
        paces: list[Pace],
        start_ns: int,
    ) -> None:
        self._job = job
        self._shared = shared
        self._files = files
        self._writeback = writeback
        self._paces = paces
        self._start_ns = start_ns
        # Every writer has the other end: it is at its end when the last of them has ended.
        self.alive, mine = os.pipe2(os.O_CLOEXEC)
        parent = os.getpid()
        self.pids: tuple[int, ...] = ()
        for process in range(job.layout.processes):
            pid = os.fork()
            if pid == 0:
                self._be_writer(process, parent)
            self.pids += (pid,)
        os.close(mine)
        self._living = set(self.pids)
        self.killed_by: int | None = None
        """The signal that ended the last writer that was killed; None: none was."""

    def _be_writer(self, process: int, parent: int) -> NoReturn:
        """Write, in a process of its own."""
        try:
            kernel.die_with(parent)
            # Ctrl-C goes to all of the group, and it is the supervisor that ends us then.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            for number in (signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, signal.SIG_DFL)
            kernel.set_name(COMM)
            threads = self._job.layout.threads
            first = process * threads
            others = [
                threading.Thread(target=self._stream, args=(first + i,)) for i in range(1, threads)
            ]
            for thread in others:
                thread.start()
            self._stream(first)
            for thread in others:
                thread.join()
        finally:
            os._exit(0)

    def _stream(self, number: int) -> None:
        kernel.set_name(COMM)
        job, layout = self._job, self._job.layout
        fd = self._files[number]
        behind = job.behind_bytes // layout.streams // layout.chunk_bytes
        ring = Ring(self._writeback(fd), layout.chunk_bytes, layout.chunks, behind)
        fill = Fill(
            layout.mode.record_bytes,
            is_lines=layout.mode.is_lines,
            seed=job.seed * layout.streams + number,
        )
        calls = None
        if job.calls is not None:
            calls = job.calls // layout.streams + (number < job.calls % layout.streams)
        orders = Orders(layout.mode, self._paces[number], self._start_ns, calls, job.stops_at_error)
        Stream(fd, ring, fill, shared=self._shared, stream=number, orders=orders).run()

    @property
    def has_living(self) -> bool:
        """Whether one of them is still there."""
        for pid in [*self._living]:
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                self._living.discard(pid)
                self.killed_by = os.WTERMSIG(status) if os.WIFSIGNALED(status) else self.killed_by
        return bool(self._living)

    def end(self) -> None:
        """Kill and reap those that are left. A stopped or held one can be killed too."""
        for pid in self._living:
            os.kill(pid, signal.SIGKILL)
        for pid in self._living:
            os.waitpid(pid, 0)
        self._living.clear()


@final
class Supervisor:
    """Waits, reports once a second, and says when it is over."""

    def __init__(
        self,
        job: Job,
        outside: Outside,
        writers: Writers,
        *,
        shared: SharedCounts,
        paces: list[Pace],
        start_ns: int,
    ) -> None:
        self._job = job
        self._shared = shared
        self._paces = paces
        self._writers = writers
        self._start_ns = start_ns
        self._outside = outside
        self._lost = [0] * shared.streams
        self._stopped_ns: int | None = None
        self._before = Reading(start_ns, added([]), 0)

    def run(self) -> None:
        """Report until it is over, and once more when the writers are gone.

        Raises:
            IotopError: it ended before its time, and not by the wish of who started it.
        """
        job, outside = self._job, self._outside
        about = About(
            os.getpid(), self._writers.pids, job.mode.name, job.directory, job.rate, self._start_ns
        )
        outside.write(
            report.first_json(about) if job.is_json else report.first_text(about, job.mode.text)
        )
        problem = self._watch()
        self._wind_up()
        now = self._reading()
        outside.write(
            report.json_line(now, has_ended=True)
            if job.is_json
            else report.last_text(self._start_ns, now)
        )
        if problem:
            raise IotopError(problem)

    def _watch(self) -> str:
        """Report until it is over; return what went wrong, "" if nothing did."""
        clock, ending = self._outside.clock, self._outside.ending
        begin_ns = clock.mono_ns()
        due_ns, end_ns = begin_ns + NS_PER_S, begin_ns + self._job.for_ns
        with _Events(self._writers.alive, watches_stdin=self._job.until_stdin_ends) as events:
            while not ending.is_set and clock.mono_ns() < end_ns:
                ending.wait(min(due_ns, end_ns), events.fileno())
                if events.has_stdin_ended():
                    return ""
                if not self._writers.has_living:
                    return self._why_ended()
                now_ns = clock.mono_ns()
                if now_ns >= due_ns:
                    self._report()
                    if problem := self._too_little_room():
                        return problem
                    # A report that came late is not made up for.
                    due_ns += ((now_ns - due_ns) // NS_PER_S + 1) * NS_PER_S
        return ""

    def _why_ended(self) -> str:
        if (number := self._writers.killed_by) is not None:
            return f"the writers were ended by {signal.Signals(number).name}"
        counts = self._reading().counts
        if self._job.stops_at_error and counts.errors:
            return f"a write was refused: {report.errno_name(counts.last_errno)}"
        return ""

    def _too_little_room(self) -> str:
        room = space.space(self._job.directory)
        try:
            space.require(self._job.directory, room, 0)
        except IotopError as error:
            return f"stopped: {error}"
        return ""

    def _wind_up(self) -> None:
        """Let the writers wait for the disk, but not for ever, and end them."""
        # What is wanted after this is not.
        self._stopped_ns = time.monotonic_ns()
        self._shared.stop()
        clock, ending = self._outside.clock, self._outside.ending
        end_ns = clock.mono_ns() + _GRACE_NS
        while not ending.is_set and self._writers.has_living and clock.mono_ns() < end_ns:
            ending.wait(min(clock.mono_ns() + NS_PER_S // 10, end_ns), self._writers.alive)
        self._writers.end()

    def _report(self) -> None:
        now = self._reading()
        self._outside.write(
            report.json_line(now, has_ended=False)
            if self._job.is_json
            else report.text_line(self._before, now, self._start_ns)
        )
        self._before = now

    def _reading(self) -> Reading:
        """Return the totals now; a writer that is held does not count what it loses: we do."""
        now_ns = time.monotonic_ns()
        until_ns = now_ns if self._stopped_ns is None else self._stopped_ns
        elapsed_ns = until_ns - self._start_ns
        lines: list[Counts] = []
        wanted = 0
        for number, pace in enumerate(self._paces):
            line = self._shared.counts(number)
            lost = pace.lost(elapsed_ns, line.written_bytes, line.lost_bytes)
            self._lost[number] = max(self._lost[number], lost)
            lines.append(line._replace(lost_bytes=self._lost[number]))
            wanted += pace.wanted_in_all(elapsed_ns, line.written_bytes, self._lost[number])
        return Reading(now_ns, added(lines), wanted)


@final
class _Events:
    """The end of the last writer, and of stdin where that is watched, as one descriptor."""

    def __init__(self, alive: int, *, watches_stdin: bool) -> None:
        self._epoll = select.epoll()
        self._epoll.register(alive, select.EPOLLIN | select.EPOLLHUP)
        self._watches = watches_stdin
        # A file or /dev/null can always be read: select says so at once, epoll refuses them.
        is_waitable = watches_stdin and not stat.S_ISREG(os.fstat(0).st_mode)
        if is_waitable:
            self._epoll.register(0, select.EPOLLIN | select.EPOLLHUP)

    def __enter__(self) -> _Events:
        return self

    def __exit__(self, *_: object) -> None:
        self._epoll.close()

    def fileno(self) -> int:
        """Return what can be waited for."""
        return self._epoll.fileno()

    def has_stdin_ended(self) -> bool:
        """Read what is there and throw it away; say whether that was the end."""
        while self._watches and select.select([0], [], [], 0)[0]:
            if not os.read(0, 65536):
                return True
        return False
