"""A program of ours that runs beside us: its lines, and an end of it that is certain."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import IO

import iotop_ng
from iotop_ng.demo import kernel
from iotop_ng.errors import IotopError
from iotop_ng.units import clean

END_S = 10.0
"""How long one may take to undo what it did."""
_HOME = Path(iotop_ng.__file__).resolve().parents[1]


class Child:
    """`iotop-ng ARGUMENTS`. It dies with us, and its stdin ends with us.

    Args:
        name: for messages.
        arguments: of iotop-ng; paths in them are absolute.
    """

    def __init__(self, name: str, arguments: Sequence[str]) -> None:
        self.name = name
        self._parts = {"out": b"", "err": b""}
        self._last_words = ""
        # -m looks for the package where it starts, which must not be where anybody can put one.
        # A session of its own: Ctrl-C is for us, and we end the others in good order.
        self._process = subprocess.Popen(
            [sys.executable, "-m", "iotop_ng", *arguments],
            cwd=_HOME,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            preexec_fn=partial(kernel.die_with, os.getpid()),  # noqa: PLW1509 - only prctl(2)
        )
        for pipe in (self._process.stdout, self._process.stderr):
            os.set_blocking(_descriptor(pipe), False)

    def __enter__(self) -> Child:  # noqa: PYI034 - typing.Self needs Python 3.11
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.end()

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        """Whether it is gone."""
        return self._process.poll() is not None

    def fileno(self) -> int:
        """Return what can be read when it prints something."""
        return _descriptor(self._process.stdout)

    def lines(self) -> list[bytes]:
        """Return what it has printed since the last call, whole lines."""
        return self._lines("out", self._process.stdout)

    def said(self) -> list[str]:
        """Return the same of what it says on stderr."""
        lines = self._lines("err", self._process.stderr)
        said = [clean(line, 500).removeprefix("iotop-ng: ") for line in lines]
        self._last_words = said[-1] if said else self._last_words
        return said

    def check(self) -> None:
        """Raise IotopError when it has ended by itself, with its last words."""
        status = self._process.poll()
        if status is not None:
            self.said()
            why = f": {self._last_words}" if self._last_words else ""
            raise IotopError(f"the {self.name} has ended by itself ({status}){why}")

    def end(self) -> None:
        """Ask it to end, and wait until it has, with all that it undoes; twice is fine."""
        process = self._process
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
            try:
                # Who waits for a reader would not end.
                out, err = process.communicate(timeout=END_S)
            except subprocess.TimeoutExpired:
                process.kill()
                out, err = process.communicate()
            self._parts["out"] += out
            self._parts["err"] += err
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()

    def _lines(self, which: str, pipe: IO[bytes] | None) -> list[bytes]:
        data = self._parts[which]
        if pipe is not None and not pipe.closed:
            with contextlib.suppress(BlockingIOError):
                while piece := os.read(pipe.fileno(), 1 << 16):
                    data += piece
        *lines, self._parts[which] = data.split(b"\n")
        return lines


def _descriptor(pipe: IO[bytes] | None) -> int:
    if pipe is None:
        raise AssertionError("it was started with pipes")
    return pipe.fileno()
