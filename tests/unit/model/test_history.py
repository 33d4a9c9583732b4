"""iotop_ng.model.history keeps what is young, and nothing for the idle."""

from __future__ import annotations

from typing import NamedTuple

from iotop_ng.model.history import History


class Mark(NamedTuple):
    tick: int


def history(ticks: int = 3) -> History[str, Mark]:
    return History(ticks)


def test_points_as_old_as_the_length_are_dropped() -> None:
    kept = history(3)
    for tick in range(1, 8):
        kept.expire(tick)
        kept.add("a", Mark(tick))

    assert [point.tick for point in kept.of("a")] == [5, 6, 7]


def test_an_idle_key_shrinks_and_then_costs_nothing() -> None:
    kept = history(3)
    kept.add("a", Mark(1))
    kept.add("a", Mark(2))

    assert kept.expire(3) == []
    assert kept.expire(4) == ["a"]
    assert kept.of("a") == (Mark(2),)
    assert kept.expire(5) == ["a"]
    assert len(kept) == 0


def test_skipped_ticks_expire_too() -> None:
    kept = history(3)
    kept.add("a", Mark(1))
    kept.add("b", Mark(2))

    assert sorted(kept.expire(90)) == ["a", "b"]


def test_a_forgotten_key_may_come_back() -> None:
    kept = history(3)
    kept.add("a", Mark(1))
    kept.forget("a")
    kept.add("a", Mark(3))

    assert kept.expire(4) == []
    assert kept.of("a") == (Mark(3),)
    assert kept.expire(6) == ["a"]


def test_a_length_of_zero_remembers_nothing() -> None:
    kept = history(0)

    assert kept.add("a", Mark(1)) == ()
    assert len(kept) == 0
