"""A budget of bytes in a rolling hour."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from iotop_ng.clock import NS_PER_S
from iotop_ng.enforcers.drop_budget import SLOT_NS, WINDOW_NS, Window

MINUTE_NS = 60 * NS_PER_S


def test_what_was_refused_is_free_again_after_an_hour_and_its_minute() -> None:
    """1,000 bytes within the first minute: back at the end of minute 61."""
    window = Window()

    assert window.note(30 * NS_PER_S, 1000) == 0
    assert window.note(60 * MINUTE_NS + 59 * NS_PER_S, 1000) == 0
    assert window.note(61 * MINUTE_NS, 1000) == 1000
    assert window.note(200 * MINUTE_NS, 1000) == 1000


STEPS = st.lists(st.tuples(st.integers(0, WINDOW_NS // 3), st.integers(0, 1_000_000)), max_size=60)


@given(STEPS)
def test_no_hour_sees_more_than_the_budget(steps: list[tuple[int, int]]) -> None:
    """A writer that takes all that is free at each look, as the kernel side lets it."""
    budget = 1_000_000
    window, now, total = Window(), 0, 0
    history: list[tuple[int, int]] = []
    for pause, wanted in steps:
        now += pause
        free = budget + window.note(now, total) - total
        taken = min(wanted, free)
        assert free >= 0
        total += taken
        history.append((now, taken))
        window.note(now, total)
        assert sum(size for at, size in history if at > now - WINDOW_NS) <= budget


@given(STEPS)
def test_everything_comes_back_in_the_end(steps: list[tuple[int, int]]) -> None:
    """And never more than was refused."""
    window, now, total = Window(), 0, 0
    for pause, size in steps:
        now, total = now + pause, total + size
        assert 0 <= window.note(now, total) <= total

    assert window.note(now + WINDOW_NS + SLOT_NS, total) == total
