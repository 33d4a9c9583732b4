"""What the benchmarks share: programs on a real terminal, their CPU time, interleaving, tables."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import shutil
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, TypeVar, final

HERE = Path(__file__).resolve().parent
COLUMNS, ROWS = 200, 60
NS_PER_S = 1_000_000_000
IOTOP_NG = (sys.executable, "-m", "iotop_ng")

_T = TypeVar("_T")


class Window(NamedTuple):
    """What a program used while it was watched."""

    seconds: float
    cpu_s: float
    """Of the whole process tree, also of threads and children that ended meanwhile."""
    peak_mib: float
    """Largest resident size so far, summed over the tree."""
    resident_mib: float
    """Resident size at the end, summed over the tree."""
    written_bytes: int
    """What it wrote to its terminal."""


def process_tree(pid: int) -> list[int]:
    """Return a process and its living descendants."""
    found, todo = [], [pid]
    while todo:
        parent = todo.pop()
        found.append(parent)
        for children in Path(f"/proc/{parent}/task").glob("*/children"):
            todo += [int(child) for child in _read(children).split()]
    return found


def cpu_ns(pid: int) -> int:
    """Return the CPU time of a process tree, ns.

    The process clock counts what schedstat counts (sum_exec_runtime), summed over its threads, also
    those that ended; children that ended and were waited for are added from stat, in ticks.
    """
    total = 0
    tick_ns = NS_PER_S // os.sysconf("SC_CLK_TCK")
    for member in process_tree(pid):
        try:
            # CPUCLOCK_SCHED of another process: include/linux/posix-timers.h.
            total += time.clock_gettime_ns((~member << 3) | 2)
        except OSError:
            continue
        fields = _read(Path(f"/proc/{member}/stat")).rpartition(") ")[2].split()
        if fields:
            total += (int(fields[13]) + int(fields[14])) * tick_ns
    return total


def memory_mib(pid: int, field: str) -> float:
    """Return VmRSS or VmHWM of a process tree, MiB."""
    kib = 0
    for member in process_tree(pid):
        for line in _read(Path(f"/proc/{member}/status")).splitlines():
            if line.startswith(f"{field}:"):
                kib += int(line.split()[1])
    return kib / 1024


def _read(path: Path) -> str:
    """Return a file of /proc, "" when its process is gone."""
    try:
        return path.read_text()
    except OSError:
        return ""


@final
class Program:
    """A program that runs on its own terminal of 200 x 60, or with its output thrown away."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        on_terminal: bool = True,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Start it."""
        variables = {**os.environ, "TERM": "xterm-256color", **(environment or {})}
        for name in ("COLUMNS", "LINES", "NO_COLOR"):
            variables.pop(name, None)
        self.written_bytes = 0
        self._terminal = -1
        self._is_closed = False
        self.started = time.monotonic()
        if on_terminal:
            self.pid, self._terminal = pty.fork()
            if self.pid == 0:
                try:
                    size = struct.pack("HHHH", ROWS, COLUMNS, 0, 0)
                    fcntl.ioctl(0, termios.TIOCSWINSZ, size)
                    os.execvpe(command[0], list(command), variables)
                finally:
                    os._exit(127)
        else:
            self._process = subprocess.Popen(
                command,
                env=variables,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            self.pid = self._process.pid

    def __enter__(self) -> Program:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def send(self, keys: bytes) -> None:
        """Press keys."""
        os.write(self._terminal, keys)

    def read(self, timeout_s: float) -> bytes:
        """Return what it writes next; b"" when it stays silent that long.

        Raises:
            EOFError: when it ended.
        """
        ready, _, _ = select.select([self._terminal], [], [], timeout_s)
        if not ready:
            return b""
        try:
            data = os.read(self._terminal, 1 << 16)
        except OSError:  # EIO: the other side was closed
            data = b""
        if not data:
            raise EOFError("the program ended")
        self.written_bytes += len(data)
        return data

    def watch(self, seconds: float, until: Callable[[bytes], bool] | None = None) -> bytes:
        """Read for some seconds, or until the text so far satisfies `until`; return the text.

        Raises:
            EOFError: with the end of what it wrote, when it ended.
        """
        end = time.monotonic() + seconds
        text = b""
        while (left := end - time.monotonic()) > 0:
            if self._terminal < 0:
                time.sleep(left)
                if self._process.poll() is not None:
                    raise EOFError("the program ended")
                break
            try:
                data = self.read(left)
            except EOFError:
                raise EOFError(text[-2000:].decode("utf-8", "replace")) from None
            text += data
            if data and until is not None and until(text):
                break
        return text

    def use(self, seconds: float) -> Window:
        """Watch it and return what it used."""
        cpu, written, start = cpu_ns(self.pid), self.written_bytes, time.monotonic()
        self.watch(seconds)
        return Window(
            seconds=time.monotonic() - start,
            cpu_s=(cpu_ns(self.pid) - cpu) / NS_PER_S,
            peak_mib=memory_mib(self.pid, "VmHWM"),
            resident_mib=memory_mib(self.pid, "VmRSS"),
            written_bytes=self.written_bytes - written,
        )

    def close(self) -> None:
        """End it: q, then SIGTERM, then SIGKILL. Twice is fine."""
        if self._is_closed:
            return
        self._is_closed = True
        for signal_number in (None, signal.SIGTERM, signal.SIGKILL):
            try:
                if signal_number is not None:
                    os.kill(self.pid, signal_number)
                elif self._terminal >= 0:
                    os.write(self._terminal, b"q")
                else:
                    continue
            except OSError:
                pass
            if self._has_ended(3.0):
                break
        if self._terminal >= 0:
            os.close(self._terminal)
            self._terminal = -1

    def _has_ended(self, patience_s: float) -> bool:
        """Wait for it, reading what it writes last, so that it is not held up by us."""
        end = time.monotonic() + patience_s
        while time.monotonic() < end:
            if self._terminal < 0:
                if self._process.poll() is not None:
                    return True
                time.sleep(0.02)
                continue
            if os.waitpid(self.pid, os.WNOHANG)[0]:
                return True
            try:
                self.read(0.05)
            except EOFError:
                time.sleep(0.02)
        return False


@final
class Crowd:
    """Idle and busy processes (see crowd.c) in the background."""

    def __init__(self, idle: int, busy: int) -> None:
        """Choose how many; nothing runs yet."""
        self.idle = idle
        self.busy = busy
        self._directory = tempfile.TemporaryDirectory(prefix="iotop-ng-bench-")

    def __enter__(self) -> Crowd:
        command = compiled("crowd", Path(self._directory.name)) or [
            sys.executable,
            str(HERE / "crowd.py"),
        ]
        self._process = subprocess.Popen(
            [*command, str(self.idle), str(self.busy), self._directory.name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._process.stdout is not None
        if self._process.stdout.readline().strip() != b"ready":
            raise SystemExit(f"cannot start {self.idle + self.busy} processes here")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # Its children have PR_SET_PDEATHSIG.
        self._process.communicate()
        self._directory.cleanup()


def compiled(name: str, directory: Path) -> list[str] | None:
    """Compile tests/bench/NAME.c into a directory; return its command, None without a compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        return None
    program = directory / name
    subprocess.run([compiler, "-O2", "-o", program, HERE / f"{name}.c"], check=True)
    return [str(program)]


def installed(*names: str) -> str | None:
    """Return the path of the first of these programs that is installed, also in sbin."""
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    return next((found for name in names if (found := shutil.which(name, path=path))), None)


def interleaved(things: Sequence[_T], rounds: int) -> Iterator[_T]:
    """Give every thing once per round, each round starting with another one.

    What the machine does meanwhile then falls on all of them alike.
    """
    for number in range(rounds):
        start = number % len(things)
        yield from things[start:]
        yield from things[:start]


def median(values: Sequence[float]) -> float:
    """Return the median; nan for none."""
    return statistics.median(values) if values else float("nan")


def spread(values: Sequence[float], digits: int = 2) -> str:
    """Return "median [least..most]"."""
    if not values:
        return "-"
    return f"{median(values):.{digits}f} [{min(values):.{digits}f}..{max(values):.{digits}f}]"


def goal(name: str, measured: float, limit: float, unit: str = "x") -> str:
    """Return one line: what was measured beside what was wanted."""
    verdict = "met" if measured <= limit else "MISSED"
    return f"  {name:<58} {measured:8.3f} {unit:<4} (goal <= {limit:g} {unit}: {verdict})"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return aligned columns, the first to the left, the others to the right."""
    lines = [header, *rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )
