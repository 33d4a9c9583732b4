"""JSON lines: one object per interval."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from iotop_ng.export import records
from iotop_ng.export.kept import Kept
from iotop_ng.model.frame import Frame, Row


class JsonLines:
    """Writes intervals.

    Args:
        columns: ids of the task fields; none means all.
        threads: tasks are threads.
    """

    def __init__(self, columns: Sequence[str] = (), *, threads: bool = False) -> None:
        self._fields = records.task_fields(columns, threads=threads)
        self._encoder = msgspec.json.Encoder()
        self._tasks: Kept[msgspec.Raw] = Kept()

    def interval(self, frame: Frame, rows: Sequence[Row]) -> bytes:
        """Return one line."""
        record = {
            "schema": records.SCHEMA,
            **records.interval(frame),
            "devices": [records.device(row) for row in frame.devices],
            "tasks": self._tasks.values(rows, self._task),
        }
        return self._encoder.encode(record) + b"\n"

    def _task(self, row: Row) -> msgspec.Raw:
        return msgspec.Raw(self._encoder.encode(records.task(row, self._fields)))
