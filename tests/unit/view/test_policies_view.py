"""View 7 as text, and what is told without being asked for."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from rich.cells import cell_len

from iotop_ng.model.frame import Frame, PolicyEvent
from iotop_ng.view.news import News, sentence
from iotop_ng.view.widgets.ink import Ink
from iotop_ng.view.widgets.policiesview import PolicyList, policy_view_lines
from tests.fakes import acting, frames


def lines_of(frame: Frame, width: int, *, ascii_only: bool = False) -> list[str]:
    ink = Ink(ascii_only=ascii_only)
    lines, _ = policy_view_lines(frame, 0, ink, width, si=False)
    return ["".join(text for text, _ in line) for line in lines]


@pytest.mark.parametrize("width", [80, 120, 169, 170, 200])
def test_everything_about_a_policy_fits_into_the_width(width: int) -> None:
    lines = lines_of(acting.acting_frame(), width)
    text = "\n".join(lines)

    assert all(cell_len(line) <= width for line in lines)
    for word in ("log-flood[4242]", "hold", "5.0M", "9:12 min", "5.1M", "198M", "83%", "effective"):
        assert word in text
    for word in ("120/s", "partly", "2 of 3 files are open", "4.0k calls refused", "root on pts/3"):
        assert word in text


def test_the_wide_form_has_one_line_for_each_policy() -> None:
    frame = replace(acting.acting_frame(), policy_events=())
    assert len(lines_of(frame, 169)) - len(lines_of(frame, 170)) == len(frame.policies)


def test_the_newest_event_is_at_the_top() -> None:
    lines = lines_of(acting.acting_frame(), 100)
    at = {
        word: next(n for n, line in enumerate(lines) if word in line)
        for word in ("would", "adjusted", "recovered")
    }
    assert at["would"] < at["adjusted"] < at["recovered"]


def test_a_name_is_not_said_twice() -> None:
    event = PolicyEvent(1, frames.WALL_NS, "ended", "dd[7]", "dd[7] has ended", "root")
    (line,) = [
        line
        for line in lines_of(replace(frames.frame(), policy_events=(event,)), 100)
        if "dd[7]" in line
    ]
    assert line.count("dd[7]") == 1
    assert "has ended (root)" in line
    assert sentence(event) == "dd[7] has ended"
    assert sentence(replace(event, text="is gone")) == "dd[7]: is gone"


def test_nothing_in_force_says_how_to_begin_unless_it_may_not() -> None:
    assert any("t throttles" in line for line in lines_of(frames.frame(), 80))
    lines, _ = policy_view_lines(frames.frame(), 0, Ink(), 80, si=False, read_only=True)
    assert not any("throttles" in text for line in lines for text, _ in line)


def test_a_problem_is_shown_and_ascii_is_ascii() -> None:
    frame = replace(acting.acting_frame(), policy_problem="the keeper has died · twice")
    text = "\n".join(lines_of(frame, 80, ascii_only=True))
    assert "the keeper has died ? twice" in text
    assert text.isascii()


class TestSelection:
    def test_it_stays_on_its_policy_while_others_come_and_go(self) -> None:
        one, two, three = acting.acting_frame().policies
        policies = PolicyList()
        policies.take((one, two))
        policies.move(1)

        policies.take((three, one, two))
        assert policies.selected == two
        policies.take((three, one))
        assert policies.selected == one
        policies.take(())
        assert policies.selected is None
        assert not policies.has_several

    def test_it_never_leaves_the_list(self) -> None:
        policies = PolicyList()
        policies.take(acting.acting_frame().policies)
        policies.move(-5)
        assert policies.index == 0
        policies.move(50)
        assert policies.index == 2


class TestNews:
    def test_what_was_there_before_is_no_news(self) -> None:
        news = News()
        assert news.take(()) == ""
        assert news.take(acting.EVENTS) == ""
        assert news.take(acting.EVENTS) == ""

    def test_an_end_that_nobody_asked_for_is_told_once(self) -> None:
        news = News()
        news.take(acting.EVENTS)
        ended = PolicyEvent(9, 0, "expired", "dd[7]", "its lease has ended", "")
        assert news.take((*acting.EVENTS, ended)) == "dd[7]: its lease has ended"
        assert news.take((*acting.EVENTS, ended)) == ""

    def test_what_was_asked_for_is_no_news(self) -> None:
        news = News()
        news.take(acting.EVENTS)
        applied = PolicyEvent(9, 0, "applied", "dd[7]", "throttled", "")
        assert news.take((*acting.EVENTS, applied)) == ""
