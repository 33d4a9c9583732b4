"""What frames say about what is in force."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from iotop_ng.control.covered import Covered
from iotop_ng.control.marks import Marks, text_of, who
from iotop_ng.enforcers.orders import (
    Author,
    Counts,
    InForce,
    Kind,
    Listing,
    Mechanism,
)
from iotop_ng.model.frame import Frame, Row
from iotop_ng.policy.actions import NS_PER_S, CgroupTarget, ProcessTarget, Reason, Target
from tests.fakes.enforcers import order
from tests.fakes.keepers import GUARD
from tests.fakes.stages import MB, SLEPT_NS, Stage
from tests.unit.policy.scenes import frame, process

S = NS_PER_S
START_NS = 500 * S
"""The keeper's clock when the policy was applied."""


def target_of(row: Row) -> ProcessTarget:
    return ProcessTarget(row.key, row.pid, row.start_ns)


def policy(target: Target, number: int = 1, **changes: object) -> InForce:
    base = InForce(
        id=number,
        order=replace(order(target, rate=5 * MB), before_bytes_per_s=200 * MB),
        mechanism=Mechanism.HOLD,
        name="dd[100]",
        author=GUARD,
        since_ns=START_NS,
        until_ns=START_NS + 600 * S,
    )
    return replace(base, **changes)


def at(seconds: float, *rows: Row) -> Frame:
    """Return a frame of the second that ends so long after the policy was applied."""
    return frame(1, START_NS + SLEPT_NS + round(seconds * S), rows)


def listing(seconds: float, *policies: InForce) -> Listing:
    return Listing(START_NS + round(seconds * S), policies)


HOG = process(100, "dd", write=5e6)


def test_without_anything_in_force_the_frame_is_the_same() -> None:
    looked_at = at(1, HOG)

    assert Marks().mark(looked_at, None, "") is looked_at
    assert Marks().mark(looked_at, listing(1), "") is looked_at


def test_a_problem_is_shown_even_when_nothing_is_in_force() -> None:
    assert Marks().mark(at(1, HOG), None, "no").policy_problem == "no"


def test_a_policy_is_a_row_with_times_of_the_frame() -> None:
    marked = Marks().mark(at(60, HOG), listing(60, policy(target_of(HOG))), "")
    (row,) = marked.policies

    assert (row.key, row.pid, row.cgroup) == (HOG.key, 100, None)
    assert row.since_ns == START_NS + SLEPT_NS
    assert row.remaining_s == 540
    assert (row.kind, row.mechanism, row.rate_bytes_per_s) == ("throttle", "hold", 5 * MB)
    assert (row.by, row.rule, row.is_dry) == ("root on pts/3", "", False)
    assert row.written_bytes_per_s == 5e6
    assert row.before_bytes_per_s == 200 * MB


def test_only_covered_rows_are_made_anew() -> None:
    other, ended = process(200, "cp"), replace(HOG, exited=True, pid=9)
    looked_at = replace(at(3, HOG, other, ended), threads=(replace(HOG, tid=100), other))

    marked = Marks().mark(looked_at, listing(3, policy(target_of(HOG))), "")

    assert [row.policy for row in marked.rows] == ["throttle 4.8M", "", ""]
    assert marked.rows[1] is other
    assert marked.rows[2] is ended
    assert [row.policy for row in marked.threads] == ["throttle 4.8M", ""]


def test_a_reused_pid_is_not_covered() -> None:
    renewed = process(100, "dd", start=9)

    marked = Marks().mark(at(3, renewed), listing(3, policy(target_of(HOG))), "")

    assert marked.rows[0].policy == ""
    assert marked.policies[0].written_bytes_per_s is None


def test_a_cgroup_covers_what_is_below_it() -> None:
    rows = [
        process(pid, "x", write=1e6, cgroup=path)
        for pid, path in ((1, "/a/b"), (2, "/a/b/c"), (3, "/a/bc"), (4, None))
    ]

    marked = Marks().mark(at(3, *rows), listing(3, policy(CgroupTarget("/a/b"))), "")

    assert [bool(row.policy) for row in marked.rows] == [True, True, False, False]
    assert marked.policies[0].written_bytes_per_s == 2e6
    assert marked.policies[0].cgroup == "/a/b"


def test_children_are_covered_that_began_after_the_policy_did() -> None:
    """Only those are held with it; they are looked for when it covers more than one process."""
    began = START_NS + SLEPT_NS
    child = replace(process(101, "dd", write=2e6, ppid=100), start_ns=began + S)
    grandchild = replace(process(102, "dd", write=1e6, ppid=101), start_ns=began + 2 * S)
    elder = replace(process(103, "dd", write=9e6, ppid=100), start_ns=began - 5 * S)
    looked_at = at(5, HOG, child, grandchild, elder)
    alone = policy(target_of(HOG), counts=Counts(processes=1))

    many = Covered((replace(alone, counts=Counts(processes=3)),), looked_at, START_NS + 5 * S)
    one = Covered((alone,), looked_at, START_NS + 5 * S)

    assert many.written(1) == 8e6
    assert one.written(1) == 5e6


def test_what_is_held_and_refused_is_per_second_of_the_keepers_clock() -> None:
    marks = Marks()
    first = Counts(held_ns=S, refused_calls=10, refused_bytes=1000, charged_bytes=7)
    later = Counts(held_ns=4 * S, refused_calls=30, refused_bytes=5000, charged_bytes=9)
    marks.mark(at(1, HOG), listing(1, policy(target_of(HOG), counts=first)), "")

    marked = marks.mark(at(3, HOG), listing(3, policy(target_of(HOG), counts=later)), "")
    (row,) = marked.policies

    assert row.held_pct == 150
    assert (row.refused_calls_per_s, row.refused_bytes_per_s) == (10, 2000)
    assert (row.refused_calls_total, row.refused_bytes_total) == (30, 5000)
    assert row.charged_bytes_total == 9


def test_what_a_mechanism_does_not_count_is_none() -> None:
    (row,) = Marks().mark(at(1, HOG), listing(1, policy(target_of(HOG))), "").policies

    assert (row.held_pct, row.refused_calls_per_s, row.refused_bytes_per_s) == (None, None, None)


def effects(rates: list[float], *, new_rate_at: int = -1) -> list[str]:
    """Return the effect in each second of a process that writes so much."""
    marks, found = Marks(), []
    one = policy(target_of(HOG))
    for second, rate in enumerate(rates, 1):
        if second == new_rate_at:
            one = replace(one, order=replace(one.order, rate_bytes_per_s=50 * MB))
        counted = replace(one, counts=Counts(held_ns=second * S // 2))
        row = replace(HOG, write_bytes_per_s=rate)
        marked = marks.mark(at(second, row), listing(second, counted), "")
        found.append(marked.policies[0].effect)
    return found


def test_an_effect_is_judged_after_two_seconds_and_by_the_last_three() -> None:
    assert effects([200e6, 5e6, 5e6, 5e6, 5e6]) == [
        "",
        "partly",
        "partly",
        "effective",
        "effective",
    ]
    assert effects([5e6] * 3 + [190e6] * 3)[-1] == "no effect"


def test_a_new_rate_is_judged_anew() -> None:
    found = effects([5e6, 5e6, 5e6, 50e6, 50e6, 50e6, 50e6], new_rate_at=4)

    assert found == ["", "effective", "effective", "", "", "effective", "effective"]


def test_a_dry_run_and_a_priority_have_no_effect_to_judge() -> None:
    dry = policy(target_of(HOG), mechanism=Mechanism.DRY_RUN)
    idle = policy(target_of(HOG), 2, order=order(target_of(HOG), Kind.IONICE), problem="p")

    rows = Marks().mark(at(9, HOG), listing(9, dry, idle), "").policies

    assert [(row.effect, row.why, row.is_dry) for row in rows] == [
        ("", "dry run: nothing is done", True),
        ("", "p", False),
    ]


@pytest.mark.parametrize(
    ("kind", "rate", "dry_run", "text"),
    [
        (Kind.THROTTLE, 5 << 20, False, "throttle 5M"),
        (Kind.THROTTLE, 1536, False, "throttle 1.5K"),
        (Kind.THROTTLE, 5 << 20, True, "would throttle 5M"),
        (Kind.DROP, None, False, "drop"),
        (Kind.DROP, 5 << 20, True, "would drop"),
        (Kind.IONICE, None, False, "ionice idle"),
    ],
)
def test_a_row_says_in_a_word_what_is_in_force(
    kind: Kind, rate: int | None, dry_run: bool, text: str
) -> None:
    made = order(target_of(HOG), kind, rate, dry_run=dry_run)

    assert text_of(policy(target_of(HOG), order=made)) == text


def test_who_asked_is_a_rule_or_a_person() -> None:
    assert who("flood", GUARD) == "rule flood"
    assert who("", GUARD) == "root on pts/3"
    assert who("", Author("guard", 1, 0, "root", "")) == "root"


def test_events_of_the_keeper_come_with_the_next_frame(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    stage.start(100, "dd")
    stage.engine.apply(replace(order(stage.world.target(100)), reason=Reason("", "too much")))

    first = stage.shown().policy_events
    stage.engine.release()
    second = stage.shown().policy_events

    assert [event.what for event in second] == ["applied", "released"]
    assert second[0] == first[0]
    assert [event.by for event in second] == ["root on pts/3"] * 2
    assert "too much" in first[0].text


def test_others_policies_are_seen_without_an_order_of_our_own(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    stage.start(100, "dd")
    assert stage.shown().policies == ()
    assert stage.opened == 0

    stage.open_keeper().apply(order(stage.world.target(100)))

    assert [row.name for row in stage.shown().policies] == ["dd[100]"]


def test_of_many_rows_only_the_covered_are_made_anew() -> None:
    rows = tuple(process(pid, "x", write=1.0, ppid=pid // 2) for pid in range(10, 10_010))
    looked_at = at(9, *rows)
    policies = [
        policy(target_of(rows[n]), n, counts=Counts(processes=2 if n == 3 else 1))
        for n in (1, 2, 3)
    ]

    marked = Marks().mark(looked_at, listing(9, *policies), "")

    new = [one.pid for one, old in zip(marked.rows, rows, strict=True) if one is not old]
    assert new == [11, 12, 13]
