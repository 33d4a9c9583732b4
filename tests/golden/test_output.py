"""Every format of batch output, byte for byte.

The stored files are the contract with the scripts that read them. `UPDATE_GOLDEN=1 pytest
tests/golden` writes them anew; read the difference before you commit it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

import pytest

from iotop_ng.export.csv_rows import CsvRows
from iotop_ng.export.json_lines import JsonLines
from iotop_ng.export.text import Options
from iotop_ng.export.text_c import CText
from iotop_ng.export.text_py import PyText
from iotop_ng.model.fields import Mode
from iotop_ng.model.frame import Frame, Row
from tests.fakes.intervals import DELAYED, PROCESSES, THREADS, interval

HERE = Path(__file__).parent
PROCESS = Options(threads=False)


class Exporter(Protocol):
    def interval(self, frame: Frame, rows: Sequence[Row]) -> bytes: ...


def c(options: Options) -> CText:
    return CText(options)


def py(options: Options, *, says_actual: bool = False) -> PyText:
    return PyText(options, pid_width=7, says_actual=says_actual)


CASES: dict[str, tuple[Exporter, tuple[Row, ...]]] = {
    "c": (c(PROCESS), PROCESSES),
    "c_delays": (c(PROCESS), DELAYED),
    "c_threads": (c(Options()), THREADS),
    "c_only": (c(PROCESS._replace(only_active=True)), PROCESSES),
    "c_accumulated": (c(PROCESS._replace(mode=Mode.TOTAL)), PROCESSES),
    "c_average": (c(PROCESS._replace(mode=Mode.AVERAGE)), PROCESSES),
    "c_kilobytes": (c(PROCESS._replace(kilobytes=True)), PROCESSES),
    "c_si_threshold": (c(PROCESS._replace(base=1000, threshold=10)), PROCESSES),
    "c_time": (c(PROCESS._replace(timestamps=True)), PROCESSES),
    "c_time_qqq": (c(PROCESS._replace(timestamps=True, quiet=3)), PROCESSES),
    "c_q": (c(PROCESS._replace(quiet=1)), PROCESSES),
    "c_qq": (c(PROCESS._replace(quiet=2)), PROCESSES),
    "c_full": (c(PROCESS._replace(full_command=True)), PROCESSES),
    "c_strict": (c(PROCESS._replace(strict=True, timestamps=True, quiet=3)), DELAYED),
    "py": (py(PROCESS), PROCESSES),
    "py_delays": (py(PROCESS), DELAYED),
    "py_threads": (py(Options()), THREADS),
    "py_only": (py(PROCESS._replace(only_active=True)), PROCESSES),
    "py_accumulated": (py(PROCESS._replace(mode=Mode.TOTAL)), PROCESSES),
    "py_kilobytes": (py(PROCESS._replace(kilobytes=True)), PROCESSES),
    "py_time": (py(PROCESS._replace(timestamps=True)), PROCESSES),
    "py_time_q": (py(PROCESS._replace(timestamps=True, quiet=1)), PROCESSES),
    "py_qqq": (py(PROCESS._replace(quiet=3)), PROCESSES),
    "py_strict": (py(PROCESS._replace(strict=True)), DELAYED),
    "py_0_6": (py(PROCESS, says_actual=True), PROCESSES),
    "json": (JsonLines(), DELAYED),
    "json_threads_columns": (JsonLines(("command", "write_bytes_per_s"), threads=True), THREADS),
    "csv": (CsvRows(), DELAYED),
    "csv_columns": (CsvRows(("user", "disk_iops", "command")), PROCESSES),
}


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Times of day as in the stored files."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize("name", CASES)
def test_output_is_what_scripts_were_written_for(name: str) -> None:
    exporter, rows = CASES[name]
    stored = HERE / f"{name}.txt"

    actual = exporter.interval(interval(1, rows, rows), rows)
    actual += exporter.interval(interval(2, rows, rows), rows)

    if os.environ.get("UPDATE_GOLDEN"):
        stored.write_bytes(actual)
    assert actual == stored.read_bytes()


def test_no_stored_file_is_left_over() -> None:
    assert {path.stem for path in HERE.glob("*.txt")} == set(CASES)
