"""Counters of the whole machine."""

from __future__ import annotations

import os
from pathlib import Path

from iotop_ng.sample import Host
from iotop_ng.sources.host import HostCounters, parse_pressure, parse_vmstat
from tests.fakes.procfs import FakeProc

PAGE = os.sysconf("SC_PAGE_SIZE")


def test_pages_become_bytes(tmp_path: Path) -> None:
    fake = FakeProc(tmp_path)
    fake.set_vmstat(nr_dirty=7, nr_writeback=3, pgpgin=1000, pgpgout=2000)

    host = HostCounters(tmp_path).read()

    assert host == Host(
        page_in_kib=1000, page_out_kib=2000, dirty_bytes=7 * PAGE, writeback_bytes=3 * PAGE
    )


def test_pressure_is_totals_and_the_limit_is_pages(tmp_path: Path) -> None:
    fake = FakeProc(tmp_path)
    fake.set_vmstat(nr_dirty_threshold=9)
    fake.write(
        "proc/pressure/io",
        "some avg10=1.32 avg60=0.68 avg300=2.31 total=954617207\n"
        "full avg10=0.96 avg60=0.55 avg300=2.11 total=251862584\n",
    )

    host = HostCounters(tmp_path).read()

    assert (host.io_some_us, host.io_full_us) == (954_617_207, 251_862_584)
    assert host.dirty_limit_bytes == 9 * PAGE


def test_broken_pressure_is_not_measured() -> None:
    assert parse_pressure(b"some avg10=0.00 total=\nfull\nother total=3\n") == {}
    assert parse_pressure(b"some total=-3\nfull total=7\n") == {"full": 7}


def test_a_later_reading_is_new(tmp_path: Path) -> None:
    fake = FakeProc(tmp_path)
    counters = HostCounters(tmp_path)
    counters.read()
    fake.set_vmstat(pgpgin=5)

    assert counters.read().page_in_kib == 5
    counters.close()


def test_what_is_missing_is_none(tmp_path: Path) -> None:
    assert HostCounters(tmp_path).read() == Host()
    assert parse_vmstat(b"pgpgin x\npgpgout\nnr_dirty 4\n") == {"nr_dirty": 4}


def test_the_real_machine_counts_up() -> None:
    counters = HostCounters()
    before, after = counters.read(), counters.read()
    counters.close()

    assert before.page_out_kib is not None
    assert after.page_out_kib is not None
    assert after.page_out_kib >= before.page_out_kib
    assert before.dirty_bytes is not None
