"""Machine output can be read back, and says nothing that was not measured."""

from __future__ import annotations

import csv
import io
import json
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotop_ng.export.csv_rows import CsvRows
from iotop_ng.export.json_lines import JsonLines
from iotop_ng.export.records import rfc3339, task_fields
from iotop_ng.model.fields import COLUMNS
from iotop_ng.units import clean
from tests.fakes.intervals import DEVICES, PROCESSES, WALL_NS, busy, interval


def test_every_column_is_a_field_with_its_total_beside_it() -> None:
    names = [name for name, _ in task_fields((), threads=True)]

    expected = []
    for column in COLUMNS:
        if column.id != "history":
            expected += [column.id, column.total_id] if column.total_id else [column.id]
    assert names == expected
    assert len(names) == len(set(names))


def test_threads_have_a_number_and_processes_have_not() -> None:
    assert "tid" in dict(task_fields((), threads=True))
    assert "tid" not in dict(task_fields((), threads=False))


def test_chosen_columns_keep_their_order_after_the_pid() -> None:
    fields = task_fields(("command", "write_bytes_per_s", "pid"), threads=False)

    assert [name for name, _ in fields] == [
        "pid",
        "command",
        "write_bytes_per_s",
        "write_bytes_total",
    ]


def test_json_is_read_back_as_it_was_measured() -> None:
    line = JsonLines().interval(interval(3, PROCESSES), PROCESSES)

    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    record = json.loads(line)
    assert record["schema"] == 1
    assert record["interval_s"] == 1.0003
    assert record["coverage_pct"] == 98.2
    assert record["lost_events"] == 0
    by_pid = {task["pid"]: task for task in record["tasks"]}
    assert [task["pid"] for task in record["tasks"]] == [row.pid for row in PROCESSES]
    assert by_pid[917]["write_bytes_total"] == PROCESSES[3].totals.write_bytes
    assert by_pid[917]["disk_iops"] is None
    assert by_pid[1]["write_bytes_per_s"] == 0
    assert by_pid[302]["write_bytes_per_s"] is None
    assert by_pid[304]["exited"] is True
    assert by_pid[14]["is_kthread"] is True
    assert record["devices"][0]["name"] == DEVICES[0].name
    assert record["devices"][0]["flush_iops"] is None


def test_the_first_reading_has_no_rates() -> None:
    record = json.loads(JsonLines().interval(interval(0, ()), ()))

    assert (record["coverage_pct"], record["interval_s"], record["tasks"]) == (None, 0.0, [])


@given(st.text().map(clean), st.text().map(clean))
def test_csv_is_read_back_whatever_a_process_is_called(comm: str, command: str) -> None:
    rows = (busy(7, comm, command, 1.5, 2.25), PROCESSES[7])

    text = CsvRows().interval(interval(1, rows), rows).decode()

    first, second = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    assert (first["comm"], first["command"]) == (comm, command)
    assert (first["read_bytes_per_s"], first["write_bytes_per_s"]) == ("1.5", "2.25")
    assert first["exited"] == "false"
    assert (second["write_bytes_per_s"], second["write_bytes_total"]) == ("", "0")
    assert None not in first.values()


@given(st.text().map(clean))
def test_json_is_read_back_whatever_a_process_is_called(command: str) -> None:
    rows = (busy(7, "x", command, 0.0, 0.0),)

    record = json.loads(JsonLines(("command",)).interval(interval(1, rows), rows))

    assert record["tasks"] == [{"pid": 7, "command": command}]


def test_csv_names_are_printed_once_or_never() -> None:
    writer, bare = CsvRows(("user",)), CsvRows(("user",), has_names=False)
    frame = interval(1, PROCESSES[:1])

    first, second = (writer.interval(frame, PROCESSES[:1]) for _ in range(2))

    names = b"time,interval_s,source,coverage_pct,lost_events,pid,user\n"
    assert first == names + second
    assert bare.interval(frame, PROCESSES[:1]) == second


@pytest.mark.parametrize("wall_ns", [WALL_NS, 0, 1_795_185_276_999_999_999])
def test_times_are_rfc3339_with_an_offset(wall_ns: int) -> None:
    text = rfc3339(wall_ns)

    moment = datetime.fromisoformat(text)
    assert moment.utcoffset() is not None
    assert abs(moment.timestamp() - wall_ns / 1e9) < 0.001
