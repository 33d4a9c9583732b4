"""The acting keys and their dialogs, against an engine that acts on nobody."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from signal import SIGKILL, SIGTERM, Signals
from typing import Any, cast

import pytest
from msgspec.structs import replace
from textual import events
from textual.pilot import Pilot

from iotop_ng.config import Settings
from iotop_ng.enforcers.orders import Failed, Kind, Mechanism, Order
from iotop_ng.model.frame import Frame, Row
from iotop_ng.policy.actions import ProcessTarget
from iotop_ng.view import signalling
from iotop_ng.view.app import NEEDS_ROOT, IotopApp
from iotop_ng.view.feed import Feed
from iotop_ng.view.screens.drop import DropDialog
from iotop_ng.view.screens.throttle import ThrottleDialog
from iotop_ng.view.themes import load_themes
from tests.fakes import acting, frames
from tests.fakes.acting import FakeEngine, FakeFeed
from tests.screens.conftest import give
from tests.screens.looking import line_with, lines_of, style_of, text_of

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


@pytest.fixture
def stage() -> Open:
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
            await give(pilot, frame or frames.frame())
            yield Stage(pilot, feed)

    return open_stage


def changed(frame: Frame, pid: int, **fields: object) -> Frame:
    rows = tuple(replace(row, **fields) if row.pid == pid else row for row in frame.rows)
    return replace(frame, rows=rows, tick=frame.tick + 1)


class TestThrottle:
    async def test_t_then_a_rate_then_enter_throttles(self, stage: Open) -> None:
        async with stage() as at:
            await at.press("t", "5", "M", "enter")

            (order,) = at.orders()
            assert order.kind is Kind.THROTTLE
            assert order.rate_bytes_per_s == 5 * MIB
            assert isinstance(order.target, ProcessTarget)
            assert order.target.pid == FLOOD
            assert order.lease_ns == 600 * SECOND
            assert order.with_children
            assert order.mechanism is None
            assert order.before_bytes_per_s
            assert not at.is_dialog_open
            assert at.said == "log-flood[4242] held to 5.0M/s (hold), 10 min"

    async def test_keys_that_come_at_once_go_to_the_dialog(self, stage: Open) -> None:
        """A terminal may deliver "t20M" and Enter in one read, before there is a dialog."""
        async with stage() as at:
            for key, character in (("t", "t"), ("2", "2"), ("0", "0"), ("M", "M"), ("enter", "\r")):
                at.app.post_message(events.Key(key, character))
            await at.pilot.pause()
            await at.pilot.pause()

            assert [order.rate_bytes_per_s for order in at.orders()] == [20 * MIB]
            assert at.app.main.controls.view == "view_processes"

    async def test_escape_that_comes_at_once_leaves(self, stage: Open) -> None:
        async with stage() as at:
            for key in ("t", "escape"):
                at.app.post_message(events.Key(key, None))
            await at.pilot.pause()
            await at.pilot.pause()
            assert not at.is_dialog_open
            assert at.orders() == []

    @pytest.mark.parametrize(
        ("typed", "rate"), [("500K", 500 << 10), ("5MB/s", 5_000_000), ("1.5M", 3 * MIB // 2)]
    )
    async def test_rates_are_taken_as_people_write_them(
        self, stage: Open, typed: str, rate: int
    ) -> None:
        async with stage() as at:
            await at.press("t")
            dialog = at.app.screen
            assert isinstance(dialog, ThrottleDialog)
            dialog.rate.field.value = typed
            await at.press("enter")
            assert [order.rate_bytes_per_s for order in at.orders()] == [rate]

    async def test_a_share_is_of_what_it_writes_at_that_moment(self, stage: Open) -> None:
        frame = frames.frame()
        async with stage(frame) as at:
            await at.press("t", "2", "0", "percent_sign")
            await give(at.pilot, changed(frame, FLOOD, write_bytes_per_s=50.0 * MIB))
            await at.press("enter")

            (order,) = at.orders()
            assert order.rate_bytes_per_s == 10 * MIB
            assert order.before_bytes_per_s == 50 * MIB

    @pytest.mark.parametrize(
        ("typed", "allowed"),
        [
            ("0", "expected 1K or more"),
            ("-1", "expected 5M, 500K, 5MB/s or 20%"),
            ("5X", "expected 5M, 500K, 5MB/s or 20%"),
            ("1e99", "expected 5M, 500K, 5MB/s or 20%"),
        ],
    )
    async def test_what_is_no_rate_is_refused_below_the_field(
        self, stage: Open, typed: str, allowed: str
    ) -> None:
        async with stage() as at:
            await at.press("t", *("minus" if c == "-" else c for c in typed))
            lines = lines_of(at.app)
            field = next(n for n, line in enumerate(lines) if "│  rate" in line)
            assert f"rate '{typed}': {allowed}" in lines[field + 1]
            assert "✗" in lines[field + 1]

            await at.press("enter")
            assert at.is_dialog_open
            assert at.orders() == []

            await at.press(*["backspace"] * 6, "9", "M", "enter")
            assert [order.rate_bytes_per_s for order in at.orders()] == [9 * MIB]

    async def test_presets_are_chosen_with_the_arrows(self, stage: Open) -> None:
        async with stage() as at:
            await at.press("t", "tab", "right", "enter")
            assert [order.rate_bytes_per_s for order in at.orders()] == [20 * MIB]

    async def test_lease_and_children_are_choices(self, stage: Open) -> None:
        async with stage() as at:
            await at.press("t", "down", "tab", "right", "down", "right", "enter")

            (order,) = at.orders()
            assert order.lease_ns == 3600 * SECOND
            assert not order.with_children

    async def test_a_wrong_lease_is_refused(self, stage: Open) -> None:
        async with stage() as at:
            await at.press("t", "down", "7", "enter")
            assert "expected such as 90s, 10m or 1h" in at.text
            assert at.orders() == []

    async def test_the_ladder_says_all_and_the_best_is_chosen(self, stage: Open) -> None:
        async with stage() as at:
            await at.press("t")
            assert "[*] hold" in at.text
            assert "[ ] io max" in at.text
            assert "cannot: it has no cgroup of its own" in line_with(at.app, " pause ")
            assert "The writing thread waits" in at.text
            assert "nobody else" in line_with(at.app, "also hits")
            assert "limits written bytes (the WRITE column)" in at.text
            assert "charged nothing" in at.text

    async def test_another_rung_is_chosen_and_says_whom_it_hits(self, stage: Open) -> None:
        async with stage() as at:
            await at.press("t", "down", "down", "down", "down")
            assert "[*] io max" in at.text
            assert "nginx[917], cron[33]" in line_with(at.app, "also hits")
            assert "until iotop-ng undo" in line_with(at.app, "survives")

            await at.press("enter")
            assert [order.mechanism for order in at.orders()] == [Mechanism.IO_MAX]

    async def test_a_rung_that_cannot_work_is_explained_and_not_chosen(self, stage: Open) -> None:
        async with stage() as at:
            await at.press("t", *["down"] * 5)
            assert "it has no cgroup of its own" in line_with(at.app, "│  cannot")
            assert "[*] io max" in at.text
            await at.press("enter")
            assert [order.mechanism for order in at.orders()] == [Mechanism.IO_MAX]

    async def test_it_is_open_before_the_ladder_is_known(self, stage: Open) -> None:
        async with stage(is_slow=True) as at:
            await at.press("t")
            assert "looking what works here" in at.text
            assert [call.what for call in at.engine.asked] == ["warm", "ladder"]
            at.feed.deliver()
            await at.pilot.pause()
            assert "[*] hold" in at.text

    async def test_an_answer_after_the_end_harms_nobody(self, stage: Open) -> None:
        async with stage(is_slow=True) as at:
            await at.press("t", "escape")
            at.feed.deliver()
            await at.pilot.pause()
            assert not at.is_dialog_open

    async def test_enter_need_not_wait_for_the_ladder(self, stage: Open) -> None:
        async with stage(is_slow=True) as at:
            await at.press("t", "enter")
            assert not at.is_dialog_open
            assert len(at.orders()) == 1
            at.feed.deliver()
            await at.pilot.pause()
            assert "held to" in at.said

    async def test_a_protected_target_is_refused_with_the_reason(self, stage: Open) -> None:
        engine = FakeEngine()
        engine.rungs[Kind.THROTTLE] = Failed("sshd[33] is protected: it is a service", 4)
        async with stage(engine=engine) as at:
            await at.press("t")
            assert "sshd[33] is protected: it is a service" in at.text
            await at.press("enter")
            assert at.is_dialog_open
            assert at.orders() == []

    async def test_where_no_rung_works_enter_does_nothing(self, stage: Open) -> None:
        engine = FakeEngine()
        engine.rungs[Kind.THROTTLE] = (acting.LADDER[2],)
        async with stage(engine=engine) as at:
            await at.press("t", "enter")
            assert "cannot: it has no cgroup" in at.text
            assert at.orders() == []

    async def test_what_the_keeper_refuses_is_one_line(self, stage: Open) -> None:
        engine = FakeEngine()
        engine.failure = Failed("log-flood[4242] is another process by now", 4)
        async with stage(engine=engine) as at:
            await at.press("t", "enter")
            assert at.said == "log-flood[4242] is another process by now"

    async def test_tagged_rows_are_throttled_together(self, stage: Open) -> None:
        async with stage() as at:
            await at.press("space", "space", "t")
            assert "2 processes: log-flood[4242], postgres[917]" in at.text
            await at.press("1", "M", "enter")

            targets = [order.target for order in at.orders()]
            assert [t.pid for t in targets if isinstance(t, ProcessTarget)] == [FLOOD, SERVER]
            assert at.said.startswith("2 in force: log-flood[4242] held to 1.0M/s")

    async def test_a_thread_stands_for_its_process(self, stage: Open) -> None:
        threads = [frames.row(FLOOD, "log-flood", tid=tid, write=1e6) for tid in (4242, 4243)]
        async with stage(frames.frame(threads=threads), threads=True) as at:
            await at.press("space", "space", "t", "enter")
            assert len(at.orders()) == 1

    @pytest.mark.parametrize(
        ("pid", "why"), [(3300, "dd[3300] has ended"), (88, "is a thread of the kernel")]
    )
    async def test_who_cannot_be_held_is_said_to_be(self, stage: Open, pid: int, why: str) -> None:
        rows = [row for row in frames.processes() if row.pid == pid]
        async with stage(frames.frame(rows=rows)) as at:
            await at.press("t")
            assert not at.is_dialog_open
            assert why in at.said

    async def test_it_starts_with_a_rate_that_holds_something_back(self, stage: Open) -> None:
        rows = [frames.row(5, "slow", write=0.3 * MIB)]
        async with stage(frames.frame(rows=rows)) as at:
            await at.press("t")
            assert "[50%]" in at.text


class TestThrottledAlready:
    async def test_t_changes_the_cap_of_what_is_in_force(self, stage: Open) -> None:
        async with stage(acting.acting_frame()) as at:
            await at.press("t")
            assert "another cap for what is in force" in at.text
            assert "[5M]" in at.text
            assert "hold, as it is; u releases it" in at.text
            assert at.engine.asked == []

            await at.press("9", "M", "down", "tab", "right", "enter")
            (change,) = at.engine.calls("change")
            assert (change.ids, change.rate) == ((1,), 9 * MIB)
            assert change.lease_ns == 3600 * SECOND
            assert at.orders() == []
            assert at.said == "log-flood[4242] held to 9.0M/s (hold), 1 h"

    async def test_of_tagged_rows_each_is_changed_or_throttled(self, stage: Open) -> None:
        async with stage(acting.acting_frame()) as at:
            await at.press("space", "space", "t", "2", "M", "enter")
            assert [call.ids for call in at.engine.calls("change")] == [(1,)]
            targets = [order.target for order in at.orders()]
            assert [t.pid for t in targets if isinstance(t, ProcessTarget)] == [SERVER]

    async def test_what_is_only_dry_is_throttled(self, stage: Open) -> None:
        async with stage(acting.acting_frame()) as at:
            await at.press("7", "down", "down", "t", "enter")
            assert len(at.orders()) == 1

    async def test_d_drops_what_is_throttled_and_u_releases_both(self, stage: Open) -> None:
        frame = acting.acting_frame()
        both = replace(frame.policies[1], id=7, key=frame.policies[0].key)
        async with stage(replace(frame, policies=(frame.policies[0], both))) as at:
            await at.press("u")
            assert [call.ids for call in at.engine.calls("release")] == [(1, 7)]

    async def test_the_policy_of_another_client_does_not_become_ours(self, stage: Open) -> None:
        async with stage(acting.acting_frame()) as at:
            await at.press("t", "enter", "q")
            assert at.app._exit


class TestBehindTheDialog:
    async def test_the_screen_goes_on_and_the_target_too(self, stage: Open) -> None:
        frame = frames.frame()
        async with stage(frame, size=(120, 50)) as at:
            await at.press("t")
            await give(at.pilot, changed(frame, FLOOD, write_bytes_per_s=77.0 * MIB))

            assert "writes 77M/s now" in at.text
            behind = at.app.main._compositor.render_strips()
            assert any(" 77M " in strip.text and "log-flood" in strip.text for strip in behind)

    async def test_rows_keep_their_order_and_the_cursor_its_process(self, stage: Open) -> None:
        frame = frames.frame()
        async with stage(frame) as at:
            before = [item.row.pid for item in at.app.main.table.placed]
            await at.press("t")
            rows = list(changed(frame, FLOOD, write_bytes_per_s=0.0).rows)
            rows.append(frames.row(6, "newcomer", write=900e6))
            await give(at.pilot, replace(frame, rows=tuple(rows[::-1]), tick=frame.tick + 1))

            now = [item.row.pid for item in at.app.main.table.placed]
            assert now == [*before, 6]
            await at.press("escape")
            assert at.app.main.table.placed[0].row.pid == 6
            assert at.app.main.row is not None

    async def test_a_target_that_ends_is_said_to_have_and_is_not_acted_on(
        self, stage: Open
    ) -> None:
        frame = frames.frame()
        async with stage(frame) as at:
            await at.press("t")
            await give(at.pilot, changed(frame, FLOOD, exited=True))
            assert "it has ended" in at.text
            await at.press("enter")
            assert at.orders() == []

    async def test_a_pid_that_is_used_again_is_not_the_target(self, stage: Open) -> None:
        frame = frames.frame()
        async with stage(frame) as at:
            await at.press("t")
            await give(at.pilot, changed(frame, FLOOD, key=99))
            await at.press("enter")
            assert at.orders() == []
            assert "it has ended" in at.text


class TestDrop:
    async def test_it_is_done_only_when_its_word_is_pressed(self, stage: Open) -> None:
        async with stage() as at:
            await at.press("d", "enter", "enter")
            assert at.orders() == []
            assert at.is_dialog_open

            await at.press(*["down"] * 9, "enter")
            (order,) = at.orders()
            assert order.kind is Kind.DROP
            assert order.rate_bytes_per_s is None
            assert order.errno_name == "ENOSPC"
            assert order.budget_bytes is None
            assert order.paths == ()
            assert "can write nothing" in at.said

    async def test_it_says_that_data_is_lost(self, stage: Open) -> None:
        async with stage() as at:
            await at.press("d")
            assert "Data is lost" in at.text
            assert "and most programs" in at.text
            assert "[ drop the writes of log-flood[4242] ]" in at.text

    async def test_it_says_that_it_is_looking(self, stage: Open) -> None:
        async with stage(is_slow=True) as at:
            await at.press("d")
            assert "looking what works here" in at.text
            at.feed.deliver()
            await at.pilot.pause()
            assert "looking" not in at.text

    async def test_every_field_reaches_the_order(self, stage: Open) -> None:
        async with stage() as at:
            await at.press("d", *"2M", "down", "right", "right", "down", *"1G", "down", *"1h")
            await at.press("down", *["/", "v", "space", "asterisk", ".", "l"], "down", "enter")

            (order,) = at.orders()
            assert order.rate_bytes_per_s == 2 * MIB
            assert order.errno_name == "EIO"
            assert order.budget_bytes == 1 << 30
            assert order.lease_ns == 3600 * SECOND
            assert order.paths == ("/v", "*.l")

    async def test_a_wrong_field_is_refused(self, stage: Open) -> None:
        async with stage() as at:
            await at.press("d", *"5X", *["down"] * 9, "enter")
            assert at.is_dialog_open
            assert "expected 5M, 500K" in at.text
            assert at.orders() == []

    async def test_where_it_cannot_work_one_key_throttles_instead(self, stage: Open) -> None:
        engine = FakeEngine()
        engine.rungs[Kind.DROP] = (acting.NO_LSM,)
        async with stage(engine=engine) as at:
            await at.press("d")
            assert "started without BPF LSM" in at.text
            assert "passes" not in at.text

            await at.press("t")
            assert isinstance(at.app.screen, ThrottleDialog)
            await at.press("enter")
            assert [order.kind for order in at.orders()] == [Kind.THROTTLE]

    async def test_where_it_cannot_work_enter_throttles_too_and_escape_leaves(
        self, stage: Open
    ) -> None:
        engine = FakeEngine()
        engine.rungs[Kind.DROP] = Failed("no keeper: needs root", 3)
        async with stage(engine=engine) as at:
            await at.press("d")
            assert isinstance(at.app.screen, DropDialog)
            assert "no keeper: needs root" in at.text
            await at.press("enter")
            assert isinstance(at.app.screen, ThrottleDialog)
            await at.press("escape", "d", "escape")
            assert not at.is_dialog_open


class TestIoniceAndSignals:
    async def test_i_sets_class_and_level(self, stage: Open) -> None:
        async with stage() as at:
            await at.press("i", "right", "down", "left", "enter")

            (order,) = at.orders()
            assert (order.kind, order.io_class, order.io_level) == (Kind.IONICE, "best-effort", 6)
            assert at.said == "log-flood[4242] set to best-effort 6 (ionice), 10 min"

    @pytest.mark.parametrize(
        ("keys", "expected"), [(("enter",), SIGTERM), ((*["down"] * 4, "enter"), SIGKILL)]
    )
    async def test_a_signal_is_sent_to_what_was_selected(
        self,
        stage: Open,
        monkeypatch: pytest.MonkeyPatch,
        keys: tuple[str, ...],
        expected: Signals,
    ) -> None:
        sent: list[tuple[int, Signals]] = []

        def send(row: Row, number: Signals) -> str:
            sent.append((row.pid, number))
            return ""

        monkeypatch.setattr(signalling, "send", send)
        async with stage() as at:
            await at.press("K", *keys)
            assert sent == [(FLOOD, expected)]
            assert at.said == f"{expected.name} sent to log-flood[4242]"

    async def test_who_must_not_be_signalled_is_not(self, stage: Open) -> None:
        rows = [frames.row(1, "init", write=1e6)]
        async with stage(frames.frame(rows=rows)) as at:
            await at.press("K", "enter")
            assert "init[1] runs the machine" in at.said


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


HOSTILE = (
    "[red]not red[/red]",
    "[@click=app.quit]no link[/]",
    "\\[escaped] ]] [bold",
    "$(id) %s {0}",
)


class TestHostileNames:
    @pytest.mark.parametrize("name", HOSTILE)
    @pytest.mark.parametrize("key", ["t", "d", "i", "K"])
    async def test_a_name_in_a_dialog_is_text(self, stage: Open, name: str, key: str) -> None:
        rows = [frames.row(7, name, command=name, user=name[:8], write=1e6)]
        async with stage(frames.frame(rows=rows)) as at:
            await at.press(key)
            assert at.is_dialog_open
            assert at.text.count(name) >= 2

    @pytest.mark.parametrize("name", HOSTILE)
    async def test_a_name_in_rungs_results_and_events_is_text(self, stage: Open, name: str) -> None:
        engine = FakeEngine()
        engine.rungs[Kind.THROTTLE] = (replace(acting.LADDER[0], why=name, others=(name,)),)
        engine.failure = Failed(f"{name} is gone", 4)
        async with stage(engine=engine) as at:
            await at.press("t")
            assert at.text.count(name) >= 3
            await at.press("enter")
            assert at.said == f"{name} is gone"

    async def test_a_dialog_is_exactly_as_wide_as_the_terminal(self, stage: Open) -> None:
        wide = "宽字符全角" * 30
        rows = [frames.row(7, wide[:7], command=wide, user=wide[:9], write=1e6)]
        async with stage(frames.frame(rows=rows)) as at:
            for key in ("t", "d", "i", "K"):
                await at.press(key)
                strips = at.app.screen._compositor.render_strips()
                assert {strip.cell_length for strip in strips} == {80}
                await at.press("escape")

    async def test_dialogs_are_ascii_where_the_screen_is(self, stage: Open) -> None:
        async with stage(acting.acting_frame(), ascii=True, size=(120, 40)) as at:
            for keys in (
                ("t",),
                ("escape", "d"),
                ("escape", "i"),
                ("escape", "K"),
                ("escape", "7"),
            ):
                await at.press(*keys)
                bad = {c for c in at.text if not c.isascii()}
                assert not bad, (keys, bad)
