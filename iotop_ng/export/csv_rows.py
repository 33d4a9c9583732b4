"""CSV: one line per task and interval, after one line of names. Empty is "not measured"."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from iotop_ng.export import records
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

    def interval(self, frame: Frame, rows: Sequence[Row]) -> bytes:
        """Return the lines of one interval."""
        about = records.interval(frame)
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        if self._wants_names:
            writer.writerow([*about, *(name for name, _ in self._fields)])
            self._wants_names = False
        start = [_cell(value) for value in about.values()]
        for row in rows:
            writer.writerow([*start, *(_cell(get(row)) for _, get in self._fields)])
        return out.getvalue().encode("utf-8", "replace")


def _cell(value: records.Scalar) -> records.Scalar:
    return _WORDS[value] if isinstance(value, bool) or value is None else value
