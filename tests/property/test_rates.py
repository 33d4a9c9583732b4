"""Subtraction never invents anything."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import astuple

from iotop_ng.model.aggregate import (
    Member,
    ancestors,
    by_cgroup,
    cgroup_rows,
    is_nothing,
    residual,
    total,
    with_ancestors,
)
from iotop_ng.model.rates import (
    Interval,
    add,
    change,
    difference,
    per_second,
    rate,
    share_pct,
    zeros,
)
from iotop_ng.sample import NO_TOTALS, Totals
from tests.property.strategies import counters, growth, intervals_ns, totals


@given(st.none() | counters, st.none() | counters, st.integers(-10, 1 << 50))
def test_a_rate_is_never_negative_and_never_without_time(
    before: int | None, after: int | None, ns: int
) -> None:
    found = rate(before, after, ns)

    if before is None or after is None or after < before or ns <= 0:
        assert found is None
    else:
        assert found is not None
        assert found >= 0
        assert (found == 0) is (before == after)


@given(counters, st.lists(counters, min_size=1, max_size=8))
def test_growth_adds_up_to_the_whole(first: int, steps: list[int]) -> None:
    readings = [first]
    for step in steps:
        readings.append(readings[-1] + step)

    parts = [change(a, b) for a, b in pairwise(readings)]

    assert sum(part for part in parts if part is not None) == readings[-1] - first


@given(counters, intervals_ns, st.integers(1, 1000))
def test_a_tick_that_is_late_does_not_change_a_steady_rate(amount: int, ns: int, late: int) -> None:
    once, later = per_second(amount, ns), per_second(amount * late, ns * late)

    assert once is not None
    assert later is not None
    assert abs(once - later) <= 1e-9 * once


@given(st.none() | counters, st.none() | counters)
def test_a_share_stays_between_0_and_100(part: int | None, whole: int | None) -> None:
    found = share_pct(part, whole)

    assert found is None or 0 <= found <= 100


@given(totals(), totals())
def test_no_field_of_a_difference_is_negative(before: Totals, after: Totals) -> None:
    for value in astuple(difference(before, after)):
        assert value is None or (min(value) if isinstance(value, tuple) else value) >= 0


@given(totals(), growth())
def test_what_was_added_is_the_difference(before: Totals, did: Totals) -> None:
    after = add(before, did)
    found = difference(before, after)

    for b, d, f, zero in zip(*map(astuple, (before, did, found, zeros(before))), strict=True):
        if b is None:
            assert f is None
        else:
            assert f == (zero if d is None else d)


@given(totals())
def test_nothing_happened_between_a_reading_and_itself(reading: Totals) -> None:
    assert difference(reading, reading) == zeros(reading)
    assert is_nothing(zeros(reading))


@given(st.lists(totals(), max_size=5).flatmap(lambda p: st.tuples(st.just(p), st.permutations(p))))
def test_a_sum_does_not_depend_on_the_order(parts: tuple[list[Totals], list[Totals]]) -> None:
    assert total(parts[0]) == total(parts[1])
    assert add(total(parts[0]), NO_TOTALS) == total(parts[0])


@given(st.lists(growth(), min_size=1, max_size=5), growth())
def test_parts_and_the_residual_are_the_whole(parts: list[Totals], more: Totals) -> None:
    whole = add(total(parts), more)

    assert add(total(parts), residual(whole, total(parts))) == whole


@given(totals(), totals())
def test_a_residual_is_never_negative(whole: Totals, parts: Totals) -> None:
    for value in astuple(residual(whole, parts)):
        assert value is None or (min(value) if isinstance(value, tuple) else value) >= 0


paths = st.none() | st.lists(st.sampled_from("abc"), max_size=4).map(lambda p: "/" + "/".join(p))
members = st.lists(st.builds(Member, paths, growth(), growth()), max_size=10)


@given(members)
def test_cgroups_sum_up_to_all_processes(group: list[Member]) -> None:
    sums = by_cgroup(group)

    assert total(part.delta for part in sums.values()) == total(m.delta for m in group)
    assert total(part.totals for part in sums.values()) == total(m.totals for m in group)
    assert sum(part.members for part in sums.values()) == len(group)


@given(members)
def test_a_cgroup_holds_everything_below_it(group: list[Member]) -> None:
    whole = with_ancestors(by_cgroup(group))

    for path, part in whole.items():
        inside = [m for m in group if path in ancestors(m.cgroup if m.cgroup is not None else "?")]
        assert part.delta == total(m.delta for m in inside)
        assert part.members == len(inside)


@given(members, intervals_ns)
def test_every_cgroup_has_a_row_of_its_own(group: list[Member], ns: int) -> None:
    sums = with_ancestors(by_cgroup(group))
    rows = cgroup_rows(sums, Interval(3, 0, ns))

    assert len({row.key for row in rows}) == len(sums)
    assert {row.cgroup for row in rows} == set(sums)
    for row in rows:
        part = sums[row.cgroup or ""]
        assert row.write_bytes_per_s == per_second(part.delta.write_bytes, ns)
        assert row.totals == part.totals
