"""The batch layout of Python iotop 0.6 as distributions ship it.

::

    Total DISK READ:         3.99 K/s | Total DISK WRITE:         2.24 G/s
    Current DISK READ:      24.82 M/s | Current DISK WRITE:       2.24 G/s
      PID  PRIO  USER     DISK READ  DISK WRITE  SWAPIN      IO    COMMAND
    13415 be/4 root        0.00 B/s    2.24 G/s ?unavailable?  dd if=/dev/zero of=x

Written bytes are net of cancelled ones. With -t every line starts with the time. 0.6 as it was
released prints "Total DISK READ :" and "Actual" for "Current".
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from iotop_ng.clock import NS_PER_S
from iotop_ng.export.text import Line, Options, Texts, lines, task_id, task_note, total_bytes
from iotop_ng.model.column import Mode
from iotop_ng.model.frame import Frame, Row

_UNITS = "BKMGTPE"
_TITLES = "  PRIO  USER     DISK READ  DISK WRITE  SWAPIN      IO    COMMAND"
_UNKNOWN_PRIO = "?err"
_HIGHEST_PCT = 99.99


class PyText:
    """Writes intervals.

    Args:
        options: how text is written.
        pid_width: digits of the kernel's largest pid.
        says_actual: as 0.6 did.
    """

    def __init__(self, options: Options, *, pid_width: int, says_actual: bool = False) -> None:
        self._options = options
        self._texts = Texts(options.mode)
        self._pid_width = pid_width
        self._has_names = False
        self._sums = (
            (
                "Total DISK READ : ",
                "Total DISK WRITE : ",
                "Actual DISK READ: ",
                "Actual DISK WRITE: ",
            )
            if says_actual
            else (
                "Total DISK READ:   ",
                "Total DISK WRITE:   ",
                "Current DISK READ: ",
                "Current DISK WRITE: ",
            )
        )

    def interval(self, frame: Frame, rows: Sequence[Row]) -> bytes:
        """Return one interval as UTF-8."""
        options = self._options
        has_delays = any(row.io_delay_pct is not None for row in frame.rows)
        found = lines(
            frame, rows, options, is_net=True, order=self._order_of(has_delays=has_delays)
        )
        names = {row.key: row.comm for row in frame.rows} if options.threads else {}
        stamp = ""
        if options.timestamps:
            stamp = time.strftime("%H:%M:%S ", time.localtime(frame.wall_ns // NS_PER_S))
        text = [stamp + line for line in self._summary(frame)] + self._names()

        def write(line: Line) -> str:
            return self._line(line, names, has_delays=has_delays)

        text += [stamp + line for line in self._texts.of(found, write, (names, has_delays))]
        return "".join(f"{line}\n" for line in text).encode("utf-8", "replace")

    def _order_of(self, *, has_delays: bool) -> Callable[[Line], float]:
        if not self._options.strict:
            return total_bytes
        return _by_delay if has_delays else _by_written

    def _summary(self, frame: Frame) -> list[str]:
        if self._options.quiet > 2:
            return []
        numbers = (
            self._number(value or 0.0, is_rate=True)
            for value in (
                frame.read_bytes_per_s,
                frame.write_bytes_per_s,
                frame.page_in_bytes_per_s,
                frame.page_out_bytes_per_s,
            )
        )
        parts = [f"{name}{number:>14}" for name, number in zip(self._sums, numbers, strict=True)]
        return [f"{parts[0]} | {parts[1]}", f"{parts[2]} | {parts[3]}"]

    def _names(self) -> list[str]:
        if self._options.quiet > 1 or (self._options.quiet == 1 and self._has_names):
            return []
        self._has_names = True
        task = "TID" if self._options.threads else "PID"
        stamp = "    TIME" if self._options.timestamps else ""
        return [f"{stamp}{task:>{self._pid_width}}{_TITLES}"]

    def _line(self, line: Line, names: Mapping[int, str], *, has_delays: bool) -> str:
        row = line.row
        shares = f"{self._share(line.swapin)} {self._share(line.io)}"
        return (
            f"{task_id(row):>{self._pid_width}} {_prio(row.prio):>4} {row.user[:8]:<8}"
            f" {self._number(line.read):>11} {self._number(line.write):>11}"
            f" {shares if has_delays else '?unavailable? '}"
            f" {_command(row, names)}{task_note(row)}"
        )

    @staticmethod
    def _share(pct: float) -> str:
        return f"{f'{min(pct, _HIGHEST_PCT):.2f} %':>7}"

    def _number(self, value: float, *, is_rate: bool = False) -> str:
        base, step = self._options.base, 0
        if self._options.kilobytes:
            value, step = value / base, 1
        else:
            limit = base * self._options.threshold
            while value >= limit and step < len(_UNITS) - 1:
                value, step = value / base, step + 1
        is_total = self._options.mode is Mode.TOTAL and not is_rate
        return f"{value:.2f} {_UNITS[step]}{'' if is_total else '/s'}"


def _by_delay(line: Line) -> float:
    """Waiting tasks first, then all that moved a byte, then the rest."""
    return line.io or (1e-9 if line.read or line.write else 0.0)


def _by_written(line: Line) -> float:
    return line.write


def _prio(prio: str | None) -> str:
    if prio is None:
        return _UNKNOWN_PRIO
    return "idle" if prio.startswith("id/") else prio


def _command(row: Row, names: Mapping[int, str]) -> str:
    """Return the command line without the program's directory, and a thread's own name."""
    if not row.command:
        return f"[{row.comm}]"
    command = row.command
    if command.startswith("/"):
        first, space, rest = command.partition(" ")
        command = (first.rpartition("/")[2]) + space + rest
    is_named = bool(row.tid) and row.tid != row.pid and row.comm != names.get(row.key, row.comm)
    return f"{command} [{row.comm}]" if is_named else command
