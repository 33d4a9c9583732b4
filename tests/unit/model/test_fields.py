"""The registry against the types, and what cells say."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from iotop_ng.model.fields import BY_ID, COLUMNS, DEFAULT, Column, Mode, text, title, value
from iotop_ng.model.frame import Point, Row
from iotop_ng.sample import Totals
from tests.fakes.samples import SECOND, slots

MIB = 1 << 20
NO_COLUMN = {
    "key", "start_ns", "exited_tick", "totals", "first_seen_ns", "first_tick", "fsync_age_us",
    "fsync_durations",
    "container",
}  # fmt: skip
"""Fields of a row that are not for reading: identity, what columns are made of, what only policies
and filters ask for."""
NO_TOTAL = {"disk_discard_bytes", "disk_errors", "write_sizes"}
"""Totals that no rate of a row is made of."""
MACHINE_NAMES = {
    "pid", "tid", "user", "comm", "command", "cgroup", "exited", "read_bytes_per_s",
    "write_bytes_per_s", "cancelled_bytes_per_s", "asked_write_bytes_per_s",
    "disk_read_bytes_per_s", "disk_write_bytes_per_s", "disk_iops", "latency_p50_us",
    "latency_p99_us", "latency_max_us", "fsync_p99_us", "io_delay_pct", "kernel_pause_ms_per_s",
    "policy",
}  # fmt: skip

ROW = Row(
    key=1, pid=4242, tid=None, start_ns=0, ppid=1, uid=1000, user="postgres", comm="dd",
    command="dd if=/dev/zero", cgroup=None, prio="be/4", is_kthread=False, exited=False,
    first_seen_ns=100 * SECOND,
)  # fmt: skip


def row(**changes: object) -> Row:
    return replace(ROW, **changes)


def test_every_field_of_a_row_is_a_column_or_named_as_none() -> None:
    fields = {field.name for field in msgspec.structs.fields(Row)}

    assert fields == set(BY_ID) | NO_COLUMN


def test_every_total_is_the_total_of_a_column_or_named_as_none() -> None:
    sevens: dict[str, Any] = dict.fromkeys(_counters(), 7)
    known = Totals(**sevens)
    used = {
        name
        for column in COLUMNS
        if column.total is not None
        for name in _counters()
        if column.total_unit in {"bytes", "count", "ns"}
        and column.total(row(totals=replace(known, **{name: 11}))) == 11
    }

    assert used == _counters() - NO_TOTAL


def _counters() -> set[str]:
    histograms = {"latency", "queued", "fsync", "write_sizes"}
    return {field.name for field in msgspec.structs.fields(Totals)} - histograms


def test_the_machine_output_has_all_its_names() -> None:
    assert set(BY_ID) >= MACHINE_NAMES


def test_ids_and_names_of_totals_are_unique() -> None:
    names = [c.id for c in COLUMNS] + [c.total_id for c in COLUMNS if c.total_id]

    assert len(names) == len(set(names))


def test_the_default_columns_exist_and_end_with_the_command() -> None:
    assert set(DEFAULT) <= set(BY_ID)
    assert DEFAULT[-1] == "command"
    assert [c.id for c in COLUMNS if c.priority == 0] == ["command"]


@pytest.mark.parametrize("column", COLUMNS, ids=lambda column: column.id)
def test_every_number_says_what_it_does_not_count(column: Column) -> None:
    assert column.source
    if column.is_number:
        assert "Not counted" in column.help


@pytest.mark.parametrize("column", COLUMNS, ids=lambda column: column.id)
def test_a_title_leaves_room_for_the_arrow_of_the_order(column: Column) -> None:
    assert not column.width or len(column.title) < column.width or not column.is_number


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("column", COLUMNS, ids=lambda column: column.id)
def test_no_cell_is_wider_than_its_column(column: Column, mode: Mode) -> None:
    numbers = {c.id: 1023.4 * 1024**3 for c in COLUMNS if c.unit in {"bytes/s", "count/s", "us"}}
    del numbers["history"]
    shares = {c.id: 99.96 for c in COLUMNS if c.unit in {"pct", "ms/s"}}
    many: dict[str, Any] = dict.fromkeys(_counters(), 10**15)
    large = row(
        **numbers,
        **shares,
        pid=4194303,
        tid=4194303,
        uid=4294967294,
        user="a-user-with-a-long-name",
        cgroup="/a" * 40,
        exited=True,
        is_kthread=True,
        policy="throttle 5M",
        submits_for="a-long-name-15c[4194303] 100%",
        history=(Point(1, 1e12, 1e12, None),),
        totals=Totals(**many, latency=slots(s39=10**9)),
    )

    for si in (False, True):
        shown = text(column, large, mode, si=si, now_ns=101 * SECOND)
        assert shown
        assert not column.width or len(shown) <= column.width


@pytest.mark.parametrize(
    ("name", "mode", "expected"),
    [
        ("write_bytes_per_s", Mode.RATE, "2.0M"),
        ("write_bytes_per_s", Mode.TOTAL, "30M"),
        ("write_bytes_per_s", Mode.AVERAGE, "3.0M"),
        ("read_bytes_per_s", Mode.RATE, "0"),
        ("read_bytes_per_s", Mode.TOTAL, "-"),
        ("dirtied_bytes_per_s", Mode.RATE, "-"),
        ("disk_iops", Mode.RATE, "1.9k"),
        ("disk_iops", Mode.TOTAL, "5"),
        ("disk_iops", Mode.AVERAGE, "0.5"),
        ("latency_p99_us", Mode.RATE, "41ms"),
        ("latency_p50_us", Mode.TOTAL, "2us"),
        ("latency_p50_us", Mode.AVERAGE, "2us"),
        ("fsync_p99_us", Mode.RATE, "-"),
        ("fsync_per_s", Mode.TOTAL, "4"),
        ("io_delay_pct", Mode.RATE, "62"),
        ("io_delay_pct", Mode.TOTAL, "2.0s"),
        ("io_delay_pct", Mode.AVERAGE, "20"),
        ("kernel_pause_ms_per_s", Mode.AVERAGE, "100"),
        ("history", Mode.RATE, "3.0K"),
        ("user", Mode.TOTAL, "postgres"),
        ("pid", Mode.AVERAGE, "4242"),
        ("tid", Mode.RATE, ""),
        ("cgroup", Mode.RATE, ""),
        ("exited", Mode.RATE, ""),
        ("is_kthread", Mode.RATE, ""),
        ("command", Mode.RATE, "dd if=/dev/zero"),
    ],
)
def test_cells_read_as_in_the_design(name: str, mode: Mode, expected: str) -> None:
    """Ten seconds after the row was first seen."""
    shown = row(
        write_bytes_per_s=2.0 * MIB,
        read_bytes_per_s=0.0,
        disk_iops=1900.0,
        latency_p99_us=41_000.0,
        io_delay_pct=62.1,
        history=(Point(1, 1024.0, 2048.0, None), Point(2, 512.0, 0.0, None)),
        totals=Totals(
            write_bytes=30 * MIB,
            disk_ios=5,
            latency=slots(s10=10),
            fsync=slots(s3=4),
            io_delay_ns=2 * SECOND,
            kernel_pause_ns=SECOND,
        ),
    )

    assert text(BY_ID[name], shown, mode, now_ns=110 * SECOND) == expected


def test_decimal_units_on_request() -> None:
    assert (
        text(BY_ID["write_bytes_per_s"], row(write_bytes_per_s=2e6), Mode.RATE, si=True) == "2.0M"
    )


def test_a_kernel_thread_shows_its_name_in_brackets() -> None:
    assert text(BY_ID["command"], row(command="", comm="jbd2/vda1-8"), Mode.RATE) == "[jbd2/vda1-8]"


def test_an_average_without_a_time_is_unknown_rather_than_wrong() -> None:
    shown = row(totals=Totals(write_bytes=MIB))

    assert value(BY_ID["write_bytes_per_s"], shown, Mode.AVERAGE) is None
    assert value(BY_ID["write_bytes_per_s"], shown, Mode.AVERAGE, now_ns=100 * SECOND) is None


def test_totals_are_not_headed_per_second() -> None:
    assert title(BY_ID["write_bytes_per_s"], Mode.RATE) == "WRITE/s"
    assert title(BY_ID["write_bytes_per_s"], Mode.TOTAL) == "WRITE"
