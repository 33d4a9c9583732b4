"""The token bucket's bound, and the drop meter's budget and ledger."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from iotop_ng.policy.actions import NS_PER_S
from iotop_ng.policy.drop import WINDOW_NS, Dropper, Terms, Verdict
from iotop_ng.policy.token_bucket import TokenBucket

rates = st.one_of(st.integers(1, 100), st.integers(1, 1 << 40))
sizes = st.integers(0, 1 << 24)
pauses_ns = st.one_of(st.just(0), st.integers(0, 10**6), st.integers(0, 10 * NS_PER_S))
traces = st.lists(st.tuples(pauses_ns, sizes), max_size=60)


@given(rates, st.integers(0, 2 * NS_PER_S), st.integers(1, 1 << 22), traces)
def test_no_interval_admits_more_than_burst_and_rate_and_one_write(
    rate: int, burst_ns: int, largest: int, trace: list[tuple[int, int]]
) -> None:
    bucket = TokenBucket(rate, burst_ns, largest, 0)
    now, admitted = 0, []
    for pause, size in trace:
        now += pause
        if bucket.ask(now, size).is_admitted:
            admitted.append((now, size))

    for first in range(len(admitted)):
        for last in range(first, len(admitted)):
            sent = sum(size for _, size in admitted[first : last + 1])
            time = admitted[last][0] - admitted[first][0]
            most = max(size for _, size in admitted[first : last + 1])
            assert sent * NS_PER_S <= (bucket.burst_bytes + most) * NS_PER_S + rate * time


@given(rates, st.integers(0, NS_PER_S), traces)
def test_debt_is_never_more_than_one_write(
    rate: int, burst_ns: int, trace: list[tuple[int, int]]
) -> None:
    bucket = TokenBucket(rate, burst_ns, 1 << 20, 0)
    now = 0
    for pause, size in trace:
        now += pause
        bucket.ask(now, size)

        assert -max(size for _, size in trace) <= bucket.tokens <= bucket.burst_bytes


@given(rates, traces)
def test_whoever_waits_as_told_is_admitted(rate: int, trace: list[tuple[int, int]]) -> None:
    bucket = TokenBucket(rate, 0, 1, 0)
    now = 0
    for pause, size in trace:
        now += pause
        answer = bucket.ask(now, size)
        if not answer.is_admitted:
            assert answer.delay_ns > 0
            assert not bucket.ask(now + answer.delay_ns - 1, size).is_admitted
            now += answer.delay_ns
            assert bucket.ask(now, size).is_admitted


@given(rates, rates, traces, st.integers(-(10**12), 10**12))
def test_a_clock_that_goes_back_earns_nothing(
    rate: int, other: int, trace: list[tuple[int, int]], back: int
) -> None:
    bucket = TokenBucket(rate, NS_PER_S, 1, 10**15)
    for _, size in trace:
        bucket.ask(10**15, size)
    before = bucket.tokens
    bucket.refill(10**15 - abs(back))

    assert bucket.tokens == before
    bucket.set_rate(10**15 - abs(back), other)
    assert bucket.tokens == min(before, bucket.burst_bytes)


@given(
    st.integers(0, 1 << 30),
    st.integers(0, 100),
    st.lists(
        st.tuples(st.integers(0, WINDOW_NS // 3), st.integers(1, 1 << 24), st.booleans()),
        max_size=60,
    ),
)
def test_no_hour_loses_more_than_its_budget_and_every_loss_is_in_the_ledger(
    budget: int, ratio: int, trace: list[tuple[int, int, bool]]
) -> None:
    bucket = TokenBucket(1000, NS_PER_S, 1, 0)
    meter = Dropper(Terms(budget, end_ns=40 * WINDOW_NS, max_ratio_pct=ratio), bucket)
    now, lost, ledger, has_stopped = 0, [], 0, False
    for pause, size, settles in trace:
        now += pause
        verdict = meter.ask(now, size)
        if verdict is Verdict.DROP:
            assert not has_stopped
            lost.append((now, size))
        has_stopped = has_stopped or verdict is Verdict.THROTTLE
        if settles:
            ledger += loss.bytes if (loss := meter.settle()) else 0
    ledger += loss.bytes if (loss := meter.settle()) else 0

    assert ledger == sum(size for _, size in lost) == meter.dropped_bytes
    for start, _ in lost:
        assert sum(size for at, size in lost if start <= at < start + WINDOW_NS) <= budget


@given(traces)
def test_what_may_not_be_dropped_always_passes(trace: list[tuple[int, int]]) -> None:
    meter = Dropper(Terms(1 << 40, end_ns=0), TokenBucket(1, 0, 1, 0))

    assert all(meter.ask(0, size, may_drop=False) is Verdict.PASS for _, size in trace)
