"""iotop_ng.model.tracker, sample by sample."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from iotop_ng.model.ended import LIMIT
from iotop_ng.model.frame import Frame, Point, Row
from iotop_ng.model.tracker import Tracker
from iotop_ng.sample import Host, Probe, Process, Totals, process_key
from tests.fakes.samples import SECOND, device, op, process, sample, slots, thread

MIB = 1 << 20


def by_pid(frame: Frame) -> dict[int, Row]:
    return {row.pid: row for row in frame.rows}


def wrote(pid: int, count: int, **changes: object) -> Process:
    return process(pid, Totals(read_bytes=0, write_bytes=count), **changes)


def test_the_first_reading_knows_no_rates_and_starts_all_totals() -> None:
    frame = Tracker().advance(sample(0, [wrote(7, 5 * MIB)]))

    assert (frame.tick, frame.interval_s, frame.write_bytes_per_s) == (0, 0.0, None)
    (row,) = frame.rows
    assert (row.write_bytes_per_s, row.totals.write_bytes) == (None, 0)


def test_what_was_written_before_the_first_reading_is_not_ours() -> None:
    tracker = Tracker()
    tracker.advance(sample(0, [wrote(7, 5 * MIB)]))
    frame = tracker.advance(sample(2, [wrote(7, 9 * MIB)]))

    (row,) = frame.rows
    assert (row.write_bytes_per_s, row.totals.write_bytes) == (2 * MIB, 4 * MIB)
    assert (frame.tick, frame.interval_s, frame.write_bytes_per_s) == (1, 2.0, 2 * MIB)


def test_a_process_that_comes_later_started_at_zero() -> None:
    tracker = Tracker()
    tracker.advance(sample(0, []))
    tracker.advance(sample(1, []))
    frame = tracker.advance(sample(2, [wrote(7, 3 * MIB)]))

    (row,) = frame.rows
    assert (row.write_bytes_per_s, row.totals.write_bytes) == (3 * MIB, 3 * MIB)
    assert (row.first_tick, row.first_seen_ns) == (2, sample(1).mono_ns)


def test_a_process_that_lived_between_two_readings_is_there_once_with_its_bytes() -> None:
    tracker = Tracker()
    tracker.advance(sample(0, []))
    frame = tracker.advance(sample(0.5, [wrote(7, 64 << 10, is_exited=True)]))

    (row,) = frame.rows
    assert (row.exited, row.exited_tick, row.write_bytes_per_s) == (True, 1, 128 << 10)
    assert frame.write_bytes_per_s == 128 << 10


@pytest.mark.parametrize("is_listed_on", [True, False])
def test_an_ended_row_stays_with_zero_rates_for_the_history(is_listed_on: bool) -> None:
    """Ended in tick 2 with a history of 3: shown up to tick 5, listed by the source or not."""
    tracker = Tracker(history_ticks=3)
    ended = wrote(7, 2 * MIB, is_exited=True)
    tracker.advance(sample(0, [wrote(7, 0)]))
    tracker.advance(sample(1, [wrote(7, MIB)]))
    tracker.advance(sample(2, [ended]))
    later = [tracker.advance(sample(at, [ended] if is_listed_on else [])) for at in range(3, 20)]

    assert [len(frame.rows) for frame in later[:4]] == [1, 1, 1, 0]
    assert all(not frame.rows for frame in later[3:])
    (row,) = later[0].rows
    assert (row.exited, row.exited_tick, row.write_bytes_per_s) == (True, 2, 0.0)
    assert row.totals.write_bytes == 2 * MIB


def test_what_a_vanished_process_did_last_is_unknown_and_then_zero() -> None:
    tracker = Tracker()
    tracker.advance(sample(0, [wrote(7, 0), wrote(8, 0)]))
    tracker.advance(sample(1, [wrote(7, MIB), wrote(8, MIB)]))
    gone = tracker.advance(sample(2, [wrote(8, 2 * MIB)]))
    after = tracker.advance(sample(3, [wrote(8, 2 * MIB)]))

    assert (by_pid(gone)[7].exited, by_pid(gone)[7].write_bytes_per_s) == (True, None)
    assert gone.write_bytes_per_s == MIB
    assert (by_pid(after)[7].exited, by_pid(after)[7].write_bytes_per_s) == (True, 0.0)
    assert by_pid(after)[7].totals.write_bytes == MIB


def test_data_that_reaches_the_disk_after_the_end_is_still_the_owners() -> None:
    def buffered(disk: int, *, is_exited: bool) -> Process:
        return process(7, Totals(write_bytes=MIB, disk_write_bytes=disk), is_exited=is_exited)

    tracker = Tracker(history_ticks=3)
    tracker.advance(sample(0, [buffered(0, is_exited=False)]))
    for at in range(1, 10):
        frame = tracker.advance(sample(at, [buffered(0, is_exited=True)]))
    assert frame.rows == ()
    flushed = tracker.advance(sample(10, [buffered(MIB, is_exited=True)]))

    (row,) = flushed.rows
    assert (row.exited, row.exited_tick, row.disk_write_bytes_per_s) == (True, 1, MIB)
    assert len(tracker.advance(sample(13, [buffered(MIB, is_exited=True)])).rows) == 1


def test_a_process_that_was_away_and_is_back_is_alive_with_an_unknown_interval() -> None:
    tracker = Tracker()
    tracker.advance(sample(0, [wrote(7, 0)]))
    tracker.advance(sample(1, []))
    back = tracker.advance(sample(2, [wrote(7, MIB)]))
    after = tracker.advance(sample(3, [wrote(7, 3 * MIB)]))

    (row,) = back.rows
    assert (row.exited, row.write_bytes_per_s, row.totals.write_bytes) == (False, None, MIB)
    assert after.rows[0].write_bytes_per_s == 2 * MIB


def test_a_reused_pid_is_another_process() -> None:
    tracker = Tracker()
    first = wrote(7, 0, start_ns=10 * SECOND)
    second = wrote(7, MIB, start_ns=20 * SECOND)
    tracker.advance(sample(0, [first]))
    tracker.advance(sample(1, [wrote(7, 9 * MIB, start_ns=10 * SECOND)]))
    frame = tracker.advance(sample(2, [second]))

    rows = {row.key: row for row in frame.rows}
    assert rows[process_key(7, 10 * SECOND)].exited
    assert rows[process_key(7, 20 * SECOND)].write_bytes_per_s == MIB
    assert rows[process_key(7, 20 * SECOND)].totals.write_bytes == MIB


def test_a_total_that_falls_is_unknown_once_and_goes_on_from_there() -> None:
    tracker = Tracker()
    counts = [100, 300, 50, 80]
    frames = [tracker.advance(sample(at, [wrote(7, n)])) for at, n in enumerate(counts)]

    assert [f.rows[0].write_bytes_per_s for f in frames] == [None, 200, None, 30]
    assert [f.rows[0].totals.write_bytes for f in frames] == [0, 200, 200, 230]
    assert [f.rows[0].read_bytes_per_s for f in frames] == [None, 0, 0, 0]


def test_a_clock_that_stands_still_or_goes_back_gives_no_rates_but_loses_no_bytes() -> None:
    tracker = Tracker()
    tracker.advance(sample(5, [wrote(7, 0)]))
    still = tracker.advance(sample(5, [wrote(7, 10)]))
    back = tracker.advance(sample(4, [wrote(7, 30)]))
    on = tracker.advance(sample(5, [wrote(7, 60)]))

    assert [f.rows[0].write_bytes_per_s for f in (still, back, on)] == [None, None, 30]
    assert [f.write_bytes_per_s for f in (still, back, on)] == [None, None, 30]
    assert on.rows[0].totals.write_bytes == 60


def test_a_step_of_the_wall_clock_changes_no_rate() -> None:
    tracker = Tracker()
    tracker.advance(sample(0, [wrote(7, 0)]))
    stepped = replace(sample(1, [wrote(7, MIB)]), wall_ns=17)

    assert tracker.advance(stepped).rows[0].write_bytes_per_s == MIB


def test_an_idle_row_is_handed_out_again_as_it_is() -> None:
    tracker = Tracker()
    idle = wrote(7, MIB)
    frames = [tracker.advance(sample(at, [idle])) for at in range(4)]

    assert frames[1].rows[0].write_bytes_per_s == 0.0
    assert frames[2].rows[0] is frames[1].rows[0]
    assert frames[3].rows[0] is frames[1].rows[0]
    assert frames[3].write_bytes_per_s == 0.0


def test_an_idle_row_is_known_again_after_an_interval_without_length() -> None:
    tracker = Tracker()
    idle = wrote(7, MIB)
    frames = [tracker.advance(sample(at, [idle])) for at in (0, 1, 1, 2)]

    assert [f.rows[0].write_bytes_per_s for f in frames] == [None, 0.0, None, 0.0]


def test_an_equal_process_is_as_idle_as_the_same_one() -> None:
    tracker = Tracker()
    frames = [tracker.advance(sample(at, [wrote(7, MIB)])) for at in range(4)]

    assert frames[3].rows[0] is frames[2].rows[0]


def test_a_new_name_shows_although_nothing_was_written() -> None:
    tracker = Tracker()
    for at in range(3):
        tracker.advance(sample(at, [wrote(7, MIB)]))
    frame = tracker.advance(sample(3, [wrote(7, MIB, comm="new")]))

    assert (frame.rows[0].comm, frame.rows[0].write_bytes_per_s) == ("new", 0.0)


def test_active_intervals_leave_points_that_expire_from_idle_rows_too() -> None:
    tracker = Tracker(history_ticks=3)
    counts = [0, 100, 100, 300, 300, 300, 300, 300]
    histories = [
        tracker.advance(sample(at, [wrote(7, n)])).rows[0].history for at, n in enumerate(counts)
    ]

    assert histories[3] == (Point(1, 100.0, 0.0, None), Point(3, 200.0, 0.0, None))
    assert histories[4] == (Point(3, 200.0, 0.0, None),)
    assert histories[5] == (Point(3, 200.0, 0.0, None),)
    assert histories[6] == ()


def test_every_ended_process_shows_in_its_interval_and_the_smallest_are_folded_then() -> None:
    tracker = Tracker(history_ticks=5)
    tracker.advance(sample(0, []))
    ended = [wrote(pid, pid, is_exited=True) for pid in range(1, LIMIT + 501)]
    first = tracker.advance(sample(1, ended))
    second = tracker.advance(sample(2, []))

    assert (len(first.rows), first.ended_hidden) == (LIMIT + 500, 0)
    assert first.write_bytes_per_s == sum(range(1, LIMIT + 501))
    assert (len(second.rows), second.ended_hidden) == (LIMIT, 500)
    assert min(row.pid for row in second.rows) == 501
    frames = [tracker.advance(sample(at, [])) for at in range(3, 8)]
    assert [f.ended_hidden for f in frames] == [500, 500, 500, 500, 0]
    assert frames[-1].rows == ()


def test_a_folded_process_that_stays_listed_is_not_taken_for_a_new_one() -> None:
    tracker = Tracker(history_ticks=50)
    tracker.advance(sample(0, []))
    ended = [wrote(pid, pid, is_exited=True) for pid in range(1, LIMIT + 11)]
    for at in range(1, 5):
        frame = tracker.advance(sample(at, ended))

    assert (len(frame.rows), frame.ended_hidden) == (LIMIT, 10)
    assert frame.write_bytes_per_s == 0.0


def test_a_folded_process_that_does_something_is_shown_again() -> None:
    def ended(pid: int, disk: int) -> Process:
        return process(pid, Totals(write_bytes=pid, disk_write_bytes=disk), is_exited=True)

    tracker = Tracker(history_ticks=50)
    tracker.advance(sample(0, []))
    crowd = [ended(pid, 0) for pid in range(1, LIMIT + 11)]
    for at in range(1, 4):
        frame = tracker.advance(sample(at, crowd))
    assert (1 in by_pid(frame), frame.ended_hidden) == (False, 10)
    frame = tracker.advance(sample(4, [ended(1, 4096), *crowd[1:]]))

    assert by_pid(frame)[1].disk_write_bytes_per_s == 4096
    assert frame.ended_hidden == 9


def test_a_reused_tid_does_not_inherit_a_history() -> None:
    def shot(*threads: tuple[int, int]) -> Process:
        parts = tuple([thread(tid, write_bytes=count) for tid, count in threads])
        return wrote(7, 1000, threads=parts)

    tracker = Tracker()
    tracker.advance(sample(0, [shot((7, 0), (8, 0))]))
    tracker.advance(sample(1, [shot((7, 0), (8, 50))]))
    tracker.advance(sample(2, [shot((7, 0))]))
    frame = tracker.advance(sample(3, [shot((7, 0), (8, 5))]))

    assert {row.tid: [p.tick for p in row.history] for row in frame.threads}[8] == [3]


def test_threads_and_a_residual_row_sum_up_to_the_process() -> None:
    def shot(whole: int, *parts: int, disk: int = 0) -> Process:
        threads = tuple([thread(7 + i, write_bytes=part) for i, part in enumerate(parts)])
        return process(7, Totals(write_bytes=whole, disk_write_bytes=disk), threads=threads)

    tracker = Tracker()
    tracker.advance(sample(0, [shot(100, 60, 30)]))
    frame = tracker.advance(sample(1, [shot(200, 80, 70, disk=512)]))

    rows = {row.tid: row for row in frame.threads}
    assert {tid: row.write_bytes_per_s for tid, row in rows.items()} == {7: 20, 8: 40, 0: 40}
    assert rows[0].disk_write_bytes_per_s == 512
    assert rows[7].disk_write_bytes_per_s is None
    assert {row.pid for row in rows.values()} == {7}


def test_an_only_thread_is_the_whole_process() -> None:
    def shot(count: int) -> Process:
        totals = Totals(write_bytes=count, disk_write_bytes=count // 2)
        return process(7, totals, threads=(thread(7, write_bytes=count),))

    tracker = Tracker()
    tracker.advance(sample(0, [shot(100)]))
    frame = tracker.advance(sample(1, [shot(300)]))

    (row,) = frame.threads
    assert (row.tid, row.write_bytes_per_s, row.disk_write_bytes_per_s) == (7, 200, 100)


def test_nothing_is_known_of_threads_in_the_interval_that_asks_for_them_first() -> None:
    tracker = Tracker()
    tracker.advance(sample(0, [wrote(7, 100)]))
    threads = (thread(7, write_bytes=90), thread(8, write_bytes=20))
    frame = tracker.advance(sample(1, [wrote(7, 110, threads=threads)]))

    assert [(row.tid, row.write_bytes_per_s) for row in frame.threads] == [
        (7, None),
        (8, None),
        (0, None),
    ]


def test_a_new_thread_starts_at_zero_and_an_ended_one_leaves_its_last_bytes() -> None:
    tracker = Tracker()
    at = [
        wrote(7, 100, threads=(thread(7, write_bytes=60), thread(8, write_bytes=40))),
        wrote(7, 190, threads=(thread(7, write_bytes=80), thread(9, write_bytes=50))),
    ]
    for number, shot in enumerate(at):
        frame = tracker.advance(sample(number, [shot]))

    assert {row.tid: row.write_bytes_per_s for row in frame.threads} == {7: 20, 9: 50, 0: 20}


def test_idle_threads_are_handed_out_again() -> None:
    tracker = Tracker()
    idle = wrote(7, 100, threads=(thread(7, write_bytes=60), thread(8, write_bytes=40)))
    frames = [tracker.advance(sample(at, [idle])) for at in range(4)]

    assert frames[3].threads[0] is frames[2].threads[0]
    assert [row.write_bytes_per_s for row in frames[3].threads] == [0, 0]


def test_latency_comes_from_the_requests_of_the_interval_only() -> None:
    def shot(**counts: int) -> Process:
        return process(7, Totals(latency=slots(**counts), queued=slots(), fsync=slots(**counts)))

    tracker = Tracker()
    tracker.advance(sample(0, [shot(s30=1000)]))
    (row,) = tracker.advance(sample(2, [shot(s30=1000, s10=10)])).rows
    (idle,) = tracker.advance(sample(3, [shot(s30=1000, s10=10)])).rows

    assert row.latency_p50_us == pytest.approx(1.536)
    assert (row.latency_max_us, row.fsync_per_s) == (2.048, 5.0)
    assert row.queued_p99_us is None
    assert (idle.latency_p99_us, idle.latency_max_us, idle.fsync_per_s) == (None, None, 0.0)
    assert row.history[-1].latency_p99_us == row.latency_p99_us


def test_waiting_is_a_share_of_the_interval_and_100_at_most() -> None:
    def shot(delay_ns: int, pause_ns: int) -> Process:
        return process(7, Totals(io_delay_ns=delay_ns, kernel_pause_ns=pause_ns))

    tracker = Tracker()
    tracker.advance(sample(0, [shot(0, 0)]))
    quarter = tracker.advance(sample(2, [shot(SECOND // 2, SECOND)])).rows[0]
    full = tracker.advance(sample(3, [shot(5 * SECOND, SECOND)])).rows[0]

    assert (quarter.io_delay_pct, quarter.kernel_pause_ms_per_s) == (25.0, 500.0)
    assert (full.io_delay_pct, full.swapin_pct) == (100.0, None)


def test_a_kworker_says_for_whom_it_works() -> None:
    dd = process(4242, comm="dd")
    sh = process(5000, comm="sh")

    def kworker(*submitted: tuple[int, int]) -> Process:
        return process(30, Totals(submitted_bytes=0), submits_for=submitted, is_kthread=True)

    tracker = Tracker()
    tracker.advance(sample(0, [kworker((sh.key, 500)), dd, sh]))
    busy = tracker.advance(sample(1, [kworker((sh.key, 502), (dd.key, 98)), dd, sh]))
    idle = tracker.advance(sample(2, [kworker((sh.key, 502), (dd.key, 98)), dd, sh]))
    stranger = tracker.advance(sample(3, [kworker((process_key(99, 0), 7)), dd, sh]))

    assert by_pid(busy)[30].submits_for == "dd[4242] 98%"
    assert by_pid(idle)[30].submits_for == ""
    assert by_pid(stranger)[30].submits_for == "?[99] 100%"


@pytest.mark.parametrize(
    ("explained", "moved", "expected"), [(50, 100, 50.0), (120, 100, 100.0), (50, 0, None)]
)
def test_coverage_compares_rows_with_devices(
    explained: int, moved: int, expected: float | None
) -> None:
    def at(second: int, rows: int, disk: int) -> Frame:
        owner = process(7, Totals(disk_write_bytes=rows, disk_read_bytes=0))
        stacked = device("dm-0", minor=1, is_stacked=True, write_bytes=disk * 9)
        return tracker.advance(sample(second, [owner], [device(write_bytes=disk), stacked]))

    tracker = Tracker()
    at(0, 1000, 5000)

    assert at(1, 1000 + explained, 5000 + moved).coverage_pct == expected


def test_coverage_is_unknown_without_block_probes() -> None:
    tracker = Tracker()
    tracker.advance(sample(0, [wrote(7, 0)], [device(write_bytes=0)]))

    assert tracker.advance(sample(1, [wrote(7, 9)], [device(write_bytes=9)])).coverage_pct is None


def test_a_device_has_the_figures_of_iostat() -> None:
    tracker = Tracker()
    tracker.advance(sample(0, [], [device()]))
    after = device(
        read_ios=10, read_bytes=MIB, read_ms=20, write_ios=100, write_bytes=8 * MIB,
        write_ms=300, busy_ms=1000, weighted_ms=82_000, in_flight=3,
    )  # fmt: skip
    (row,) = tracker.advance(sample(2, [], [after])).devices

    assert (row.read_bytes_per_s, row.write_bytes_per_s) == (MIB / 2, 4 * MIB)
    assert (row.read_iops, row.write_iops, row.flush_iops) == (5, 50, None)
    assert (row.read_await_us, row.write_await_us) == (2000, 3000)
    assert (row.util_pct, row.queue_depth, row.in_flight) == (50.0, 41.0, 3)
    assert (row.latency_p99_us, row.errors) == (None, None)
    assert (row.read_bytes_total, row.write_bytes_total) == (MIB, 8 * MIB)
    assert [point.tick for point in row.history] == [1]


def test_a_devices_latency_is_that_of_its_reads_and_writes() -> None:
    tracker = Tracker()
    tracker.advance(sample(0, [], [device(ops=(op("write", errors=4, latency=slots(s30=9)),))]))
    ops = (
        op("read", ios=1, latency=slots(s10=1)),
        op("write", ios=10, bytes=MIB, errors=5, latency_ns=30_000, latency=slots(s30=9, s11=1)),
        op("flush", ios=1, latency=slots(s25=1)),
    )
    (row,) = tracker.advance(sample(1, [], [device(ops=ops)])).devices

    assert row.latency_max_us == 4.096
    assert row.errors == 1
    write = next(o for o in row.ops if o.op == "write")
    assert (write.iops, write.bytes_per_s, write.latency_mean_us) == (10, MIB, 3.0)
    assert write.latency == slots(s11=1)
    assert next(o for o in row.ops if o.op == "flush").latency_max_us == 67108.864


def test_a_device_that_comes_later_brings_no_past() -> None:
    tracker = Tracker()
    tracker.advance(sample(0))
    (row,) = tracker.advance(sample(1, [], [device(write_bytes=9 * MIB)])).devices
    (then,) = tracker.advance(sample(2, [], [device(write_bytes=10 * MIB)])).devices

    assert (row.write_bytes_per_s, row.write_bytes_total) == (None, 0)
    assert (then.write_bytes_per_s, then.write_bytes_total) == (MIB, MIB)


def test_a_device_that_takes_over_a_number_brings_no_past() -> None:
    tracker = Tracker()
    tracker.advance(sample(0, [], [device("sda")]))
    tracker.advance(sample(1, [], [device("sda", write_bytes=MIB)]))
    (row,) = tracker.advance(sample(2, [], [device("sdb", write_bytes=9 * MIB)])).devices

    assert (row.write_bytes_per_s, row.write_bytes_total, row.history) == (None, 0, ())


def test_host_and_probes_become_rates() -> None:
    def probe(hits: int | None, run_ns: int | None) -> tuple[Probe, ...]:
        return (Probe("exits", "sched_process_exit", "always", True, hits, run_ns),)

    tracker = Tracker()
    before = Host(page_in_kib=0, page_out_kib=10, kernel_pause_ns=0)
    now = Host(page_in_kib=2, page_out_kib=30, kernel_pause_ns=5_000_000, dirty_bytes=77)
    tracker.advance(sample(0, host=before, probes=probe(100, 50_000), self_cpu_ns=0))
    frame = tracker.advance(
        sample(2, host=now, probes=probe(300, 80_000), self_cpu_ns=20_000_000, lost=3)
    )

    assert (frame.page_in_bytes_per_s, frame.page_out_bytes_per_s) == (1024, 10240)
    assert (frame.kernel_pause_ms_per_s, frame.dirty_bytes) == (2.5, 77)
    assert (frame.self_cpu_pct, frame.lost) == (1.0, 3)
    assert frame.probe_rates == ((100.0, 150.0),)


def test_probes_without_statistics_have_no_rates() -> None:
    silent = (Probe("exits", "sched_process_exit", "always", True, None, None),)
    tracker = Tracker()
    tracker.advance(sample(0, probes=silent))

    assert tracker.advance(sample(1, probes=silent)).probe_rates == ((None, None),)
