"""The latency target's invariants, tick by tick, on any trace."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from iotop_ng.policy.actions import NS_PER_S
from iotop_ng.policy.latency_target import START, Aim, Control, Move, Signals, step
from iotop_ng.policy.share import share

TICK_NS = NS_PER_S // 4
times_ns = st.one_of(st.just(0), st.integers(0, 10**8), st.integers(0, 10**11))
byte_rates = st.one_of(st.just(0), st.integers(0, 10**6), st.integers(0, 10**10))

aims = st.builds(
    Aim,
    target_ns=st.integers(1, 10**10),
    capacity=st.integers(10**7, 10**10),
    floor=st.one_of(st.just(0), st.integers(1, 10**6)),
)
known = st.builds(
    Signals,
    hog_bytes_per_s=byte_rates,
    fsyncs=st.integers(0, 1000),
    p99_ns=times_ns,
    usual_ns=times_ns,
    late_milli=st.integers(0, 5000),
    age_ns=times_ns,
    queue_ns=st.one_of(st.none(), times_ns),
)
signals = st.one_of(
    known,
    st.builds(
        Signals,
        hog_bytes_per_s=st.one_of(st.none(), byte_rates),
        fsyncs=st.one_of(st.none(), st.integers(0, 3)),
        p99_ns=times_ns,
        usual_ns=times_ns,
        late_milli=st.integers(0, 5000),
        queue_ns=st.one_of(st.none(), times_ns),
        is_lost=st.booleans(),
    ),
)
traces = st.lists(signals, max_size=60)


def run(aim: Aim, trace: list[Signals]) -> list[tuple[Control, Signals, Control, Move]]:
    """Return (before, seen, after, move) per tick."""
    steps, control = [], START
    for seen in trace:
        after, move = step(aim, control, seen, TICK_NS)
        steps.append((control, seen, after, move))
        control = after
    return steps


def height(control: Control) -> float:
    return float("inf") if control.cap is None else control.cap


@given(aims, traces)
def test_the_cap_is_never_below_the_floor(aim: Aim, trace: list[Signals]) -> None:
    assert all(height(after) >= aim.least for _, _, after, _ in run(aim, trace))


@given(aims, traces)
def test_a_violating_tick_never_raises(aim: Aim, trace: list[Signals]) -> None:
    for before, seen, after, _ in run(aim, trace):
        is_late = seen.age_ns > aim.target_ns or (seen.fsyncs and seen.late_milli >= 500)
        if not seen.is_missing and (is_late or seen.judged_ns > aim.set_point_ns):
            assert height(after) <= height(before)


@given(aims, traces)
def test_no_two_cuts_follow_each_other(aim: Aim, trace: list[Signals]) -> None:
    moves = [move for _, _, _, move in run(aim, trace)]

    assert (Move.CUT, Move.CUT) not in itertools.pairwise(moves)


@given(aims, traces, known, times_ns)
def test_more_latency_never_means_a_higher_cap(
    aim: Aim, trace: list[Signals], seen: Signals, more: int
) -> None:
    steps = run(aim, trace)
    control = steps[-1][2] if steps else START
    worse = Signals(
        seen.hog_bytes_per_s,
        seen.fsyncs,
        p99_ns=seen.p99_ns + more,
        usual_ns=seen.usual_ns + more,
        late_milli=seen.late_milli + more,
        age_ns=seen.age_ns + more,
        queue_ns=None if seen.queue_ns is None else seen.queue_ns + more,
    )
    quick, _ = step(aim, control, seen, TICK_NS)
    slow, _ = step(aim, control, worse, TICK_NS)

    # What is unknown until it is late may be held where the unknown would have been raised.
    assert height(slow) <= height(quick)


@given(aims, traces)
def test_three_blind_ticks_let_go(aim: Aim, trace: list[Signals]) -> None:
    missing = 0
    for _, seen, after, _ in run(aim, trace):
        missing = missing + 1 if seen.is_missing else 0
        if missing >= 3:
            assert after.cap is None


@given(aims, traces)
def test_the_cap_moves_only_while_something_is_known(aim: Aim, trace: list[Signals]) -> None:
    for before, seen, after, move in run(aim, trace):
        if seen.is_missing and move is not Move.BLIND:
            assert after.cap == before.cap


@given(aims, traces)
def test_a_raise_needs_a_cap_that_binds(aim: Aim, trace: list[Signals]) -> None:
    for before, seen, _, move in run(aim, trace):
        if move is Move.RAISE:
            assert before.cap is not None
            assert (seen.hog_bytes_per_s or 0) * 10 >= before.cap * 9


@given(aims, st.integers(0, 10**9), st.integers(TICK_NS // 5, 10 * NS_PER_S))
def test_idle_hogs_are_let_go_within_a_minute(aim: Aim, mem: int, tick_ns: int) -> None:
    control, waited = Control(cap=aim.least, mem=mem), 0
    quiet = Signals(hog_bytes_per_s=0, fsyncs=1, p99_ns=0, queue_ns=0)
    while control.cap is not None:
        control, _ = step(aim, control, quiet, tick_ns)
        waited += tick_ns

    assert waited <= 60 * NS_PER_S


@given(aims, traces)
def test_the_same_trace_gives_the_same_steps(aim: Aim, trace: list[Signals]) -> None:
    assert run(aim, trace) == run(aim, trace)


demands = st.lists(byte_rates, min_size=1, max_size=20)


@given(byte_rates, demands, st.integers(0, 10**7))
def test_shares_add_up_to_the_cap(cap: int, wants: list[int], floor: int) -> None:
    rates = share(cap, wants, floor)

    assert sum(rates) == max(cap, len(wants))
    assert min(rates) >= min(max(floor, 1), max(cap // len(wants), 1))


@given(byte_rates, demands)
def test_nobody_who_wants_less_gets_more_than_one_who_wants_more(
    cap: int, wants: list[int]
) -> None:
    rates = share(cap, wants)
    ordered = [rate for _, rate in sorted(zip(wants, rates, strict=True))]

    # One byte: what cannot be divided goes to the first.
    assert all(less <= more + 1 for less, more in itertools.pairwise(ordered))
