"""One line per active device: what it does, how full its queue is, how long requests take."""

from __future__ import annotations

from collections.abc import Sequence

from iotop_ng import units
from iotop_ng.model.frame import DeviceRow, Frame
from iotop_ng.view.renderables.spark import by_tick, spark
from iotop_ng.view.widgets.ink import Glyphs, Line, Run, fit, pack

SPARK_WIDTH = 12
SPARK_FLOOR = 1024 * 1024.0
BUSY_PCT = 90.0
SLOW_US = 100_000.0
ROOMY = 100
PAUSE_MS = 1.0
"""Kernel pauses per second from which the device line says that writers are held back."""


_MEMORY = ("loop", "ram", "zram")


def active(devices: Sequence[DeviceRow]) -> list[DeviceRow]:
    """Return devices with traffic in their history, most bytes since the start first.

    Totals only grow, so the order changes seldom; a device stays for the length of the history
    after its last request, so that lines do not come and go. Without any traffic the first device
    is shown.
    """
    busy = [d for d in devices if _is_busy(d)]
    if not busy:
        busy = sorted(devices, key=lambda d: (d.name.startswith(_MEMORY), d.is_stacked))[:1]
    return sorted(
        busy,
        key=lambda d: (d.is_stacked, -(d.read_bytes_total + d.write_bytes_total), d.name),
    )


def _is_busy(device: DeviceRow) -> bool:
    return any(
        p.write_bytes_per_s or p.read_bytes_per_s or p.util_pct for p in device.history
    ) or bool((device.util_pct or 0) > 0)


def device_lines(
    frame: Frame, room: int, glyphs: Glyphs, width: int, *, ascii_only: bool, si: bool
) -> list[list[Run]]:
    """Return at most `room` lines; the last one tells how many devices are not shown."""
    devices = active(frame.devices)
    shown = devices[:room]
    hidden = len(devices) - len(shown)
    # Short where it is narrow: the word about the kernel's throttling needs the room.
    more = (f" + {hidden} more " if width >= ROOMY else f" +{hidden} ") if hidden else ""
    lines = []
    for index, device in enumerate(shown):
        tail = more if index == len(shown) - 1 else ""
        line = _line(
            device,
            frame,
            glyphs,
            # The same for all, so that the parts of each stand below each other.
            width - len(more),
            is_first=index == 0,
            ascii_only=ascii_only,
            si=si,
        )
        lines.append([*line, (tail, "muted")])
    return lines


def _line(
    device: DeviceRow,
    frame: Frame,
    glyphs: Glyphs,
    width: int,
    *,
    is_first: bool,
    ascii_only: bool,
    si: bool,
) -> list[Run]:
    is_slow = (device.latency_p99_us or 0) >= SLOW_US
    is_full = (device.util_pct or 0) >= BUSY_PCT
    pieces: list[tuple[int, Line]] = [
        (0, ((f" {fit(device.name, 8, glyphs.cut)}", "title"),)),
        (0, ((" W ", "muted"),)),
        (4, ((f"{_spark(device, frame, ascii_only=ascii_only)} ", "write"),)),
        (0, ((f"{_rate(device.write_bytes_per_s, si=si)}", "write"),)),
        (0, (("  R ", "muted"), (_rate(device.read_bytes_per_s, si=si), "read"))),
        (3, ((f"  {_iops(device)}", ""), (" iops", "muted"))),
        (
            1,
            (
                ("  p99 ", "muted"),
                (
                    f"{units.duration(device.latency_p99_us):>5}",
                    "suffering" if is_slow else "latency",
                ),
            ),
        ),
        (2, (("  queue ", "muted"), (_number(device.queue_depth), ""))),
        (1, (("  util ", "muted"), (_percent(device.util_pct), "warning" if is_full else ""))),
    ]
    if device.errors:
        pieces.append((0, ((f"  {device.errors} errors", "error"),)))
    if is_first:
        dirty = units.human(frame.dirty_bytes, si=si)
        pieces.append((5, (("   dirty ", "muted"), (f"{dirty:>5}", ""))))
        if (frame.kernel_pause_ms_per_s or 0) >= PAUSE_MS:
            pieces.append((1, ((f"  {glyphs.warning} throttled by kernel", "warning"),)))
    return pack(pieces, width)


def _spark(device: DeviceRow, frame: Frame, *, ascii_only: bool) -> str:
    points = [(p.tick, p.write_bytes_per_s) for p in device.history]
    values = by_tick(points, frame.tick, SPARK_WIDTH, 1)
    top = max(SPARK_FLOOR, max((value for value in values if value is not None), default=0.0))
    return spark(values, SPARK_WIDTH, top, ascii=ascii_only)


def _rate(value: float | None, *, si: bool) -> str:
    shown = units.human(value, si=si)
    return f"{shown:>5}/s" if value is not None else f"{shown:>5}  "


def _iops(device: DeviceRow) -> str:
    parts = (device.read_iops, device.write_iops, device.flush_iops, device.discard_iops)
    known = [part for part in parts if part is not None]
    return f"{units.count(sum(known) if known else None):>5}"


def _number(value: float | None) -> str:
    return "   -" if value is None else f"{value:4.1f}" if value < 99.95 else f"{value:4.0f}"


def _percent(value: float | None) -> str:
    return "   -" if value is None else f"{value:3.0f}%"
