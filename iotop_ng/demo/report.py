"""What a hog says of itself: JSON lines for programs, one line a second for people."""

from __future__ import annotations

import errno
import json
from pathlib import Path
from typing import NamedTuple

from iotop_ng.clock import NS_PER_S
from iotop_ng.demo.counts import Counts
from iotop_ng.units import clean, count, human, span


class About(NamedTuple):
    """What does not change while it runs."""

    pid: int
    """Of the supervisor."""
    writers: tuple[int, ...]
    """Pids of the processes that write."""
    mode: str
    directory: Path
    """Where its own directory is."""
    rate_bytes_per_s: int | None
    """None: all that the disk takes."""
    start_ns: int
    """CLOCK_MONOTONIC, right before the first writer began."""


class Reading(NamedTuple):
    """Totals since the start."""

    time_ns: int
    """CLOCK_MONOTONIC."""
    counts: Counts
    wanted_bytes: int


def errno_name(number: int) -> str | None:
    """Return "ENOSPC" for 28; None for 0."""
    return errno.errorcode.get(number, f"errno {number}") if number else None


def first_json(about: About) -> bytes:
    """Return the first line for programs."""
    record: dict[str, object] = {
        "pid": about.pid,
        "writers": list(about.writers),
        "mode": about.mode,
        "directory": clean(str(about.directory)),
        "rate_bytes_per_s": about.rate_bytes_per_s,
        "start_ns": about.start_ns,
    }
    return _line({"hog": record})


def json_line(reading: Reading, *, has_ended: bool) -> bytes:
    """Return one of the other lines for programs."""
    counts = reading.counts
    record: dict[str, object] = {
        "time_ns": reading.time_ns,
        "written_bytes_total": counts.written_bytes,
        "calls_total": counts.calls,
        "errors_total": counts.errors,
        "last_error": errno_name(counts.last_errno),
        "wanted_bytes_total": reading.wanted_bytes,
        "lost_bytes_total": counts.lost_bytes,
        "ended": has_ended,
    }
    return _line(record)


def first_text(about: About, text: str) -> bytes:
    """Return the first line for people."""
    rate = about.rate_bytes_per_s
    pids = ", ".join(str(pid) for pid in about.writers[:8])
    more = ", …" if len(about.writers) > 8 else ""
    rated = "as much as it can" if rate is None else f"{human(rate)}/s"
    where = clean(str(about.directory), 200)
    return f"log-flood ({pids}{more}) writes {text}; {rated}, into {where}\n".encode()


def text_line(before: Reading, now: Reading, start_ns: int) -> bytes:
    """Return what happened between two readings, for people."""
    seconds = max(now.time_ns - before.time_ns, 1) / NS_PER_S
    written = (now.counts.written_bytes - before.counts.written_bytes) / seconds
    calls = (now.counts.calls - before.counts.calls) / seconds
    label = f"{(now.time_ns - start_ns) / NS_PER_S:.0f} s"
    return f"{label:>7}  {human(written):>5}/s  {count(calls):>5} calls/s{_rest(now)}\n".encode()


def last_text(start_ns: int, now: Reading) -> bytes:
    """Return what happened in all, for people."""
    elapsed_ns = max(now.time_ns - start_ns, 1)
    mean = now.counts.written_bytes * NS_PER_S / elapsed_ns
    calls = count(now.counts.calls)
    return (
        f" in all  {human(now.counts.written_bytes)} in {span(elapsed_ns / NS_PER_S)}"
        f" ({human(mean)}/s), {calls} calls{_rest(now)}\n"
    ).encode()


def _rest(now: Reading) -> str:
    lost, errors = now.counts.lost_bytes, now.counts.errors
    text = f"  lost {human(lost)}" if lost else ""
    if errors:
        text += f"  {count(errors)} refused ({errno_name(now.counts.last_errno)})"
    return text


def _line(record: dict[str, object]) -> bytes:
    return json.dumps(record).encode("ascii") + b"\n"
