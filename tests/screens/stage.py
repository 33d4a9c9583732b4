"""The screen with an engine that acts on nobody, for the tests of the acting keys."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, cast

import pytest
from msgspec.structs import replace
from textual.pilot import Pilot

from iotop_ng.config import Settings
from iotop_ng.enforcers.orders import Order
from iotop_ng.model.frame import Frame
from iotop_ng.view.app import IotopApp
from iotop_ng.view.feed import Feed
from iotop_ng.view.messages import FrameReady
from iotop_ng.view.themes import load_themes
from tests.fakes import frames
from tests.fakes.acting import FakeEngine, FakeFeed
from tests.screens.looking import lines_of, text_of

MIB = 1 << 20
SECOND = 10**9
FLOOD, SERVER = 4242, 917


class Stage:
    """The screen, its engine and its feed."""

    def __init__(self, pilot: Pilot[object], feed: FakeFeed) -> None:
        self.pilot = pilot
        self.feed = feed
        self.engine = feed.engine

    @property
    def app(self) -> IotopApp:
        assert isinstance(self.pilot.app, IotopApp)
        return self.pilot.app

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)
        await self.pilot.pause()

    @property
    def text(self) -> str:
        return text_of(self.app)

    @property
    def said(self) -> str:
        return lines_of(self.app)[-1].strip()

    @property
    def is_dialog_open(self) -> bool:
        return self.app.screen is not self.app.main

    def orders(self) -> list[Order]:
        return [call.order for call in self.engine.calls("apply") if call.order is not None]


Open = Callable[..., AbstractAsyncContextManager[Stage]]


@pytest.fixture(name="stage")
def stage_fixture() -> Open:
    @asynccontextmanager
    async def open_stage(
        frame: Frame | None = None,
        *,
        size: tuple[int, int] = (80, 24),
        engine: FakeEngine | None = None,
        is_slow: bool = False,
        why_not: str = "",
        **settings: Any,
    ) -> AsyncIterator[Stage]:
        feed = FakeFeed(engine or FakeEngine(), is_slow=is_slow)
        app = IotopApp(
            Settings(**settings),
            load_themes(None),
            "dark",
            "node7",
            lambda _: cast("Feed", feed),  # a fake: the same methods, no thread
            why_not=why_not,
        )
        async with app.run_test(size=size) as pilot:
            app.post_message(FrameReady(frame or frames.frame()))
            await pilot.pause()
            yield Stage(pilot, feed)

    return open_stage


def changed(frame: Frame, pid: int, **fields: object) -> Frame:
    rows = tuple(replace(row, **fields) if row.pid == pid else row for row in frame.rows)
    return replace(frame, rows=rows, tick=frame.tick + 1)
