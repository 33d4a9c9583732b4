"""CSV: one line per task and interval, after one line of names. Empty is "not measured"."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

from iotop_ng.export import records
from iotop_ng.export.kept import Kept
from iotop_ng.model.frame import Frame, Row

_WORDS = {True: "true", False: "false", None: ""}


class CsvRows:
    """Writes intervals.

    Args:
        columns: ids of the task fields; none means all.
        threads: tasks are threads.
        has_names: begin with the line of names.
    """

    def __init__(
        self, columns: Sequence[str] = (), *, threads: bool = False, has_names: bool = True
    ) -> None:
        self._fields = records.task_fields(columns, threads=threads)
        self._wants_names = has_names
        self._tasks: Kept[str] = Kept()

    def interval(self, frame: Frame, rows: Sequence[Row]) -> bytes:
        """Return the lines of one interval."""
        about = records.interval(frame)
        text = ""
        if self._wants_names:
            text = _line([*about, *(name for name, _ in self._fields)])
            self._wants_names = False
        start = _line(map(_cell, about.values())).removesuffix("\n")
        tasks = self._tasks.values(rows, self._task)
        return (text + "".join(f"{start},{task}" for task in tasks)).encode("utf-8", "replace")

    def _task(self, row: Row) -> str:
        return _line(_cell(get(row)) for _, get in self._fields)


def _line(cells: Iterable[object]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerow(cells)
    return out.getvalue()


def _cell(value: records.Scalar) -> records.Scalar:
    return _WORDS[value] if isinstance(value, bool) or value is None else value
