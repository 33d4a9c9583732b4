"""The tour's calculation: when a step is over, what is measured, what is left out."""

from __future__ import annotations

from msgspec.structs import replace

from iotop_ng.clock import NS_PER_S
from iotop_ng.model.frame import Frame
from iotop_ng.policy.scores import Operation
from iotop_ng.view.tour import (
    LEAST_TARGET_NS,
    NOTHING,
    Deed,
    Hog,
    Phase,
    Seen,
    Step,
    Tour,
    advance,
    p99_ns,
)
from iotop_ng.view.tour_steps import SCRIPT, STEPS
from iotop_ng.view.tour_words import guide_lines, table, words
from iotop_ng.view.widgets.ink import Ink
from tests.fakes import acting, frames

MS = 1_000_000
FLOOD = frames.row(4242, "log-flood", write=2e8)
PIDS = frozenset({4000, 4242})


def frame_at(second: float, *policies: object) -> Frame:
    found = tuple(acting.policy(n + 1, FLOOD, **fields) for n, fields in enumerate(policies))  # type: ignore[arg-type]
    return replace(frames.frame(), mono_ns=round(second * NS_PER_S), policies=found)


def operations(second: float, latency_ms: float, count: int = 50) -> tuple[Operation, ...]:
    """Return operations that fill the second before this one."""
    first = round((second - 1) * NS_PER_S)
    latency = round(latency_ms * MS)
    gap = NS_PER_S // count
    return tuple(Operation(first + n * gap, first + n * gap + latency) for n in range(count))


def seen(second: float, latency_ms: float = 1, *policies: object, **fields: object) -> Seen:
    done = operations(second, latency_ms)
    return Seen(frame_at(second, *policies), done, 0, None, PIDS, "")._replace(**fields)  # type: ignore[arg-type]


THROTTLED = {"kind": "throttle"}
DROPPED = {"kind": "drop", "rate_bytes_per_s": None}
BY_RULE = {"kind": "throttle", "rule": "tour"}


class Walk:
    """A tour that is taken second by second."""

    def __init__(self, second: int = 100) -> None:
        self.tour = Tour()
        self.second = second
        self.deeds: list[Deed] = []
        self.names: list[str] = []

    def go(self, seconds: int, latency_ms: float, *policies: object, **fields: object) -> Walk:
        for _ in range(seconds):
            before = self.tour
            if Deed.FLOOD in self.deeds:
                fields.setdefault("hog", Hog(self.second * NS_PER_S, self.second))
            self.tour = advance(before, seen(self.second, latency_ms, *policies, **fields), STEPS)
            if before.entered_ns is None or self.tour.at != before.at:
                step = STEPS[self.tour.at]
                self.names.append(step.name)
                self.deeds += [] if step.deed is None else [step.deed]
            self.second += 1
        return self

    @property
    def name(self) -> str:
        return STEPS[self.tour.at].name


def test_the_whole_tour_goes_on_by_what_has_happened() -> None:
    walk = Walk().go(11, 1)  # alone
    assert walk.name == "flood"
    walk.go(5, 400).go(2, 400, THROTTLED)
    assert walk.name == "throttled"
    walk.go(9, 2, THROTTLED)
    assert walk.name == "release"
    walk.go(3, 300)
    assert walk.name == "drop"
    walk.go(2, 300, DROPPED)
    assert walk.name == "dropped"
    walk.go(9, 1, DROPPED)
    assert walk.name == "undrop"
    walk.go(3, 300)
    assert walk.name == "guard"
    walk.go(14, 2, BY_RULE)
    assert walk.name == "release all"
    walk.go(2, 300)
    assert walk.name == "end"
    assert walk.deeds == [Deed.FLOOD, Deed.GUARD, Deed.END]


def test_what_this_kernel_cannot_is_said_and_passed_by() -> None:
    why = "no BPF LSM"
    walk = Walk().go(11, 1, cannot_drop=None).go(2, 400, THROTTLED, cannot_drop=why)
    walk.go(9, 2, THROTTLED, cannot_drop=None).go(2, 300, cannot_drop=None)
    assert walk.name == "no-drop"
    assert words(walk.tour)["cannot"] == "no BPF LSM"
    walk.go(10, 300, cannot_drop=None)
    assert walk.name == "guard"
    assert {"drop", "dropped", "undrop"}.isdisjoint(walk.names)


def test_a_step_waits_for_what_it_asked_for() -> None:
    walk = Walk().go(11, 1).go(200, 400)
    assert walk.name == "flood"


def test_the_key_goes_on_without_it() -> None:
    walk = Walk().go(11, 1)
    names = [walk.name]
    for _ in range(10):
        walk.go(1, 1, wants_next=True)
        names.append(walk.name)
    assert names[:5] == ["flood", "throttled", "release", "drop", "guard"]
    assert names[-1] == "end"


def test_it_does_not_go_on_while_the_victim_still_suffers() -> None:
    walk = Walk().go(11, 1).go(4, 400).go(12, 400, THROTTLED)
    assert walk.name == "throttled"
    walk.go(20, 400, THROTTLED)
    assert walk.name == "release", "but not for ever"


def test_somebody_elses_policy_is_not_the_answer() -> None:
    other = replace(acting.policy(9, frames.row(77, "dd")), kind="throttle")
    walk = Walk().go(11, 1)
    strange = replace(frame_at(walk.second), policies=(other,))
    walk.go(3, 400, frame=strange)
    assert walk.name == "flood"


def test_a_dry_run_is_not_the_answer() -> None:
    assert Walk().go(11, 1).go(3, 400, {"kind": "throttle", "is_dry": True}).name == "flood"


class TestMeasures:
    def test_an_operation_belongs_to_the_phase_in_which_it_began(self) -> None:
        walk = Walk().go(11, 1).go(5, 400).go(1, 400, THROTTLED)
        began = walk.second * NS_PER_S - 3 * NS_PER_S
        late = Operation(began, began + 9 * NS_PER_S)
        walk.go(5, 2, THROTTLED, ended=(late,))
        assert late.latency_ns == walk.tour.measure(Phase.FLOOD).max_ns
        assert walk.tour.measure(Phase.THROTTLE).latencies_ns == ()

    def test_the_second_after_a_change_is_nobodys(self) -> None:
        walk = Walk().go(10, 1)
        assert walk.name == "flood"
        entered = walk.tour.entered_ns or 0
        soon = Operation(entered + NS_PER_S // 2, entered + NS_PER_S)
        walk.go(1, 1, ended=(soon,))
        assert walk.tour.measure(Phase.FLOOD).latencies_ns == ()

    def test_the_hogs_rate_is_between_its_own_reports(self) -> None:
        walk = Walk().go(10, 1)
        for n in range(5):
            hog = Hog(walk.second * NS_PER_S, 1000 + 500 * n, 7 * n)
            walk.go(1, 400, hog=hog)
        assert walk.tour.measure(Phase.FLOOD).hog_bytes_per_s == 500
        assert walk.tour.measure(Phase.FLOOD).hog_errors_per_s == 7

    def test_one_that_does_not_end_counts_with_its_age(self) -> None:
        walk = Walk().go(10, 1).go(1, 1, ended=(), waiting_ns=5 * NS_PER_S)
        assert (walk.tour.p99_now_ns or 0) >= 5 * NS_PER_S

    def test_what_the_guard_keeps_is_twice_what_the_victim_has_alone(self) -> None:
        alone = replace(NOTHING, latencies_ns=(4 * MS,) * 50)
        assert Tour(measures={Phase.ALONE: alone}).target_ns == 8 * MS
        assert Tour().target_ns == LEAST_TARGET_NS

    def test_no_operation_has_no_percentile(self) -> None:
        assert p99_ns(()) is None


class TestWords:
    def test_every_text_has_its_words_at_every_moment(self) -> None:
        for step in STEPS:
            assert "{" not in step.text.format_map(words(Tour()))

    def test_it_claims_no_waiting_that_was_not_measured(self) -> None:
        walk = Walk().go(11, 5).go(4, 2)
        assert "keeps up" in words(walk.tour)["waits"]
        assert "from 5.0ms to 400ms" in words(walk.go(4, 400).tour)["waits"]

    def test_the_panel_has_one_height_until_the_end(self) -> None:
        for width in (80, 120, 200):
            heights = {
                len(guide_lines(Tour(at=at), STEPS, Ink(), width)) for at in range(len(STEPS) - 1)
            }
            assert heights == {5}

    def test_nothing_is_cut_at_80_columns(self) -> None:
        walk = Walk().go(11, 1).go(5, 4000).go(4, 200, THROTTLED)
        slow = replace(NOTHING, latencies_ns=(234 * MS,) * 50)
        tour = replace(
            walk.tour,
            cannot_drop="this kernel was started without BPF LSM",
            measures=dict.fromkeys(Phase, slow),
        )
        for at in range(len(STEPS)):
            for line in guide_lines(replace(tour, at=at), STEPS, Ink(), 80):
                text = "".join(run for run, _ in line)
                assert len(text) <= 80, text
                assert "…" not in text, text

    def test_the_table_has_a_row_for_each_phase_that_was_measured(self) -> None:
        walk = Walk().go(11, 1).go(5, 400).go(9, 2, THROTTLED)
        rows = [line.split()[0] for line in table(walk.tour)[1:]]
        assert rows == ["alone", "flood", "throttle"]


def test_the_script_presses_keys_in_steps_that_there_are() -> None:
    names = {step.name for step in STEPS}
    assert set(SCRIPT) <= names
    assert {step.name for step in STEPS if step.ask} == set(SCRIPT)


def test_the_last_step_stays() -> None:
    steps = (Step("only", 1, "t", "text", is_done=lambda _: True),)
    tour = advance(Tour(), seen(1), steps)
    assert advance(tour, seen(9, wants_next=True), steps).at == 0
