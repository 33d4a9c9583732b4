"""The throttle dialog, and the screen behind it."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from textual import events

from iotop_ng.enforcers.orders import Failed, Kind, Mechanism
from iotop_ng.policy.actions import ProcessTarget
from iotop_ng.view.screens.throttle import ThrottleDialog
from tests.fakes import acting, frames
from tests.fakes.acting import FakeEngine
from tests.screens.conftest import give
from tests.screens.looking import line_with, lines_of
from tests.screens.stage import FLOOD, MIB, SECOND, SERVER, Open, changed


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
