"""Which policy holds a row, what the first line counts, and the steps of + and -."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from iotop_ng.view import inforce
from tests.fakes import acting, frames

MIB = 1 << 20


def test_a_row_is_held_by_its_own_policy_before_others() -> None:
    row = replace(frames.row(20, "make"), cgroup="/a/b", policy="throttle 5M")
    own, group = acting.policy(1, row), acting.policy(2, None, cgroup="/a")
    frame = replace(frames.frame(rows=[row]), policies=(group, own))

    assert inforce.on_row(row, frame) == own
    assert inforce.on_row(replace(row, key=1), frame) == group


@pytest.mark.parametrize(
    ("path", "is_held"), [("/a", True), ("/a/b", True), ("/ab", False), (None, False)]
)
def test_a_cgroup_holds_what_is_in_it_and_below(path: str | None, *, is_held: bool) -> None:
    row = replace(frames.row(20, "make"), cgroup=path)
    frame = replace(frames.frame(rows=[row]), policies=(acting.policy(1, None, cgroup="/a"),))
    assert (inforce.on_row(row, frame) is not None) is is_held


def test_a_child_is_held_through_its_parents() -> None:
    parent, child = frames.row(10, "sh"), frames.row(20, "make", ppid=10)
    grandchild = replace(frames.row(30, "cc", ppid=20), policy="throttle 5M")
    policy = acting.policy(1, parent)
    frame = replace(frames.frame(rows=[parent, child, grandchild]), policies=(policy,))

    assert inforce.on_row(grandchild, frame) == policy
    assert inforce.on_row(replace(grandchild, policy=""), frame) is None


def test_parents_that_go_round_in_a_circle_end() -> None:
    one = replace(frames.row(10, "a", ppid=20), policy="throttle")
    other = frames.row(20, "b", ppid=10)
    frame = replace(
        frames.frame(rows=[one, other]), policies=(acting.policy(1, frames.row(99, "c")),)
    )
    assert inforce.on_row(one, frame) is None


def test_the_first_line_counts_what_is_done_and_what_only_would_be() -> None:
    frame = acting.acting_frame()
    assert inforce.headline(frame) == ("2 POLICIES", "1 DRY RUN")
    assert inforce.headline(replace(frame, policies=frame.policies[:1])) == ("1 POLICY",)
    assert inforce.headline(frames.frame()) == ()


@pytest.mark.parametrize(
    ("rate", "step", "expected"),
    [
        (5 * MIB, 1, 7 * MIB),
        (5 * MIB, -1, 3 * MIB),
        (6 * MIB, 1, 7 * MIB),
        (6 * MIB, -1, 5 * MIB),
        (7 * MIB, 1, 10 * MIB),
        (MIB, -1, int(0.7 * MIB)),
    ],
)
def test_caps_go_in_steps(rate: int, step: int, expected: int) -> None:
    assert inforce.next_cap(rate, step) == expected


@given(st.integers(1, 1 << 45), st.sampled_from([1, -1]))
def test_a_step_never_goes_the_wrong_way_and_never_to_nothing(rate: int, step: int) -> None:
    wanted = inforce.next_cap(rate, step)
    assert wanted >= 1
    assert wanted >= rate if step > 0 else wanted <= rate


def test_the_cell_has_the_share_held_back_or_the_calls_lost() -> None:
    frame = acting.acting_frame()
    rows = {row.pid: row for row in frame.rows}
    cells = {pid: inforce.cell(rows[pid], frame.policies) for pid in (4242, 917, 2201, 88)}

    assert cells == {4242: "throttle 5M 83%", 917: "drop 120/s", 2201: "would throttle 1M", 88: ""}


def test_what_is_done_in_words() -> None:
    throttle, drop, dry = acting.acting_frame().policies
    assert inforce.what(throttle) == "throttle to 5.0M/s by hold"
    assert inforce.what(drop) == "drop"
    assert inforce.what(replace(drop, rate_bytes_per_s=MIB)) == "drop beyond 1.0M/s"
    assert inforce.what(dry) == "dry run of throttle to 5.0M/s by dry run"
    assert inforce.left(throttle) == "9:12 min"


def test_a_release_of_a_row_ends_everything_on_it() -> None:
    row = replace(frames.row(20, "make"), cgroup="/a", policy="drop")
    one, two = acting.policy(1, row), acting.policy(2, row, kind="drop")
    group = acting.policy(3, None, cgroup="/a")
    frame = replace(frames.frame(rows=[row]), policies=(one, group, two))

    assert inforce.all_on(row, frame) == (one, two)
    assert inforce.all_on(row, replace(frame, policies=(group,))) == (group,)
    assert inforce.all_on(replace(row, cgroup=None), replace(frame, policies=(group,))) == ()


def test_only_a_throttle_that_is_done_can_be_changed() -> None:
    row = frames.row(20, "make")
    throttle = acting.policy(1, row)
    others = (acting.policy(2, row, kind="drop"), acting.policy(3, row, is_dry=True))

    assert inforce.throttle_on(row.key, (*others, throttle)) == throttle
    assert inforce.throttle_on(row.key, others) is None
    assert inforce.throttle_on(99, (throttle,)) is None
