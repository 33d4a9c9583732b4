"""Sizes, colours, ends, and what is said while there is nothing to show."""

from __future__ import annotations

from typing import Any

import pytest
from textual.pilot import Pilot
from textual.strip import Strip

from iotop_ng.errors import SourceError, UsageError
from iotop_ng.view.app import IotopApp
from iotop_ng.view.messages import SessionEnded, SourceFailed, SourceStatus
from iotop_ng.view.surroundings import needs_ascii
from iotop_ng.view.widgets.cells import RowPainter
from tests.fakes import frames
from tests.screens.conftest import Show, give, make_app
from tests.screens.looking import line_with, lines_of, text_of


def app_of(pilot: Pilot[object]) -> IotopApp:
    assert isinstance(pilot.app, IotopApp)
    return pilot.app


async def test_a_terminal_that_is_too_small_says_so_and_recovers(show: Show) -> None:
    async with show(size=(80, 24)) as pilot:
        await pilot.resize_terminal(30, 6)
        await pilot.pause()
        assert "too small: 30x6, needs 40x8"[:30] in text_of(pilot.app)
        assert "WRITE" not in text_of(pilot.app)

        await pilot.resize_terminal(40, 8)
        await pilot.pause()
        assert "WRITE" in text_of(pilot.app)
        assert "log-flood" in text_of(pilot.app)


@pytest.mark.parametrize("size", [(40, 8), (47, 9), (60, 15), (81, 24), (100, 30), (300, 100)])
@pytest.mark.parametrize("keys", [[], ["enter"], ["3"], ["8"], ["question_mark"], ["f2"], ["g"]])
async def test_every_page_fits_every_size(
    show: Show, size: tuple[int, int], keys: list[str]
) -> None:
    async with show(size=size) as pilot:
        await pilot.press(*keys)
        await pilot.pause()
        strips = pilot.app.screen._compositor.render_strips()
        assert {strip.cell_length for strip in strips} == {size[0]}
        assert len(strips) == size[1]


async def test_the_command_is_never_dropped(show: Show) -> None:
    for width in range(40, 121, 10):
        async with show(size=(width, 20)) as pilot:
            assert "COMMAND" in text_of(pilot.app)
            assert "WRITE/s" in text_of(pilot.app)
            assert "log-fl" in text_of(pilot.app)


async def test_no_color_writes_no_colour(show: Show, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    async with show(theme="mono") as pilot:
        for keys in ([], ["enter"], ["escape", "3"], ["1", "slash", "x"]):
            await pilot.press(*keys)
            styles = {
                segment.style
                for strip in pilot.app.screen._compositor.render_strips()
                for segment in strip
                if segment.style
            }
            colors = {style.color for style in styles} | {style.bgcolor for style in styles}
            assert all(color is None or color.is_default for color in colors), (keys, colors)


async def test_a_theme_that_was_chosen_is_grey_under_no_color(
    show: Show, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    async with show(theme="dark") as pilot:
        table = app_of(pilot).main.table
        for strip in table.render_lines(table.size.region):
            for segment in strip:
                color = segment.style.color if segment.style else None
                if color is not None and color.triplet is not None:
                    assert color.triplet.red == color.triplet.green == color.triplet.blue


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"TERM": "linux", "LANG": "en_US.UTF-8"}, True),
        ({"TERM": "xterm-256color", "LANG": "en_US.UTF-8"}, False),
        ({"TERM": "xterm", "LC_ALL": "de_DE.ISO-8859-1", "LANG": "en_US.UTF-8"}, True),
        ({"TERM": "xterm", "LC_CTYPE": "C.utf8"}, False),
        ({"TERM": "xterm", "LANG": "C"}, False),
        ({}, False),
    ],
)
def test_ascii_is_used_where_nothing_else_is_drawn(environ: dict[str, str], expected: bool) -> None:
    assert needs_ascii(environ) is expected


class TestSource:
    async def test_what_is_being_done_is_said_before_the_first_frame(self) -> None:
        app = make_app()
        async with app.run_test(size=(80, 24)) as pilot:
            assert "starting" in lines_of(app)[0]
            app.post_message(SourceStatus("loading probes"))
            await pilot.pause()
            assert lines_of(app)[1].strip() == "loading probes"

            await give(pilot, frames.frame())
            assert "loading" not in text_of(app)

    async def test_a_failure_is_one_line_and_the_last_rows_stay(self, show: Show) -> None:
        async with show() as pilot:
            pilot.app.post_message(SourceFailed("the map is gone\x1b[2J", is_final=False))
            await pilot.pause()
            assert "○ the map is gone·[2J" in text_of(pilot.app)
            assert "log-flood" in text_of(pilot.app)

    async def test_the_screen_stays_when_no_source_is_left(self, show: Show) -> None:
        async with show() as pilot:
            pilot.app.post_message(SessionEnded(SourceError("nothing works")))
            await pilot.pause()
            assert not pilot.app._exit

    @pytest.mark.parametrize("end", [{"iterations": 2}, {"duration_s": 5.0}])
    async def test_it_ends_by_itself_though_no_source_is_left(
        self, show: Show, end: dict[str, float]
    ) -> None:
        async with show(**end) as pilot:
            pilot.app.post_message(SessionEnded(SourceError("nothing works")))
            await pilot.pause()
            assert pilot.app._exit

    async def test_a_forced_source_that_fails_ends_the_screen(self, show: Show) -> None:
        async with show(source="bcc") as pilot:
            problem = SourceError("no BPF here")
            pilot.app.post_message(SessionEnded(problem))
            await pilot.pause()
            assert pilot.app._exit
            assert app_of(pilot).failure is problem

    async def test_the_end_of_the_session_ends_the_screen(self, show: Show) -> None:
        async with show() as pilot:
            pilot.app.post_message(SessionEnded())
            await pilot.pause()
            assert pilot.app._exit
            assert pilot.app.return_code == 0

    async def test_restrictions_are_a_banner_with_the_remedy(self, show: Show) -> None:
        notes = [f"note number {i}: sudo iotop-ng" for i in range(5)]
        async with show(frames.frame(source="procfs", notes=notes), size=(80, 40)) as pilot:
            assert line_with(pilot.app, "note number 0").strip().startswith("⚠")
            assert "note number 2" in text_of(pilot.app)
            assert "note number 3" not in text_of(pilot.app)
            assert "+ 2 more: iotop-ng doctor" in text_of(pilot.app)
        async with show(frames.frame(source="procfs", notes=notes), size=(80, 24)) as pilot:
            assert "+ 4 more: iotop-ng doctor" in lines_of(pilot.app)[1]

    async def test_devices_beyond_the_room_are_counted(self, show: Show) -> None:
        devices = [frames.device(f"vd{letter}", 1 / (n + 1)) for n, letter in enumerate("abcdefgh")]
        async with show(frames.frame(devices=devices), size=(80, 24)) as pilot:
            assert "+6" in line_with(pilot.app, " vdb ")
        async with show(frames.frame(devices=devices), size=(200, 60)) as pilot:
            assert "+ 2 more" in line_with(pilot.app, " vdf ")

    async def test_an_idle_device_is_shown_when_there_is_no_other(self, show: Show) -> None:
        async with show(frames.frame(devices=[frames.device("vda", 0.0)])) as pilot:
            assert line_with(pilot.app, " vda ")


async def test_an_error_of_the_screen_is_not_a_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    app = make_app()
    monkeypatch.setattr(app.main, "paint", lambda: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        async with app.run_test(size=(80, 24)):
            pass
    assert isinstance(app.failure, ZeroDivisionError)
    assert not app._exit_renderables


def test_an_unknown_theme_is_refused() -> None:
    with pytest.raises(UsageError, match="dark"):
        make_app("drak")


async def test_only_visible_rows_are_formatted_and_unchanged_ones_once(
    show: Show, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = 0
    strip = RowPainter.strip

    def counting(*args: Any) -> Strip:
        nonlocal made
        made += 1
        return strip(*args)

    monkeypatch.setattr(RowPainter, "strip", counting)
    rows = [frames.row(pid, f"idle-{pid}") for pid in range(1, 10_001)]
    async with show(frames.frame(rows=rows), size=(120, 40)) as pilot:
        page = app_of(pilot).main.table.page
        assert page <= made <= 3 * page

        made = 0
        await give(pilot, frames.frame(61, rows=rows))
        assert made == 0
        changed = [frames.row(1, "now-busy", write=1e6), *rows[1:]]
        await give(pilot, frames.frame(62, rows=changed))
        assert 1 <= made <= 2
        assert "now-busy" in text_of(pilot.app)


async def test_processes_that_come_and_go_do_not_lay_out_the_screen(show: Show) -> None:
    async with show(size=(120, 40)) as pilot:
        layouts = []
        screen = app_of(pilot).main
        refresh_layout = screen._refresh_layout
        screen._refresh_layout = lambda *a, **k: layouts.append(1) or refresh_layout(*a, **k)  # type: ignore[method-assign,func-returns-value]
        for count in (60, 20, 90):
            await give(pilot, frames.frame(61, idle=count))
        assert layouts == []
