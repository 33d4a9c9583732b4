"""The real program on a real terminal: start, sort, filter, stop."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.screens.test_terminal import TINY_APP, Terminal, end

PROGRAM = [sys.executable, "-m", "iotop_ng", "--source", "procfs"]
ENVIRONMENT = {"TEXTUAL_ANIMATIONS": "none", "XDG_CONFIG_HOME": "/nonexistent"}

KEYLESS_APP = f"""
from textual.drivers import linux_driver

class Unstartable(linux_driver.Thread):
    def start(self):
        raise RuntimeError("can't start new thread")

linux_driver.Thread = Unstartable
{TINY_APP}"""


@pytest.fixture
def sleeper() -> Iterator[int]:
    """A process with a name that nothing else has."""
    code = "import time; time.sleep(600)"
    with subprocess.Popen([sys.executable, "-c", code, "unmistakable-name"]) as process:
        yield process.pid
        process.kill()


def start(*options: str, **environ: str) -> Terminal:
    return Terminal([*PROGRAM, *options], **ENVIRONMENT, **environ)


def test_start_sort_filter_quit(sleeper: int) -> None:
    terminal = start("-d", "0.3")
    try:
        terminal.until(lambda: terminal.shows("▼WRITE/s"), "the table")
        terminal.until(lambda: terminal.shows("procfs"), "the first frame")

        os.write(terminal.fd, b"r")
        terminal.until(lambda: terminal.shows("▼READ/s"), "sorted by read")
        os.write(terminal.fd, b"/unmistakable-name")
        terminal.until(lambda: terminal.shows(str(sleeper)), "the filtered process")
        terminal.until(lambda: terminal.shows("1 row"), "the count")
        os.write(terminal.fd, b"\r")
        terminal.until(lambda: terminal.shows("FILTER unmistakable-name"), "the flag")
        # A key that comes before the line is closed is a character of the filter.
        terminal.until(lambda: not terminal.shows("✓"), "the end of the filter line")
        os.write(terminal.fd, b"q")

        assert end(terminal) == 0
        terminal.assert_left_as_it_was()
    finally:
        terminal.close()


def test_the_screen_is_there_with_stderr_in_a_file() -> None:
    shell = ["/bin/sh", "-c", 'exec "$@" 2>/dev/null', "sh"]
    terminal = Terminal([*shell, *PROGRAM], **ENVIRONMENT)
    try:
        terminal.until(lambda: terminal.shows("▼WRITE/s"), "the table")
        os.write(terminal.fd, b"q")

        assert end(terminal) == 0
        terminal.assert_left_as_it_was()
    finally:
        terminal.close()


@pytest.mark.parametrize("stdin", ["</dev/null", "<&-"])
def test_keys_come_from_the_terminal_when_stdin_is_another(stdin: str) -> None:
    shell = ["/bin/sh", "-c", f'exec "$@" {stdin}', "sh"]
    terminal = Terminal([*shell, *PROGRAM], **ENVIRONMENT)
    try:
        terminal.until(lambda: terminal.shows("▼WRITE/s"), "the table")
        os.write(terminal.fd, b"q")

        assert end(terminal) == 0
        terminal.assert_left_as_it_was()
    finally:
        terminal.close()


def test_function_keys_and_the_mouse_arrive() -> None:
    terminal = start()
    try:
        terminal.until(lambda: terminal.shows("▼WRITE/s"), "the table")
        os.write(terminal.fd, b"\x1bOP")
        terminal.until(lambda: terminal.shows("Move and select"), "help by F1")
        os.write(terminal.fd, b"q")
        terminal.until(lambda: terminal.shows("▼WRITE/s"), "the table again")

        y = next(i for i, line in enumerate(terminal.screen.display) if "▼WRITE/s" in line)
        x = terminal.screen.display[y].index("READ/s")
        os.write(terminal.fd, f"\x1b[<0;{x + 2};{y + 1}M\x1b[<0;{x + 2};{y + 1}m".encode())
        terminal.until(lambda: terminal.shows("▼READ/s"), "sorted by a click")
    finally:
        terminal.close()


@pytest.mark.parametrize("options", [("-n", "2", "-d", "0.1"), ("--duration", "0.3")])
def test_it_ends_by_itself(options: tuple[str, ...]) -> None:
    terminal = start(*options)
    try:
        assert end(terminal) == 0
        terminal.assert_left_as_it_was()
    finally:
        terminal.close()


def test_a_resize_fits_the_screen_again() -> None:
    import signal
    import termios

    terminal = start()
    try:
        terminal.until(lambda: terminal.shows("COMMAND"), "the table")
        for lines, columns, text in ((6, 30, "too small"), (40, 132, "IO%")):
            terminal.screen.resize(lines, columns)
            terminal.screen.reset()
            termios.tcsetwinsize(terminal.fd, (lines, columns))
            os.kill(terminal.pid, signal.SIGWINCH)
            terminal.until(lambda text=text: terminal.shows(text), text)  # type: ignore[misc]
    finally:
        terminal.close()


def test_a_theme_that_does_not_exist_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    terminal = start("--theme", "drak", XDG_CONFIG_DIRS=str(tmp_path))
    try:
        assert end(terminal) == 2
        output = terminal.output.decode()
        assert "did you mean 'dark'?" in output
        assert "\x1b[?1049h" not in output
        assert output.count("\n") == 1
    finally:
        terminal.close()


def test_a_start_that_fails_halfway_leaves_the_terminal_as_it_was() -> None:
    """RLIMIT_AS or RLIMIT_NPROC may leave no room for the thread that reads keys."""
    terminal = Terminal([sys.executable, "-c", KEYLESS_APP])
    try:
        assert end(terminal) != 0
        terminal.assert_left_as_it_was()
    finally:
        terminal.close()


def test_a_terminal_that_understands_nothing_gets_batch_output() -> None:
    terminal = Terminal([*PROGRAM, "-n", "1", "-d", "0.1"], **{**ENVIRONMENT, "TERM": "dumb"})
    try:
        assert end(terminal) == 0
        assert b"TERM=dumb cannot show a screen, so this is batch output" in terminal.output
        assert b"\x1b" not in terminal.output
    finally:
        terminal.close()


def test_ascii_writes_ascii_to_the_terminal() -> None:
    terminal = start("--ascii", "-n", "1", "-d", "0.1")
    try:
        assert end(terminal) == 0
        assert terminal.output.isascii()
    finally:
        terminal.close()
