"""The first line and the banner: where the numbers come from, and what is not as usual."""

from __future__ import annotations

import time
from typing import NamedTuple

from rich.cells import cell_len

from iotop_ng.model.frame import Frame
from iotop_ng.view.widgets.ink import Glyphs, Line, Run, fit, pack

HEALTHY, RESTRICTED, FAILED = "healthy", "restricted", "failed"
_HEALTH_ROLES = {HEALTHY: "ok", RESTRICTED: "warning", FAILED: "error"}


class Status(NamedTuple):
    """What the first line says beside the frame's own numbers."""

    host: str
    interval_s: float
    """As asked for; the frame has the measured one."""
    flags: tuple[str, ...] = ()
    """PAUSED, FILTER, FOLLOW, READ-ONLY ..., each while it holds."""
    in_force: tuple[str, ...] = ()
    """2 POLICIES, 1 DRY RUN."""
    doing: str = ""
    """What the session thread does before the first frame."""
    failure: str = ""
    rows: int = 0
    """Rows shown."""
    has_clock: bool = True


def health(frame: Frame, status: Status) -> str:
    """Return "healthy", "restricted" (something is missing or lost) or "failed"."""
    if status.failure or not frame.source:
        return FAILED
    return RESTRICTED if frame.notes or frame.lost else HEALTHY


def first_line(frame: Frame, status: Status, glyphs: Glyphs, width: int) -> list[Run]:
    """Return the first line; the least important parts go when it is narrow, flags never."""
    state = health(frame, status)
    source: Line = (
        (f" {frame.source or 'starting'} ", "title"),
        (getattr(glyphs, state), _HEALTH_ROLES[state]),
        (" ", ""),
    )
    late = frame.tick > 0 and abs(frame.interval_s - status.interval_s) > 0.5 * status.interval_s
    pieces: list[tuple[int, Line]] = [
        (6, ((" iotop-ng ", "title"),)),
        (7, ((f" {fit(status.host, min(len(status.host), 20))} ", ""),)),
        (0, source),
        (4, ((f" {_seconds(status.interval_s)} ", "warning" if late else ""),)),
        (3, _coverage(frame.coverage_pct)),
        (2, (("  lost ", "muted"), (f"{frame.lost} ", "error" if frame.lost else ""))),
        (5, (("  self ", "muted"), (f"{_percent(frame.self_cpu_pct)} ", ""), ("cpu ", "muted"))),
        (8, ((f"  {status.rows} ", ""), ("rows ", "muted"))),
    ]
    pieces.extend((0, ((" ", ""), (f" {text} ", "banner"))) for text in status.in_force)
    pieces.extend((0, ((" ", ""), (f" {flag} ", "match"))) for flag in status.flags)
    clock = time.strftime("%H:%M:%S", time.localtime(frame.wall_ns / 1e9)) if frame.wall_ns else ""
    clock = clock if status.has_clock else ""
    return pack(pieces, width, ((f" {clock} ", ""),) if clock else ())


def banner(frame: Frame, status: Status, glyphs: Glyphs, width: int, room: int) -> list[list[Run]]:
    """Return the lines under the first one: what is being done, failures, restrictions.

    One line each, never wrapped, at most `room` lines; the last one says how many are hidden.
    """
    lines: list[Run] = []
    if status.doing:
        lines.append((f" {status.doing}", "title"))
    if status.failure:
        lines.append((f" {glyphs.failed} {status.failure}", "error"))
    lines.extend((f" {glyphs.warning} {note}", "banner") for note in frame.notes)
    hidden = len(lines) - room
    more = f"  + {hidden} more: iotop-ng doctor " if hidden > 0 else ""
    shown = []
    for index, (text, role) in enumerate(lines[:room]):
        tail = more if index == room - 1 else ""
        if tail and cell_len(text) + len(tail) > width:
            tail = f" +{hidden} "
        shown.append([(_shortened(text, width - len(tail), glyphs.cut) + tail, role)])
    return shown


def _shortened(text: str, width: int, cut: str) -> str:
    """Return text in `width` cells; what stands after the last colon, the remedy, stays whole."""
    reason, colon, remedy = text.rpartition(": ")
    room = width - cell_len(colon + remedy)
    if cell_len(text) <= width or not colon or room < width // 3:
        return fit(text, width, cut)
    return fit(reason, room, cut) + colon + remedy


def _coverage(percent: float | None) -> Line:
    role = "warning" if percent is not None and percent < LOW_COVERAGE else ""
    shown = "  - " if percent is None else f"{percent:3.0f}%"
    return (("  coverage ", "muted"), (f"{shown} ", role))


LOW_COVERAGE = 80


def _percent(value: float | None) -> str:
    return "   -" if value is None else f"{value:3.1f}%" if value < 99.95 else f"{value:3.0f}%"


def _seconds(value: float) -> str:
    return f"{value:.2f}s" if value < 1 and round(value, 1) != round(value, 2) else f"{value:.1f}s"
