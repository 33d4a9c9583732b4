"""Rules with signs, on any machine: nobody is taken hold of in a tick that speaks against it."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from iotop_ng.policy.actions import Throttle
from iotop_ng.policy.decide import decide, start
from iotop_ng.policy.rules import parse_rules
from tests.unit.policy.scenes import SECOND, frame, process

LIMIT_MS = 100
RULES = parse_rules(
    f"""
[[guard]]
name = "any"
keep_fsync_p99 = "50ms"
while_fsync_p99_over = "{LIMIT_MS}ms"
while_io_pressure_over = "25%"
while_queue_over = "30ms"
for = "750ms"
[[rule]]
name = "runaway"
writes_over = "20MB/s"
while_io_pressure_over = "25%"
while_queue_over = "30ms"
to = "5MB/s"
"""
)
shares = st.one_of(st.none(), st.floats(0, 100))
times_ms = st.one_of(st.none(), st.floats(0, 900))
ticks = st.tuples(st.sampled_from((0.0, 2e6, 9e7)), times_ms, shares, times_ms)


@given(st.lists(ticks, max_size=24))
@settings(max_examples=50)
def test_nobody_is_taken_hold_of_against_a_sign_that_is_measured(
    story: list[tuple[float, float | None, float | None, float | None]],
) -> None:
    state, last_slow = start(RULES), -10
    for tick, (write, fsync_ms, psi, queue_ms) in enumerate(story):
        rows = [process(100, "hog", write=write), process(200, "db", fsync_ms=fsync_ms)]
        seen = frame(tick, tick * SECOND // 4, rows, await_ms=queue_ms, interval_s=0.25)
        last_slow = tick if (fsync_ms or 0) > LIMIT_MS else last_slow
        state, actions = decide(state, replace(seen, io_some_pct=psi))
        for action in actions:
            if not isinstance(action, Throttle):
                continue
            assert psi is None or psi > 25
            assert queue_ms is not None
            assert queue_ms > 30
            if action.reason.rule == "any":
                assert tick - last_slow <= 4
                assert tick >= 3
