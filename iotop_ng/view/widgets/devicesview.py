"""View 3: every number of every device, and each operation with its latency histogram."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from iotop_ng import units
from iotop_ng.model.frame import DeviceRow, Frame, OpRow
from iotop_ng.view.renderables.spark import by_tick, spark
from iotop_ng.view.widgets.devicelines import BUSY_PCT, SLOW_US, SPARK_FLOOR
from iotop_ng.view.widgets.ink import Ink, Line, Run, fit
from iotop_ng.view.widgets.plots import (
    Series,
    bytes_series,
    latency_series,
    plot_height,
    plots,
)

FIRST_SLOT = 10
LAST_SLOT = 34
"""Slots drawn: 2**10 ns is 1 us, 2**34 ns is 17 s; what is outside is added to the edge."""
HISTORY_WIDTH = 12
NAME_WIDTH = 10
_NOTHING = frozenset({"-", "0", "0.0", "0%"})
"""What steps back, so that a busy device stands out."""


class _Field(NamedTuple):
    title: str
    width: int
    rank: int
    role: str
    text: Callable[[DeviceRow, bool], str]


def _size(value: float | None, si: bool) -> str:
    return units.human(value, si=si)


def _count(value: float | None) -> str:
    return units.count(value)


def _pct(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}%"


def _depth(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}" if value < 99.95 else f"{value:.0f}"


_FIELDS: tuple[_Field, ...] = (
    _Field("WRITE/s", 7, 0, "write", lambda d, si: _size(d.write_bytes_per_s, si)),
    _Field("READ/s", 7, 0, "read", lambda d, si: _size(d.read_bytes_per_s, si)),
    _Field("DISC/s", 6, 8, "", lambda d, si: _size(d.discard_bytes_per_s, si)),
    _Field("W-IOPS", 6, 1, "write", lambda d, _: _count(d.write_iops)),
    _Field("R-IOPS", 6, 1, "read", lambda d, _: _count(d.read_iops)),
    _Field("FLUSH", 5, 4, "", lambda d, _: _count(d.flush_iops)),
    _Field("D-IOPS", 6, 8, "", lambda d, _: _count(d.discard_iops)),
    _Field("W-AWAIT", 7, 5, "latency", lambda d, _: units.duration(d.write_await_us)),
    _Field("R-AWAIT", 7, 5, "latency", lambda d, _: units.duration(d.read_await_us)),
    _Field("F-AWAIT", 7, 6, "latency", lambda d, _: units.duration(d.flush_await_us)),
    _Field("P50", 5, 2, "latency", lambda d, _: units.duration(d.latency_p50_us)),
    _Field("P99", 5, 0, "latency", lambda d, _: units.duration(d.latency_p99_us)),
    _Field("MAX", 5, 3, "latency", lambda d, _: units.duration(d.latency_max_us)),
    _Field("QUEUE", 5, 1, "", lambda d, _: _depth(d.queue_depth)),
    _Field("FLIGHT", 6, 7, "", lambda d, _: str(d.in_flight)),
    _Field("UTIL", 5, 0, "", lambda d, _: _pct(d.util_pct)),
    _Field("ERR", 4, 9, "", lambda d, _: "-" if d.errors is None else str(d.errors)),
    _Field("W-TOTAL", 7, 10, "", lambda d, si: _size(d.write_bytes_total, si)),
    _Field("R-TOTAL", 7, 10, "", lambda d, si: _size(d.read_bytes_total, si)),
)


def ordered(frame: Frame) -> list[DeviceRow]:
    """Return the devices in an order that seldom changes.

    Those that were used since the start first, those that lie on others last, then by name.
    """
    return sorted(
        frame.devices,
        key=lambda d: (not (d.read_bytes_total or d.write_bytes_total), d.is_stacked, d.name),
    )


def device_view_lines(
    frame: Frame, cursor: int, ink: Ink, width: int, height: int, *, si: bool
) -> tuple[list[Line], int]:
    """Return the lines of the view, and which of them has the cursor."""
    devices = ordered(frame)
    if not devices:
        return [[("", "")], [("  no block device was seen yet", "muted")]], 0
    fields = _fitting(width)
    lines: list[Line] = [_header(fields, width)]
    lines += [
        _device(device, fields, frame, ink, width, is_selected=index == cursor, si=si)
        for index, device in enumerate(devices)
    ]
    lines.append([("", "")])
    device = devices[min(cursor, len(devices) - 1)]
    lines += op_lines(device, ink, width, si=si)
    lines.append([("", "")])
    lines += plots(_series(device, frame, si=si), ink, width, plot_height(height))
    return lines, cursor + 1


def _series(device: DeviceRow, frame: Frame, *, si: bool) -> tuple[Series, ...]:
    ticks, tick, past = max(frame.history_ticks, 2), frame.tick, device.history
    first = min((p.tick for p in past), default=1)
    write = by_tick(((p.tick, p.write_bytes_per_s) for p in past), tick, ticks, first)
    read = by_tick(((p.tick, p.read_bytes_per_s) for p in past), tick, ticks, first)
    # An interval without a request has no latency: a gap, not 0.
    slow = by_tick(((p.tick, p.latency_p99_us) for p in past), tick, ticks, tick + 1)
    return (
        bytes_series("write", write, device.write_bytes_per_s, si=si),
        bytes_series("read", read, device.read_bytes_per_s, si=si),
        latency_series("p99", slow, device.latency_p99_us),
    )


def _fitting(width: int) -> list[_Field]:
    kept = list(_FIELDS)
    while sum(f.width + 1 for f in kept) + NAME_WIDTH + 3 > width:
        worst = max(field.rank for field in kept)
        if worst == 0:
            break
        kept.remove([field for field in kept if field.rank == worst][-1])
    return kept


def _has_history(fields: Sequence[_Field], width: int) -> bool:
    used = sum(f.width + 1 for f in fields) + NAME_WIDTH + 3
    return width - used > HISTORY_WIDTH


def _header(fields: Sequence[_Field], width: int) -> Line:
    titles = "".join(f" {field.title:>{field.width}}" for field in fields)
    history = "  HISTORY" if _has_history(fields, width) else ""
    return [(f"  {'DEVICE':<{NAME_WIDTH}}{titles}{history}".ljust(width), "header")]


def _device(
    device: DeviceRow,
    fields: Sequence[_Field],
    frame: Frame,
    ink: Ink,
    width: int,
    *,
    is_selected: bool,
    si: bool,
) -> Line:
    glyphs = ink.glyphs
    mark = glyphs.cursor if is_selected else " "
    nested = "+" if device.is_stacked else ""
    name_role = "selected" if is_selected else "title"
    runs: list[Run] = [(f"{mark} {fit(device.name + nested, NAME_WIDTH, glyphs.cut)}", name_role)]
    for field in fields:
        shown = field.text(device, si)
        role = field.role or ""
        if (field.title == "UTIL" and (device.util_pct or 0) >= BUSY_PCT) or (
            field.title == "ERR" and device.errors
        ):
            role = "warning"
        if field.title == "P99" and (device.latency_p99_us or 0) >= SLOW_US:
            role = "suffering"
        runs.append((f" {shown:>{field.width}}", "muted" if shown in _NOTHING else role))
    if _has_history(fields, width):
        points = [(p.tick, p.write_bytes_per_s + p.read_bytes_per_s) for p in device.history]
        values = by_tick(points, frame.tick, HISTORY_WIDTH, 1)
        top = max(SPARK_FLOOR, max((v for v in values if v is not None), default=0.0))
        drawn = spark(values, HISTORY_WIDTH, top, ascii=ink.is_ascii)
        runs.append((f"  {drawn}", "write"))
    return runs


def op_lines(device: DeviceRow, ink: Ink, width: int, *, si: bool) -> list[Line]:
    """Return one line per operation of a device, with a histogram of this interval's latency."""
    if not device.ops:
        return [
            [
                (f"  {device.name}: operations and latency histograms need block probes ", "muted"),
                ("(source bcc)", "muted"),
            ]
        ]
    has_queue = width >= 110
    extra = f" {'queued p99':>10} {'requeue':>7} {'error':>5}" if has_queue else ""
    title = f"  {fit(device.name, NAME_WIDTH)} {'ops/s':>6} {'bytes/s':>8} {'mean':>6}"
    title += f" {'p50':>6} {'p99':>6} {'max':>6}{extra}"
    room = width - len(title) - 3
    slots = LAST_SLOT - FIRST_SLOT + 1
    has_bars = room >= slots
    scale = 2 if room >= 2 * slots else 1
    axis = _axis(scale) if has_bars else ""
    lines: list[Line] = [[((title + "   " + axis).ljust(width), "header")]]
    for op in device.ops:
        numbers = (
            f"  {fit(op.op, NAME_WIDTH)} {_count(op.iops):>6} {_size(op.bytes_per_s, si):>8}"
            f" {units.duration(op.latency_mean_us):>6} {units.duration(op.latency_p50_us):>6}"
            f" {units.duration(op.latency_p99_us):>6} {units.duration(op.latency_max_us):>6}"
        )
        if has_queue:
            queued = units.duration(op.queued_p99_us)
            numbers += f" {queued:>10} {op.requeues:>7} {op.errors:>5}"
        runs: list[Run] = [(numbers, {"read": "read", "write": "write"}.get(op.op, ""))]
        if has_bars:
            runs += [("   ", ""), (_bars(op, scale, ink), "latency")]
        lines.append(runs)
    if not has_bars:
        lines.append([("", "")])
        lines.append([(f"  {fit('latency', NAME_WIDTH)} {_axis(1)}".ljust(width), "header")])
        lines += [
            [(f"  {fit(op.op, NAME_WIDTH)} ", ""), (_bars(op, 1, ink), "latency")]
            for op in device.ops
        ]
    return lines


def _bars(op: OpRow, scale: int, ink: Ink) -> str:
    """Return the histogram, one or two cells per power of two, the fullest slot at full height."""
    counts = list(op.latency)
    shown = counts[FIRST_SLOT : LAST_SLOT + 1]
    shown[0] += sum(counts[:FIRST_SLOT])
    shown[-1] += sum(counts[LAST_SLOT + 1 :])
    top = max(shown)
    if not top:
        return " " * (len(shown) * scale)
    wide: list[float | None] = [
        float(count) if count else None for count in shown for _ in range(scale)
    ]
    return spark(wide, len(wide), float(top), ascii=ink.is_ascii)


def _axis(scale: int) -> str:
    """Return labels over the slots: 1us at 2**10 ns, 1ms at 2**20 ns, 1s at 2**30 ns."""
    cells = [" "] * ((LAST_SLOT - FIRST_SLOT + 1) * scale)
    for slot, label in ((10, "1us"), (15, "32us"), (20, "1ms"), (25, "33ms"), (30, "1s")):
        at = (slot - FIRST_SLOT) * scale
        cells[at : at + len(label)] = label
    return "".join(cells)
