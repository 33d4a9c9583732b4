"""From samples to frames: processes, their rates and histories."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from iotop_ng.model.frame import Point
from iotop_ng.model.tracker import Tracker
from iotop_ng.sample import Host, MapFill, Probe, Process, Totals, process_key
from tests.fakes.samples import (
    MIB,
    SECOND,
    by_pid,
    process,
    sample,
    slots,
    wrote,
)


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
    assert [point.tick for point in on.rows[0].history] == [3]
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


def test_a_kworker_whose_pairs_are_dropped_works_for_nobody() -> None:
    def kworker(*submitted: tuple[int, int]) -> Process:
        return process(30, Totals(submitted_bytes=0), submits_for=submitted, is_kthread=True)

    one, two = process(4242, comm="dd"), process(5000, comm="sh")
    tracker = Tracker()
    tracker.advance(sample(0, [kworker((one.key, 0), (two.key, 900)), one, two]))
    reset = tracker.advance(sample(1, [kworker((one.key, 98), (two.key, 100)), one, two]))
    dropped = tracker.advance(sample(2, [kworker(), one, two]))

    assert by_pid(reset)[30].submits_for == "dd[4242] 100%"
    assert by_pid(dropped)[30].submits_for == ""


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


def test_pressure_becomes_a_share_of_the_interval() -> None:
    tracker = Tracker()
    tracker.advance(sample(0, host=Host(io_some_us=100, io_full_us=50)))
    frame = tracker.advance(sample(2, host=Host(io_some_us=500_100, io_full_us=9_000_050)))

    assert (frame.io_some_pct, frame.io_full_pct) == (25.0, 100.0)
    assert tracker.advance(sample(3)).io_some_pct is None


def test_a_probe_that_did_not_run_has_no_time_per_run() -> None:
    idle = (Probe("exits", "sched_process_exit", "always", True, 9, 500),)
    tracker = Tracker()
    tracker.advance(sample(0, probes=idle))

    assert tracker.advance(sample(1, probes=idle)).probe_rates == ((0.0, None),)


def test_a_frame_passes_on_what_needs_no_second_reading() -> None:
    shot = sample(0, notes=("no BPF",), maps=(MapFill("owners", "hash", 3, 10, 0),), lost=4)
    frame = Tracker(history_ticks=17).advance(shot)

    assert (frame.notes, frame.maps, frame.lost) == (shot.notes, shot.maps, 4)
    assert (frame.source, frame.wall_ns, frame.mono_ns) == ("sim", shot.wall_ns, shot.mono_ns)
    assert frame.history_ticks == 17


def test_probes_without_statistics_have_no_rates() -> None:
    silent = (Probe("exits", "sched_process_exit", "always", True, None, None),)
    tracker = Tracker()
    tracker.advance(sample(0, probes=silent))

    assert tracker.advance(sample(1, probes=silent)).probe_rates == ((None, None),)
