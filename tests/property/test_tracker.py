"""A machine lives for a while under the tracker; what the frames say is compared with the truth."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from msgspec.structs import asdict

from iotop_ng.model.aggregate import total
from iotop_ng.model.frame import EMPTY_FRAME, Frame, Row
from iotop_ng.model.rates import difference, zeros
from iotop_ng.model.tracker import Tracker
from iotop_ng.sample import Process, Sample, Totals
from tests.fakes.samples import SECOND, device, process, sample
from tests.property.strategies import (
    NOTHING_YET,
    THREAD_FIELDS,
    Machine,
    clock_steps_ns,
    counters,
    growth,
    intervals_ns,
    totals,
)

HISTORY = 4
RATES = ("read_bytes_per_s", "write_bytes_per_s", "disk_write_bytes_per_s")
pids = st.integers(1, 4)
"""Few, so that they are reused."""


def assert_sane(frame: Frame) -> None:
    """Check what holds for every frame, whatever the samples were."""
    for row in (*frame.rows, *frame.threads):
        for name, value in asdict(row).items():
            if isinstance(value, float):
                assert value >= 0, name
            if name.endswith("_pct") and value is not None:
                assert value <= 100
        for value in asdict(row.totals).values():
            assert value is None or (min(value) if isinstance(value, tuple) else value) >= 0
        ticks = [point.tick for point in row.history]
        assert ticks == sorted(set(ticks))
        assert all(frame.tick - HISTORY < tick <= frame.tick for tick in ticks)
    assert len({row.key for row in frame.rows}) == len(frame.rows)
    assert frame.coverage_pct is None or 0 <= frame.coverage_pct <= 100


class Life(RuleBasedStateMachine):
    """Births, work, ends and readings in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.machine = Machine()
        self.tracker = Tracker(HISTORY)
        self.frame = EMPTY_FRAME
        self.before: dict[int, Totals] = {}
        """Each process's truth at the reading before."""

    @initialize(born=st.lists(st.tuples(pids, growth()), max_size=4))
    def first_reading(self, born: list[tuple[int, Totals]]) -> None:
        for pid, did in born:
            self.machine.birth(pid, did)
        # What was done before the first reading is nobody's business.
        self.machine.truth = dict.fromkeys(self.machine.truth, NOTHING_YET)
        self.reading(SECOND)

    @rule(pid=pids, did=growth())
    def birth(self, pid: int, did: Totals) -> None:
        self.machine.birth(pid, did)

    @precondition(lambda self: self.machine.living)
    @rule(data=st.data(), did=growth(), number=st.integers(0, 3))
    def work(self, data: st.DataObject, did: Totals, number: int) -> None:
        key = data.draw(st.sampled_from(sorted(self.machine.living)))
        self.machine.work(key, did, number)

    @precondition(lambda self: self.machine.living)
    @rule(data=st.data())
    def end_thread(self, data: st.DataObject) -> None:
        self.machine.end_thread(data.draw(st.sampled_from(sorted(self.machine.living))))

    @precondition(lambda self: self.machine.living)
    @rule(data=st.data(), stays_listed=st.booleans())
    def end(self, data: st.DataObject, stays_listed: bool) -> None:
        key = data.draw(st.sampled_from(sorted(self.machine.living)))
        self.machine.end(key, stays_listed=stays_listed)

    @rule(asked=st.booleans())
    def ask_for_threads(self, asked: bool) -> None:
        self.machine.lists_threads = asked

    @rule(step_ns=intervals_ns)
    def reading(self, step_ns: int) -> None:
        self.before = dict(self._read_truth) if self.frame.source else {}
        self.frame = self.tracker.advance(self.machine.reading(step_ns))
        self._read_truth = dict(self.machine.truth)

    _read_truth: dict[int, Totals] = {}  # noqa: RUF012 - replaced, never changed

    @invariant()
    def frames_are_sane(self) -> None:
        assert_sane(self.frame)

    @invariant()
    def totals_are_the_truth(self) -> None:
        for row in self.frame.rows:
            assert row.totals == self._read_truth[row.key]

    @invariant()
    def rates_are_the_truth_of_the_interval(self) -> None:
        if self.frame.tick == 0:
            return
        ns = round(self.frame.interval_s * SECOND)
        for row in self.frame.rows:
            now = self._read_truth[row.key]
            did = difference(self.before.get(row.key, zeros(now)), now)
            for name in RATES:
                amount = getattr(did, name.removesuffix("_per_s"))
                assert getattr(row, name) == pytest.approx(amount * SECOND / ns)

    @invariant()
    def every_living_process_has_its_row(self) -> None:
        alive = {row.key for row in self.frame.rows if not row.exited}
        assert alive <= set(self._read_truth)
        if self.frame.tick:
            sums = total(
                difference(self.before.get(key, zeros(now)), now)
                for key, now in self._read_truth.items()
            )
            written = (sums.write_bytes or 0) / self.frame.interval_s
            assert (self.frame.write_bytes_per_s or 0) == pytest.approx(written)

    @invariant()
    def threads_sum_up_to_their_process(self) -> None:
        by_key: dict[int, list[Row]] = {}
        for row in self.frame.threads:
            by_key.setdefault(row.key, []).append(row)
        for row in self.frame.rows:
            if row.key not in by_key:
                continue
            for field in THREAD_FIELDS:
                parts = [getattr(thread.totals, field) or 0 for thread in by_key[row.key]]
                assert sum(parts) == getattr(row.totals, field)
                rates = [getattr(thread, f"{field}_per_s") for thread in by_key[row.key]]
                # Unknown where they were asked for first; then not one of them is made up.
                if None in rates:
                    assert set(rates) == {None}
                else:
                    assert sum(rates) == pytest.approx(getattr(row, f"{field}_per_s"))


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=60, stateful_step_count=25)


processes = st.lists(
    st.builds(lambda pid, t, dead: process(pid, t, is_exited=dead), pids, totals(), st.booleans()),
    max_size=4,
    unique_by=lambda found: found.key,
)


@given(st.lists(st.tuples(processes, clock_steps_ns), min_size=1, max_size=8))
def test_readings_without_sense_make_frames_that_are_sane(
    readings: list[tuple[list[Process], int]],
) -> None:
    """Totals that fall, processes that flicker, clocks that go back."""
    tracker = Tracker(HISTORY)
    mono_ns = 1000 * SECOND
    for tick, (listed, step_ns) in enumerate(readings):
        mono_ns += step_ns
        frame = tracker.advance(Sample("sim", 0, mono_ns, tuple(listed)))

        assert frame.tick == tick
        assert_sane(frame)
        if step_ns <= 0 or tick == 0:
            assert all(getattr(row, name) is None for row in frame.rows for name in RATES)


@given(st.lists(counters, min_size=2, max_size=8), st.integers(0, 1 << 62))
def test_a_total_never_falls_whatever_a_source_reports(counts: list[int], wall_ns: int) -> None:
    tracker = Tracker()
    seen: list[int] = []
    for at, written in enumerate(counts):
        shot = sample(at, [process(7, Totals(write_bytes=written))], wall_ns=wall_ns // (at + 1))
        seen.append(tracker.advance(shot).rows[0].totals.write_bytes or 0)

    assert seen == sorted(seen)
    grown = [b - a for a, b in pairwise(counts)]
    assert seen[-1] == sum(g for g in grown if g > 0)


@settings(max_examples=40)
@given(st.lists(processes, min_size=1, max_size=5))
def test_the_same_samples_give_the_same_frames(readings: list[list[Process]]) -> None:
    one, two = Tracker(), Tracker()
    for at, listed in enumerate(readings):
        shot = sample(at, listed)

        assert one.advance(shot) == two.advance(shot)


@given(st.lists(st.tuples(counters, counters, counters), min_size=2, max_size=6), intervals_ns)
def test_device_rates_are_never_negative(
    readings: list[tuple[int, int, int]], step_ns: int
) -> None:
    tracker = Tracker(HISTORY)
    for at, (moved, ios, busy) in enumerate(readings):
        shot = device(read_bytes=moved, read_ios=ios, busy_ms=busy, weighted_ms=busy, read_ms=busy)
        frame = tracker.advance(sample(at * step_ns / SECOND, [], [shot]))

        (row,) = frame.devices
        for value in asdict(row).values():
            assert not isinstance(value, float) or value >= 0
        assert row.util_pct is None or row.util_pct <= 100
