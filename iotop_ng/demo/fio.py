"""fio in the place of our own writers: the nearest job for each mode, its status as our counts.

fio runs as threads of one process per process of the mode, so that its end is the end of all of it.
Its files, its rate and what may be under way to the disk are ours; it waits for the disk after so
many writes, where our own writers have one part under way while they write the next.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple, final

from iotop_ng.demo.counts import NOTHING, Counts
from iotop_ng.demo.crew import COMM, LEAST_BEHIND, Children, Task, make_files
from iotop_ng.demo.pacing import Pace
from iotop_ng.errors import IotopError, UsageError

_LONGEST_S = 8 * 86400
"""We end it: a hog lives a week at most."""
_GOES_ON = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EPERM, errno.EAGAIN)
"""What a policy may refuse a write with."""


def fio_program() -> str:
    """Return the path of fio.

    Raises:
        IotopError: it is not installed.
    """
    found = shutil.which("fio")
    if found is None:
        raise IotopError("--engine fio: fio is not installed here; apt install fio")
    return found


def arguments(task: Task, files: list[Path], first: int) -> list[str]:
    """Return the command line for one process.

    Args:
        task: what is to be done.
        files: one for each of its threads.
        first: the number of its first stream.
    """
    mode, layout = task.layout.mode, task.layout
    options = {
        "thread": "1", "group_reporting": "1", "eta": "never", "output-format": "json",
        "status-interval": "500ms", "ioengine": "psync", "rw": "write", "fallocate": "none",
        "size": str(layout.file_bytes), "bs": str(mode.record_bytes), "refill_buffers": "1",
        "randseed": str(task.seed * layout.streams + first),
    }  # fmt: skip
    options |= _sync(task)
    if task.calls is None:
        options |= {"time_based": "1", "runtime": str(_LONGEST_S)}
    if not task.stops_at_error:
        options |= {
            "continue_on_error": "write",
            "ignore_error": "," + ":".join(str(number) for number in _GOES_ON),
        }
    if mode.pulse_ns:
        pulse = f"{mode.pulse_ns // 1000}us"
        options |= {"thinktime": pulse, "thinktime_iotime": pulse, "rate_ignore_thinktime": "1"}
    words = [f"--{name}={value}" for name, value in options.items()]
    for stream, path in enumerate(files, first):
        words += [f"--name={COMM}", f"--filename={_quoted(path)}"]
        if task.rate is not None:
            factor = 2 if mode.pulse_ns else 1
            words += [f"--rate=,{task.share(task.rate, stream) * factor}"]
        if task.calls is not None:
            words += [f"--io_size={task.share(task.calls, stream) * mode.record_bytes}"]
    return words


def _sync(task: Task) -> dict[str, str]:
    """Return how it waits for the disk: before a page is written again, it has it."""
    mode, layout = task.layout.mode, task.layout
    if mode.is_synced:
        return {"fsync": "1"}
    behind = LEAST_BEHIND if task.behind_bytes is None else task.behind_bytes
    portion = max(behind // layout.streams, layout.chunk_bytes)
    calls = min(portion, layout.file_bytes // 2) // mode.record_bytes
    if not task.has_ranges:
        return {"fdatasync": str(calls)}
    return {"sync_file_range": f"wait_before,write,wait_after:{calls}"}


def _quoted(path: Path) -> str:
    # fio takes a colon for the end of a name.
    return str(path).replace("\\", "\\\\").replace(":", "\\:")


class Status(NamedTuple):
    """The last whole status in what fio has said, and where the rest begins."""

    counts: Counts | None
    rest: str


def parse(text: str) -> Status:
    """Read status objects, one after the other; what is not whole yet is the rest."""
    decoder = json.JSONDecoder()
    counts = None
    while True:
        # fio says other things between the objects, such as that a file will be laid out.
        start = text.find("{\n")
        if start < 0:
            return Status(counts, text[-1:])
        try:
            found, length = decoder.raw_decode(text[start:])
        except ValueError:
            return Status(counts, text[start:])
        counts = _counts(found) or counts
        text = text[start + length :]


def _counts(found: dict[str, Any]) -> Counts | None:
    try:
        job = found["jobs"][0]
        write = job["write"]
        written, calls = int(write["io_bytes"]), int(write["total_ios"])
        errors = int(job.get("total_err", 0)) or int(bool(job.get("error", 0)))
        last = int(job.get("first_error", 0)) or int(job.get("error", 0))
    except (KeyError, IndexError, TypeError, ValueError):
        return None
    return Counts(written, calls, errors, last if errors else 0, 0)


@final
class FioCrew:
    """A crew of fio processes, each under our name."""

    def __init__(self, task: Task, stack: ExitStack, program: str) -> None:
        threads = task.layout.threads
        if task.calls is not None and task.calls < task.layout.streams:
            raise UsageError(f"--calls: fio needs one for each of {task.layout.streams} writers")
        files = [path for path, _ in make_files(task, stack)]
        # The name of the link is the process's.
        link = task.directory / COMM
        link.symlink_to(program)
        self._record = task.layout.mode.record_bytes
        self._outputs: list[int] = []
        self._texts = [""] * task.layout.processes
        self._counts = [NOTHING] * task.layout.processes
        self.paces = [_pace(task, i * threads) for i in range(task.layout.processes)]
        works = []
        for i in range(task.layout.processes):
            reading, writing = os.pipe2(os.O_CLOEXEC)
            os.set_blocking(reading, False)
            stack.callback(os.close, reading)
            stack.callback(os.close, writing)
            self._outputs.append(reading)
            mine = files[i * threads : (i + 1) * threads]
            works.append(_Start(link, arguments(task, mine, i * threads), writing))
        self.start_ns = time.monotonic_ns()
        self._children = Children([start.run for start in works])
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
        """Return what each process has done, half a second ago at most."""
        for number, output in enumerate(self._outputs):
            text = self._texts[number] + _available(output).decode("utf-8", "replace")
            status = parse(text)
            self._texts[number] = status.rest
            if status.counts is not None:
                refused = status.counts.errors * self._record
                self._counts[number] = status.counts._replace(lost_bytes=refused)
        return self._counts

    def has_living(self) -> bool:
        """Say whether one of them is still there."""
        return self._children.has_living()

    def stop(self) -> None:
        """Tell them to say their last status, and to end."""
        self._children.tell(signal.SIGTERM)

    def end(self) -> None:
        """Kill and reap those that are left."""
        self._children.end()


class _Start(NamedTuple):
    """How one fio begins."""

    program: Path
    arguments: list[str]
    output: int

    def run(self) -> None:
        """Become it."""
        os.dup2(self.output, 1)
        # It would wait for a terminal's keys.
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.chdir(self.program.parent)
        os.execv(self.program, [COMM, *self.arguments])  # noqa: S606 - fio itself, no shell


def _pace(task: Task, first: int) -> Pace:
    """Return the pace of all threads of one process."""
    if task.rate is None:
        return Pace(None, task.layout.mode.pulse_ns)
    streams = range(first, first + task.layout.threads)
    rate = sum(task.share(task.rate, stream) for stream in streams)
    return Pace(rate, task.layout.mode.pulse_ns)


def _available(fd: int) -> bytes:
    """Read what is there."""
    pieces = b""
    while True:
        try:
            piece = os.read(fd, 1 << 20)
        except OSError as error:
            if error.errno == errno.EAGAIN:
                return pieces
            raise
        if not piece:
            return pieces
        pieces += piece
