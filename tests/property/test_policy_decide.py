"""decide on any sequence of frames: whom it may touch, what it takes back, how often it writes."""

from __future__ import annotations

from contextlib import suppress

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from iotop_ng.errors import UsageError
from iotop_ng.model.frame import Frame, Row
from iotop_ng.policy.actions import Action, Adjust, Drop, Notice, ProcessTarget, Release, Throttle
from iotop_ng.policy.decide import decide, fail_open, start
from iotop_ng.policy.protect import Protection
from iotop_ng.policy.rules import parse_rules
from tests.unit.policy.scenes import SECOND, frame, process

RULES = parse_rules(
    """
max_targets = 3
[protect]
programs = ["precious"]
[[rule]]
name = "runaway"
writes_over = "20M/s"
while_fsync_p99_over = "50ms"
for = "1s"
to = "5M/s"
lease = "6s"
[[rule]]
name = "lossy"
match = { comm = "log-*" }
writes_over = "40M/s"
do = "drop"
to = "1M/s"
budget = "1G"
[[guard]]
name = "commits"
victim = { comm = "db" }
keep_fsync_p99 = "20ms"
[[guard]]
name = "containers"
hogs = { cgroup = "/machine.slice" }
cap = "30M/s"
scope = "cgroup"
"""
)
OWN = Protection(own_pids=frozenset({500}))
NAMES = ("db", "log-flood", "dd", "precious", "sshd", "kworker", "iotop-ng")
CGROUPS = (None, "/", "/system.slice/db.service", "/machine.slice/a.scope", "/init.scope")
rates = st.one_of(st.none(), st.just(0.0), st.floats(0, 4e8))


@st.composite
def rows(draw: st.DrawFn) -> Row:
    pid = draw(st.sampled_from((1, 2, 100, 101, 102, 103, 104, 105, 500, 501)))
    name = draw(st.sampled_from(NAMES))
    return process(
        pid,
        name,
        write=draw(rates),
        fsync_ms=draw(st.one_of(st.none(), st.floats(0, 1000))),
        cgroup=draw(st.sampled_from(CGROUPS)),
        ppid=draw(st.sampled_from((0, 1, 2, 100, 500))),
        start=draw(st.sampled_from((1, 2))),
        is_kthread=name == "kworker",
        exited=draw(st.sampled_from((False, False, False, True))),
    )


@st.composite
def runs(draw: st.DrawFn) -> list[Frame]:
    """A machine that lives a while: mostly the same processes from frame to frame."""
    people = draw(st.lists(rows(), max_size=8, unique_by=lambda row: row.pid))
    found, lost, now = [], 0, 0
    for tick in range(draw(st.integers(1, 14))):
        lost += draw(st.sampled_from((0, 0, 0, 0, 1)))
        now += draw(st.sampled_from((SECOND // 4, SECOND, 7 * SECOND)))
        if draw(st.booleans()):
            changed = draw(rows())
            people = [row for row in people if row.pid != changed.pid] + [changed]
        await_ms = draw(st.one_of(st.none(), st.floats(0, 500)))
        found.append(frame(tick, now, people, lost=lost, await_ms=await_ms))
    return found


def play(frames: list[Frame]) -> list[tuple[Frame, tuple[Action, ...]]]:
    state, steps = start(RULES, OWN), []
    for one in frames:
        state, actions = decide(state, one)
        steps.append((one, actions))
    return steps


@given(runs())
@settings(max_examples=25)
def test_nobody_who_is_protected_is_ever_acted_on(frames: list[Frame]) -> None:
    for one, actions in play(frames):
        alive = {row.key: row for row in one.rows if not row.exited}
        for action in actions:
            if isinstance(action, Release | Notice):
                continue
            if isinstance(action.target, ProcessTarget):
                row = alive[action.target.key]
                assert (row.pid, row.start_ns) == (action.target.pid, action.target.start_ns)
                touched = [row]
            else:
                path = action.target.path
                touched = [row for row in alive.values() if row.cgroup == path]
            for row in touched:
                assert row.pid not in {1, 2, 500}
                assert row.ppid not in {2, 500}
                assert row.comm not in {"db", "precious", "kworker"}
                assert row.cgroup != "/init.scope"


@given(runs())
@settings(max_examples=25)
def test_everything_is_opened_once_and_taken_back_once(frames: list[Frame]) -> None:
    held: set[object] = set()
    state = start(RULES, OWN)
    for one in frames:
        state, actions = decide(state, one)
        touched = [a.target for a in actions if not isinstance(a, Notice)]
        assert len(touched) == len(set(touched))
        for action in actions:
            match action:
                case Throttle() | Drop():
                    assert action.target not in held
                    held.add(action.target)
                case Release():
                    held.remove(action.target)
                case Notice():
                    pass
                case _:
                    assert action.target in held
        assert held == {one.target for one in state.held}
        assert len(held) <= RULES.max_targets
    after, releases = fail_open(state, "the end")
    assert {action.target for action in releases} == held
    assert after.held == ()


@given(runs())
@settings(max_examples=25)
def test_a_rate_is_written_only_when_it_changed_by_more_than_2_pct(frames: list[Frame]) -> None:
    rates_now: dict[object, int] = {}
    for _, actions in play(frames):
        for action in actions:
            match action:
                case Throttle() | Drop():
                    rates_now[action.target] = action.rate_bytes_per_s
                case Adjust():
                    before = rates_now[action.target]
                    assert abs(action.rate_bytes_per_s - before) * 100 > before * 2
                    rates_now[action.target] = action.rate_bytes_per_s


@given(runs())
@settings(max_examples=12)
def test_three_blind_frames_release_everything(frames: list[Frame]) -> None:
    state = start(RULES, OWN)
    for one in frames:
        state, _ = decide(state, one)
    last = frames[-1]
    for step in range(1, 4):
        # Time goes on and nothing is known any more.
        blind = replace(last, lost=last.lost + step, mono_ns=last.mono_ns + step)
        state, _ = decide(state, blind)

    assert state.held == ()


@given(runs())
@settings(max_examples=12)
def test_the_same_frames_give_the_same_actions(frames: list[Frame]) -> None:
    assert play(frames) == play(frames)


words = st.sampled_from(
    ["[[rule]]", "[[guard]]", "[protect]", "name", "writes_over", "to", "=", '"5M"', '"20%"', "-1",
     '"3s"', "match", "{", "}", "comm", "victim", "cap", "keep_fsync_p99", "[", "]", ",", "\n",
     "1e99", "true", "do", '"drop"', "budget", "lease", "inf", "programs", ".", '"²%"']
)  # fmt: skip


@given(st.one_of(st.text(), st.lists(words, max_size=60).map(" ".join)))
def test_any_text_gives_rules_or_a_usage_error(text: str) -> None:
    with suppress(UsageError):
        parse_rules(text)
