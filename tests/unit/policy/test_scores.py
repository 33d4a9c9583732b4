"""The scores of a victim: worked examples, bounds, and which way they go."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from iotop_ng.policy import scores
from iotop_ng.policy.actions import NS_PER_S
from iotop_ng.policy.scores import Alone, Operation, Window

MS = 1_000_000
BASE = Alone(20.0, 2 * MS)


def paced(first_ns: int, count: int, latency_ns: int, period_ns: int = 50 * MS) -> list[Operation]:
    """Return operations that begin once a period."""
    begins = range(first_ns, first_ns + count * period_ns, period_ns)
    return [Operation(began_ns, began_ns + latency_ns) for began_ns in begins]


@st.composite
def histories(draw: DrawFn) -> list[Operation]:
    """Operations of a victim, one after the other; the last one may not have ended."""
    now_ns, found = 0, []
    for gap_ns, latency_ns in draw(
        st.lists(st.tuples(st.integers(0, 200 * MS), st.integers(1, 3 * NS_PER_S)), max_size=60)
    ):
        found.append(Operation(now_ns + gap_ns, now_ns + gap_ns + latency_ns))
        now_ns = found[-1].ended_ns
    is_open = draw(st.booleans())
    if found and is_open:
        found[-1] = found[-1]._replace(has_ended=False)
    return found


limits = st.integers(1, 2 * NS_PER_S)


def test_alone_is_what_the_victim_did() -> None:
    operations = [*paced(0, 200, 2 * MS), Operation(10 * NS_PER_S, 11 * NS_PER_S, has_ended=False)]

    assert scores.alone(operations, 10) == BASE


def test_a_victim_that_nobody_disturbs_has_all_of_it() -> None:
    found = scores.windows(paced(0, 100, 2 * MS), 0, 5 * NS_PER_S, BASE)

    assert found == [Window(1.0, 0.0)] * 5


def test_the_worked_example() -> None:
    """15 of 5 ms; then nothing ends, and what began 1.2 s before the end has no end."""
    operations = [
        *paced(0, 15, 5 * MS),
        Operation(800 * MS, 2_500 * MS, has_ended=False),
    ]

    found = scores.windows(operations, 0, 2 * NS_PER_S, BASE)

    assert found == [Window(0.75, 1.5), Window(0.0, 599.0)]


def test_what_ends_late_counts_where_it_ended() -> None:
    """An operation that took 1.5 s: nothing in the second that it fills."""
    operations = [*paced(0, 10, 2 * MS), Operation(500 * MS, 2 * NS_PER_S)]

    found = scores.windows(operations, 0, 3 * NS_PER_S, BASE)

    assert [one.isol for one in found] == [0.5, 0.0, 0.05]
    assert found[1].lat_imp == 749.0


def test_a_victim_that_died_has_nothing() -> None:
    found = scores.windows(paced(0, 20, 2 * MS), 0, 3 * NS_PER_S, BASE)

    assert [one.isol for one in found] == [1.0, 0.0, 0.0]
    assert all(one.lat_imp >= 1.0 for one in found[1:])


def test_a_victim_that_rests_is_not_judged() -> None:
    found = scores.windows(
        paced(0, 20, 2 * MS), 0, 3 * NS_PER_S, BASE, rests=lambda start, _: start >= NS_PER_S
    )

    assert found == [Window(1.0, 0.0)]


def test_a_victim_with_few_operations_has_longer_windows() -> None:
    """One a second: ten seconds each, and what does not fill the last is left out."""
    operations = paced(0, 25, 2 * MS, NS_PER_S)

    found = scores.windows(operations, 0, 25 * NS_PER_S, Alone(1.0, 2 * MS))

    assert found == [Window(1.0, 0.0)] * 2


def test_percentiles_of_isol_are_its_worst() -> None:
    found = scores.isolation([Window(1.0, 0.0)] * 19 + [Window(0.2, 5.0)])

    assert found.isol == pytest.approx(0.96)
    assert found[1:] == (0.2, 0.2, 0.25)


@pytest.mark.parametrize(
    ("used", "possible", "lost", "expected"),
    [
        (60, 100, 30, 60 / 90),
        (60, 100, 500, 0.6),
        (100, 90, 500, 1.0),
        (60, 100, 0, 1.0),
        (0, 100, 0, 1.0),
        (0, 100, 40, 0.0),
    ],
)
def test_work_conservation(used: int, possible: int, lost: int, expected: float) -> None:
    assert scores.work_conservation(used, possible, lost) == pytest.approx(expected)


def test_time_to_protect() -> None:
    """It suffers for 0.4 s; what ends at 0.455 s is the first that is well and stays so."""
    slow = [Operation(n * 200 * MS, (n + 1) * 200 * MS) for n in range(2)]
    operations = [*slow, *paced(450 * MS, 40, 5 * MS)]

    assert scores.time_to_protect(operations, 0, 20 * MS) == 455 * MS
    assert scores.time_to_protect(operations, 100 * MS, 20 * MS) == 355 * MS
    assert scores.time_to_protect(operations, 0, NS_PER_S) == 0
    assert scores.time_to_protect(slow, 0, 20 * MS) is None


def test_a_good_moment_between_bad_ones_protects_nobody() -> None:
    both = [
        one
        for n in range(20)
        for one in (
            Operation(n * 300 * MS, n * 300 * MS + 5 * MS),
            Operation(n * 300 * MS + 50 * MS, n * 300 * MS + 300 * MS),
        )
    ]

    assert scores.time_to_protect(both, 0, 20 * MS) is None


def test_one_that_has_not_ended_is_not_well() -> None:
    operations = [
        Operation(0, 500 * MS),
        Operation(500 * MS, 501 * MS, has_ended=False),
    ]

    assert scores.time_to_protect(operations, 0, 20 * MS) is None


def test_settling_takes_until_no_more_than_a_hundredth_is_late() -> None:
    """It suffers for 0.4 s; of what follows one in 100 may be late, two may not."""
    slow = [Operation(n * 200 * MS, (n + 1) * 200 * MS) for n in range(2)]
    after = paced(450 * MS, 100, 5 * MS)
    hiccup = Operation(after[-1].ended_ns, after[-1].ended_ns + 60 * MS)
    fine = paced(hiccup.ended_ns, 80, 5 * MS)

    assert scores.settling_time([*slow, *after], 0, 20 * MS, 0) == 200 * MS
    assert scores.settling_time([*slow, *after, hiccup, *fine], 0, 20 * MS, 0) == 450 * MS
    assert scores.settling_time([*slow, *after], 100 * MS, NS_PER_S, 0) == 0
    assert scores.settling_time(slow, 0, 20 * MS, 0) is None
    assert scores.settling_time([], 0, 20 * MS, 0) is None


@pytest.mark.parametrize(("others", "expected"), [(396, 0), (395, 200 * MS)])
def test_one_that_waits_stands_for_all_that_were_due(others: int, expected: int) -> None:
    operations = [Operation(0, 200 * MS), *paced(200 * MS, others, 5 * MS)]

    assert scores.settling_time(operations, 0, 20 * MS, 50 * MS) == expected
    assert scores.settling_time(operations, 0, 20 * MS, 0) == 0


@given(histories(), limits)
def test_what_follows_the_settling_has_a_p99_within_the_limit(
    operations: list[Operation], limit_ns: int
) -> None:
    found = scores.settling_time(operations, 0, limit_ns, 0)

    def p99(since_ns: int) -> int:
        latencies = sorted(one.latency_ns for one in operations if one.began_ns >= since_ns)
        return scores.rank(latencies, 99, 0)

    moments = sorted(one.began_ns for one in operations)
    if found is None:
        assert all(p99(moment) > limit_ns for moment in moments)
    else:
        assert p99(found) <= limit_ns
        assert all(p99(moment) > limit_ns for moment in moments if moment < found)


@given(histories())
def test_isol_is_a_share_and_lat_imp_no_less_than_nothing(operations: list[Operation]) -> None:
    found = scores.windows(operations, 0, 10 * NS_PER_S, BASE)

    assert len(found) == 10
    assert all(0 <= one.isol <= 1 and one.lat_imp >= 0 for one in found)
    whole = scores.isolation(found)
    assert 0 <= whole.isol_01 <= whole.isol_05 <= 1
    assert whole.isol_01 <= whole.isol + 1e-9


@given(histories(), st.data())
def test_who_does_less_never_scores_more(operations: list[Operation], data: st.DataObject) -> None:
    kept = data.draw(st.lists(st.booleans(), min_size=len(operations), max_size=len(operations)))
    fewer = [one for one, is_kept in zip(operations, kept, strict=True) if is_kept]

    found = scores.windows(operations, 0, 10 * NS_PER_S, BASE)
    less = scores.windows(fewer, 0, 10 * NS_PER_S, BASE)

    assert all(a.isol <= b.isol for a, b in zip(less, found, strict=True))


@given(histories(), st.integers(1, NS_PER_S), st.integers(1, NS_PER_S))
def test_a_victim_that_was_slow_alone_suffers_less(
    operations: list[Operation], one_ns: int, other_ns: int
) -> None:
    fast, slow = (Alone(20.0, latency_ns) for latency_ns in sorted((one_ns, other_ns)))

    of_fast = scores.windows(operations, 0, 10 * NS_PER_S, fast)
    of_slow = scores.windows(operations, 0, 10 * NS_PER_S, slow)

    assert all(a.lat_imp >= b.lat_imp for a, b in zip(of_fast, of_slow, strict=True))


@given(histories(), limits, limits)
def test_a_wider_limit_never_protects_later(
    operations: list[Operation], one_ns: int, other_ns: int
) -> None:
    narrow, wide = sorted((one_ns, other_ns))
    never = 1 << 62
    late = scores.time_to_protect(operations, 0, narrow)
    early = scores.time_to_protect(operations, 0, wide)

    # Who suffers from the wide limit later than from the narrow one is also well later.
    first_narrow = next((o.ended_ns for o in operations if o.latency_ns > narrow), never)
    first_wide = next((o.ended_ns for o in operations if o.latency_ns > wide), never)
    if first_narrow == first_wide:
        assert (never if early is None else early) <= (never if late is None else late)


@given(histories(), limits)
def test_the_time_to_protect_is_the_end_of_a_good_operation(
    operations: list[Operation], limit_ns: int
) -> None:
    found = scores.time_to_protect(operations, 0, limit_ns)
    is_calm = all(one.latency_ns <= limit_ns for one in operations)

    assert (found == 0) == is_calm
    if found:
        assert any(one.ended_ns == found and one.latency_ns <= limit_ns for one in operations)


amounts = st.integers(0, 1 << 50)


@given(amounts, amounts, amounts, amounts)
def test_work_conservation_is_a_share_that_losses_lower(
    used: int, possible: int, lost: int, more: int
) -> None:
    found = scores.work_conservation(used, possible, lost)

    assert 0 <= found <= 1
    assert scores.work_conservation(used, possible, lost + more) <= found
    assert scores.work_conservation(used + more, possible, lost) >= found


@given(st.lists(st.integers(), min_size=1), st.integers(1, 100))
def test_the_rank_is_exceeded_by_no_more_than_the_rest(values: list[int], percent: int) -> None:
    found = scores.rank(sorted(values), percent, 0)

    assert found in values
    assert sum(value <= found for value in values) * 100 >= percent * len(values)
    assert sum(value < found for value in values) * 100 < percent * len(values)
