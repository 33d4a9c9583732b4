"""The real screen, used at random: every frame as Textual writes it and as the differ does."""

from __future__ import annotations

import os
import random
from pathlib import Path, PurePath
from typing import ClassVar, cast

import pytest
from rich.console import RenderableType
from textual import events
from textual._compositor import ChopsUpdate, LayoutUpdate
from textual.geometry import Size
from textual.screen import Screen

from iotop_ng.config import Settings
from iotop_ng.view import app as view_app
from iotop_ng.view.app import IotopApp
from iotop_ng.view.bindings import ACTIONS
from iotop_ng.view.feed import Feed
from iotop_ng.view.messages import FrameReady
from iotop_ng.view.themes import load_themes
from tests.fakes import frames
from tests.fakes.acting import FakeEngine, FakeFeed, acting_frame
from tests.screens.test_framediff_fuzz import Pair

ENDING = {"quit", "suspend", "picture", "copy", "signal"}
"""What ends the run or leaves the screen; signals would be real ones."""
KEYS = [action.keys.split(",")[0] for action in ACTIONS if action.name not in ENDING]
SIZES = (Size(80, 24), Size(100, 30), Size(81, 20))


class Compared(IotopApp):
    """Feeds a pair of terminals."""

    # Textual looks for them beside the module of the class.
    CSS_PATH: ClassVar[list[str | PurePath]] = [
        Path(view_app.__file__).parent / path for path in IotopApp.CSS_PATH
    ]
    pair: Pair

    def _display(self, screen: Screen[object], renderable: RenderableType | None) -> None:
        update = self._differing(renderable)
        if isinstance(renderable, (LayoutUpdate, ChopsUpdate)) and not self._batch_count:
            expected = renderable.render_segments(self.pair.console)
            self.pair.feed(expected, update.render_segments(self.pair.console))  # type: ignore[union-attr]
        super()._display(screen, renderable)


async def used_frames(seed: int, wanted: int) -> Pair:
    """Press keys, give frames, resize and change themes at random; return what was compared."""
    rng = random.Random(seed)
    themes = load_themes(None)
    theme = rng.choice(tuple(themes))
    size = rng.choice(SIZES)
    app = Compared(
        Settings(low_bandwidth=True, ascii=rng.random() < 0.2),
        themes,
        theme,
        "node7",
        lambda _: cast("Feed", FakeFeed(FakeEngine())),  # the same methods, no thread
    )
    app.pair = Pair(*size)
    tick = frames.FIRST_TICK
    async with app.run_test(size=size) as pilot:
        while app.pair.frames < wanted and app.is_running:
            chance = rng.random()
            if chance < 0.5:
                tick += 1
                frame = frames.frame(tick, idle=rng.choice((0, 3, 40)))
                if rng.random() < 0.4:
                    frame = acting_frame(tick)
                app.post_message(FrameReady(frame))
            elif chance < 0.95:
                await pilot.press(rng.choice(KEYS))
            elif chance < 0.97:
                size = rng.choice(SIZES)
                app.pair.resize(*size)
                app.post_message(events.Resize(size, size))
            else:
                app.set_theme(rng.choice(tuple(themes)))
            await pilot.pause()
            app.screen._on_timer_update()
    return app.pair


@pytest.mark.parametrize("seed", range(2))
async def test_the_real_screen_shows_the_same_cells(seed: int) -> None:
    pair = await used_frames(seed, 60)

    assert pair.frames >= 60
    assert pair.actual_bytes < pair.expected_bytes


@pytest.mark.slow
async def test_no_cell_of_the_real_screen_differs_in_the_long_run() -> None:
    """FUZZ_FRAMES and FUZZ_SEED choose another run."""
    wanted = int(os.environ.get("FUZZ_FRAMES", "20000"))
    seed = int(os.environ.get("FUZZ_SEED", "1000"))
    done = sent = saved = 0
    while done < wanted:
        try:
            pair = await used_frames(seed, 250)
        except AssertionError as error:
            raise AssertionError(f"seed {seed}, after {done} frames: {error}") from error
        done, sent, saved = (
            done + pair.frames,
            sent + pair.expected_bytes,
            saved + pair.actual_bytes,
        )
        seed += 1
        print(f"{done} frames, no cell differs; {saved / sent:.0%} of the bytes", flush=True)  # noqa: T201
