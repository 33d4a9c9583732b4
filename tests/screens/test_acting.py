"""The acting keys without a dialog, what the screen shows of policies, and leaving."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from iotop_ng.config import Settings
from iotop_ng.enforcers.orders import Failed
from iotop_ng.view.app import NEEDS_ROOT, IotopApp
from iotop_ng.view.themes import load_themes
from tests.fakes import acting, frames
from tests.fakes.acting import FakeEngine
from tests.screens.conftest import give
from tests.screens.looking import line_with, lines_of, style_of
from tests.screens.stage import MIB, SECOND, SERVER, Open


class TestRelease:
    async def test_u_releases_the_row_without_a_question(self, stage: Open) -> None:
        async with stage(acting.acting_frame()) as at:
            await at.press("u")
            assert [call.ids for call in at.engine.calls("release")] == [(1,)]
            assert at.said == "released log-flood[4242]"

    async def test_u_on_a_row_without_policy_says_so(self, stage: Open) -> None:
        async with stage() as at:
            await at.press("u")
            assert at.engine.calls("release") == []
            assert at.said == "nothing is in force on log-flood[4242]"

    async def test_u_releases_the_tagged_rows(self, stage: Open) -> None:
        async with stage(acting.acting_frame()) as at:
            await at.press("space", "space", "u")
            assert [call.ids for call in at.engine.calls("release")] == [(1, 2)]

    async def test_capital_u_releases_everything_at_once(self, stage: Open) -> None:
        async with stage() as at:
            await at.press("U")
            assert [call.ids for call in at.engine.calls("release")] == [None]
            assert not at.is_dialog_open

    async def test_what_could_not_be_released_is_said(self, stage: Open) -> None:
        engine = FakeEngine()
        engine.failure = Failed("the keeper has died", 1)
        async with stage(engine=engine) as at:
            await at.press("U")
            assert at.said == "the keeper has died"


class TestAdjusting:
    async def test_plus_and_minus_change_the_cap_of_a_throttled_row(self, stage: Open) -> None:
        async with stage(acting.acting_frame()) as at:
            await at.press("plus")
            await at.press("plus")
            await at.press("minus")

            assert [call.rate for call in at.engine.calls("change")] == [
                7 * MIB,
                10 * MIB,
                7 * MIB,
            ]
            assert {call.ids for call in at.engine.calls("change")} == {(1,)}
            assert "held to 7.0M/s" in at.said
            assert at.app.main.controls.interval_s == 1.0

    async def test_the_lease_is_never_made_shorter(self, stage: Open) -> None:
        frame = acting.acting_frame()
        long = replace(frame.policies[0], remaining_s=3000.0)
        async with stage(replace(frame, policies=(long,))) as at:
            await at.press("plus")
            assert at.engine.calls("change")[0].lease_ns == 3000 * SECOND
        async with stage(frame) as at:
            await at.press("plus")
            assert at.engine.calls("change")[0].lease_ns == 600 * SECOND

    async def test_a_new_frame_is_what_the_next_step_starts_from(self, stage: Open) -> None:
        frame = acting.acting_frame()
        async with stage(frame) as at:
            await at.press("plus")
            now = replace(frame.policies[0], rate_bytes_per_s=7 * MIB)
            await give(at.pilot, replace(frame, policies=(now,), tick=61))
            other = replace(now, rate_bytes_per_s=MIB)
            await give(at.pilot, replace(frame, policies=(other,), tick=62))
            await at.press("plus")
            assert [call.rate for call in at.engine.calls("change")] == [7 * MIB, 3 * MIB // 2]

    async def test_elsewhere_they_are_the_interval(self, stage: Open) -> None:
        async with stage(acting.acting_frame()) as at:
            await at.press("end", "plus")
            assert at.engine.calls("change") == []
            assert at.app.main.controls.interval_s == 2.0


class TestPoliciesView:
    async def test_it_shows_what_is_in_force_and_the_history(self, stage: Open) -> None:
        async with stage(acting.acting_frame()) as at:
            await at.press("7")
            assert "effective" in line_with(at.app, "▶ log-flood[4242]")
            assert "adjusted" in at.text

    async def test_u_releases_the_selected_one(self, stage: Open) -> None:
        async with stage(acting.acting_frame()) as at:
            await at.press("7", "down", "u")
            assert [call.ids for call in at.engine.calls("release")] == [(2,)]

    async def test_enter_goes_to_the_row(self, stage: Open) -> None:
        async with stage(acting.acting_frame()) as at:
            await at.press("7", "down", "enter")
            assert at.app.main.controls.view == "view_processes"
            assert at.app.main.row is not None
            assert at.app.main.row.pid == SERVER

    async def test_enter_on_what_is_not_shown_says_so(self, stage: Open) -> None:
        async with stage(acting.acting_frame(), filter="idle") as at:
            await at.press("7", "enter")
            assert "not among the rows that are shown" in at.said

    async def test_t_and_plus_act_on_the_selected_one(self, stage: Open) -> None:
        async with stage(acting.acting_frame()) as at:
            await at.press("7", "plus")
            assert at.engine.calls("change")[0].ids == (1,)
            await at.press("down", "t")
            assert "Throttle postgres[917]" in at.text

    async def test_without_anything_in_force_keys_say_so(self, stage: Open) -> None:
        async with stage() as at:
            await at.press("7", "u")
            assert at.said == "nothing is in force"
            await at.press("enter")
            assert at.said == "nothing is in force"
            await at.press("t")
            assert "no process is selected" in at.said


class TestSigns:
    async def test_the_first_line_counts_what_is_in_force(self, stage: Open) -> None:
        async with stage(acting.acting_frame()) as at:
            assert " 2 POLICIES " in lines_of(at.app)[0]
            assert " 1 DRY RUN " in lines_of(at.app)[0]
            await give(at.pilot, frames.frame(61))
            assert "POLIC" not in lines_of(at.app)[0]

    async def test_the_column_is_there_while_anything_is_in_force(self, stage: Open) -> None:
        async with stage() as at:
            assert "POLICY" not in line_with(at.app, "COMMAND")
            await give(at.pilot, acting.acting_frame(61))
            assert "POLICY" in line_with(at.app, "COMMAND")
            assert "throttle 5M 83%" in line_with(at.app, "log-flood --")
            assert "drop 120/s" in line_with(at.app, "postgres:")
            await give(at.pilot, frames.frame(62))
            assert "POLICY" not in line_with(at.app, "COMMAND")

    async def test_rows_are_marked_without_colour_and_with_it(self, stage: Open) -> None:
        async with stage(acting.acting_frame()) as at:
            await at.press("down", "down")
            assert line_with(at.app, "log-flood --").startswith(" ‖")
            assert line_with(at.app, "postgres:").startswith(" ↓")
            throttled = style_of(at.app, "throttle 5M 83%")
            dropping = style_of(at.app, "drop 120/s")
            plain = style_of(at.app, "idle-3 ")
            assert len({throttled.color, dropping.color, plain.color}) == 3

    async def test_details_say_what_is_in_force_and_what_it_does(self, stage: Open) -> None:
        async with stage(acting.acting_frame(), size=(120, 50)) as at:
            await at.press("enter")
            assert "throttle to 5.0M/s by hold, 9:12 min left" in line_with(at.app, " policy  ")
            assert "198M/s before; held back 83%" in line_with(at.app, " effect  ")

    async def test_an_end_that_nobody_asked_for_is_told(self, stage: Open) -> None:
        frame = acting.acting_frame()
        async with stage(frame) as at:
            ended = replace(acting.EVENTS[0], seq=9, what="expired", text="its lease has ended")
            events_now = (*acting.EVENTS, ended)
            await give(at.pilot, replace(frame, policy_events=events_now, tick=61))
            assert at.said == "its lease has ended"


class TestWhoMayNot:
    async def test_without_root_each_key_says_why(self, stage: Open) -> None:
        async with stage(acting.acting_frame(), why_not=NEEDS_ROOT) as at:
            for key in ("t", "d", "i", "u", "U"):
                at.app.main.say("")
                await at.press(key)
                assert at.said == NEEDS_ROOT, key
                assert not at.is_dialog_open
            await at.press("plus")
            assert at.app.main.controls.interval_s == 2.0
            assert at.engine.asked == []

    async def test_read_only_has_no_acting_key(self, stage: Open) -> None:
        async with stage(acting.acting_frame(), read_only=True, size=(200, 60)) as at:
            assert "throttle t" not in at.said
            assert " t throttle" not in at.said
            for key in ("t", "d", "u", "U", "i", "K", "f9"):
                await at.press(key)
                assert not at.is_dialog_open, key
            await at.press("plus")
            assert at.app.main.controls.interval_s == 2.0
            assert at.engine.asked == []

    async def test_read_only_has_no_acting_hint(self, stage: Open) -> None:
        async with stage(read_only=True, size=(120, 200)) as at:
            await at.press("question_mark")
            assert "Act on processes" not in at.text
            assert "Slow down the writes" not in at.text
            commands = [c.title for c in at.app.get_system_commands(at.app.screen)]
            assert not [title for title in commands if title.startswith(("throttle", "drop"))]

    async def test_the_palette_acts_where_keys_do(self, stage: Open) -> None:
        async with stage() as at:
            commands = list(at.app.get_system_commands(at.app.screen))
            run = next(c.callback for c in commands if c.title.startswith("release all"))
            run()
            await at.pilot.pause()
            assert len(at.engine.calls("release")) == 1

    async def test_without_a_session_keys_say_so(self) -> None:
        app = IotopApp(Settings(), load_themes(None), "dark", "node7")
        async with app.run_test(size=(80, 24)) as pilot:
            await give(pilot, frames.frame())
            await pilot.press("U")
            await pilot.pause()
            assert "there is no session" in lines_of(app)[-1]


class TestLeaving:
    @pytest.mark.parametrize(
        "keys", [("q", "y"), ("q", "q"), ("ctrl+c", "ctrl+c"), ("f10", "enter")]
    )
    async def test_it_asks_once_while_something_of_ours_is_in_force(
        self, stage: Open, keys: tuple[str, str]
    ) -> None:
        async with stage() as at:
            await at.press("t", "enter", keys[0])
            assert not at.app._exit
            assert at.said == "1 policy in force will be undone: quit? y/n"
            await at.press(keys[1])
            assert at.app._exit
        assert at.feed.stopped == 1

    @pytest.mark.parametrize("key", ["n", "escape"])
    async def test_it_stays_when_told_so(self, stage: Open, key: str) -> None:
        async with stage() as at:
            await at.press("space", "space", "t", "enter", "q")
            assert "2 policies in force will be undone" in at.text
            await at.press(key)
            assert not at.app._exit
            assert not at.is_dialog_open

    async def test_what_others_have_in_force_stays_and_is_no_question(self, stage: Open) -> None:
        async with stage(acting.acting_frame()) as at:
            await at.press("q")
            assert at.app._exit

    async def test_what_was_released_or_has_ended_is_no_question(self, stage: Open) -> None:
        async with stage() as at:
            await at.press("t", "enter", "U", "q")
            assert at.app._exit
        async with stage() as at:
            await at.press("t", "enter")
            await give(at.pilot, *(frames.frame(frames.FIRST_TICK + n) for n in range(1, 5)))
            await at.press("q")
            assert at.app._exit

    async def test_ctrl_c_in_a_dialog_asks_too(self, stage: Open) -> None:
        async with stage() as at:
            await at.press("t", "enter", "t", "ctrl+c")
            assert not at.app._exit
            await at.press("ctrl+c")
            assert at.app._exit
