"""Rows of block devices, sample by sample."""

from __future__ import annotations

import pytest

from iotop_ng.model.frame import Frame
from iotop_ng.model.tracker import Tracker
from iotop_ng.sample import Totals
from tests.fakes.samples import (
    MIB,
    device,
    op,
    process,
    sample,
    slots,
    wrote,
)


@pytest.mark.parametrize(
    ("explained", "moved", "expected"),
    [(50, 100, 50.0), (0, 100, 0.0), (120, 100, 100.0), (50, 0, None)],
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


def test_idle_rows_explain_nothing_of_what_a_device_does() -> None:
    idle = process(7, Totals(disk_write_bytes=5, disk_read_bytes=0))
    tracker = Tracker()
    frames = [tracker.advance(sample(at, [idle], [device(write_bytes=at)])) for at in range(4)]

    assert [frame.coverage_pct for frame in frames] == [None, 0.0, 0.0, 0.0]


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


def test_a_device_has_no_latency_in_an_interval_without_length() -> None:
    tracker = Tracker()
    tracker.advance(sample(1, [], [device(ops=(op("write", latency=slots(s9=1)),))]))
    busy = device(ops=(op("write", ios=1, latency=slots(s9=1, s11=1)),))
    (row,) = tracker.advance(sample(1, [], [busy])).devices

    assert (row.latency_max_us, row.util_pct, row.history) == (None, None, ())


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
