"""What both of iotop's text layouts share: the numbers of a row, which rows, in which order."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from typing import NamedTuple

from iotop_ng.clock import NS_PER_S
from iotop_ng.export.kept import Kept
from iotop_ng.model.column import Mode
from iotop_ng.model.frame import Frame, Row


class Options(NamedTuple):
    """How text is written."""

    mode: Mode = Mode.RATE
    threads: bool = True
    only_active: bool = False
    is_sorted: bool = False
    """The rows come in the order that was asked for; else each layout has its own."""
    kilobytes: bool = False
    base: int = 1024
    threshold: int = 2
    timestamps: bool = False
    quiet: int = 0
    full_command: bool = False
    strict: bool = False
    """The order, the rows and the gaps of the original, where ours differ."""


class Line(NamedTuple):
    """A row with the numbers that are shown: bytes or bytes per second, and percent."""

    row: Row
    read: float
    write: float
    swapin: float
    io: float
    has_io: bool
    """Any counter of the row moved, those that are not shown too."""


def lines(
    frame: Frame,
    rows: Sequence[Row],
    options: Options,
    *,
    is_net: bool,
    order: Callable[[Line], float],
) -> list[Line]:
    """Return the lines of an interval.

    Args:
        frame: the interval.
        rows: the chosen rows of it.
        options: `only_active` drops idle lines, `is_sorted` keeps the order of `rows`.
        is_net: cancelled bytes are subtracted from written ones.
        order: sort key, the largest first.
    """
    number = _NUMBERS[options.mode]
    found = [number(row, frame) for row in rows]
    if is_net:
        found = [_net(line, options.mode, frame) for line in found]
    if options.only_active:
        found = [line for line in found if line.has_io]
    # What a process did beyond its live threads has no line in the original.
    found = [line for line in found if line.row.tid != 0 or (line.has_io and not options.strict)]
    return found if options.is_sorted else sorted(found, key=order, reverse=True)


class Texts:
    """Turns lines into text, those of unchanged rows only once."""

    def __init__(self, mode: Mode) -> None:
        self._kept: Kept[str] = Kept()
        # An average changes while nothing happens.
        self._changes_by_itself = mode is Mode.AVERAGE
        self._context: object = None

    def of(self, found: Sequence[Line], write: Callable[[Line], str], context: object) -> list[str]:
        """Return the text of each line.

        Args:
            found: the lines.
            write: makes the text of one.
            context: what else the texts depend on.
        """
        if self._changes_by_itself or context != self._context:
            self._kept.forget()
            self._context = context
        by_row = {id(line.row): line for line in found}
        return self._kept.values([line.row for line in found], lambda row: write(by_row[id(row)]))


def total_bytes(line: Line) -> float:
    """Sort key of our own order."""
    return line.read + line.write


def task_id(row: Row) -> int:
    """Return the number in the first column: the thread's, for processes the process's."""
    return row.tid or row.pid


def task_note(row: Row) -> str:
    """Return what tells the leftover row of a process from its main thread."""
    return " [ended threads]" if row.tid == 0 and not row.exited else ""


def cells(text: str, width: int) -> str:
    """Return text cut or filled to a number of terminal cells."""
    if text.isascii():
        return f"{text[:width]:<{width}}"
    kept, used = "", 0
    for character in text:
        size = 2 if unicodedata.east_asian_width(character) in "WF" else 1
        if used + size > width:
            break
        kept, used = kept + character, used + size
    return kept + " " * (width - used)


def program(command: str) -> str:
    """Return the first word of a command line, without its directory.

    Words are separated by spaces here; titles such as "postgres: writer" are one word to iotop.
    """
    first = command.partition(" ")[0]
    if first.endswith(":"):
        return command
    return first.rpartition("/")[2] or first


def _rates(row: Row, _frame: Frame) -> Line:
    read, write = row.read_bytes_per_s or 0.0, row.write_bytes_per_s or 0.0
    swapin, io = row.swapin_pct or 0.0, row.io_delay_pct or 0.0
    return Line(row, read, write, swapin, io, bool(read or write or swapin or io))


def _totals(row: Row, frame: Frame) -> Line:
    """Bytes since the source opened; the shares stay those of the interval, as in iotop-c."""
    rates = _rates(row, frame)
    read, write = row.totals.read_bytes or 0, row.totals.write_bytes or 0
    return rates._replace(
        read=read, write=write, has_io=bool(read or write or rates.swapin or rates.io)
    )


def _averages(row: Row, frame: Frame) -> Line:
    totals = _totals(row, frame)
    seconds = _seen_s(row, frame)
    return totals._replace(read=totals.read / seconds, write=totals.write / seconds)


def _seen_s(row: Row, frame: Frame) -> float:
    return max((frame.mono_ns - row.first_seen_ns) / NS_PER_S, frame.interval_s, 1e-3)


def _net(line: Line, mode: Mode, frame: Frame) -> Line:
    """Subtract what was deleted before it reached a disk, as Python iotop does."""
    row = line.row
    if mode is Mode.RATE:
        cancelled = row.cancelled_bytes_per_s or 0.0
    else:
        cancelled = row.totals.cancelled_write_bytes or 0
        cancelled /= _seen_s(row, frame) if mode is Mode.AVERAGE else 1
    return line._replace(
        write=max(0.0, line.write - cancelled), has_io=line.has_io or cancelled > 0
    )


_NUMBERS = {Mode.RATE: _rates, Mode.TOTAL: _totals, Mode.AVERAGE: _averages}
