"""The differ inside an application: when it applies, when it forgets, and on a real pty."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator

import pyte
import pytest
from rich.console import Console, RenderableType
from textual import events
from textual._compositor import ChopsUpdate, LayoutUpdate
from textual.app import App, ComposeResult
from textual.pilot import Pilot
from textual.screen import ModalScreen, Screen
from textual.widgets import Static

from iotop_ng.view.framediff import FrameDiffMixin
from tests.screens.test_terminal import Terminal, end

CONSOLE = Console(file=io.StringIO(), color_system="256", force_terminal=True, width=80, height=24)
COUNTER = """
import sys
from textual.app import App
from textual.widgets import Static
from iotop_ng.view import terminal
from iotop_ng.view.framediff import FrameDiffMixin

class Counter(FrameDiffMixin, App):
    BINDINGS = [("q", "quit", "q"), ("n", "count", "n"), ("ctrl+l", "redraw", "l"),
                ("ctrl+z", "suspend_process", "z")]
    ENABLE_COMMAND_PALETTE = False
    low_bandwidth = sys.argv[1:] == ["--low-bandwidth"]
    count = 0
    def compose(self):
        yield Static("count 0", id="count")
        for line in range(20):
            yield Static(f"a line that never changes, number {line}")
    def action_count(self):
        self.count += 1
        self.query_one("#count", Static).update(f"count {self.count}")
    def action_redraw(self):
        self.forget_frame()
        self.refresh(layout=True)

app = Counter()
guard = terminal.install(app)
try:
    app.run()
finally:
    guard.restore()
"""


class Watched(FrameDiffMixin, App[None]):
    """Keeps what was written."""

    low_bandwidth = True
    written = ""
    pilot: Pilot[object]

    def compose(self) -> ComposeResult:
        yield Static("one", id="one")
        yield Static("two", id="two")

    def _display(self, screen: Screen[object], renderable: RenderableType | None) -> None:
        update = self._differing(renderable)
        if isinstance(renderable, (LayoutUpdate, ChopsUpdate)) and not self._batch_count:
            self.written += update.render_segments(CONSOLE)  # type: ignore[union-attr]
        super()._display(screen, renderable)

    def repaint(self) -> str:
        """Paint everything once more and return what that wrote."""
        self.written = ""
        self.refresh(layout=True)
        self.screen._on_timer_update()
        written, self.written = self.written, ""
        return written

    async def settle(self) -> str:
        """Paint what is waiting to be painted; return what was written since the last repaint."""
        await self.pilot.pause()
        self.screen._on_timer_update()
        return self.written


class Over(ModalScreen[None]):
    def compose(self) -> ComposeResult:
        yield Static("over")


@pytest.fixture
async def app() -> Iterator[Watched]:  # type: ignore[misc]
    watched = Watched()
    async with watched.run_test(size=(80, 24)) as pilot:
        watched.pilot = pilot
        await pilot.pause()
        watched.repaint()
        yield watched


async def test_a_repaint_of_the_same_writes_nothing(app: Watched) -> None:
    assert app.repaint() == ""


async def test_one_word_that_changes_is_all_that_is_written(app: Watched) -> None:
    app.query_one("#two", Static).update("too")

    written = await app.settle()

    assert written.endswith("o\x1b[m")
    assert "one" not in written
    assert len(written) < 60


async def test_it_is_off_unless_asked_for(app: Watched) -> None:
    app.low_bandwidth = False

    assert "one" in app.repaint()
    assert "one" in app.repaint()


async def test_everything_is_written_after_it_was_off(app: Watched) -> None:
    app.low_bandwidth = False
    app.repaint()
    app.low_bandwidth = True

    assert "one" in app.repaint()
    assert app.repaint() == ""


async def test_everything_is_written_after_ctrl_l(app: Watched) -> None:
    app.forget_frame()

    assert "one" in app.repaint()


async def test_everything_is_written_after_a_resume(app: Watched) -> None:
    app.app_resume_signal.publish(app)

    assert "one" in await app.settle()


async def test_everything_is_written_after_the_terminal_was_smaller_for_a_while(
    app: Watched,
) -> None:
    """It is back at its old size before Textual looks, which then sees no change."""
    app._on_resize(events.Resize(app.size, app.size))

    assert "one" in await app.settle()


async def test_everything_is_written_after_another_screen(app: Watched) -> None:
    await app.push_screen(Over())
    app.repaint()
    await app.pop_screen()

    assert "one" in await app.settle()


async def test_everything_is_written_in_another_theme(app: Watched) -> None:
    app.theme = "nord"

    assert "one" in await app.settle()


def shown(*options: str) -> tuple[list[str], int]:
    """Return what a terminal shows in the end, and how many bytes it took to count to 20."""
    terminal = Terminal([sys.executable, "-c", COUNTER, *options], TEXTUAL_ANIMATIONS="none")
    try:
        terminal.until(lambda: terminal.shows("number 19"), "the first frame")
        before = len(terminal.output)
        for count in range(1, 21):
            os.write(terminal.fd, b"n")
            terminal.until(lambda count=count: terminal.shows(f"count {count}"), str(count))  # type: ignore[misc]
        size = len(terminal.output) - before
        display = list(terminal.screen.display)
        os.write(terminal.fd, b"q")
        assert end(terminal) == 0
        return display, size
    finally:
        terminal.close()


def test_the_same_is_shown_for_fewer_bytes() -> None:
    expected, all_bytes = shown()
    actual, few_bytes = shown("--low-bandwidth")

    assert actual == expected
    assert few_bytes < all_bytes / 2


def test_a_screen_that_somebody_wrote_over_is_mended_by_ctrl_l() -> None:
    terminal = Terminal([sys.executable, "-c", COUNTER, "--low-bandwidth"])
    try:
        terminal.until(lambda: terminal.shows("number 19"), "the first frame")
        pyte.Stream(terminal.screen).feed("\x1b[2J")

        os.write(terminal.fd, b"\x0c")

        terminal.until(lambda: terminal.shows("number 19"), "the second frame")
    finally:
        terminal.close()
