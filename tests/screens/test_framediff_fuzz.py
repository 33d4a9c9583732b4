"""Every frame is rendered by Textual and by the differ into two terminal emulators (pyte).

Two generators: updates made up at random on a small screen (cuts, spans and wide characters where a
layout would rarely put them), and a real application that is changed at random.
"""

from __future__ import annotations

import asyncio
import io
import os
import random
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import ClassVar

import pyte
import pytest
from rich.console import Console, RenderableType
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual._compositor import ChopsUpdate, CompositorUpdate, LayoutUpdate
from textual.app import App, ComposeResult
from textual.await_complete import AwaitComplete
from textual.geometry import Region, Size
from textual.screen import ModalScreen, Screen
from textual.strip import Strip
from textual.widget import Widget
from textual.widgets import DataTable, Footer, Input, Static

from iotop_ng.view.framediff import FrameDiffer, FrameDiffMixin
from iotop_ng.view.themes import load_themes

COLOR_SYSTEM = os.environ.get("FUZZ_COLORS", "truecolor")
"""One per run: Rich keeps the codes of a style for the first colour system that asked for them."""
STYLES = [
    None,
    *(
        Style(color=color, bgcolor=background, bold=bold, underline=underline, reverse=reverse)
        for color in ("#ff8787", "default", "bright_green", None)
        for background in ("#303030", "blue", None)
        for bold in (None, True)
        for underline, reverse in ((None, None), (True, None), (None, True))
    ),
    Style(link="https://example.org", italic=True),
    Style(strike=True, blink=True, dim=True),
]
PIECES = (
    *("a", "b", " ", "  ", "0.0", "198M/s", "abcdefgh", "▁▂▇█", "⣀⣤", "─", "…", "é"),
    *("日", "日本語", "x日", "漢 ", "🙂"),
    *("e\u0301", "👩\u200d💻", "❤\ufe0f"),
)
NARROW = 12
WIDE = 17
"""`PIECES` before these indexes: one cell per character; nothing that combines."""


def make_text(rng: random.Random, width: int, pieces: int) -> str:
    """Return text of exactly `width` cells."""
    strip = Strip([])
    while strip.cell_length < width:
        strip = Strip.join([strip, Strip([Segment(rng.choice(PIECES[:pieces]))])])
    return strip.crop(0, width).text


def make_strip(rng: random.Random, width: int, pieces: int) -> Strip:
    """Return a strip of exactly `width` cells in a few styles."""
    segments = []
    left = width
    while left:
        cells = min(left, rng.choice((1, 2, 4, 8, 30)))
        segments.append(Segment(make_text(rng, cells, pieces), rng.choice(STYLES)))
        left -= cells
    return Strip(segments, width)


class Pair:
    """Two terminals that are to show the same, one fed by Textual and one by the differ."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self.console = Console(
            file=io.StringIO(),
            color_system=COLOR_SYSTEM,  # type: ignore[arg-type]
            force_terminal=True,
            width=width,
            height=height,
        )
        self.expected = pyte.Screen(width, height)
        self.actual = pyte.Screen(width, height)
        self._to_expected = pyte.Stream(self.expected)
        self._to_actual = pyte.Stream(self.actual)
        # As Textual's driver does: what is written past the last column stays on its line.
        self._to_expected.feed("\x1b[?7l")
        self._to_actual.feed("\x1b[?7l")
        self.frames = 0
        self.expected_bytes = 0
        self.actual_bytes = 0

    def resize(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self.expected.resize(height, width)
        self.actual.resize(height, width)

    def feed(self, expected: str, actual: str) -> None:
        """Show one frame in both.

        Raises:
            AssertionError: naming the first cell that differs.
        """
        self.frames += 1
        self.expected_bytes += len(expected.encode())
        self.actual_bytes += len(actual.encode())
        # `App._display` puts the cursor back after each update; Textual's "\n" rely on it.
        self._to_expected.feed(f"{expected}\x1b[H")
        self._to_actual.feed(f"{actual}\x1b[H")
        for y, x in self._different():
            raise AssertionError(
                f"frame {self.frames}, line {y}, column {x}: "
                f"{self.expected.buffer[y][x]} expected, {self.actual.buffer[y][x]} shown"
            )

    def _different(self) -> Iterator[tuple[int, int]]:
        for y in self.expected.dirty | self.actual.dirty:
            expected, actual = self.expected.buffer[y], self.actual.buffer[y]
            # A cell that was never written is absent from the line.
            if expected != actual:
                yield from ((y, x) for x in range(self.width) if expected[x] != actual[x])
        self.expected.dirty.clear()
        self.actual.dirty.clear()


def made_up_frames(seed: int, frames: int) -> Pair:
    """Render random updates both ways; return what was compared."""
    rng = random.Random(seed)
    width, height = rng.choice(((7, 3), (30, 6), (60, 8)))
    pieces = rng.choice((NARROW, WIDE, WIDE, len(PIECES)))
    pair = Pair(width, height)
    differ = FrameDiffer()
    kept: dict[tuple[int, int, int], Strip] = {}
    for _ in range(frames):
        if rng.random() < 0.01:
            differ.forget()
        cuts = [make_cuts(rng, width) for _ in range(height)]
        update = make_update(rng, cuts, kept, pieces)
        expected = update.render_segments(pair.console)
        pair.feed(expected, differ.render(update, pair.console, width, height))
    return pair


def make_cuts(rng: random.Random, width: int) -> list[int]:
    inner = rng.sample(range(1, width), rng.choice((0, 0, 1, 2, 3)))
    return [0, *sorted(inner), width]


def make_update(
    rng: random.Random,
    cuts: list[list[int]],
    kept: dict[tuple[int, int, int], Strip],
    pieces: int,
) -> LayoutUpdate | ChopsUpdate:
    """Return an update of one of the two kinds; half of the strips were shown before."""

    def strip_at(y: int, x: int, end: int) -> Strip:
        if (y, x, end) not in kept or rng.random() < 0.5:
            kept[y, x, end] = make_strip(rng, end - x, pieces)
        return kept[y, x, end]

    height, width = len(cuts), cuts[0][-1]
    if rng.random() < 0.3:
        lines = [[strip_at(y, x, end) for x, end in pairwise(line)] for y, line in enumerate(cuts)]
        return LayoutUpdate(lines, Region(0, 0, width, height))  # type: ignore[arg-type]
    chops: list[dict[int, Strip | None]] = [dict.fromkeys(line[:-1]) for line in cuts]
    spans = []
    for y in sorted(rng.sample(range(height), rng.randint(1, height))):
        left, right = sorted(rng.sample(range(width + 1), 2))
        spans.append((y, left, right))
        for x, end in pairwise(cuts[y]):
            chops[y][x] = strip_at(y, x, end) if rng.random() < 0.9 else None
    return ChopsUpdate(chops, spans, [line[1:] for line in cuts])


class Rows(Widget):
    """A table of random lines of which a third change at a time."""

    DEFAULT_CSS = "Rows { height: 1fr; }"
    generation = 0
    pieces = WIDE

    def change(self) -> None:
        self.generation += 1
        self.refresh()

    def render_lines(self, crop: Region) -> list[Strip]:
        return [self._line(y).crop(crop.x, crop.right) for y in range(crop.y, crop.bottom)]

    def _line(self, y: int) -> Strip:
        changes = (self.generation + y) // 3
        return make_strip(random.Random(changes * 1009 + y), self.size.width, self.pieces)


class Dialog(ModalScreen[None]):
    """Something over a dimmed screen."""

    DEFAULT_CSS = "Dialog { align: center middle; } Dialog Static { width: 20; height: 4; }"

    def compose(self) -> ComposeResult:
        yield Static("really 日本?")


class Changing(FrameDiffMixin, App[None]):
    """An application of everything that overlaps, moves, appears and vanishes."""

    CSS = """
    Screen { layers: base top; }
    #head { height: auto; background: $panel; }
    #over { layer: top; width: 13; height: 4; background: $error; }
    DataTable { height: 5; }
    .off { display: none; }
    """
    BINDINGS: ClassVar = [("q", "quit", "Quit"), ("f", "filter", "Filter")]
    low_bandwidth = True

    def __init__(self, pair: Pair, pieces: int) -> None:
        super().__init__()
        self.pair = pair
        self.pieces = pieces
        self.shipped = load_themes(None)

    @property
    def base(self) -> Screen[object]:
        return self.screen_stack[0]

    def compose(self) -> ComposeResult:
        yield Static("head", id="head")
        yield Static('over\n日本語\n[link="https://example.org"]link[/]', id="over", classes="off")
        yield Rows()
        yield Input()
        yield DataTable(classes="off")
        yield Footer()

    def on_mount(self) -> None:
        for theme in self.shipped.values():
            self.register_theme(theme.textual())
        self.query_one(Rows).pieces = self.pieces
        table: DataTable[str] = self.query_one(DataTable)
        table.add_columns("name", "bytes")
        table.add_rows([(f"row {i} 漢", "x" * (i % 7)) for i in range(9)])

    def _display(self, screen: Screen[object], renderable: RenderableType | None) -> None:
        update = self._differing(renderable)
        if isinstance(renderable, (LayoutUpdate, ChopsUpdate)) and not self._batch_count:
            assert isinstance(update, CompositorUpdate)
            assert update is not renderable
            expected = renderable.render_segments(self.pair.console)
            self.pair.feed(expected, update.render_segments(self.pair.console))
        super()._display(screen, renderable)


Mutation = Callable[[Changing, random.Random], AwaitComplete | None]


def change_rows(app: Changing, _rng: random.Random) -> None:
    app.base.query_one(Rows).change()


def change_head(app: Changing, rng: random.Random) -> None:
    lines = (f"head {rng.randrange(99)} 日" for _ in range(rng.choice((1, 1, 2, 3))))
    app.base.query_one("#head", Static).update("\n".join(lines))


def toggle_over(app: Changing, _rng: random.Random) -> None:
    app.base.query_one("#over").toggle_class("off")


def toggle_table(app: Changing, _rng: random.Random) -> None:
    app.base.query_one(DataTable).toggle_class("off")


def type_text(app: Changing, rng: random.Random) -> None:
    field = app.base.query_one(Input)
    field.focus()
    field.value = make_text(rng, rng.randrange(20), NARROW)


def toggle_palette(app: Changing, _rng: random.Random) -> AwaitComplete | None:
    if len(app.screen_stack) > 1:
        return app.pop_screen()
    app.action_command_palette()
    return None


def open_dialog(app: Changing, _rng: random.Random) -> None:
    if len(app.screen_stack) == 1:
        app.push_screen(Dialog())


def change_theme(app: Changing, rng: random.Random) -> None:
    app.theme = rng.choice((*app.shipped, "nord", "textual-light", "ansi-dark"))


def move_over(app: Changing, rng: random.Random) -> None:
    offset = (rng.randrange(app.size.width), rng.randrange(8))
    app.base.query_one("#over").styles.offset = offset


def resize(app: Changing, rng: random.Random) -> None:
    size = Size(rng.choice((40, 61)), rng.choice((12, 16)))
    app.pair.resize(*size)
    app.post_message(events.Resize(size, size))


def notify(app: Changing, _rng: random.Random) -> None:
    app.notify("note 日本", timeout=0.05)


MUTATIONS: tuple[tuple[int, Mutation], ...] = (
    (40, change_rows),
    (10, change_head),
    (10, toggle_over),
    (5, toggle_table),
    (8, type_text),
    (4, toggle_palette),
    (3, open_dialog),
    (3, change_theme),
    (14, move_over),
    (2, resize),
    (1, notify),
)
"""How often, and what."""
WEIGHTS = [weight for weight, _ in MUTATIONS]


async def changed_frames(seed: int, frames: int) -> Pair:
    """Change an application at random, rendering both ways; return what was compared."""
    rng = random.Random(seed)
    pieces = rng.choice((NARROW, WIDE, WIDE, len(PIECES)))
    pair = Pair(60, 16)
    app = Changing(pair, pieces)
    async with app.run_test(size=(60, 16)) as pilot:
        steps = 0
        while pair.frames < frames:
            steps += 1
            assert steps < 50 * frames, "the application stopped painting"
            depth = len(app.screen_stack)
            closing = rng.choices(MUTATIONS, WEIGHTS)[0][1](app, rng)
            if closing is not None:
                await closing
            if len(app.screen_stack) != depth:
                # Textual's palette fails when it is closed before it was mounted.
                await pilot.pause()
            for _ in range(rng.choice((2, 10, 40))):
                await asyncio.sleep(0)
            # Textual paints at most 60 times per second of real time; this is its timer's call.
            app.screen._on_timer_update()
    return pair


@pytest.mark.parametrize("seed", range(5))
def test_made_up_updates_show_the_same_cells(seed: int) -> None:
    pair = made_up_frames(seed, 60)

    assert pair.frames == 60


@pytest.mark.parametrize("seed", range(4))
async def test_a_changing_application_shows_the_same_cells(seed: int) -> None:
    pair = await changed_frames(seed, 60)

    assert pair.frames >= 60
    assert pair.actual_bytes < pair.expected_bytes


@pytest.mark.slow
async def test_no_cell_differs_in_the_long_run() -> None:
    """The evidence for `framediff.DEFAULT_ON`; FUZZ_FRAMES and FUZZ_SEED choose another run."""
    wanted = int(os.environ.get("FUZZ_FRAMES", "100000"))
    seed = int(os.environ.get("FUZZ_SEED", "1000"))
    frames = 0
    while frames < wanted:
        try:
            frames += made_up_frames(seed, 100).frames
            frames += (await changed_frames(seed, 300)).frames
        except AssertionError as error:
            raise AssertionError(f"seed {seed}, after {frames} frames: {error}") from error
        seed += 1
        if seed % 25 == 0:
            print(f"{frames} frames, no cell differs", flush=True)  # noqa: T201
    print(f"{frames} frames, no cell differs")  # noqa: T201
