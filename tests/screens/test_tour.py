"""The guide on the live screen: it says what to do, does its own part, and stays out of the way."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import cast

import pytest
from msgspec.structs import replace
from textual.pilot import Pilot

from iotop_ng.config import Settings
from iotop_ng.enforcers.orders import Kind
from iotop_ng.errors import IotopError
from iotop_ng.model.frame import Frame
from iotop_ng.policy.scores import Operation
from iotop_ng.view.feed import Feed
from iotop_ng.view.messages import FrameReady
from iotop_ng.view.themes import load_themes
from iotop_ng.view.tour import Hog
from iotop_ng.view.tour_app import Look, TourApp
from iotop_ng.view.tour_steps import SCRIPT, STEPS
from tests.fakes import acting, frames
from tests.screens.looking import lines_of, text_of

MS, SECOND, MIB = 10**6, 10**9, 1 << 20
HOG, VICTIM = 31095, 31077
Compare = Callable[..., bool]


class FakeActors:
    """Two programs that say what they are told to."""

    def __init__(self) -> None:
        self.latency_ns = MS
        self.rate = 0
        self.written = 0
        self.done: list[str] = []
        self.problem = ""

    def look(self, now_ns: int) -> Look:
        if self.problem:
            raise IotopError(self.problem)
        gap = SECOND // 50
        began = [now_ns - SECOND + n * gap for n in range(50)]
        ended = tuple(Operation(at, at + self.latency_ns) for at in began)
        self.written += self.rate
        has_hog = "start" in self.done
        hog = Hog(now_ns, self.written) if has_hog else None
        return Look(ended, 0, hog, frozenset({HOG}) if has_hog else frozenset())

    def start_hog(self) -> None:
        self.done.append("start")
        self.latency_ns, self.rate = 812 * MS, 38 * MIB

    def stop_hog(self) -> None:
        self.done.append("stop")


def frame(tick: int, *, cap: str = "", rule: str = "", has_hog: bool = True) -> Frame:
    """Return a small host, with the hog free, throttled or dropped."""
    write = {"": 38 * MIB, "throttle": 5.1 * MIB, "drop": 0.0}[cap]
    text = {"": "", "throttle": "throttle 5M", "drop": "drop"}[cap]
    hog = replace(
        frames.row(HOG, "log-flood", write=write, p99_us=41_000, tick=tick),
        write_bytes_per_s=write,
        policy=text,
    )
    slow = 812_000.0 if has_hog and not cap else 1_100.0
    victim = frames.row(VICTIM, "victim", write=80e3, p99_us=slow, fsync_us=slow, tick=tick)
    rows = [
        victim,
        *([hog] if has_hog else []),
        frames.row(1503, "journald", write=12e3, tick=tick),
    ]
    shown = frames.frame(tick, rows=rows, devices=(frames.device(share=0.2, tick=tick),))
    shown = replace(shown, mono_ns=tick * SECOND)
    if not cap:
        return shown
    fields = {"rate_bytes_per_s": None, "held_pct": None} if cap == "drop" else {}
    policy = acting.policy(
        1, hog, kind=cap, mechanism="drop" if cap == "drop" else "hold", rule=rule, **fields
    )
    return replace(shown, policies=(policy,))


class Tour:
    """The tour on a terminal of a test."""

    def __init__(self, pilot: Pilot[object], engine: acting.FakeEngine, actors: FakeActors) -> None:
        self.pilot, self.engine, self.actors = pilot, engine, actors
        self.tick = frames.FIRST_TICK

    @property
    def app(self) -> TourApp:
        assert isinstance(self.pilot.app, TourApp)
        return self.pilot.app

    @property
    def step(self) -> str:
        return STEPS[self.app.tour.at].name

    @property
    def text(self) -> str:
        return text_of(self.app)

    async def go(self, seconds: int, *, cap: str = "", rule: str = "") -> None:
        for _ in range(seconds):
            has_hog = "start" in self.actors.done
            message = FrameReady(frame(self.tick, cap=cap, rule=rule, has_hog=has_hog))
            self.app.post_message(message)
            await self.pilot.pause()
            self.tick += 1

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)
        await self.pilot.pause()

    async def until(self, claim: Callable[[], bool]) -> None:
        """Let the screen work until the claim holds: keys of the script come as messages."""
        for _ in range(400):
            if claim():
                return
            await self.pilot.pause(0.02)
        raise AssertionError(self.text)

    async def to_flood(self) -> None:
        await self.go(11)
        assert self.step == "flood"
        await self.go(4)

    async def to_throttled(self) -> None:
        await self.to_flood()
        self.actors.latency_ns, self.actors.rate = MS, 5 * MIB
        await self.go(6, cap="throttle")
        assert self.step == "throttled"

    async def to_end(self) -> None:
        await self.to_throttled()
        for _ in range(10):
            await self.press("greater_than_sign")
            await self.go(1)
        assert self.step == "end"


def made(
    theme: str = "dark", seed: int | None = None, **settings: object
) -> tuple[TourApp, acting.FakeEngine, FakeActors]:
    engine, actors = acting.FakeEngine(), FakeActors()
    app = TourApp(
        Settings(**settings),  # type: ignore[arg-type]
        load_themes(None),
        theme,
        "demo",
        lambda _: cast("Feed", acting.FakeFeed(engine)),  # a fake: the same methods, no thread
        actors=actors,
        seed=seed,
    )
    return app, engine, actors


Open = Callable[..., AbstractAsyncContextManager[Tour]]


@pytest.fixture
def tour() -> Open:
    @asynccontextmanager
    async def open_tour(size: tuple[int, int] = (80, 24), **options: object) -> AsyncIterator[Tour]:
        app, engine, actors = made(**options)  # type: ignore[arg-type]
        async with app.run_test(size=size) as pilot:
            await pilot.pause()
            yield Tour(pilot, engine, actors)

    return open_tour


class TestSteps:
    async def test_it_starts_the_flood_when_it_knows_how_the_victim_is_alone(
        self, tour: Open
    ) -> None:
        async with tour() as at:
            await at.go(3)
            assert at.actors.done == []
            await at.to_flood()
            assert at.actors.done == ["start"]
            assert "press t, write 5M" in at.text

    async def test_it_goes_on_when_the_key_was_pressed_and_it_worked(self, tour: Open) -> None:
        async with tour() as at:
            await at.to_throttled()
            await at.go(3, cap="throttle")
            assert at.step == "release"
            await at.press("u")
            assert [call.what for call in at.engine.calls("release")] == ["release"]
            await at.go(2)
            assert at.step == "drop"

    async def test_it_sets_the_rule_of_the_guard_and_takes_it_back(self, tour: Open) -> None:
        async with tour() as at:
            await at.to_end()
            first, last = at.engine.calls("rule")
            assert first.rules is not None
            assert [guard.target_ns for guard in first.rules.guards] == [2 * MS]
            assert first.enforce
            assert last.rules is None
            assert at.actors.done == ["start", "stop"]

    async def test_where_the_kernel_cannot_drop_it_says_why(self, tour: Open) -> None:
        async with tour() as at:
            at.engine.rungs[Kind.DROP] = (acting.NO_LSM,)
            await at.to_throttled()
            await at.go(3, cap="throttle")
            await at.go(2)
            assert at.step == "no-drop"
            assert "started without BPF LSM" in " ".join(at.text.split())

    async def test_it_ends_with_a_program_that_ended(self, tour: Open) -> None:
        async with tour() as at:
            at.actors.problem = "the victim has ended by itself (1): no room"
            await at.go(1)
            assert isinstance(at.app.failure, IotopError)
            assert not at.app.is_running


class TestBesideTheTable:
    async def test_the_keys_of_the_table_stay_what_they_are(self, tour: Open) -> None:
        async with tour() as at:
            await at.to_flood()
            for key in ("down", "r", "w", "z", "z", "space"):
                await at.press(key)
            await at.press("t")
            assert "Throttle" in at.text
            await at.press("escape", "g")
            assert type(at.app.screen).__name__ == "GraphScreen"

    async def test_the_cursor_is_on_the_hog_and_follows_it(self, tour: Open) -> None:
        async with tour() as at:
            await at.to_flood()
            await at.go(1, cap="drop")
            assert at.app.main.row is not None
            assert at.app.main.row.pid == HOG

    @pytest.mark.parametrize("size", [(80, 24), (120, 36)], ids=str)
    async def test_the_table_keeps_most_of_the_screen(
        self, tour: Open, size: tuple[int, int]
    ) -> None:
        async with tour(size) as at:
            await at.to_flood()
            assert at.app.guide.size.height == 5
            assert at.app.main.table.size.height >= size[1] - 9
            await at.press("G")
            assert "guide" not in at.text
            assert at.app.main.table.size.height >= size[1] - 4
            await at.press("G")
            assert "guide 2/6" in at.text

    async def test_what_it_asks_for_stays_in_sight_below_a_dialog(self, tour: Open) -> None:
        async with tour((120, 36)) as at:
            await at.to_flood()
            await at.press("t")
            assert "press t, write 5M" in at.text
            assert "guide 2/6  The problem" in at.text

    async def test_the_guide_takes_the_colours_of_a_new_theme(self, tour: Open) -> None:
        async with tour() as at:
            await at.to_flood()
            before = at.app.guide.ink
            at.app.set_theme("light")
            await at.pilot.pause()
            assert at.app.guide.ink is not before

    async def test_one_line_is_as_wide_as_the_terminal(self, tour: Open) -> None:
        async with tour((120, 36)) as at:
            await at.to_throttled()
            assert {len(line) for line in lines_of(at.app)} == {120}


class TestScript:
    async def test_it_presses_a_key_only_in_its_step(self, tour: Open) -> None:
        async with tour(seed=1) as at:
            await at.to_flood()
            at.app.press_for("release", "U")
            at.app.press_for("flood", "t")
            await at.until(lambda: "Throttle log-flood" in at.text)
            for press in SCRIPT["flood"][1:]:
                await at.until(partial(at.app.can_take, press))
                at.app.press_for("flood", press.key)
                await at.pilot.pause(0.05)
            await at.until(lambda: bool(at.engine.calls("apply")))
            orders = [call.order for call in at.engine.calls("apply")]
            assert [o.rate_bytes_per_s for o in orders if o is not None] == [5 * MIB]
            assert at.engine.calls("release") == []

    async def test_it_drops_by_what_the_guide_says(self, tour: Open) -> None:
        async with tour(seed=1) as at:
            await at.to_throttled()
            await at.go(3, cap="throttle")
            await at.go(2)
            assert at.step == "drop"
            at.app.press_for("drop", "d")
            await at.until(lambda: "Drop the writes" in at.text)
            for _ in range(6):
                at.app.press_for("drop", "enter")
                await at.pilot.pause(0.05)
            await at.until(lambda: bool(at.engine.calls("apply")))
            orders = [call.order for call in at.engine.calls("apply")]
            assert [order.kind for order in orders if order is not None] == [Kind.DROP]

    async def test_a_key_waits_for_what_takes_it(self, tour: Open) -> None:
        async with tour(seed=1) as at:
            await at.to_flood()
            opens, enters = SCRIPT["flood"][0], SCRIPT["flood"][-1]
            assert at.app.can_take(opens)
            assert not at.app.can_take(enters)
            await at.press("t")
            assert not at.app.can_take(opens)
            assert at.app.can_take(enters), "the ladder is there"

    def test_the_same_seed_gives_the_same_pauses(self) -> None:
        assert made(seed=3)[0].pauses("flood") == made(seed=3)[0].pauses("flood")
        assert made(seed=3)[0].pauses("flood") != made(seed=4)[0].pauses("flood")


@pytest.mark.parametrize("size", [(80, 24), (120, 36)], ids=str)
@pytest.mark.parametrize("step", ["flood", "throttled", "end"])
def test_pictures(snap_compare: Compare, size: tuple[int, int], step: str) -> None:
    app, engine, actors = made()

    async def prepare(pilot: Pilot[object]) -> None:
        at = Tour(pilot, engine, actors)
        await pilot.pause()
        await getattr(at, f"to_{step}")()

    assert snap_compare(app, terminal_size=size, run_before=prepare)


@pytest.mark.parametrize("theme", ["light", "mono"])
def test_other_themes(snap_compare: Compare, theme: str) -> None:
    app, engine, actors = made(theme, ascii=True)

    async def prepare(pilot: Pilot[object]) -> None:
        await pilot.pause()
        await Tour(pilot, engine, actors).to_flood()

    assert snap_compare(app, terminal_size=(80, 24), run_before=prepare)
