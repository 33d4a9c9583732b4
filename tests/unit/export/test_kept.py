"""What is kept from one interval to the next never shows in the output."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotop_ng.clock import NS_PER_S
from iotop_ng.export.csv_rows import CsvRows
from iotop_ng.export.json_lines import JsonLines
from iotop_ng.export.kept import Kept
from iotop_ng.export.text import Options
from iotop_ng.export.text_c import CText
from iotop_ng.export.text_py import PyText
from iotop_ng.model.fields import Mode
from iotop_ng.model.frame import Row
from tests.fakes.intervals import MIB, busy, interval, row, with_delays

POOL = tuple(
    busy(pid, f"p{pid}", f"/bin/p{pid} {number}", 0.0, float(number)) if number else row(pid, "k")
    for pid in (1, 2, 3)
    for number in (0, 1, 2)
)


def exporters() -> list[CText | PyText | JsonLines | CsvRows]:
    return [
        CText(Options(threads=False, quiet=3)),
        PyText(Options(threads=False, quiet=3), pid_width=7),
        JsonLines(),
        CsvRows(has_names=False),
    ]


@given(st.lists(st.lists(st.sampled_from(POOL), unique_by=lambda row: row.pid), max_size=5))
def test_output_is_that_of_an_exporter_that_keeps_nothing(intervals: list[list[Row]]) -> None:
    frames = [interval(n, tuple(rows)) for n, rows in enumerate(intervals, 1)]
    old = exporters()

    for frame in frames:
        expected = [exporter.interval(frame, frame.rows) for exporter in exporters()]
        assert [exporter.interval(frame, frame.rows) for exporter in old] == expected


def test_a_row_is_made_once_while_it_is_the_same_object() -> None:
    made: list[int] = []
    kept: Kept[int] = Kept()
    first, second = POOL[0], POOL[3]

    def make(row: Row) -> int:
        made.append(row.pid)
        return row.pid

    assert kept.values([first, second], make) == [1, 2]
    assert kept.values([second, first], make) == [2, 1]
    assert kept.values([msgspec.structs.replace(first)], make) == [1]
    assert kept.values([second], make) == [2]
    assert made == [1, 2, 1, 2]


AVERAGE = Options(threads=False, mode=Mode.AVERAGE, quiet=3)


@pytest.mark.parametrize("exporter", [CText(AVERAGE), PyText(AVERAGE, pid_width=5)])
def test_an_average_falls_while_nothing_happens(exporter: CText | PyText) -> None:
    one = busy(7, "dd", "dd", 0.0, 2 * MIB)  # 20 MiB within 10 s
    before = interval(1, (one,))
    later = msgspec.structs.replace(before, mono_ns=before.mono_ns + 10 * NS_PER_S)

    first, second = (exporter.interval(frame, (one,)).split()[5:7] for frame in (before, later))

    assert first in ([b"2048.00", b"K/s"], [b"2.00", b"M/s"])
    assert second == [b"1024.00", b"K/s"]


def test_delay_accounting_may_be_turned_on_meanwhile() -> None:
    exporter = PyText(Options(threads=False, quiet=3), pid_width=5)
    idle, delayed = row(1, "idle", "idle"), with_delays(row(2, "x", "x"), 5.0)

    before = exporter.interval(interval(1, (idle,)), (idle,))
    after = exporter.interval(interval(2, (idle, delayed)), (idle, delayed))

    assert b"?unavailable?" in before
    assert b"?unavailable?" not in after


def test_a_process_may_change_its_name_meanwhile() -> None:
    exporter = PyText(Options(quiet=3), pid_width=5)
    process, thread = row(7, "java", "java"), row(7, "java", "java", tid=71)
    renamed = msgspec.structs.replace(process, comm="main")

    before = exporter.interval(interval(1, (process,), (thread,)), (thread,))
    after = exporter.interval(interval(2, (renamed,), (thread,)), (thread,))

    assert before.endswith(b"  java\n")
    assert after.endswith(b"  java [java]\n")
