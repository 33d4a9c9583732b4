"""Workloads that wait at a gate: workloads/gate.h."""

from __future__ import annotations

import os
import select
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import final

from iotop_ng.sources.programs import DETACHING
from tests.kernel.counts import ProcIo, proc_io

PATIENCE_S = 60.0


@final
class Workload:
    """A process that is started, let through the gate, seen when it is done, and ended.

    Args:
        command: the program, which includes gate.h, and its arguments.
    """

    def __init__(self, *command: str | Path | int) -> None:
        self._command = [str(part) for part in command]
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self.pid = self._process.pid
        self.output = b""

    def __enter__(self) -> Workload:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process.returncode is None:
            self._process.kill()
            self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def let_through(self, gates: int = 1) -> None:
        """Open the gate, or several."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"." * gates)
        self._process.stdin.flush()

    def wait_done(self) -> None:
        """Wait until the work is done; the process is still alive then."""
        assert self._process.stdout is not None
        stdout = self._process.stdout.fileno()
        end = time.monotonic() + PATIENCE_S
        while select.select([stdout], [], [], max(end - time.monotonic(), 0))[0]:
            piece = os.read(stdout, 1 << 16)
            if not piece:
                return
            self.output += piece
        raise TimeoutError(f"{self._command} is not done after {PATIENCE_S:.0f} s")

    def run(self) -> None:
        """Let it do its work, wait until that is done; it is still alive then."""
        self.let_through()
        self.wait_done()

    def io(self) -> ProcIo:
        """Return /proc/PID/io now."""
        return proc_io(self.pid)

    def end(self) -> None:
        """Let it end, and wait until it has."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        assert self._process.wait(PATIENCE_S) == 0


def wait_until(claim: Callable[[], bool], what: str, patience_s: float = 10.0) -> None:
    """Wait until a claim holds.

    Raises:
        TimeoutError: when it does not within `patience_s`.
    """
    end = time.monotonic() + patience_s
    while not claim():
        if time.monotonic() > end:
            raise TimeoutError(f"not within {patience_s:.0f} s: {what}")
        time.sleep(0.01)


def wait_until_detached() -> None:
    """Wait for the thread that lets programs on demand go (the kernel takes its time)."""
    for thread in threading.enumerate():
        if thread.name == DETACHING:
            thread.join(30)
            assert not thread.is_alive()
