"""The batch layout of iotop-c 1.31.

::

      Total DISK READ:   47.52 K/s |   Total DISK WRITE: 1850.55 M/s
    Current DISK READ:   47.52 K/s | Current DISK WRITE: 1851.49 M/s
       TID PRIO     USER   DISK READ  DISK WRITE SWAPIN     IO COMMAND
     14509 be/4 root         47.52 K/s 1850.55 M/s 0.00 % 0.00 % dd

Names and rows do not line up, and the shares are not padded: readers split on white space, where
fields 4 to 11 are four numbers, each with its unit. There is no word for "not measured": it is 0.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from iotop_ng.clock import NS_PER_S
from iotop_ng.export.text import (
    Line,
    Options,
    Texts,
    cells,
    lines,
    program,
    task_id,
    task_note,
    total_bytes,
)
from iotop_ng.model.column import Mode
from iotop_ng.model.frame import Frame, Row

_UNITS = "BKMGTPEZY"
_UNKNOWN_PRIO = "xx/x"
_USER_CELLS = 10


class CText:
    """Writes intervals; remembers whether the names were printed and what was read and written."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._texts = Texts(options.mode)
        self._has_names = False
        self._read_bytes = 0.0
        self._write_bytes = 0.0

    def interval(self, frame: Frame, rows: Sequence[Row]) -> bytes:
        """Return one interval as UTF-8."""
        options = self._options
        found = lines(frame, rows, options, is_net=False, order=self._order)
        text = self._summary(frame) + self._names()
        stamp = ""
        if options.timestamps and options.quiet > 2 and not options.strict:
            stamp = time.strftime("%H:%M:%S ", time.localtime(frame.wall_ns // NS_PER_S))
        text += [stamp + line for line in self._texts.of(found, self._line, None)]
        return "".join(f"{line}\n" for line in text).encode("utf-8", "replace")

    def _order(self, line: Line) -> float:
        return line.io if self._options.strict else total_bytes(line)

    def _summary(self, frame: Frame) -> list[str]:
        read, write = frame.read_bytes_per_s or 0.0, frame.write_bytes_per_s or 0.0
        self._read_bytes += read * frame.interval_s
        self._write_bytes += write * frame.interval_s
        if self._options.quiet > 2:
            return []
        if self._options.mode is Mode.TOTAL:
            read, write = self._read_bytes, self._write_bytes
        total = self._number(read), self._number(write)
        current = (
            self._number(frame.page_in_bytes_per_s or 0.0, is_rate=True),
            self._number(frame.page_out_bytes_per_s or 0.0, is_rate=True),
        )
        date = ""
        if self._options.timestamps:
            date = f" | {time.ctime(frame.wall_ns // NS_PER_S)}"
        return [
            f"  Total DISK READ: {total[0]} |   Total DISK WRITE: {total[1]}{date}",
            f"Current DISK READ: {current[0]} | Current DISK WRITE: {current[1]}",
        ]

    def _names(self) -> list[str]:
        if self._options.quiet > 1 or (self._options.quiet == 1 and self._has_names):
            return []
        self._has_names = True
        task = "TID" if self._options.threads else "PID"
        names = f"{task:>6} {'PRIO':>4} {'USER':>8} {'DISK READ':>11} {'DISK WRITE':>11}"
        return [f"{names} {'SWAPIN':>6} {'IO':>6} COMMAND"]

    def _line(self, line: Line) -> str:
        row = line.row
        return (
            f"{task_id(row):>6} {row.prio or _UNKNOWN_PRIO:>4} {cells(row.user, _USER_CELLS)}"
            f" {self._number(line.read)} {self._number(line.write)}"
            f" {min(line.swapin, 100.0):.2f} % {min(line.io, 100.0):.2f} %"
            f" {self._command(row)}{task_note(row)}"
        )

    def _command(self, row: Row) -> str:
        if not row.command:
            return row.comm if self._options.full_command else f"[{row.comm}]"
        name = program(row.command)
        if not self._options.full_command:
            return name
        # The original turns the NUL behind the last argument into a space too.
        end = " " if self._options.strict else ""
        return (row.command if row.comm == name else f"[{row.comm}]{row.command}") + end

    def _number(self, value: float, *, is_rate: bool = False) -> str:
        """Return a number in 7 cells or more, and its unit in 3."""
        base, step = self._options.base, 0
        if self._options.kilobytes:
            value, step = value / base, 1
        else:
            limit = base * self._options.threshold
            while value > limit and step < len(_UNITS) - 1:
                value, step = value / base, step + 1
        is_total = self._options.mode is Mode.TOTAL and not is_rate
        return f"{value:7.2f} {_UNITS[step]}{'  ' if is_total else '/s'}"
