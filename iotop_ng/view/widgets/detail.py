"""Everything known about one row: plots, threads, cgroup, command line, every column."""

from __future__ import annotations

from typing import NamedTuple

from rich.cells import cell_len

from iotop_ng import units
from iotop_ng.model.fields import BY_ID, COLUMNS, Column, Mode, text
from iotop_ng.model.frame import Frame, Row
from iotop_ng.view import inforce
from iotop_ng.view.renderables.spark import by_tick
from iotop_ng.view.widgets.ink import Ink, Line, Run, fit
from iotop_ng.view.widgets.marks import SUFFERING_US
from iotop_ng.view.widgets.plots import (
    Series,
    bytes_series,
    latency_series,
    plot_height,
    plots,
)

COLUMN_CELL = 62
"""Title, value and source of a column."""
THREADS_SHOWN = 8
WRAPPED_LINES = 6


class Manner(NamedTuple):
    """How a pane is drawn."""

    ink: Ink
    width: int
    height: int
    mode: Mode
    si: bool


def series(row: Row, frame: Frame, *, si: bool) -> tuple[Series, ...]:
    """Return written and read bytes per second and the 99th percentile of latency over time."""
    ticks, tick, past = max(frame.history_ticks, 2), frame.tick, row.history
    write = by_tick(((p.tick, p.write_bytes_per_s) for p in past), tick, ticks, row.first_tick)
    read = by_tick(((p.tick, p.read_bytes_per_s) for p in past), tick, ticks, row.first_tick)
    # An interval without a request has no latency: a gap, not 0.
    slow = by_tick(((p.tick, p.latency_p99_us) for p in past), tick, ticks, tick + 1)
    return (
        bytes_series("write", write, row.write_bytes_per_s, si=si),
        bytes_series("read", read, row.read_bytes_per_s, si=si),
        latency_series("p99", slow, row.latency_p99_us),
    )


def detail_lines(row: Row, frame: Frame, manner: Manner) -> list[Line]:
    """Return the whole pane, top to bottom; what matters most comes first."""
    ink, width, height, _, si = manner
    lines: list[Line] = [_title(row, ink, width)]
    lines += plots(series(row, frame, si=si), ink, width, plot_height(height))
    lines.append(_totals(row, si=si))
    lines.append(_latencies(row))
    lines += _policy(row, frame, manner)
    lines += _facts(row, ink, width)
    lines += _threads(row, frame, width, si=si)
    lines += _columns(row, frame.mono_ns, manner)
    return lines


def _title(row: Row, ink: Ink, width: int) -> Line:
    name = f"{row.pid}" if row.tid is None else f"{row.pid} thread {row.tid}"
    gone = "  ended" if row.exited else ""
    rule = ink.glyphs.rule
    hint = f" Enter resize  Esc close {rule * 2}"
    head = ink.safe(f"{rule * 2} {name} {row.comm}{gone} ")
    room = max(width - len(hint), 8)
    taken = min(cell_len(head), room)
    return [
        (fit(head, taken, ink.glyphs.cut), "title"),
        (rule * (room - taken), "rule"),
        (hint, "muted"),
    ]


def _totals(row: Row, *, si: bool) -> Line:
    """Return what the row did in all; of one that ended this is all there is to say."""
    runs: list[Run] = [(f" {'in all':<11} ", "muted")]
    for name, column, role in (
        ("written", "write_bytes_per_s", "write"),
        ("read", "read_bytes_per_s", "read"),
        ("to disk", "disk_write_bytes_per_s", "write"),
        ("from disk", "disk_read_bytes_per_s", "read"),
    ):
        shown = text(BY_ID[column], row, Mode.TOTAL, si=si)
        runs += [(f"{name} ", "muted"), (f"{shown:<7}", "muted" if shown in {"-", "0"} else role)]
    return runs


def _latencies(row: Row) -> Line:
    """Return how long the row waits; narrow tables have no room for most of it."""
    runs: list[Run] = [(f" {'latency':<11} ", "muted")]
    for name, value in (
        ("p50", row.latency_p50_us),
        ("p99", row.latency_p99_us),
        ("max", row.latency_max_us),
        ("queued p99", row.queued_p99_us),
        ("fsync p99", row.fsync_p99_us),
    ):
        role = "suffering" if (value or 0.0) >= SUFFERING_US else "latency"
        shown = f"{units.duration(value):<6}"
        runs += [(f"{name} ", "muted"), (shown, "muted" if value is None else role)]
    return runs


def _policy(row: Row, frame: Frame, manner: Manner) -> list[Line]:
    """Return what is in force on the row, what it does, and why it does not do more."""
    policy = inforce.on_row(row, frame)
    if policy is None:
        return []
    si, cut = manner.si, manner.ink.glyphs.cut
    on = "" if policy.key == row.key else f" through {policy.name}"
    text = f"{inforce.what(policy, si=si)}{on}, {inforce.left(policy)} left, by {policy.by}"
    room = max(manner.width - 13, 8)
    role = "dropping" if policy.kind == "drop" else "throttled"
    before = units.human(policy.before_bytes_per_s, si=si)
    now = units.human(policy.written_bytes_per_s, si=si)
    effect = f"{policy.effect or 'too early to say'}: writes {now}/s now, {before}/s before"
    loss = inforce.lost(policy, si=si)
    if loss:
        effect += f"; {'refused' if policy.kind == 'drop' else 'held back'} {loss}"
    if policy.why:
        effect += f"; {policy.why}"
    return [
        [(f" {'policy':<11} ", "muted"), (fit(manner.ink.safe(text), room, cut), role)],
        [(f" {'effect':<11} ", "muted"), (fit(manner.ink.safe(effect), room, cut), "")],
    ]


def _facts(row: Row, ink: Ink, width: int) -> list[Line]:
    facts = [
        ("command", row.command or f"[{row.comm}]"),
        ("cgroup", row.cgroup or "-"),
        *([("container", row.container)] if row.container else []),
        ("user", f"{row.user} ({row.uid})   parent {row.ppid}   priority {row.prio or '-'}"),
    ]
    if row.submits_for:
        facts.insert(0, ("submits for", row.submits_for))
    lines: list[Line] = []
    for name, value in facts:
        room = max(width - 13, 8)
        safe = ink.safe(value)
        parts = [safe[i : i + room] for i in range(0, len(safe), room)][:WRAPPED_LINES] or [""]
        for index, part in enumerate(parts):
            lines.append([(f" {name if index == 0 else '':<11} ", "muted"), (part, "")])
    return lines


def _threads(row: Row, frame: Frame, width: int, *, si: bool) -> list[Line]:
    """Return the busiest threads; tid 0 is what ended threads did."""
    threads = [thread for thread in frame.threads if thread.key == row.key]
    if not threads or row.tid is not None:
        return []
    threads.sort(key=lambda t: (-(t.write_bytes_per_s or 0) - (t.read_bytes_per_s or 0), t.tid))
    counted = f"{len(threads)} thread{'' if len(threads) == 1 else 's'}"
    lines: list[Line] = [
        [
            (
                fit(f" {counted:<11} {'write/s':>9} {'read/s':>8} {'iops':>6} {'p99':>6}", width),
                "header",
            )
        ]
    ]
    for thread in threads[:THREADS_SHOWN]:
        numbers = (
            units.human(thread.write_bytes_per_s, si=si),
            units.human(thread.read_bytes_per_s, si=si),
            units.count(thread.disk_iops),
            units.duration(thread.latency_p99_us),
        )
        name = "ended" if thread.tid == 0 else str(thread.tid)
        shown = f" {name:>7}      {numbers[0]:>8} {numbers[1]:>8} {numbers[2]:>6} {numbers[3]:>6}  "
        lines.append([(shown, ""), (thread.comm, "title")])
    if len(threads) > THREADS_SHOWN:
        lines.append([(f"   + {len(threads) - THREADS_SHOWN} more (p shows all)", "muted")])
    return lines


def _columns(row: Row, now_ns: int, manner: Manner) -> list[Line]:
    """Return every column with its value and where it comes from, in one to three blocks."""
    numbers = [column for column in COLUMNS if column.is_number and column.id != "history"]
    blocks = max(manner.width // COLUMN_CELL, 1)
    each = manner.width // blocks
    height = -(-len(numbers) // blocks)
    head = f" all columns ({manner.mode.value}): - is not measured here"
    lines: list[Line] = [[(fit(head, manner.width), "header")]]
    for y in range(height):
        runs: list[Run] = []
        for column in numbers[y::height]:
            shown = text(column, row, manner.mode, si=manner.si, now_ns=now_ns)
            runs += _column(column, shown, manner.ink, each)
        lines.append(runs)
    return lines


def _column(column: Column, shown: str, ink: Ink, width: int) -> list[Run]:
    source = max(width - 24, 0)
    return [
        (f" {fit(column.title, 12)}", "muted"),
        (f"{shown:>9} ", "muted" if shown == "-" else ""),
        (fit(ink.safe(column.source), source, ink.glyphs.cut), "muted"),
    ]
