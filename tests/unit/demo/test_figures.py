"""What is said of each phase, and when a policy helped."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from iotop_ng.demo.figures import Figures, Verdict, figures, verdicts
from iotop_ng.demo.record import Record, Seen
from iotop_ng.demo.story import Plan, play
from iotop_ng.policy import scores
from iotop_ng.policy.scores import Alone
from tests.fakes.demo_stages import DISK, MIB, MS, FakeStage, nobody


def played(stage: FakeStage, seconds: int = 10) -> tuple[dict[str, Figures], list[Verdict]]:
    told = play(stage, Plan(seconds, 5 * MIB), nobody)
    record, baseline = stage.record, told.phases[0]
    base = scores.alone(record.of(baseline), baseline.seconds)
    capacity = record.capacity([told.phases[1]])
    found = [figures(record, seen, base, told.limit_ns, capacity) for seen in told.phases]
    return {one.phase: one for one in found}, [*verdicts(found, told.limit_ns)]


def answers(found: list[Verdict]) -> dict[str, bool]:
    return {one.what: one.holds for one in found}


def test_a_story_that_goes_well() -> None:
    found, verdict = played(FakeStage())

    assert answers(verdict) == {"problem": True, "throttle": True, "drop": True, "guard": True}
    assert found["baseline"].p99_ns == 2 * MS
    assert found["baseline"].isol_pct == 100
    assert found["baseline"].work_csv_pct is None
    assert found["flood"].p50_ns == 300 * MS
    assert found["flood"].isol_pct == pytest.approx(6.7, abs=1)
    assert found["flood"].work_csv_pct == 100
    throttle = found["throttle"]
    assert throttle.hog_bytes_per_s == pytest.approx(5 * MIB, rel=0.01)
    assert throttle.max_ns == 300 * MS
    assert throttle.settled_p99_ns == 3 * MS
    assert throttle.settled_ns is not None
    assert 500 * MS <= throttle.settled_ns <= 800 * MS
    # The disk wrote 6 MiB/s, and could have written 41.
    assert throttle.work_csv_pct == pytest.approx(100 * 6 / 41, abs=0.5)


def test_a_flood_that_nobody_feels_is_no_problem() -> None:
    _, verdict = played(FakeStage({"flood": 19 * MS}))

    assert verdict[0] == Verdict(
        "problem",
        holds=False,
        text="no problem to be solved here: the flood makes the victim's p99 9.5 times what it is"
        " alone, less than 10 times",
    )


def test_a_policy_that_is_still_too_slow_did_not_help() -> None:
    _, verdict = played(FakeStage({"throttle": 5 * MS}))

    assert answers(verdict)["throttle"] is False
    assert verdict[1].text == "the victim never came back within 4.0 ms"


def test_a_policy_that_works_late_did_not_help() -> None:
    _, verdict = played(FakeStage(settles_ns=3_500 * MS))

    assert answers(verdict) == {"problem": True, "throttle": False, "drop": False, "guard": False}
    assert "later than 3.0 s" in verdict[1].text


def test_in_a_short_phase_half_of_it_has_to_be_well() -> None:
    assert answers(played(FakeStage(settles_ns=2_500 * MS), 8)[1])["guard"] is True
    assert answers(played(FakeStage(settles_ns=2_500 * MS), 4)[1])["guard"] is False


def test_what_cannot_be_done_here_has_no_verdict() -> None:
    found, verdict = played(FakeStage(cannot={"drop": "no BPF LSM"}))

    assert found["drop"] == Figures("drop", here=False, why_not="no BPF LSM")
    assert answers(verdict) == {"problem": True, "throttle": True, "guard": True}


def test_a_hog_with_a_rate_loses_what_it_wanted_and_no_more() -> None:
    """Of 10 s at 40 MiB/s it lost 20 MiB; the disk could have written 200 MiB more."""
    record = Record()
    record.has_device, record.wants_all = True, False
    for series, total in ((record.device, 200 * MIB), (record.lost, 20 * MIB)):
        series.add(0, 0)
        series.add(10**10, total)
    seen = Seen("throttle", 0, 10**10)

    found = figures(record, seen, Alone(50.0, MS), 4 * MS, float(DISK))

    assert found.work_csv_pct == pytest.approx(100 * 200 / 220, abs=0.01)


def test_without_a_disk_nothing_is_said_of_one() -> None:
    stage = FakeStage()
    stage.record.has_device = False

    found, _ = played(stage)

    assert {one.device_bytes_per_s for one in found.values()} == {None}
    assert {one.work_csv_pct for one in found.values()} == {None}


def test_all_verdicts_come_from_the_figures_alone() -> None:
    found, verdict = played(FakeStage())
    slower = replace(found["guard"], settled_ns=None, settled_p99_ns=None)

    again = verdicts([*(found | {"guard": slower}).values()], 4 * MS)

    assert answers([*again]) == answers(verdict) | {"guard": False}
