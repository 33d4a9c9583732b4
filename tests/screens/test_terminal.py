"""The terminal is left as it was, for every way of ending, on a real pty."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import shlex
import signal
import struct
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pyte
import pytest

ROOT = Path(__file__).resolve().parents[2]
TINY_APP = """
import sys
from textual.app import App
from textual.widgets import Static
from iotop_ng.view import terminal
from iotop_ng.view.framediff import FrameDiffMixin

class Tiny(FrameDiffMixin, App):
    BINDINGS = [("q", "quit", "q"), ("ctrl+c", "quit", "c"), ("ctrl+z", "suspend_process", "z"),
                ("x", "fail", "x"), ("h", "hang", "h")]
    low_bandwidth = sys.argv[1:] == ["--low-bandwidth"]
    def compose(self):
        yield Static("here it is")
    def action_fail(self):
        raise ValueError("on purpose")
    def action_hang(self):
        import time
        while True:
            time.sleep(0.1)

app = Tiny()
guard = terminal.install(app)
try:
    app.run()
finally:
    guard.restore()
sys.exit(app.return_code)
"""
FAILING_APP = """
import sys
from iotop_ng.__main__ import main
from iotop_ng.view.app import IotopApp

def fail(app):
    raise ValueError("on purpose")

IotopApp.do_redraw = fail
sys.argv = ["iotop-ng", "--source", "procfs"]
sys.exit(main())
"""
APPS = {
    "tiny": ([sys.executable, "-c", TINY_APP], "here it is"),
    "tiny, low bandwidth": ([sys.executable, "-c", TINY_APP, "--low-bandwidth"], "here it is"),
    "iotop-ng": ([sys.executable, "-m", "iotop_ng", "--source", "procfs"], "COMMAND"),
}
MODE = re.compile(rb"\x1b\[\?([0-9;]+)([hl])")
KITTY_PUSH = re.compile(rb"\x1b\[>[0-9]+u")
KITTY_POP = b"\x1b[<u"
ON_AT_FIRST = {"7", "25"}
"""Line wrap and the cursor; every other mode is off in a fresh terminal."""


class Terminal:
    """A program on a pty of its own, watched through pyte."""

    def __init__(self, argv: list[str], **environ: str) -> None:
        self.screen = pyte.Screen(100, 24)
        self.stream = pyte.ByteStream(self.screen)
        self.output = b""
        master, slave = pty.openpty()
        self.fd = master
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
        self.attributes = termios.tcgetattr(slave)
        self.pid = os.fork()
        if self.pid == 0:
            os.login_tty(slave) if sys.version_info >= (3, 11) else _login_tty(slave)
            os.chdir(ROOT)
            clean = {key: os.environ[key] for key in ("PATH", "HOME") if key in os.environ}
            environ = {**clean, "TERM": "xterm-256color", **environ}
            os.execve(argv[0], argv, environ)  # noqa: S606 - a shell would be in between
        self._slave = slave  # kept open, so that its settings can be read after the program
        self.status: int | None = None

    def read(self, seconds: float = 0.1) -> None:
        """Take what the program wrote."""
        if select.select([self.fd], [], [], seconds)[0]:
            with contextlib.suppress(OSError):
                data = os.read(self.fd, 65536)
                self.output += data
                # pyte 0.8.2 draws the "u" of the kitty sequences.
                self.stream.feed(KITTY_PUSH.sub(b"", data).replace(KITTY_POP, b""))

    def until(self, claim: Callable[[], bool], what: str, seconds: float = 20) -> None:
        """Read until the claim holds."""
        end = time.monotonic() + seconds
        while not claim():
            if time.monotonic() > end:
                raise AssertionError(f"not in time: {what}\n" + "\n".join(self.screen.display))
            self.read()

    def shows(self, text: str) -> bool:
        return any(text in line for line in self.screen.display)

    def stopped(self) -> bool:
        pid, status = os.waitpid(self.pid, os.WNOHANG | os.WUNTRACED)
        return pid != 0 and os.WIFSTOPPED(status)

    def ended(self) -> bool:
        if self.status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.status = os.waitstatus_to_exitcode(status)
        return self.status is not None

    def drain(self) -> None:
        """Read what is left after the program ended."""
        while select.select([self.fd], [], [], 0.2)[0]:
            before = len(self.output)
            self.read()
            if len(self.output) == before:
                break

    def left_on(self) -> dict[str, bool]:
        """Return the modes that differ from a fresh terminal's."""
        modes: dict[str, bool] = {}
        for match in MODE.finditer(self.output):
            for mode in match[1].decode().split(";"):
                modes[mode] = match[2] == b"h"
        return {mode: on for mode, on in modes.items() if on != (mode in ON_AT_FIRST)}

    def assert_left_as_it_was(self) -> None:
        assert b"\x1b[?1049h" in self.output
        assert self.left_on() == {}
        assert len(KITTY_PUSH.findall(self.output)) <= self.output.count(KITTY_POP)
        assert termios.tcgetattr(self._slave) == self.attributes

    def close(self) -> None:
        if not self.ended():
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.fd)
        os.close(self._slave)


def _login_tty(slave: int) -> None:
    """Do what os.login_tty does from Python 3.11 on."""
    os.setsid()
    fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
    for number in range(3):
        os.dup2(slave, number)


Start = Callable[..., Terminal]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start one of `APPS` and wait until it is on the screen."""
    running: list[Terminal] = []

    def run(name: str, **environ: str) -> Terminal:
        argv, text = APPS[name]
        terminal = Terminal(argv, **environ)
        running.append(terminal)
        terminal.until(lambda: terminal.shows(text), f"{text!r} of {name}")
        return terminal

    yield run
    for terminal in running:
        terminal.close()


def end(terminal: Terminal) -> int:
    """Wait for the end and return the exit code."""
    terminal.until(terminal.ended, "the end")
    terminal.drain()
    assert terminal.status is not None
    return terminal.status


@pytest.mark.parametrize("name", APPS)
@pytest.mark.parametrize("key", [b"q", b"\x03"])
def test_a_key_ends_it_in_order(start: Start, name: str, key: bytes) -> None:
    terminal = start(name)

    os.write(terminal.fd, key)

    assert end(terminal) == 0
    terminal.assert_left_as_it_was()


@pytest.mark.parametrize("name", APPS)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_ends_it_in_order(start: Start, name: str, number: signal.Signals) -> None:
    terminal = start(name)

    os.kill(terminal.pid, number)

    assert end(terminal) == 128 + number
    terminal.assert_left_as_it_was()


@pytest.mark.parametrize("name", APPS)
def test_it_stops_and_continues(start: Start, name: str) -> None:
    terminal = start(name)
    text = APPS[name][1]

    os.write(terminal.fd, b"\x1a")
    terminal.until(terminal.stopped, "stopped")
    terminal.drain()
    terminal.assert_left_as_it_was()
    terminal.screen.reset()
    os.kill(terminal.pid, signal.SIGCONT)
    terminal.until(lambda: terminal.shows(text), "painted again")
    os.write(terminal.fd, b"q")

    assert end(terminal) == 0
    terminal.assert_left_as_it_was()


@pytest.mark.parametrize("name", APPS)
def test_it_paints_again_after_a_stop_that_nobody_can_catch(start: Start, name: str) -> None:
    terminal = start(name)
    text = APPS[name][1]

    os.kill(terminal.pid, signal.SIGSTOP)
    terminal.until(terminal.stopped, "stopped")
    terminal.drain()
    terminal.screen.reset()
    os.kill(terminal.pid, signal.SIGCONT)
    terminal.until(lambda: terminal.shows(text), "painted again")
    os.write(terminal.fd, b"q")

    assert end(terminal) == 0
    terminal.assert_left_as_it_was()


@pytest.mark.parametrize("name", APPS)
def test_a_signal_ends_it_while_stopped(start: Start, name: str) -> None:
    """As `kill %1` of a shell: the signal waits for the SIGCONT that follows it."""
    terminal = start(name)

    os.write(terminal.fd, b"\x1a")
    terminal.until(terminal.stopped, "stopped")
    os.kill(terminal.pid, signal.SIGTERM)
    os.kill(terminal.pid, signal.SIGCONT)

    assert end(terminal) == 128 + signal.SIGTERM
    terminal.assert_left_as_it_was()


@pytest.mark.parametrize("name", ["tiny", "tiny, low bandwidth"])
def test_an_exception_leaves_it_as_it_was(start: Start, name: str) -> None:
    terminal = start(name)

    os.write(terminal.fd, b"x")

    assert end(terminal) == 1
    assert b"on purpose" in terminal.output
    terminal.assert_left_as_it_was()


def test_an_exception_in_the_real_application_is_one_line() -> None:
    terminal = Terminal([sys.executable, "-c", FAILING_APP])
    try:
        terminal.until(lambda: terminal.shows("COMMAND"), "the table")

        os.write(terminal.fd, b"\x0c")

        assert end(terminal) == 1
        assert b"on purpose" in terminal.output
        assert b"Traceback" not in terminal.output
        terminal.assert_left_as_it_was()
    finally:
        terminal.close()


def test_a_hanging_application_is_ended_by_a_signal(start: Start) -> None:
    terminal = start("tiny")
    os.write(terminal.fd, b"h")
    terminal.read(1)

    os.kill(terminal.pid, signal.SIGTERM)

    assert end(terminal) == 128 + signal.SIGTERM
    terminal.assert_left_as_it_was()


def test_a_vanished_terminal_ends_it() -> None:
    """The master side is closed, as when an ssh connection breaks."""
    argv, text = APPS["tiny"]
    terminal = Terminal(argv)
    terminal.until(lambda: terminal.shows(text), text)

    os.close(terminal.fd)
    os.close(terminal._slave)
    deadline = time.monotonic() + 20
    while not terminal.ended() and time.monotonic() < deadline:
        time.sleep(0.1)

    # 120 is Python's own, when it cannot flush stdout at its end.
    assert terminal.status in {128 + signal.SIGHUP, 120}


PROMPT = b"\r\nnext? "


class Shell:
    """The tiny application as a job of an interactive shell."""

    def __init__(self) -> None:
        argv = ["/bin/bash", "--norc", "--noprofile", "--noediting", "-i"]
        self.terminal = Terminal(argv, PS1="\\nnext? ", APP=TINY_APP)
        self.wait()
        script = "import os; exec(os.environ['APP'])"
        self.say(f'{shlex.quote(sys.executable)} -c "{script}"', "here it is")

    def wait(self) -> None:
        """Wait for the prompt; what is typed before is thrown away by whatever ends."""
        self.terminal.until(lambda: self.terminal.output.endswith(PROMPT), "the prompt")

    def say(self, command: str, answer: str) -> None:
        os.write(self.terminal.fd, f"{command}\n".encode())
        self.terminal.until(lambda: self.terminal.shows(answer), answer)


@pytest.fixture
def shell() -> Iterator[Shell]:
    running = Shell()
    yield running
    running.terminal.close()


def test_a_job_that_is_stopped_in_a_shell_can_be_killed(shell: Shell) -> None:
    """It is continued in the background, where taking the terminal would stop it for good."""
    os.write(shell.terminal.fd, b"\x1a")
    shell.wait()

    os.write(shell.terminal.fd, b"kill %1\n")

    def is_reported() -> bool:
        os.write(shell.terminal.fd, b"jobs\n")
        shell.terminal.read(0.3)
        return shell.terminal.shows(f"Exit {128 + signal.SIGTERM}")

    shell.terminal.until(is_reported, "the end of the job")
    assert shell.terminal.left_on() == {}


def test_a_job_goes_on_after_fg(shell: Shell) -> None:
    os.write(shell.terminal.fd, b"\x1a")
    shell.wait()
    assert shell.terminal.left_on() == {}

    shell.terminal.screen.reset()
    shell.say("fg", "here it is")
    os.write(shell.terminal.fd, b"q")
    shell.wait()
    shell.say("echo status $?", "status 0")

    assert shell.terminal.left_on() == {}


def test_a_recorded_terminal_gets_no_mouse_and_no_kitty_keys(start: Start) -> None:
    terminal = start("tiny", ASCIINEMA_REC="1")

    os.write(terminal.fd, b"q")

    assert end(terminal) == 0
    assert not KITTY_PUSH.search(terminal.output)
    assert b"\x1b[?1000h" not in terminal.output
    terminal.assert_left_as_it_was()


def test_an_unrecorded_terminal_gets_both(start: Start) -> None:
    terminal = start("tiny")

    os.write(terminal.fd, b"q")

    assert end(terminal) == 0
    assert KITTY_PUSH.search(terminal.output)
    assert b"\x1b[?1000h" in terminal.output
