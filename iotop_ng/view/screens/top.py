"""The lines above the view: where the numbers come from, what is wrong, and the devices."""

from __future__ import annotations

from textual.geometry import Size

from iotop_ng.model.frame import Frame
from iotop_ng.view.controls import Controls
from iotop_ng.view.inforce import headline
from iotop_ng.view.tape import Tape
from iotop_ng.view.widgets.canvas import Canvas
from iotop_ng.view.widgets.devicelines import device_lines
from iotop_ng.view.widgets.firstline import Status, banner, first_line
from iotop_ng.view.widgets.ink import Ink

ROOMY = 32
"""Lines from which the banner may take more than one."""


class Top:
    """First line, banner and device lines.

    Attributes:
        doing: what the session thread does before the first frame; "" when it is done.
        failure: what went wrong with the source.
    """

    def __init__(self, host: str) -> None:
        self._host = host
        self.doing = ""
        self.failure = ""
        self.first = Canvas(id="first")
        self.banner = Canvas(id="banner")
        self.devices = Canvas(id="devices")

    @property
    def parts(self) -> tuple[Canvas, ...]:
        """The widgets, top to bottom."""
        return self.first, self.banner, self.devices

    def paint(self, tape: Tape, controls: Controls, ink: Ink, size: Size, rows: int) -> None:
        """Draw for the shown frame; what is in force comes from the newest, paused or not."""
        frame, glyphs, width = tape.frame, ink.glyphs, size.width
        status = Status(
            host=self._host,
            interval_s=controls.interval_s,
            flags=controls.flags(_paused_flag(tape)),
            in_force=headline(tape.newest),
            doing=self.doing,
            failure=self.failure,
            rows=rows,
            has_clock=controls.has_clock,
        )
        notes = 1 if size.height < ROOMY else 3
        self.first.show([first_line(frame, status, glyphs, width)])
        self.banner.show(banner(frame, status, glyphs, width, notes), grow=True)
        self._paint_devices(frame, controls, ink, size)

    def _paint_devices(self, frame: Frame, controls: Controls, ink: Ink, size: Size) -> None:
        room = max(min((size.height - 12) // 6, 6), 1)
        lines = device_lines(
            frame, room, ink.glyphs, size.width, ascii_only=ink.is_ascii, si=controls.si
        )
        self.devices.show(lines or [[("", "")]], grow=True)


def _paused_flag(tape: Tape) -> str:
    if not tape.is_paused:
        return ""
    behind = tape.behind_s
    return f"PAUSED -{behind:.0f}s" if behind >= 0.5 else "PAUSED"
