"""What is remembered of one process from reading to reading."""

from __future__ import annotations

from iotop_ng.model.frame import Row
from iotop_ng.model.rates import Interval, add, zeros
from iotop_ng.sample import Process, Totals


class Task:
    """One process. Changes in place, once per tick at most; readers only ever get its rows."""

    __slots__ = (
        "exited_tick",
        "first_seen_ns",
        "first_tick",
        "is_hidden",
        "is_still",
        "is_unsure",
        "kept_from",
        "process",
        "row",
        "seen_tick",
        "submits_for",
        "threads",
        "totals",
    )

    row: Row
    """Not there while the task is hidden."""

    def __init__(self, process: Process, interval: Interval) -> None:
        self.process = process
        """The last reading."""
        # Who is there at the first reading has a past that is not ours; who comes later began at 0.
        self.totals: Totals = zeros(process.totals) if interval.tick == 0 else process.totals
        """Since the source opened."""
        self.threads: tuple[Row, ...] = ()
        self.submits_for = ""
        self.first_seen_ns = interval.start_ns
        self.first_tick = max(interval.tick, 1)
        self.seen_tick = interval.tick
        self.exited_tick: int | None = None
        self.kept_from = 0
        """The last tick in which an ended process did something."""
        self.is_still = False
        """Its row says 0 everywhere, and stays right while readings do not change."""
        self.is_hidden = False
        """Ended and no longer shown, but listed: its totals must not be taken for new ones."""
        self.is_unsure = False
        """It was away and is back alive: what it did is spread over more than one interval."""

    def count(self, delta: Totals) -> None:
        """Add what happened to the totals."""
        self.totals = add(self.totals, delta)

    def hide(self) -> None:
        """Keep only what tells later whether it did something more.

        A source may list 60,000 ended processes of a shell that forks in a loop.
        """
        self.is_hidden = True
        del self.row

    def weight(self) -> int:
        """Return the bytes that it moved, for choosing who is folded away."""
        totals = self.totals
        return (
            (totals.read_bytes or 0)
            + (totals.write_bytes or 0)
            + (totals.disk_read_bytes or 0)
            + (totals.disk_write_bytes or 0)
        )
