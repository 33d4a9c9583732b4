"""Drop, ionice and signal dialogs, and hostile names in all of them."""

from __future__ import annotations

from signal import SIGKILL, SIGTERM, Signals

import pytest
from msgspec.structs import replace

from iotop_ng.enforcers.orders import Failed, Kind
from iotop_ng.model.frame import Row
from iotop_ng.view import signalling
from iotop_ng.view.screens.drop import DropDialog
from iotop_ng.view.screens.throttle import ThrottleDialog
from tests.fakes import acting, frames
from tests.fakes.acting import FakeEngine
from tests.screens.stage import FLOOD, MIB, SECOND, Open


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
