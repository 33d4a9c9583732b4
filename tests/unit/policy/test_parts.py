"""The worked numbers of the algorithms' descriptions."""

from __future__ import annotations

from msgspec.structs import replace

from iotop_ng.policy.actions import NS_PER_S
from iotop_ng.policy.drop import WINDOW_NS, Dropper, Loss, Terms, Verdict
from iotop_ng.policy.latency_target import Aim, Control, Move, Signals, step
from iotop_ng.policy.share import HEADROOM_BYTES_PER_S, share
from iotop_ng.policy.signals import signals
from iotop_ng.policy.token_bucket import Answer, TokenBucket
from iotop_ng.sample import HISTOGRAM_SLOTS
from iotop_ng.sim.actors import slot_of
from tests.unit.policy.scenes import frame, process

MB = 1_000_000
TICK_NS = NS_PER_S // 4


def test_the_buckets_worked_number() -> None:
    bucket = TokenBucket(1000, NS_PER_S // 10, 1, 0)

    assert bucket.ask(0, 600) == Answer(is_admitted=True, delay_ns=NS_PER_S // 2)
    assert bucket.ask(NS_PER_S * 3 // 10, 1) == Answer(is_admitted=False, delay_ns=NS_PER_S // 5)
    assert bucket.ask(NS_PER_S // 2, 1).is_admitted


def test_a_raise_does_not_forgive_debt() -> None:
    bucket = TokenBucket(1000, 0, 1, 0)
    bucket.ask(0, 5001)
    bucket.set_rate(NS_PER_S, 4000)

    assert bucket.ask(NS_PER_S, 1) == Answer(is_admitted=False, delay_ns=NS_PER_S)


def test_the_latency_targets_worked_number() -> None:
    aim = Aim(target_ns=20_000_000, capacity=200 * MB)
    slow = Signals(hog_bytes_per_s=200 * MB, fsyncs=10, usual_ns=30_000_000)
    good = Signals(hog_bytes_per_s=138 * MB, fsyncs=10, usual_ns=5_000_000)

    cut, first = step(aim, Control(), slow, TICK_NS)
    patient, second = step(aim, cut, slow, TICK_NS)
    raised, third = step(aim, patient, good, TICK_NS)

    assert (first, cut.cap, cut.mem) == (Move.CUT, 140 * MB, 200 * MB)
    assert (second, patient.cap) == (Move.HOLD, 140 * MB)
    assert (third, raised.cap) == (Move.RAISE, 152 * MB)


def test_what_the_page_cache_took_is_not_what_the_device_does() -> None:
    aim = Aim(target_ns=20_000_000, capacity=200 * MB)
    fast = Signals(hog_bytes_per_s=600 * MB, fsyncs=10, usual_ns=30_000_000)
    faster = Signals(hog_bytes_per_s=3000 * MB, fsyncs=10, usual_ns=30_000_000)

    assert step(aim, Control(), fast, TICK_NS)[0].cap == 140 * MB
    assert step(aim, Control(), faster, TICK_NS)[0].cap == 525 * MB


def test_one_late_call_in_a_hundred_is_what_a_p99_allows() -> None:
    aim = Aim(target_ns=20_000_000, capacity=200 * MB)
    good = Signals(hog_bytes_per_s=100 * MB, fsyncs=10, usual_ns=8_000_000)
    late = Signals(hog_bytes_per_s=100 * MB, fsyncs=10, usual_ns=8_000_000, late_milli=1000)
    control, moves = Control(cap=100 * MB, mem=100 * MB), []
    for seen in [*[good] * 9, late, *[good] * 4, late]:
        control, move = step(aim, control, seen, TICK_NS)
        moves.append(move)

    assert moves == [Move.HOLD] * 14 + [Move.CUT]


def test_the_queue_speaks_only_for_victims_that_are_silent() -> None:
    aim = Aim(target_ns=20_000_000, capacity=200 * MB)
    heard = Signals(100 * MB, fsyncs=5, usual_ns=3_000_000, queue_ns=90_000_000)
    silent = Signals(100 * MB, fsyncs=0, queue_ns=90_000_000)

    assert step(aim, Control(cap=100 * MB), heard, TICK_NS)[1] is Move.RAISE
    assert step(aim, Control(cap=100 * MB), silent, TICK_NS)[1] is Move.CUT


def test_a_slow_call_among_four_is_an_outlier_and_among_three_is_not() -> None:
    fast, slow = slot_of(4_500_000), slot_of(50_000_000)
    for calls, is_usual in ((3, False), (2, True)):
        durations = [0] * HISTOGRAM_SLOTS
        durations[fast], durations[slow] = calls, 1
        victim = replace(process(1, "db", fsync_ms=60), fsync_durations=tuple(durations))
        seen = signals(frame(1, 1, [victim]), [victim], [], "", 20_000_000, is_lost=False)

        assert (seen.usual_ns > 10_000_000) is is_usual
        assert seen.late_milli == 1000


def test_four_times_the_set_point_cuts_in_half() -> None:
    aim = Aim(target_ns=20_000_000, capacity=200 * MB)
    stuck = Signals(hog_bytes_per_s=200 * MB, fsyncs=0, age_ns=40_000_000)

    assert step(aim, Control(), stuck, TICK_NS)[0].cap == 100 * MB


def test_near_the_memory_it_goes_slowly() -> None:
    aim = Aim(target_ns=20_000_000, capacity=200 * MB)
    good = Signals(hog_bytes_per_s=190 * MB, fsyncs=10, p99_ns=1_000_000)

    assert step(aim, Control(cap=190 * MB, mem=200 * MB), good, TICK_NS)[0].cap == 191 * MB


def test_unknown_is_not_good() -> None:
    aim = Aim(target_ns=20_000_000, capacity=200 * MB)
    nothing = Signals(hog_bytes_per_s=100 * MB, fsyncs=0)
    control, moves = Control(cap=100 * MB), []
    for _ in range(6):
        control, move = step(aim, control, nothing, TICK_NS)
        moves.append(move)

    assert moves == [Move.HOLD] * 5 + [Move.RAISE]
    assert control.cap == 102 * MB


def test_the_shares_worked_number() -> None:
    room = HEADROOM_BYTES_PER_S
    wants = [8 * room, 40 * room, 80 * room]

    assert share(101 * room, wants) == (11 * room, 45 * room, 45 * room)


def test_what_nobody_wants_goes_to_all_alike() -> None:
    assert share(3_000_003, [0, 0]) == (1_500_002, 1_500_001)


def test_a_spent_budget_throttles_for_good() -> None:
    meter = Dropper(Terms(100, end_ns=WINDOW_NS * 9), TokenBucket(1, 0, 1, 0))
    meter.ask(0, 50)

    assert [meter.ask(1, 60), meter.ask(2, 60), meter.ask(WINDOW_NS * 2, 9)] == [
        Verdict.DROP,
        Verdict.THROTTLE,
        Verdict.PASS,
    ]
    assert meter.is_throttling
    assert meter.settle() == Loss(1, 60, 1, 1)
    assert meter.settle() is None
