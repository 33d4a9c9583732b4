"""Batch output: intervals as text, JSON lines or CSV on stdout, nothing else there."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

from iotop_ng.cli.talk import complain, write
from iotop_ng.clock import SystemClock
from iotop_ng.config.settings import Settings
from iotop_ng.errors import IotopError
from iotop_ng.model.fields import BY_ID, Mode
from iotop_ng.model.frame import Frame, Row
from iotop_ng.model.query import DEFAULT_SORT, Query, arrange, is_active, parse_filter
from iotop_ng.sample import Need
from iotop_ng.session import Session
from iotop_ng.sources.choose import BestSource

INTERRUPTED = 130
_USUAL_PID_WIDTH = 7


class Exporter(Protocol):
    """Turns intervals into bytes."""

    def interval(self, frame: Frame, rows: Sequence[Row]) -> bytes:
        """Return what to print for one interval."""
        ...


def run(settings: Settings) -> int:
    """Print intervals until the count, the time or a signal ends it; return the exit code."""
    # A reader that goes away ends us without a word, as it does with cat.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    source = BestSource(settings.source)
    # Nothing here looks back: one interval is all that is kept.
    session = Session(source, SystemClock(), settings.interval_s, history_ticks=1)
    session.needs = needs(settings)
    with stopping(session) as was_stopped:
        try:
            stream(session, settings, write)
        except IotopError:
            # Ctrl-C also ends the child that compiles, and the source complains about that.
            if not was_stopped():
                raise
        finally:
            session.close()
    return INTERRUPTED if was_stopped() and not settings.strict_compat else 0


def stream(session: Session, settings: Settings, out: Callable[[bytes], None]) -> None:
    """Pass every interval to `out` as it ends."""
    exporter = exporter_for(settings)
    query = query_for(settings)
    told: set[str] = set()
    left = settings.iterations
    for frame in session.frames(None, settings.duration_s):
        # The first reading has no rates; only iotop prints it, as zeros.
        if frame.tick or settings.strict_compat:
            for remark in remarks(frame, settings):
                if remark not in told:
                    told.add(remark)
                    complain(remark)
            out(exporter.interval(frame, rows_of(frame, query, settings)))
            left = None if left is None else left - 1
        if left == 0:
            return


def rows_of(frame: Frame, query: Query, settings: Settings) -> list[Row]:
    """Return the rows to print.

    One that ended is printed in the interval of its end; records for programs repeat it when more
    is credited to it, because what it wrote may reach the disk half a minute later.
    """
    rows = [placed.row for placed in arrange(frame, query)]
    if settings.pids:
        rows = [row for row in rows if is_wanted(row, settings)]
    if settings.hide_exited or settings.strict_compat:
        return [row for row in rows if not row.exited]
    repeats = settings.format != "text"
    return [
        row
        for row in rows
        if not row.exited
        or row.exited_tick == frame.tick
        or (repeats and is_active(row, Mode.RATE))
    ]


def is_wanted(row: Row, settings: Settings) -> bool:
    """Say whether -p names the row: a thread, or the process with all its threads.

    To iotop-c the number of a process is that of its main thread alone.
    """
    pids = settings.pids
    return (row.tid or row.pid) in pids or (row.pid in pids and not settings.strict_compat)


def remarks(frame: Frame, settings: Settings) -> tuple[str, ...]:
    """Return what has to be said beside the data, each once."""
    found = list(frame.notes)
    if settings.format == "text" and "columns" in settings.origins:
        found.append("--columns is for --format json and csv: text has the columns of iotop")
    has_delays = any(row.totals.io_delay_ns is not None for row in frame.rows)
    if settings.format == "text" and settings.compat == "c" and frame.rows and not has_delays:
        found.append(
            "SWAPIN and IO are printed as 0.00: without delay accounting they are not measured"
        )
    return tuple(found)


def exporter_for(settings: Settings) -> Exporter:
    """Return the writer of the chosen format. Only that one is imported: each takes some ms."""
    match settings.format:
        case "json":
            from iotop_ng.export.json_lines import JsonLines  # noqa: PLC0415 - one format

            return JsonLines(settings.columns, threads=settings.threads)
        case "csv":
            from iotop_ng.export.csv_rows import CsvRows  # noqa: PLC0415 - one format

            has_names = settings.quiet < 2
            return CsvRows(settings.columns, threads=settings.threads, has_names=has_names)
        case _:
            return text_exporter(settings)


def text_exporter(settings: Settings) -> Exporter:
    """Return the writer of one of iotop's layouts."""
    from iotop_ng.export.text import Options  # noqa: PLC0415 - one format
    from iotop_ng.export.text_c import CText  # noqa: PLC0415 - one format
    from iotop_ng.export.text_py import PyText  # noqa: PLC0415 - one format

    options = Options(
        mode=Mode(settings.mode),
        threads=settings.threads,
        only_active=settings.only_active,
        is_sorted=bool(settings.sort or settings.reverse),
        kilobytes=settings.kilobytes,
        base=1000 if settings.si else 1024,
        threshold=settings.threshold,
        timestamps=settings.timestamps,
        quiet=settings.quiet,
        full_command=bool(settings.full_command),
        strict=settings.strict_compat,
    )
    if settings.compat == "c":
        return CText(options)
    return PyText(options, pid_width=pid_width(), says_actual=settings.compat == "py0.6")


def query_for(settings: Settings) -> Query:
    """Return which rows are asked for, in which order."""
    is_text = settings.format == "text"
    return Query(
        sort=settings.sort or DEFAULT_SORT,
        reverse=settings.reverse,
        filter=parse_filter(settings.filter) if settings.filter.strip() else None,
        # The layouts of text have their own notion of "doing I/O".
        only_active=settings.only_active and not is_text,
        mode=Mode(settings.mode),
        threads=settings.threads,
        # -p may name threads: `is_wanted`.
        users=settings.users,
    )


def needs(settings: Settings) -> frozenset[Need]:
    """Return what the source has to measure beyond the default."""
    named = {*settings.columns, settings.sort} & set(BY_ID)
    asked = {need for name in named if (need := BY_ID[name].need) is not None}
    return frozenset(asked | ({Need.THREADS} if settings.threads else set()))


def pid_width(path: Path = Path("/proc/sys/kernel/pid_max")) -> int:
    """Return the number of digits of the kernel's largest pid."""
    try:
        return len(path.read_text("ascii").strip())
    except OSError:
        return _USUAL_PID_WIDTH


@contextmanager
def stopping(session: Session) -> Iterator[Callable[[], bool]]:
    """Let SIGINT, SIGTERM and SIGHUP end the session between two intervals, never inside one.

    A second signal ends the program at once. Yields whether there was one.
    """
    caught: list[int] = []
    before: dict[int, Any] = {}

    def stop(number: int, _frame: FrameType | None) -> None:
        caught.append(number)
        for one, handler in before.items():
            signal.signal(one, handler)
        # A handler may run inside the very lock that it would have to take.
        threading.Thread(target=session.request_stop, daemon=True).start()

    for number in (int(signal.SIGINT), int(signal.SIGTERM), int(signal.SIGHUP)):
        before[number] = signal.signal(number, stop)
    try:
        yield lambda: bool(caught)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
