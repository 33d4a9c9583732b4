"""An interactive shell does not notice that its job is held, and ^Z and fg work as ever."""

from __future__ import annotations

import os
import pty
import select
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import final

import pytest

from tests.kernel.acting import Acting, own_keeper
from tests.kernel.disks import Mounted
from tests.kernel.gate import wait_until
from tests.kernel.hogs import MB, Counted, state, tracers

pytestmark = pytest.mark.kernel

CAP = 2 * MB
PROMPT = "ready> "
CTRL_Z, CTRL_C = b"\x1a", b"\x03"


@final
class Shell:
    """An interactive bash on a terminal of its own."""

    def __init__(self) -> None:
        self.text = ""
        self._seen = 0
        self.pid, self._terminal = pty.fork()
        if self.pid == 0:
            try:
                # A job in the background ignores them, and what it starts would, too.
                for number in (signal.SIGINT, signal.SIGQUIT):
                    signal.signal(number, signal.SIG_DFL)
                environment = {"PS1": PROMPT, "TERM": "dumb", "PATH": os.environ["PATH"]}
                words = ["bash", "--norc", "--noprofile", "-i"]
                os.execve("/bin/bash", words, environment)  # noqa: S606 - it is the shell
            finally:
                os._exit(127)
        self.expect(PROMPT)

    def send(self, keys: bytes) -> None:
        """Press keys."""
        os.write(self._terminal, keys)

    def read(self, seconds: float) -> str:
        """Return what it writes within a time."""
        said, end = "", time.monotonic() + seconds
        while select.select([self._terminal], [], [], max(end - time.monotonic(), 0))[0]:
            said += os.read(self._terminal, 1 << 16).decode("utf-8", "replace")
        self.text += said
        return said

    def expect(self, what: str) -> str:
        """Wait until it has written something; return all from the last such time on."""

        def is_said() -> bool:
            self.read(0.05)
            return what in self.text[self._seen :]

        wait_until(is_said, f"the shell says {what!r}")
        end = self.text.index(what, self._seen) + len(what)
        said, self._seen = self.text[self._seen : end], end
        return said

    def do(self, command: str) -> str:
        """Run a command that ends; return what was written until the next prompt."""
        self.send(f"{command}\n".encode())
        return self.expect(PROMPT)

    def children(self) -> list[int]:
        """Return its jobs' processes."""
        path = Path(f"/proc/{self.pid}/task/{self.pid}/children")
        return [int(pid) for pid in path.read_text("ascii").split()]

    def close(self) -> None:
        """End it with all its jobs."""
        for pid in [*self.children(), self.pid]:
            os.kill(pid, signal.SIGKILL)
        os.close(self._terminal)
        os.waitpid(self.pid, 0)


@pytest.fixture
def shell() -> Iterator[Shell]:
    """Give an interactive bash."""
    made = Shell()
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def acting(memory_directory: Path, own_cache: None) -> Iterator[Acting]:  # noqa: ARG001
    """Give a client with a keeper of its own."""
    with own_keeper(memory_directory) as run, Acting(run) as made:
        yield made


@pytest.fixture
def job(
    workloads: Callable[[str], Path], ext4: Mounted, memory_directory: Path
) -> Iterator[tuple[str, Counted]]:
    """Give the command of a hog that is yet to be run, and what it will count."""
    counted = Counted(memory_directory / "counts")
    yield f"{workloads('hog')} write {ext4.path}/file {counted.path} span={16 * MB}", counted
    counted.close()


def job_pid(shell: Shell) -> int:
    """Return the pid of the shell's only child."""
    wait_until(lambda: bool(shell.children()), "the shell has started it")
    (pid,) = shell.children()
    return pid


def test_a_held_job_stops_and_goes_on_as_its_user_wants(
    shell: Shell, job: tuple[str, Counted], acting: Acting
) -> None:
    """In the foreground: not a character on the terminal, then ^Z, then fg, then release."""
    command, counted = job
    shell.send(f"{command}\n".encode())
    wait_until(lambda: counted.counts().bytes > 0, "it writes")
    pid = job_pid(shell)
    shell.read(0.2)

    policy = acting.apply(pid, CAP)
    silent = shell.read(2)
    shell.send(CTRL_Z)
    shell.expect("Stopped")
    shell.expect(PROMPT)
    wait_until(lambda: state(pid) in {"T", "t"}, "it is stopped")
    stopped_at = counted.counts().bytes
    time.sleep(0.5)
    while_stopped = counted.counts().bytes - stopped_at
    jobs = shell.do("jobs")
    shell.send(b"fg\n")
    wait_until(lambda: counted.counts().bytes > stopped_at, "it goes on")
    shell.read(0.2)
    began, at = counted.counts().bytes, time.monotonic()
    silent_again = shell.read(2)
    rate = (counted.counts().bytes - began) / (time.monotonic() - at)
    acting.release(policy)
    silent_after = shell.read(0.5)
    shell.send(CTRL_C)
    shell.expect(PROMPT)

    assert (silent, silent_again, silent_after) == ("", "", "")
    assert while_stopped == 0
    assert "Stopped" in jobs
    assert 0.9 < rate / CAP < 1.1


def test_a_held_job_in_the_background_is_running_for_its_shell(
    shell: Shell, job: tuple[str, Counted], acting: Acting
) -> None:
    """The shell is told nothing, and `jobs` says so."""
    command, counted = job
    shell.do(f"{command} &")
    wait_until(lambda: counted.counts().bytes > 0, "it writes")
    pid = job_pid(shell)
    acting.apply(pid, CAP // 8)
    wait_until(lambda: state(pid) == "t", "it is held")

    silent = shell.read(1)
    jobs = shell.do("jobs")
    echoed = shell.do("echo done")
    traced = set(tracers(pid).values())
    killed = shell.do("kill %1; wait %1")

    assert silent == ""
    assert "Running" in jobs
    assert "Stopped" not in jobs + echoed
    assert traced != {0}
    assert "Terminated" in killed or "Done" in killed
