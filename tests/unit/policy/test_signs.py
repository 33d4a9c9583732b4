"""Signs beside a slow fsync: rules and guards that wait until the disk itself is the reason."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from iotop_ng.policy.actions import Throttle
from iotop_ng.policy.decide import State, decide, start
from iotop_ng.policy.rule import Signs
from iotop_ng.policy.rules import parse_rules
from iotop_ng.policy.signals import agree
from iotop_ng.policy.tables import TableError
from tests.unit.policy.scenes import SECOND, frame, process

RULE = parse_rules(
    """
[[rule]]
name = "flood"
writes_over = "50MB/s"
while_fsync_p99_over = "100ms"
while_io_pressure_over = "25%"
while_queue_over = "30ms"
to = "5MB/s"
"""
)
GUARD = parse_rules(
    """
[[guard]]
name = "any"
keep_fsync_p99 = "100ms"
while_fsync_p99_over = "100ms"
while_io_pressure_over = "25%"
for = "250ms"
"""
)
QUARTER = SECOND // 4


def play(
    state: State, ticks: range, *, fsync_ms: float | None, psi: float | None, queue_ms: float | None
) -> tuple[State, list[tuple[int, Throttle]]]:
    """Show a flood four times a second; return what is taken hold of, with its tick."""
    rows = [process(100, "flood", write=90e6), process(200, "db", fsync_ms=fsync_ms, cgroup="/db")]
    found: list[tuple[int, Throttle]] = []
    for tick in ticks:
        seen = frame(tick, tick * QUARTER, rows, await_ms=queue_ms, interval_s=0.25)
        state, actions = decide(state, replace(seen, io_some_pct=psi))
        found += [(tick, action) for action in actions if isinstance(action, Throttle)]
    return state, found


@pytest.mark.parametrize(
    ("psi", "queue_ms", "is_held"),
    [(60, 90, True), (20, 90, False), (60, 20, False), (None, 90, True), (60, None, False)],
)
def test_a_rule_waits_for_every_sign_that_is_measured(
    psi: float | None, queue_ms: float | None, is_held: bool
) -> None:
    _, found = play(start(RULE), range(1, 9), fsync_ms=300, psi=psi, queue_ms=queue_ms)

    assert bool(found) == is_held


def test_a_guard_begins_when_fsync_and_pressure_have_agreed_for_its_time() -> None:
    state, found = play(start(GUARD), range(1, 9), fsync_ms=90, psi=80, queue_ms=200)
    assert found == []
    state, found = play(state, range(9, 17), fsync_ms=300, psi=10, queue_ms=200)
    assert found == []
    state, found = play(state, range(17, 25), fsync_ms=300, psi=80, queue_ms=200)

    assert [tick for tick, _ in found] == [18]


def test_what_is_capped_stays_so_when_the_signs_are_gone() -> None:
    state, found = play(start(GUARD), range(1, 9), fsync_ms=300, psi=80, queue_ms=200)
    assert len(found) == 1

    state, _ = play(state, range(9, 17), fsync_ms=20, psi=0, queue_ms=5)

    assert len(state.held) == 1


def test_a_slow_fsync_is_remembered_for_a_second_while_others_are_awaited() -> None:
    state, _ = play(start(GUARD), range(1, 2), fsync_ms=300, psi=10, queue_ms=200)

    soon, found = play(state, range(2, 6), fsync_ms=None, psi=80, queue_ms=200)
    _, late = play(soon, range(10, 14), fsync_ms=None, psi=80, queue_ms=200)

    assert [tick for tick, _ in found] == [3]
    assert late == []


def test_lost_events_begin_the_time_of_a_guard_anew() -> None:
    rows = [process(100, "flood", write=90e6), process(200, "db", fsync_ms=300, cgroup="/db")]
    state, begun = start(GUARD), []
    for tick, lost in ((1, 0), (2, 1), (3, 1), (4, 1)):
        seen = frame(tick, tick * QUARTER, rows, lost=lost, await_ms=200, interval_s=0.25)
        state, actions = decide(state, replace(seen, io_some_pct=80.0))
        begun += [tick for action in actions if isinstance(action, Throttle)]

    assert begun == [4]


def test_a_disk_that_does_nothing_delays_nobody_and_one_that_is_stuck_says_nothing() -> None:
    idle = frame(1, SECOND, [], await_ms=None)
    stuck = replace(idle, devices=tuple(replace(one, in_flight=7) for one in idle.devices))
    unseen = replace(idle, devices=())

    asked = Signs(queue_over_ns=1)

    assert [agree(asked, one) for one in (idle, stuck, unseen)] == [False, True, True]


def test_nothing_asked_agrees_with_everything() -> None:
    assert agree(Signs(), frame(1, SECOND, []))


@pytest.mark.parametrize("value", ["0%", "100%", "25", "x%", "-5%", "²%"])
def test_a_pressure_is_a_share(value: str) -> None:
    text = (
        f'[[rule]]\nname = "a"\nwrites_over = "9M"\nto = "1M"\nwhile_io_pressure_over = "{value}"'
    )

    with pytest.raises(TableError, match=r":5: while_io_pressure_over: .*expected 1% to 99%"):
        parse_rules(text)


def test_a_fixed_cap_needs_no_signs() -> None:
    text = '[[guard]]\nname = "a"\ncap = "9M"\nwhile_queue_over = "9ms"\nfor = "1s"'

    with pytest.raises(TableError) as caught:
        parse_rules(text)

    assert [problem.line for problem in caught.value.problems] == [4, 5]
