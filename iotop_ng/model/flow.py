"""The sum of what all processes did in one interval, in bytes, before anything is divided."""

from __future__ import annotations

from collections.abc import Sequence

from iotop_ng.model.frame import Row
from iotop_ng.sample import Totals


class Flow:
    """Bytes that all processes moved in one interval; None where no process knows."""

    __slots__ = ("disk_bytes", "read_bytes", "write_bytes")

    def __init__(self) -> None:
        self.read_bytes: int | None = None
        self.write_bytes: int | None = None
        self.disk_bytes: int | None = None
        """Read and written at the block layer, by owner."""

    def add(self, delta: Totals) -> None:
        """Count what one process did."""
        if delta.read_bytes is not None:
            self.read_bytes = (self.read_bytes or 0) + delta.read_bytes
        if delta.write_bytes is not None:
            self.write_bytes = (self.write_bytes or 0) + delta.write_bytes
        if delta.disk_read_bytes is not None or delta.disk_write_bytes is not None:
            moved = (delta.disk_read_bytes or 0) + (delta.disk_write_bytes or 0)
            self.disk_bytes = (self.disk_bytes or 0) + moved

    def settle(self, rows: Sequence[Row]) -> None:
        """Turn "nobody reported anything" into 0 where a row that did nothing knows so."""
        if self.read_bytes is None and any(r.read_bytes_per_s is not None for r in rows):
            self.read_bytes = 0
        if self.write_bytes is None and any(r.write_bytes_per_s is not None for r in rows):
            self.write_bytes = 0
        if self.disk_bytes is None and any(
            r.disk_write_bytes_per_s is not None or r.disk_read_bytes_per_s is not None
            for r in rows
        ):
            self.disk_bytes = 0
