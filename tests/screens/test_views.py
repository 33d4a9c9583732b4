"""Views, pages and bindings: each key of them does what help says."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest

from iotop_ng.model.fields import BY_ID
from iotop_ng.sample import Need
from iotop_ng.view.app import IotopApp
from iotop_ng.view.bindings import ACTING, ACTIONS, EVERYWHERE, LATER
from iotop_ng.view.controls import DEVICES, PROBES, PROCESSES
from tests.fakes import frames
from tests.screens.conftest import Show, give
from tests.screens.looking import lines_of, pids_of, style_of, text_of
from tests.screens.test_actions import app_of, contents, said, selected


class TestViews:
    async def test_numbers_open_views_and_tab_goes_round(self, show: Show) -> None:
        async with show() as pilot:
            controls = app_of(pilot).main.controls
            await pilot.press("3")
            assert controls.view == DEVICES
            assert "W-AWAIT" in text_of(pilot.app)
            assert "flush" in text_of(pilot.app)
            await pilot.press("8")
            assert controls.view == PROBES
            assert "raw_tp/block_rq_issue" in text_of(pilot.app)
            assert "inflight" in text_of(pilot.app)
            await pilot.press("tab")
            assert controls.view == PROCESSES
            await pilot.press("tab", "escape")
            assert controls.view == PROCESSES

    @pytest.mark.parametrize("key", sorted(LATER))
    async def test_views_that_do_not_exist_say_so(self, show: Show, key: str) -> None:
        async with show() as pilot:
            await pilot.press(key)
            assert "not part of this version" in said(pilot)
            assert app_of(pilot).main.controls.view == PROCESSES

    async def test_probes_are_counted_only_while_their_view_is_open(self, show: Show) -> None:
        async with show() as pilot:
            controls = app_of(pilot).main.controls
            assert Need.PROBES not in controls.needs()
            await pilot.press("8")
            assert Need.PROBES in controls.needs()
            await pilot.press("1")
            assert Need.PROBES not in controls.needs()

    async def test_the_device_view_describes_the_selected_device(self, show: Show) -> None:
        devices = [frames.device("vda"), frames.device("vdb", 0.0)]
        async with show(frames.frame(devices=devices)) as pilot:
            await pilot.press("3")
            assert "requeue" in text_of(pilot.app)
            await pilot.press("down", "down", "down")
            assert "vdb: operations and latency histograms need block probes" in text_of(pilot.app)

    async def test_details_open_grow_and_close(self, show: Show) -> None:
        async with show() as pilot:
            controls = app_of(pilot).main.controls
            await pilot.press("enter")
            assert {Need.THREADS, Need.SYSCALLS} <= controls.needs()
            assert "all columns" in text_of(pilot.app)
            assert "PID USER" in text_of(pilot.app)
            await pilot.press("enter")
            assert "PID USER" not in text_of(pilot.app)
            await pilot.press("escape")
            assert "all columns" not in text_of(pilot.app)
            assert not controls.needs()

    async def test_details_stay_with_their_process(self, show: Show) -> None:
        async with show() as pilot:
            await pilot.press("enter")
            await pilot.press("I")
            assert selected(pilot) == 4242
            await pilot.press("up")
            assert selected(pilot) != 4242
            assert f"── {selected(pilot)} " in text_of(pilot.app)

    async def test_details_of_one_that_ended_say_what_it_did_in_all(self, show: Show) -> None:
        async with show() as pilot:
            await pilot.press("slash", *"pid:3300", "enter", "enter")
            await give(pilot, frames.frame(frames.FIRST_TICK + 9))
            (line,) = (line for line in lines_of(pilot.app) if "in all" in line)
            assert "written 0" not in line
            assert "written -" not in line

    async def test_details_list_the_busiest_threads(self, show: Show) -> None:
        threads = [frames.row(4242, f"worker-{i}", tid=5000 + i, write=1e6 * i) for i in range(12)]
        async with show(frames.frame(threads=threads), size=(120, 46)) as pilot:
            await pilot.press("enter")
            assert "12 threads" in text_of(pilot.app)
            assert "worker-11" in text_of(pilot.app)
            assert "+ 4 more" in text_of(pilot.app)


class TestPages:
    async def test_help_tells_every_key_and_every_column(self, show: Show) -> None:
        async with show(size=(100, 400)) as pilot:
            await pilot.press("question_mark")
            page = " ".join(text_of(pilot.app).split())
            for action in ACTIONS:
                assert action.help.split(";")[0][:40] in page
            for column in BY_ID.values():
                assert column.help[:30] in page
            await pilot.press("escape")
            assert pilot.app.screen is app_of(pilot).main

    async def test_settings_switch_and_move_columns_live(self, show: Show) -> None:
        async with show(size=(200, 60)) as pilot:
            main = app_of(pilot).main
            await pilot.press("f2", "down", "space")
            await pilot.pause()
            assert "user" not in main.controls.columns
            await pilot.press("d", "less_than_sign", "home", "greater_than_sign", "escape")
            await pilot.pause()
            assert main.controls.columns[:2] == ("user", "pid")
            assert "USER          PID" in text_of(pilot.app)

    async def test_a_chosen_column_gets_its_probes(self, show: Show) -> None:
        async with show(columns=("pid", "fsync_p99_us", "command")) as pilot:
            assert Need.SYSCALLS in app_of(pilot).main.controls.needs()
        async with show() as pilot:
            assert Need.SYSCALLS not in app_of(pilot).main.controls.needs()

    async def test_settings_switch_the_theme_live(self, show: Show) -> None:
        async with show() as pilot:
            before = style_of(pilot.app, "log-flood")
            await pilot.press("f2", "tab", "end")
            await pilot.pause()
            await pilot.press("escape")
            await pilot.pause()
            assert app_of(pilot).theme_name == list(app_of(pilot).themes)[-1]
            assert style_of(pilot.app, "log-flood") != before

    async def test_the_palette_runs_any_action(self, show: Show) -> None:
        async with show() as pilot:
            await pilot.press("colon")
            await pilot.pause()
            await pilot.press(*"reverse")
            await pilot.pause(0.5)
            await pilot.press("enter")
            await pilot.pause(0.2)
            assert app_of(pilot).main.controls.is_reversed

    async def test_a_picture_is_saved_and_never_overwrites(
        self, show: Show, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        async with show() as pilot:
            await pilot.press("s", "s")
        files = contents(tmp_path)
        assert sorted(files) == [
            "iotop-ng-20270115-080100-1.svg",
            "iotop-ng-20270115-080100.svg",
        ]
        assert all("log-flood" in content for content in files.values())

    async def test_a_directory_that_cannot_be_written_is_one_line(
        self, show: Show, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        gone = tmp_path / "gone"
        gone.mkdir()
        monkeypatch.chdir(gone)
        gone.rmdir()
        async with show() as pilot:
            await pilot.press("s")
            assert "no picture" in said(pilot)

    async def test_y_copies_the_row_or_the_tagged_ones(self, show: Show) -> None:
        async with show() as pilot:
            await pilot.press("y")
            assert pilot.app.clipboard.split("\t")[:2] == ["4242", "app"]
            assert "copied the row" in said(pilot)
            await pilot.press("space", "space", "y")
            assert [line.split("\t")[0] for line in pilot.app.clipboard.split("\n")] == [
                "4242",
                "917",
            ]
            assert base64.b64encode(pilot.app.clipboard.encode())

    @pytest.mark.parametrize("key", ["q", "f10", "ctrl+c"])
    async def test_quit_keys_leave(self, show: Show, key: str) -> None:
        async with show() as pilot:
            await pilot.press(key)
            await pilot.pause()
            assert pilot.app._exit
            assert app_of(pilot).return_code == 0

    async def test_ctrl_c_leaves_even_from_the_filter(self, show: Show) -> None:
        async with show() as pilot:
            await pilot.press("slash", "x", "ctrl+c")
            assert pilot.app._exit

    async def test_redraw_forgets_what_the_terminal_shows(self, show: Show) -> None:
        async with show() as pilot:
            forgotten: list[bool] = []
            app_of(pilot).forget_frame = lambda: forgotten.append(True)  # type: ignore[method-assign]
            await pilot.press("ctrl+l")
            assert forgotten


class TestBindings:
    def test_every_action_has_a_method(self) -> None:
        from iotop_ng.view.screens.acts import Acts
        from iotop_ng.view.screens.deeds import Deeds

        for action in ACTIONS:
            owner: Any = IotopApp if action.name in EVERYWHERE else Deeds
            owner = Acts if action.name in ACTING else owner
            name = f"do_{action.name}" if action.name in EVERYWHERE else action.name
            assert callable(getattr(owner, name)), action.name

    async def test_keys_can_be_changed(self, show: Show) -> None:
        async with show(size=(200, 40), keys={"sort_read": "x", "quit": "f10"}) as pilot:
            await pilot.press("x")
            assert pids_of(pilot.app)[0] == 2201
            await pilot.press("q", "r")
            assert not pilot.app._exit
            assert " x read " in text_of(pilot.app)

    async def test_a_click_in_the_key_bar_does_what_the_key_does(self, show: Show) -> None:
        async with show() as pilot:
            bar = lines_of(pilot.app)[-1]
            await pilot.click("#keys", offset=(bar.index("devices"), 0))
            await pilot.pause()
            assert app_of(pilot).main.controls.view == DEVICES
            await pilot.click("#keys", offset=(bar.index("help"), 0))
            await pilot.pause()
            assert pilot.app.screen is not app_of(pilot).main
