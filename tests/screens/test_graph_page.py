"""The graph page: what can be drawn, and that it is drawn only while it is open."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from iotop_ng.view.graph import draw
from iotop_ng.view.screens import graph
from iotop_ng.view.screens.graph import subjects
from tests.fakes import frames
from tests.screens.conftest import Show, give
from tests.screens.looking import lines_of, text_of


def test_subjects_are_the_row_all_devices_and_each_active_one() -> None:
    devices = [frames.device("sda"), frames.device("sdb", 0.5), frames.device("sdc", 0.0)]
    frame = frames.frame(devices=devices)
    found = subjects(frame, frame.rows[0])

    assert [one.name for one in found] == [
        "4242 log-flood",
        "all devices",
        "device sda",
        "device sdb",
    ]
    everything, sda, sdb = found[1:]
    assert everything.write[-1] == pytest.approx((sda.write[-1] or 0) + (sdb.write[-1] or 0))


def test_what_is_not_known_is_a_gap_and_quiet_is_zero() -> None:
    row = replace(frames.row(1, "quiet"), first_tick=frames.FIRST_TICK - 4)
    (subject, *_) = subjects(frames.frame(rows=[row]), row)

    assert subject.write[-5:] == [0.0] * 5
    assert subject.write[-6] is None
    assert set(subject.latency_us) == {None}


async def test_it_shows_the_row_and_then_the_devices(show: Show) -> None:
    async with show() as pilot:
        await pilot.press("down", "g")
        await pilot.pause()
        assert "917 postgres   1 of 2" in lines_of(pilot.app)[0]
        assert "bytes per second" in text_of(pilot.app)
        assert "now" in text_of(pilot.app)
        await pilot.press("right")
        assert "device vda   2 of 2" in lines_of(pilot.app)[0]
        await pilot.press("right")
        assert "917 postgres" in lines_of(pilot.app)[0]
        await pilot.press("q")
        await pilot.pause()
        assert "WRITE/s" in text_of(pilot.app)


async def test_it_is_drawn_only_while_it_is_open(
    show: Show, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = 0

    def counting(*args: object, **options: object) -> str:
        nonlocal drawn
        drawn += 1
        return draw(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(graph, "draw", counting)
    async with show() as pilot:
        await give(pilot, frames.frame(61))
        assert drawn == 0
        await pilot.press("g")
        await pilot.pause()
        drawn = 0
        await give(pilot, frames.frame(62))
        assert drawn == 2
        await pilot.press("escape")
        await pilot.pause()
        drawn = 0
        await give(pilot, frames.frame(63))
        assert drawn == 0


async def test_a_process_that_is_gone_keeps_its_last_plot(show: Show) -> None:
    async with show() as pilot:
        await pilot.press("g")
        rest = [row for row in frames.processes() if row.pid != 4242]
        await give(pilot, frames.frame(61, rows=rest))
        assert "4242 log-flood" in lines_of(pilot.app)[0]


async def test_before_the_first_reading_it_says_so(show: Show) -> None:
    async with show(frames.frame(rows=[], devices=[])) as pilot:
        await pilot.press("g")
        await pilot.pause()
        assert "nothing was measured yet" in text_of(pilot.app)


@pytest.mark.parametrize("options", [{"ascii": True}, {"theme": "mono"}])
async def test_series_differ_without_colour(show: Show, options: dict[str, object]) -> None:
    async with show(**options) as pilot:
        await pilot.press("g")
        await pilot.pause()
        assert "written" in text_of(pilot.app)
        assert "*" in text_of(pilot.app)
        assert "+" in text_of(pilot.app)
