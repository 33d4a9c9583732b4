"""Rules and guards on small scenes, one claim each."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from iotop_ng.model.frame import Row
from iotop_ng.policy.actions import Action, Adjust, CgroupTarget, Notice, Release, Renew, Throttle
from iotop_ng.policy.decide import State, decide, fail_open, give_up, start
from iotop_ng.policy.protect import Protection
from iotop_ng.policy.rules import parse_rules
from tests.unit.policy.scenes import SECOND, frame, process

MB = 1_000_000
RULE = parse_rules(
    """
[[rule]]
name = "flood"
writes_over = "50MB/s"
for = "2s"
while_fsync_p99_over = "100ms"
to = "5MB/s"
lease = "10s"
"""
)
GUARD = parse_rules(
    '[[guard]]\nname = "db"\nvictim = { comm = "db" }\nkeep_fsync_p99 = "20ms"\n'
)  # fmt: skip


def run(
    state: State, seconds: range, rows: Sequence[Row], **more: float
) -> tuple[State, list[tuple[int, Action]]]:
    found = []
    for second in seconds:
        state, actions = decide(state, frame(second, second * SECOND, rows, **more))  # type: ignore[arg-type]
        found += [(second, action) for action in actions]
    return state, found


def hog(write: float = 90e6, **more: str) -> Row:
    return process(100, "flood", write=write, uid=1000, **more)  # type: ignore[arg-type]


def db(fsync_ms: float | None, **more: float) -> Row:
    return process(200, "db", fsync_ms=fsync_ms, cgroup="/db", **more)  # type: ignore[arg-type]


def test_a_rule_needs_its_time_and_its_slow_fsync() -> None:
    state, actions = run(start(RULE), range(10, 20), [hog(), db(50)])
    assert actions == []
    state, actions = run(state, range(20, 22), [hog(), db(300)])

    (at, action), *rest = actions
    assert (at, rest) == (20, [])
    assert isinstance(action, Throttle)
    assert action.rate_bytes_per_s == 5 * MB
    assert action.target.pid == 100  # type: ignore[union-attr]
    assert action.reason.latency_ns == 300_000_000
    assert "flood[100]" in action.reason.name
    assert "db[200]" in action.reason.victim


def test_writing_too_much_for_less_than_its_time_is_nothing() -> None:
    state = start(RULE)
    for second in range(10, 20):
        rows = [hog(90e6 if second % 2 else 0), db(300)]
        state, actions = decide(state, frame(second, second * SECOND, rows))
        assert actions == ()


def test_a_rule_lets_go_when_its_time_is_over() -> None:
    state, _ = run(start(RULE), range(10, 13), [hog(), db(300)])
    state, actions = run(state, range(13, 30), [hog(5e6), db(3)])

    assert [type(action) for _, action in actions if not isinstance(action, Renew)] == [Release]
    assert actions[-1][0] <= 22
    assert state.held == ()


def test_an_ended_target_is_released_at_once_and_not_its_successor() -> None:
    state, _ = run(start(RULE), range(10, 13), [hog(), db(300)])
    reused = process(100, "flood", write=1e6, start=9)
    _, actions = run(state, range(13, 14), [reused, db(3)])

    ((_, action),) = actions
    assert isinstance(action, Release)
    assert action.reason.text == "it has ended"


def test_a_protected_hog_is_told_once_and_left_alone() -> None:
    sshd = process(100, "sshd", write=90e6, cgroup=None)
    _, actions = run(start(RULE), range(10, 20), [sshd, db(300)])

    ((_, action),) = actions
    assert isinstance(action, Notice)
    assert "sshd" in action.reason.text


def test_a_guard_cuts_then_waits_then_cuts_again() -> None:
    _, actions = run(start(GUARD), range(10, 13), [hog(), db(30)])

    # 30 ms is 3 times the set-point of 10: 0.7 of 90 MB/s, one tick of patience, 0.7 of that.
    (first, opened), (second, cut) = actions
    assert (first, second) == (10, 12)
    assert isinstance(opened, Throttle)
    assert isinstance(cut, Adjust)
    assert (opened.rate_bytes_per_s, cut.rate_bytes_per_s) == (63 * MB, 44_100_000)


def test_a_stuck_victim_is_not_an_idle_one() -> None:
    stuck = process(200, "db", fsync_ms=None, age_ms=5000, cgroup="/db")
    _, actions = run(start(GUARD), range(10, 11), [hog(), stuck])

    assert [type(action) for _, action in actions] == [Throttle]


def test_the_queue_counts_when_no_fsync_was_made() -> None:
    _, actions = run(start(GUARD), range(10, 11), [hog(), db(None)], await_ms=80)

    assert [type(action) for _, action in actions] == [Throttle]


def test_a_guard_is_silent_when_nobody_suffers() -> None:
    _, actions = run(start(GUARD), range(10, 40), [hog(), db(3)], await_ms=3)

    assert actions == []


def test_the_victim_itself_is_never_the_hog() -> None:
    busy = process(200, "db", write=90e6, fsync_ms=300, cgroup="/db")
    _, actions = run(start(GUARD), range(10, 15), [busy])

    assert all(isinstance(action, Notice) for _, action in actions)


def test_a_cgroup_scope_acts_on_the_container() -> None:
    rules = parse_rules('[[guard]]\nname = "c"\ncap = "30MB/s"\nscope = "cgroup"\n')
    _, actions = run(start(rules), range(10, 11), [hog(cgroup="/machine.slice/a.scope")])

    ((_, action),) = actions
    assert isinstance(action, Throttle)
    assert action.target == CgroupTarget("/machine.slice/a.scope")


def test_a_lease_is_renewed_before_it_ends() -> None:
    rules = parse_rules('[[guard]]\nname = "c"\ncap = "30MB/s"\n')
    _, actions = run(start(rules), range(10, 200), [hog(30e6)])
    times = [at for at, action in actions if isinstance(action, Throttle | Renew)]

    assert max(later - sooner for sooner, later in itertools.pairwise(times)) <= 31


def test_a_target_that_cannot_be_limited_cools_down() -> None:
    rules = parse_rules('[[guard]]\nname = "c"\ncap = "30MB/s"\n')
    state, actions = run(start(rules), range(10, 11), [hog()])
    state = give_up(state, actions[0][1].target, 10 * SECOND)
    state, actions = run(state, range(10, 11), [hog()])

    assert actions == []


MANY = """
max_targets = 9
max_actions_per_minute = 3
[[rule]]
name = "all"
writes_over = "50MB/s"
to = "5MB/s"
"""


def crowd(count: int) -> list[Row]:
    return [process(100 + n, "flood", write=90e6, uid=1000) for n in range(count)]


def test_no_more_targets_are_taken_hold_of_in_a_minute_than_allowed() -> None:
    state, first = run(start(parse_rules(MANY)), range(10, 60), crowd(5))
    opened = [(at, a.target) for at, a in first if isinstance(a, Throttle)]
    refused = [a.reason.text for _, a in first if isinstance(a, Notice)]

    assert [at for at, _ in opened] == [10, 10, 10]
    assert (
        refused == ["left alone: 3 targets were taken hold of in a minute, and no more may be"] * 2
    )
    state, later = run(state, range(60, 75), crowd(5))
    assert [at for at, a in later if isinstance(a, Throttle)] == [70, 70]
    assert len(state.held) == 5


def test_who_fails_and_starts_anew_gets_no_more_turns_for_it() -> None:
    state, _ = run(start(parse_rules(MANY)), range(10, 11), crowd(3))
    state, _ = fail_open(state, "a test")
    _, again = run(state, range(11, 30), crowd(3))

    assert [a for _, a in again if isinstance(a, Throttle)] == []


def test_a_target_that_was_given_up_for_long_is_left_alone_for_that_long() -> None:
    state, _ = run(start(RULE), range(10, 13), [hog(), db(300)])
    state = give_up(state, state.held[0].target, 12 * SECOND, 20 * SECOND)
    state, soon = run(state, range(13, 33), [hog(), db(300)])
    _, later = run(state, range(33, 36), [hog(), db(300)])

    assert [a for _, a in soon if isinstance(a, Throttle)] == []
    assert [at for at, a in later if isinstance(a, Throttle)] == [33]


def test_a_guard_says_when_holding_everybody_to_the_least_does_not_help() -> None:
    state = start(GUARD)
    found: list[tuple[int, Action]] = []
    for second in range(60):
        # The hog keeps to its cap, and the victim is as slow as ever.
        rate = state.held[0].rate_bytes_per_s if state.held else 90 * MB
        state, actions = decide(state, frame(second, second * SECOND, [hog(rate), db(90)]))
        found += [(second, one) for one in actions if isinstance(one, Notice)]

    ((at, notice),) = found
    assert at > 10
    assert "something else slows the victim down" in notice.reason.text
    assert state.held[0].rate_bytes_per_s <= 2 * MB


def test_a_guard_that_helps_says_nothing() -> None:
    state = start(GUARD)
    for second in range(60):
        rate = state.held[0].rate_bytes_per_s if state.held else 90 * MB
        slow = 90 if rate > 20 * MB else 5
        state, actions = decide(state, frame(second, second * SECOND, [hog(rate), db(slow)]))
        assert not [one for one in actions if isinstance(one, Notice)]


def test_a_guard_acts_on_a_hog_of_its_own_session() -> None:
    """Guard, victim and hog from one shell, the hog faster than any limit of its kind."""
    session = "/user.slice/user-0.slice/session-3.scope"
    rows = [
        process(300, "iotop-ng", cgroup=session),
        process(200, "db", fsync_ms=155, cgroup=session),
        hog(3.3e9, cgroup=session),
    ]
    ours = Protection(own_pids=frozenset({300}))

    state, actions = run(start(GUARD, ours), range(10, 11), rows)
    _, elsewhere = run(start(GUARD), range(10, 11), rows)

    assert [type(action) for _, action in actions] == [Throttle]
    assert [one.target.pid for one in state.held] == [100]  # type: ignore[union-attr]
    assert [type(action) for _, action in elsewhere] == [Notice]
