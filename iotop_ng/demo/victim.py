"""The victim: a small program that waits for its disk once a period, and says how long.

The main thread does nothing but work; another one speaks once a second, also while an operation
hangs. The pace is that of an open loop without catching up: an operation that comes late is the
first of a new beat. With a period of 0 the next one begins when the last has ended.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import select
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple, Protocol

from iotop_ng.clock import NS_PER_S, Clock
from iotop_ng.demo import oplog
from iotop_ng.demo.latencies import Figures, Latencies
from iotop_ng.demo.own_files import own_directory
from iotop_ng.demo.work import WORKS, Work
from iotop_ng.errors import IotopError, UsageError
from iotop_ng.units import clean, duration

COMM = "victim"


class Job(NamedTuple):
    """What a victim is asked to do."""

    directory: Path
    mode: str = "append"
    period_ns: int = 50_000_000
    size: int = 4096
    span: int = 64 << 20
    for_ns: int | None = None
    """None: until somebody ends it."""
    log: Path | None = None
    seed: int = 1
    is_json: bool = False
    until_stdin_ends: bool = False


class Ending(Protocol):
    """The wish to end, from outside."""

    @property
    def is_set(self) -> bool:
        """Whether it came."""
        ...

    def wait(self, until_ns: int, descriptor: int) -> None:
        """Return at a time of the clock, or before when the wish or something to read comes."""
        ...


class State:
    """What the working thread tells the speaking one."""

    def __init__(self) -> None:
        self.second = Latencies()
        self.whole = Latencies()
        self.errors = 0
        self.last_error = ""
        self.began_ns = 0
        """Of what is under way, CLOCK_MONOTONIC; 0: nothing is."""

    def add(self, latency_ns: int) -> None:
        """Count one that has ended."""
        # Whoever takes the second away meanwhile misses this one in it, never in the whole.
        self.second.add(latency_ns)
        self.whole.add(latency_ns)

    def take_second(self) -> Latencies:
        """Return what has ended since the last call."""
        taken, self.second = self.second, Latencies()
        return taken


def check(job: Job) -> None:
    """Raise UsageError where the numbers contradict each other."""
    if job.mode not in WORKS:
        raise UsageError(f"--mode: expected {', '.join(WORKS)}")
    if job.size < 1 or job.span < job.size:
        raise UsageError("--span: less than the --size of one operation")


def run(job: Job, ending: Ending, clock: Clock, write: Callable[[bytes], None]) -> None:
    """Work until the time is over or the ending comes, and report on the way.

    Args:
        job: what is done.
        ending: asked between operations, on the time of `clock`.
        clock: for the pace.
        write: takes the report: text lines, or JSON lines.

    Raises:
        IotopError: the files cannot be made, or the log cannot be written.
    """
    check(job)
    with own_directory(job.directory, COMM) as own, ExitStack() as stack:
        _set_comm()
        work = _begun(job, own)
        stack.callback(work.close)
        log = None if job.log is None else oplog.Writer(job.log)
        if log is not None:
            stack.callback(log.close)
        state, over = State(), threading.Event()
        speaker = Speaker(job, state, write)
        speaker.begin()
        thread = threading.Thread(target=speaker.speak, args=(over,), daemon=True)
        thread.start()
        try:
            Worker(job, work, log, state).work(ending, clock)
        finally:
            over.set()
            thread.join()
        speaker.end()


class Worker:
    """Does the work at its pace, and takes down how long each operation took."""

    def __init__(self, job: Job, work: Work, log: oplog.Writer | None, state: State) -> None:
        self._job = job
        self._work = work
        self._log = log
        self._state = state

    def work(self, ending: Ending, clock: Clock) -> None:
        """Go on until the time is over or the ending comes."""
        due_ns = clock.mono_ns()
        end_ns = None if self._job.for_ns is None else due_ns + self._job.for_ns
        while True:
            # What comes late is the first of a new beat.
            due_ns = max(due_ns, clock.mono_ns())
            if self._is_over(ending, clock, due_ns if end_ns is None else min(due_ns, end_ns)):
                return
            if end_ns is not None and clock.mono_ns() >= end_ns:
                return
            self._once()
            due_ns += self._job.period_ns

    def _is_over(self, ending: Ending, clock: Clock, until_ns: int) -> bool:
        """Wait until a time of the clock; say whether the ending came before."""
        watches_stdin = self._job.until_stdin_ends
        while not ending.is_set:
            if watches_stdin and _has_stdin_ended():
                return True
            if clock.mono_ns() >= until_ns:
                return False
            ending.wait(until_ns, 0 if watches_stdin else -1)
        return True

    def _once(self) -> None:
        log, state, mode = self._log, self._state, self._job.mode
        began_ns = time.monotonic_ns()
        if log is not None:
            log.begin(began_ns, mode)
        state.began_ns = began_ns
        try:
            self._work.do()
        except OSError as error:
            state.began_ns = 0
            state.errors += 1
            state.last_error = errno.errorcode.get(error.errno or 0, "EIO")
            if log is not None:
                log.fail(state.last_error)
            return
        latency_ns = time.monotonic_ns() - began_ns
        state.began_ns = 0
        state.add(latency_ns)
        if log is not None:
            log.end(latency_ns)


class Speaker:
    """Reports on a victim, once a second and at the end."""

    def __init__(self, job: Job, state: State, write: Callable[[bytes], None]) -> None:
        self._job = job
        self._state = state
        self._write = write
        self._started_ns = time.monotonic_ns()

    def begin(self) -> None:
        """Say what is going on."""
        job = self._job
        if job.is_json:
            about = {
                "pid": os.getpid(),
                "mode": job.mode,
                "directory": clean(str(job.directory)),
                "period_ns": job.period_ns,
                "size_bytes": job.size,
            }
            self._line({"victim": about})

    def speak(self, over: threading.Event) -> None:
        """Report every second until it is over."""
        due_ns = self._started_ns + NS_PER_S
        while not over.wait(max(due_ns - time.monotonic_ns(), 0) / NS_PER_S):
            now_ns = time.monotonic_ns()
            due_ns += max((now_ns - due_ns) // NS_PER_S + 1, 1) * NS_PER_S
            # A reader that has gone does not end the work.
            with contextlib.suppress(OSError, IotopError):
                self._report(self._state.take_second().figures(), now_ns, has_ended=False)

    def end(self) -> None:
        """Report on the whole time."""
        self._report(self._state.whole.figures(), time.monotonic_ns(), has_ended=True)

    def _report(self, figures: Figures, now_ns: int, *, has_ended: bool) -> None:
        state = self._state
        began_ns = state.began_ns
        waiting_ns = max(now_ns - began_ns, 0) if began_ns else None
        if self._job.is_json:
            self._line(
                {
                    "time_ns": now_ns,
                    "operations_total": state.whole.figures().operations,
                    "operations": figures.operations,
                    "errors_total": state.errors,
                    "last_error": state.last_error or None,
                    "p50_ns": figures.p50_ns,
                    "p99_ns": figures.p99_ns,
                    "max_ns": figures.max_ns,
                    "under_way_ns": waiting_ns,
                    "ended": has_ended,
                }
            )
            return
        seconds = (now_ns - self._started_ns) / NS_PER_S
        label = "in all" if has_ended else f"{seconds:.0f} s"
        self._write(f"{text(label, figures, waiting_ns, state)}\n".encode())

    def _line(self, record: dict[str, object]) -> None:
        self._write(json.dumps(record).encode("ascii") + b"\n")


def text(label: str, figures: Figures, waiting_ns: int | None, state: State) -> str:
    """Return one line for a person."""

    def shown(ns: int | None) -> str:
        return duration(None if ns is None else ns / 1000)

    parts = [f"{label:>7}  {figures.operations:5} operations"]
    parts += [f"p50 {shown(figures.p50_ns):>5}  p99 {shown(figures.p99_ns):>5}"]
    parts += [f"max {shown(figures.max_ns):>5}"]
    if waiting_ns is not None and waiting_ns >= NS_PER_S:
        parts += [f"waiting for {shown(waiting_ns)}"]
    if state.errors:
        parts += [f"{state.errors} failed ({state.last_error})"]
    return "  ".join(parts)


def _has_stdin_ended() -> bool:
    """Read what there is; say whether the other end is closed."""
    while select.select((0,), (), (), 0)[0]:
        if not os.read(0, 4096):
            return True
    return False


def _begun(job: Job, own: Path) -> Work:
    try:
        return WORKS[job.mode](own / "data", job.size, job.span, job.seed)
    except OSError as error:
        raise IotopError(f"{clean(str(job.directory), 200)}: {error.strerror}") from None


def _set_comm() -> None:
    """Take the name by which rules and screens know the victim."""
    with contextlib.suppress(OSError):
        Path("/proc/self/comm").write_text(COMM, encoding="ascii")
