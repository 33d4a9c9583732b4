"""The screen with scripted frames, a fixed clock and no session thread."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest
import textual
from textual.pilot import Pilot

from iotop_ng.config import Settings
from iotop_ng.model.frame import Frame
from iotop_ng.view.app import IotopApp
from iotop_ng.view.messages import FrameReady
from iotop_ng.view.themes import load_themes
from tests.fakes import frames
from tests.screens.looking import text_of
from tests.screens.stage import stage_fixture

TEXTUAL = "8.2.8"
"""Pictures of another version differ everywhere and say nothing."""

Show = Callable[..., AbstractAsyncContextManager[Pilot[object]]]


@pytest.fixture(scope="session", autouse=True)
def _right_textual() -> None:
    assert textual.__version__ == TEXTUAL, f"screens are compared for Textual {TEXTUAL} only"


@pytest.fixture(autouse=True)
def _utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.delenv("NO_COLOR", raising=False)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def make_app(theme: str = "dark", **settings: Any) -> IotopApp:
    return IotopApp(Settings(**settings), load_themes(None), theme, "node7")


@pytest.fixture
def show() -> Show:
    """Return a function that opens the screen with one frame on it."""

    @asynccontextmanager
    async def open_screen(
        frame: Frame | None = None,
        *,
        size: tuple[int, int] = (120, 40),
        theme: str = "dark",
        **settings: Any,
    ) -> AsyncIterator[Pilot[object]]:
        app = make_app(theme, **settings)
        async with app.run_test(size=size) as pilot:
            await give(pilot, frame or frames.frame())
            yield pilot

    return open_screen


async def give(pilot: Pilot[object], *given: Frame) -> None:
    """Hand frames to the screen, one after the other."""
    for frame in given:
        pilot.app.post_message(FrameReady(frame))
        await pilot.pause()


__all__ = ["Show", "give", "make_app", "stage_fixture", "text_of"]
