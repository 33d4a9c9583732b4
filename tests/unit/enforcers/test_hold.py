"""What hold decides before it acts."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from iotop_ng.enforcers.hold import choose_signal, uses_io_uring

URGENT = "signal.signal(signal.SIGURG, lambda *_: None)"
WINCH = "signal.signal(signal.SIGWINCH, lambda *_: None)"


@contextmanager
def program(setup: str = "") -> Iterator[int]:
    """Run a child that has done `setup`."""
    script = f"import signal, sys\n{setup}\nprint(flush=True)\nsys.stdin.read()"
    child = subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert child.stdout is not None
    assert child.stdin is not None
    try:
        child.stdout.readline()
        yield child.pid
    finally:
        child.stdin.close()
        child.wait()
        child.stdout.close()


@pytest.mark.parametrize(
    ("setups", "expected"),
    [
        (["pass"], signal.SIGURG),
        ([WINCH], signal.SIGURG),
        ([URGENT], signal.SIGWINCH),
        (["pass", URGENT], signal.SIGWINCH),
        ([f"{URGENT};{WINCH}"], signal.SIGURG),
        ([], signal.SIGURG),
    ],
)
def test_signal_is_one_that_the_target_does_not_wait_for(
    setups: list[str], expected: signal.Signals
) -> None:
    """Of several programs none may; when they wait for both, si_code tells them apart."""
    with ExitStack() as stack:
        pids = [stack.enter_context(program(setup)) for setup in setups]

        assert choose_signal(pids) == expected


def test_a_process_that_is_gone_has_no_signals_and_no_rings() -> None:
    """It is gone between the look and the act."""
    child = subprocess.Popen(["true"])
    child.wait()

    assert choose_signal([child.pid]) == signal.SIGURG
    assert not uses_io_uring(child.pid)


def test_a_plain_program_uses_no_io_uring() -> None:
    """Its descriptors are pipes."""
    with program() as pid:
        assert not uses_io_uring(pid)
