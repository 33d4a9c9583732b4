"""The story is told in its order, and whatever it began is ended, however it ends."""

from __future__ import annotations

import pytest

from iotop_ng.clock import NS_PER_S
from iotop_ng.demo.story import Plan, Told, play
from iotop_ng.errors import IotopError
from tests.fakes.demo_stages import MIB, MS, FakeStage, nobody

PLAN = Plan(seconds=4, cap=5 * MIB)
ALL = [
    "hog", "throttle", "throttle ended", "drop", "drop ended", "hog ended",
    "guard", "hog", "hog ended", "guard ended",
]  # fmt: skip


def told(stage: FakeStage, plan: Plan = PLAN) -> Told:
    return play(stage, plan, nobody)


def test_everything_happens_in_its_order() -> None:
    stage = FakeStage()

    found = told(stage)

    assert stage.events == ALL
    assert [seen.name for seen in found.phases] == [
        "baseline", "flood", "throttle", "drop", "guard", "after",
    ]  # fmt: skip
    assert [seen.how for seen in found.phases] == ["", "", "hold", "drop", "guard", ""]
    assert all(seen.seconds == 4 for seen in found.phases)
    ends = [(seen.begin_ns, seen.end_ns) for seen in found.phases]
    assert sorted(ends) == ends


def test_between_throttle_and_drop_the_flood_comes_back() -> None:
    found = told(FakeStage())

    throttle, drop = found.phases[2:4]
    assert drop.begin_ns - throttle.end_ns == 3 * NS_PER_S


def test_the_limit_is_twice_the_p99_alone_and_what_guard_keeps() -> None:
    stage = FakeStage({"alone": 4 * MS})

    assert told(stage).limit_ns == 8 * MS
    assert stage.limits_ns == [8 * MS]


def test_a_limit_that_was_asked_for_is_taken() -> None:
    stage = FakeStage()

    assert told(stage, Plan(4, 5 * MIB, limit_ns=70 * MS)).limit_ns == 70 * MS
    assert stage.limits_ns == [70 * MS]


def test_the_limit_of_a_very_fast_disk_is_no_less_than_a_millisecond() -> None:
    assert told(FakeStage({"alone": MS // 10})).limit_ns == MS


def test_what_this_kernel_cannot_do_is_left_out_with_its_reason() -> None:
    stage = FakeStage(cannot={"drop": "no BPF LSM"})

    found = told(stage)

    assert found.phases[3].why_not == "no BPF LSM"
    assert stage.events == [event for event in ALL if not event.startswith("drop")]


def test_a_victim_that_does_nothing_is_an_error() -> None:
    stage = FakeStage({"alone": 100 * NS_PER_S})

    with pytest.raises(IotopError, match="the victim did nothing"):
        told(stage)


@pytest.mark.parametrize("state", ["alone", "flood", "throttle", "drop", "guarded", "guard"])
def test_whenever_it_ends_all_that_was_begun_is_ended(state: str) -> None:
    stage = FakeStage()
    stage.raises = (state, KeyboardInterrupt())

    with pytest.raises(KeyboardInterrupt):
        told(stage)

    begun = [event for event in stage.events if not event.endswith(" ended")]
    ended = [event.removesuffix(" ended") for event in stage.events if event.endswith(" ended")]
    assert sorted(begun) == sorted(ended)
