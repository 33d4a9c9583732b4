"""Each key does what its help says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
from textual import events
from textual.pilot import Pilot

from iotop_ng.model.fields import DEFAULT
from iotop_ng.sample import Need
from iotop_ng.view.app import IotopApp
from tests.fakes import frames
from tests.screens.conftest import Show, give
from tests.screens.looking import line_with, lines_of, pids_of, style_of, text_of


def app_of(pilot: Pilot[object]) -> IotopApp:
    assert isinstance(pilot.app, IotopApp)
    return pilot.app


def selected(pilot: Pilot[object]) -> int:
    row = app_of(pilot).main.row
    assert row is not None
    return row.pid


def contents(directory: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in directory.iterdir()}


def said(pilot: Pilot[object]) -> str:
    return lines_of(pilot.app)[-1].strip()


class TestOrder:
    async def test_starts_with_the_largest_writer(self, show: Show) -> None:
        async with show() as pilot:
            assert pids_of(pilot.app)[:2] == [4242, 917]

    async def test_r_sorts_by_read_however_often(self, show: Show) -> None:
        async with show() as pilot:
            for _ in range(2):
                await pilot.press("r")
                assert pids_of(pilot.app)[0] == 2201
                assert "▼READ/s" in text_of(pilot.app)

    async def test_a_new_order_is_shown_from_its_first_row(self, show: Show) -> None:
        async with show(size=(100, 10)) as pilot:
            await pilot.press("end", "r")
            assert pids_of(pilot.app)[0] == 2201
            assert selected(pilot) == 2201

    async def test_a_new_order_keeps_the_followed_row(self, show: Show) -> None:
        async with show(size=(100, 10)) as pilot:
            await pilot.press("F", "r")
            assert selected(pilot) == 4242

    async def test_l_sorts_by_latency_and_w_back_by_write(self, show: Show) -> None:
        async with show() as pilot:
            await pilot.press("l")
            assert pids_of(pilot.app)[0] == 917

            await pilot.press("w")
            assert pids_of(pilot.app)[0] == 4242

    async def test_arrows_choose_the_next_and_previous_column(self, show: Show) -> None:
        async with show() as pilot:
            await pilot.press("right")
            assert app_of(pilot).main.controls.sort == DEFAULT[3]
            await pilot.press("left", "left")
            assert app_of(pilot).main.controls.sort == DEFAULT[1]

    async def test_arrows_reach_every_column_but_history(self, show: Show) -> None:
        async with show(size=(200, 40)) as pilot:
            seen = set()
            for _ in DEFAULT:
                seen.add(app_of(pilot).main.controls.sort)
                await pilot.press("f6")
            assert seen == set(DEFAULT) - {"history"}

    async def test_capital_i_reverses(self, show: Show) -> None:
        async with show() as pilot:
            await pilot.press("I")
            assert pids_of(pilot.app)[-1] == 4242

    async def test_a_click_on_a_header_sorts_by_it(self, show: Show) -> None:
        async with show() as pilot:
            header = line_with(pilot.app, "COMMAND")
            await pilot.click("#table", offset=(header.index("READ/s"), 0))
            await pilot.pause()
            assert app_of(pilot).main.controls.sort == "read_bytes_per_s"

    async def test_idle_rows_never_change_places(self, show: Show) -> None:
        async with show() as pilot:
            before = [pid for pid in pids_of(pilot.app) if pid >= 10_000]
            for tick in range(1, 5):
                rows = frames.processes(frames.FIRST_TICK + tick)
                shuffled = rows[tick * 7 :] + rows[: tick * 7]
                await give(pilot, frames.frame(frames.FIRST_TICK + tick, rows=shuffled))
                assert [pid for pid in pids_of(pilot.app) if pid >= 10_000] == before

    async def test_nothing_but_numbers_moves_from_frame_to_frame(self, show: Show) -> None:
        """Columns, device line and first line keep their places; busy rows may change theirs."""
        async with show() as pilot:
            before = [line_with(pilot.app, title) for title in ("COMMAND", "util", "coverage")]
            await give(pilot, *(frames.frame(frames.FIRST_TICK + t) for t in range(1, 30, 3)))
            after = [line_with(pilot.app, title) for title in ("COMMAND", "util", "coverage")]
            for old, new in zip(before, after, strict=True):
                words = [w for w in ("WRITE/s", "HISTORY", "util", "p99", "self") if w in old]
                assert words
                assert [old.index(w) for w in words] == [new.index(w) for w in words]


class TestCursor:
    async def test_keys_move_it_and_it_stays_in_the_table(self, show: Show) -> None:
        async with show(size=(80, 24)) as pilot:
            table = app_of(pilot).main.table
            await pilot.press("down", "j", "up")
            assert table.cursor == 1
            await pilot.press("end")
            assert table.cursor == len(table.placed) - 1
            assert str(selected(pilot)) in text_of(pilot.app)
            await pilot.press("home", "k")
            assert table.cursor == 0
            await pilot.press("pagedown")
            assert table.cursor == table.page
            await pilot.press("pageup", "pageup")
            assert table.cursor == 0

    async def test_it_stays_on_its_line_without_follow(self, show: Show) -> None:
        async with show() as pilot:
            await pilot.press("down")
            await pilot.press("I")
            assert app_of(pilot).main.table.cursor == 1
            assert selected(pilot) != 917

    async def test_follow_keeps_it_on_the_process(self, show: Show) -> None:
        async with show() as pilot:
            await pilot.press("down", "F")
            assert "FOLLOW" in lines_of(pilot.app)[0]
            await pilot.press("I")
            assert selected(pilot) == 917
            await pilot.press("F")
            assert "FOLLOW" not in lines_of(pilot.app)[0]

    async def test_follow_ends_when_the_process_is_gone(self, show: Show) -> None:
        async with show() as pilot:
            await pilot.press("F")
            rest = [row for row in frames.processes() if row.pid != 4242]
            await give(pilot, frames.frame(61, rows=rest))
            assert "FOLLOW" not in lines_of(pilot.app)[0]
            assert "gone" in said(pilot)

    async def test_a_reused_pid_is_not_followed(self, show: Show) -> None:
        async with show() as pilot:
            await pilot.press("F")
            rows = [
                msgspec.structs.replace(row, key=row.key + (1 << 30)) if row.pid == 4242 else row
                for row in frames.processes()
            ]
            await give(pilot, frames.frame(61, rows=rows))
            assert app_of(pilot).main.controls.followed is None

    async def test_space_tags_and_goes_on(self, show: Show) -> None:
        async with show() as pilot:
            await pilot.press("down", "down", "space")
            assert app_of(pilot).main.table.cursor == 3
            assert line_with(pilot.app, "/usr/lib/").startswith(" *")
            await pilot.press("up", "space", "home")
            assert line_with(pilot.app, "/usr/lib/").startswith("  ")

    async def test_a_click_selects_and_a_second_one_opens(self, show: Show) -> None:
        async with show() as pilot:
            await pilot.click("#table", offset=(30, 3))
            assert app_of(pilot).main.table.cursor == 2
            await pilot.click("#table", offset=(30, 3))
            await pilot.pause()
            assert app_of(pilot).main.controls.detail == 1

    async def test_the_wheel_scrolls(self, show: Show) -> None:
        async with show(size=(80, 24)) as pilot:
            table = app_of(pilot).main.table
            where: Any = {
                "widget": table,
                "x": 5,
                "y": 5,
                "delta_x": 0,
                "delta_y": 0,
                "button": 0,
                "shift": False,
                "meta": False,
                "ctrl": False,
            }
            table.post_message(events.MouseScrollDown(**where))
            await pilot.pause()
            assert table.top == 3
            assert "PID USER" in text_of(pilot.app)
            assert "log-flood --" not in text_of(pilot.app)
            for _ in range(50):
                table.post_message(events.MouseScrollDown(**where))
            await pilot.pause()
            assert table.top == len(table.placed) - table.page
            for _ in range(50):
                table.post_message(events.MouseScrollUp(**where))
            await pilot.pause()
            assert table.top == 0


class TestFilter:
    async def test_it_applies_while_it_is_typed(self, show: Show) -> None:
        async with show() as pilot:
            await pilot.press("slash", *"postg")
            assert pids_of(pilot.app) == [917]
            assert "✓ 1 row" in text_of(pilot.app)

    async def test_an_invalid_one_is_marked_and_not_applied(self, show: Show) -> None:
        async with show() as pilot:
            await pilot.press("slash", "p", "left_parenthesis")
            assert "✗ not a regular expression" in text_of(pilot.app)
            assert 917 in pids_of(pilot.app)
            await pilot.press("enter")
            assert 917 in pids_of(pilot.app)

    async def test_enter_keeps_it_and_the_first_line_says_so(self, show: Show) -> None:
        async with show() as pilot:
            await pilot.press("slash", *"write>5M", "enter")
            assert "FILTER write>5M" in lines_of(pilot.app)[0]
            assert pids_of(pilot.app) == [4242]
            await pilot.press("q")
            assert not pilot.app.is_running or pilot.app._exit

    async def test_escape_puts_back_what_was_before(self, show: Show) -> None:
        async with show(filter="postgres") as pilot:
            await pilot.press("slash", "x", "y", "z")
            assert pids_of(pilot.app) == []
            assert "no row matches the filter" in text_of(pilot.app)
            await pilot.press("escape")
            assert pids_of(pilot.app) == [917]

    async def test_escape_clears_it_and_n_still_finds(self, show: Show) -> None:
        async with show(filter="idle-7$|idle-7 ") as pilot:
            await pilot.press("escape")
            assert len(pids_of(pilot.app)) > 40
            await pilot.press("n")
            assert selected(pilot) == 10_007
            await pilot.press("N")
            assert selected(pilot) == 10_007

    async def test_keys_that_are_letters_are_text_in_it(self, show: Show) -> None:
        async with show() as pilot:
            await pilot.press("slash", "q", "w", "1")
            assert pilot.app.is_running
            assert app_of(pilot).main.controls.filter_text == "qw1"


class TestWhatIsShown:
    async def test_o_hides_rows_without_io(self, show: Show) -> None:
        async with show() as pilot:
            await pilot.press("o")
            assert all(pid < 10_000 for pid in pids_of(pilot.app))
            assert "ACTIVE" in lines_of(pilot.app)[0]

    async def test_a_goes_through_the_modes(self, show: Show) -> None:
        async with show() as pilot:
            rate = line_with(pilot.app, "log-flood --")
            await pilot.press("a")
            assert "ACCUMULATED" in lines_of(pilot.app)[0]
            assert "12G" in line_with(pilot.app, "log-flood --") != rate
            await pilot.press("a")
            assert "AVERAGE" in lines_of(pilot.app)[0]
            await pilot.press("a")
            assert line_with(pilot.app, "log-flood --") == rate

    async def test_p_asks_for_threads_and_shows_them(self, show: Show) -> None:
        async with show() as pilot:
            await pilot.press("p")
            assert Need.THREADS in app_of(pilot).main.controls.needs()
            threads = [frames.row(917, "postgres", tid=tid, write=1e6) for tid in (917, 918)]
            await give(pilot, frames.frame(61, threads=threads))
            assert [p.row.tid for p in app_of(pilot).main.table.placed][:2] == [917, 918]
            assert "TID" in text_of(pilot.app)
            assert "918" in text_of(pilot.app)

    async def test_a_thread_says_its_own_name_first(self, show: Show) -> None:
        command = "/usr/sbin/server --threads 4"
        threads = [
            frames.row(917, comm, command=command, tid=tid, write=1e6 + tid)
            for tid, comm in ((917, "server"), (918, "flusher"), (0, "server"))
        ]
        async with show(frames.frame(threads=threads), threads=True, size=(160, 40)) as pilot:
            assert f" flusher ({command})" in line_with(pilot.app, " 918 ")
            assert f"ended threads of {command}" in text_of(pilot.app)
            assert f" {command}" in line_with(pilot.app, " 917 ")
            await pilot.press("c")
            assert "flusher" in line_with(pilot.app, " 918 ")
            assert "--threads" not in text_of(pilot.app)

    async def test_tree_puts_children_below_parents(self, show: Show) -> None:
        rows = [frames.row(10, "parent"), frames.row(20, "child", ppid=10)]
        async with show(frames.frame(rows=rows)) as pilot:
            await pilot.press("T")
            assert "└─child" in text_of(pilot.app)

    async def test_c_shortens_the_command(self, show: Show) -> None:
        async with show() as pilot:
            await pilot.press("c")
            assert "--rate" not in text_of(pilot.app)
            assert "log-flood" in text_of(pilot.app)

    async def test_a_kworker_says_for_whom(self, show: Show) -> None:
        async with show(size=(200, 40)) as pilot:
            assert "[kworker/u8:3+fl] → log-flood[4242] 98%" in text_of(pilot.app)

    async def test_ended_rows_can_be_hidden(self, show: Show) -> None:
        async with show(hide_exited=True) as pilot:
            assert 3300 not in pids_of(pilot.app)

    async def test_rows_say_what_they_are_about_without_colour(self, show: Show) -> None:
        async with show(theme="mono") as pilot:
            assert line_with(pilot.app, "log-flood --").startswith("▶!")
            assert line_with(pilot.app, "postgres:").startswith(" ~")
            assert line_with(pilot.app, "dd if=").startswith(" x")

    async def test_rows_say_what_they_are_about_with_colour(self, show: Show) -> None:
        async with show() as pilot:
            colours = {
                style_of(pilot.app, text).color
                for text in ("log-flood", "postgres: wal", "dd if=", "/usr/lib/")
            }
            assert len(colours) == 4


class TestTime:
    async def test_pause_holds_the_screen_and_brackets_step(self, show: Show) -> None:
        async with show() as pilot:
            await pilot.press("z")
            assert "PAUSED" in lines_of(pilot.app)[0]
            await give(pilot, frames.frame(61), frames.frame(62))
            assert "08:01:00" in lines_of(pilot.app)[0]
            assert "PAUSED -2s" in lines_of(pilot.app)[0]

            await pilot.press("right_square_bracket")
            assert "08:01:01" in lines_of(pilot.app)[0]
            await pilot.press("left_square_bracket", "left_square_bracket")
            assert "08:01:00" in lines_of(pilot.app)[0]
            assert "no interval is kept" in said(pilot)

            await pilot.press("P")
            assert "08:01:02" in lines_of(pilot.app)[0]
            assert "PAUSED" not in lines_of(pilot.app)[0]

    async def test_stepping_back_pauses(self, show: Show) -> None:
        async with show() as pilot:
            await give(pilot, frames.frame(61))
            await pilot.press("left_square_bracket")
            assert "PAUSED -1s" in lines_of(pilot.app)[0]

    async def test_plus_and_minus_change_the_interval(self, show: Show) -> None:
        async with show() as pilot:
            await pilot.press("plus")
            assert "2.0s" in lines_of(pilot.app)[0]
            await pilot.press("minus", "minus")
            assert "0.5s" in lines_of(pilot.app)[0]
            await pilot.press(*["minus"] * 9)
            assert "0.1s" in lines_of(pilot.app)[0]
