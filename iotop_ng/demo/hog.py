"""The log generator: a supervisor that reports, and a crew that does nothing but write.

The crew counts in memory that it shares with the supervisor, so it may be held, stopped or refused,
and the reports go on. The supervisor's death is theirs.
"""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import NamedTuple, Protocol, final

from iotop_ng.clock import NS_PER_S, Clock
from iotop_ng.demo import leftovers, report, space
from iotop_ng.demo.counts import Counts, added
from iotop_ng.demo.crew import Crew, Task, Writers
from iotop_ng.demo.fio import FioCrew, fio_program
from iotop_ng.demo.modes import Layout
from iotop_ng.demo.own_files import own_directory
from iotop_ng.demo.report import About, Reading
from iotop_ng.demo.space import Space
from iotop_ng.errors import IotopError

_NAME = "hog"
_GRACE_NS = 2 * NS_PER_S
"""For writers that were told to stop, to wait for the disk; then they are killed."""


class Job(NamedTuple):
    """What a hog is asked to do."""

    directory: Path
    layout: Layout
    rate: int | None
    """Bytes per second of all writers; None: all that the disk takes."""
    behind_bytes: int | None
    """What may be under way to the disk at the same time, of all writers; None: half a second's."""
    for_ns: int
    calls: int | None
    """Of all writers; None: until the time is over."""
    seed: int
    stops_at_error: bool
    uses_fio: bool
    until_stdin_ends: bool
    is_json: bool


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
    room: Callable[[Path], Space] = space.space
    now_ns: Callable[[], int] = time.monotonic_ns
    """CLOCK_MONOTONIC, for the reports."""


def run(job: Job, outside: Outside) -> None:
    """Write until the time is over or the ending comes, and report on the way.

    Raises:
        IotopError: there is too little room, files cannot be made, writes are refused and it
            should stop then, or all writers were ended by somebody else.
    """
    fio = fio_program() if job.uses_fio else None
    for path in leftovers.remove(job.directory, f"iotop-ng-{_NAME}-"):
        outside.say(f"removed {path}, which a hog that was killed had left")
    space.require(job.directory, outside.room(job.directory), job.layout.span_bytes)
    kind = space.kind(job.directory)
    if note := space.NOTES.get(kind):
        outside.say(f"{job.directory} {note}")
    with own_directory(job.directory, _NAME) as own, ExitStack() as stack:
        stack.enter_context(leftovers.held(own))
        task = Task(
            directory=own,
            layout=job.layout,
            rate=job.rate,
            behind_bytes=job.behind_bytes,
            calls=job.calls,
            seed=job.seed,
            stops_at_error=job.stops_at_error,
            has_ranges=kind in space.RANGES,
        )
        crew = Writers(task, stack) if fio is None else FioCrew(task, stack, fio)
        Supervisor(job, outside, crew).run()


@final
class Supervisor:
    """Waits, reports once a second, and says when it is over."""

    def __init__(self, job: Job, outside: Outside, crew: Crew) -> None:
        self._job = job
        self._outside = outside
        self._crew = crew
        self._start_ns = crew.start_ns
        self._stopped_ns: int | None = None
        self._lost = [0] * len(crew.paces)
        self._before = Reading(crew.start_ns, added([]), 0)

    def run(self) -> None:
        """Report until it is over, and once more when the writers are gone.

        Raises:
            IotopError: it ended before its time, and not by the wish of who started it.
        """
        job, outside = self._job, self._outside
        about = About(
            os.getpid(),
            self._crew.pids,
            job.layout.mode.name,
            job.directory,
            job.rate,
            self._start_ns,
        )
        outside.write(
            report.first_json(about)
            if job.is_json
            else report.first_text(about, job.layout.mode.text)
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
        with _Events(self._crew.alive, watches_stdin=self._job.until_stdin_ends) as events:
            while not ending.is_set and clock.mono_ns() < end_ns:
                ending.wait(min(due_ns, end_ns), events.fileno())
                if events.has_stdin_ended():
                    return ""
                if not self._crew.has_living():
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
        if problem := self._crew.problem():
            return problem
        counts = self._reading().counts
        if self._job.stops_at_error and counts.errors:
            return f"a write was refused: {report.errno_name(counts.last_errno)}"
        return ""

    def _too_little_room(self) -> str:
        room = self._outside.room(self._job.directory)
        try:
            space.require(self._job.directory, room, 0)
        except IotopError as error:
            return f"stopped: {error}"
        return ""

    def _wind_up(self) -> None:
        """Let the writers wait for the disk, but not for ever, and end them."""
        # What is wanted after this is not.
        self._stopped_ns = self._outside.now_ns()
        self._crew.stop()
        clock, ending = self._outside.clock, self._outside.ending
        end_ns = clock.mono_ns() + _GRACE_NS
        while not ending.is_set and self._crew.has_living() and clock.mono_ns() < end_ns:
            ending.wait(min(clock.mono_ns() + NS_PER_S // 10, end_ns), self._crew.alive)
        self._crew.end()

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
        now_ns = self._outside.now_ns()
        until_ns = now_ns if self._stopped_ns is None else self._stopped_ns
        elapsed_ns = until_ns - self._start_ns
        lines: list[Counts] = []
        wanted = 0
        for number, (pace, line) in enumerate(
            zip(self._crew.paces, self._crew.counts(), strict=True)
        ):
            lost = pace.lost(elapsed_ns, line.written_bytes, line.lost_bytes)
            self._lost[number] = max(self._lost[number], lost)
            lines.append(line._replace(lost_bytes=self._lost[number]))
            # They may have written, and wanted, a little more since we looked at the clock.
            had = line.written_bytes + self._lost[number]
            wanted += max(
                pace.wanted_in_all(elapsed_ns, line.written_bytes, self._lost[number]), had
            )
        return Reading(now_ns, added(lines), wanted)


@final
class _Events:
    """The end of the last writer, and of stdin where that is watched, as one descriptor."""

    def __init__(self, alive: int, *, watches_stdin: bool) -> None:
        self._epoll = select.epoll()
        self._epoll.register(alive, select.EPOLLIN | select.EPOLLHUP)
        self._watches = watches_stdin
        if watches_stdin:
            # epoll refuses files and /dev/null, which can be read at any time, as select knows.
            with suppress(PermissionError):
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
