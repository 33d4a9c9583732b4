"""The hog as the demo sees it: who writes, when it began, and what it counts."""

from __future__ import annotations

import msgspec

from iotop_ng.cli.demo_child import Child
from iotop_ng.demo.record import Record
from iotop_ng.errors import IotopError
from iotop_ng.units import clean


class About(msgspec.Struct, frozen=True):
    """The first line of `demo hog --json`, in part."""

    pid: int
    writers: tuple[int, ...]
    start_ns: int
    rate_bytes_per_s: int | None


class Line(msgspec.Struct, frozen=True):
    """Any line of it, in part."""

    hog: About | None = None
    time_ns: int = 0
    written_bytes_total: int = 0
    errors_total: int = 0
    lost_bytes_total: int = 0
    ended: bool = False


_DECODER = msgspec.json.Decoder(Line)


class HogChild:
    """Follows a hog's report into a record.

    Args:
        child: the running program.
        record: where its counts go.
    """

    def __init__(self, child: Child, record: Record) -> None:
        self.child = child
        self._record = record
        self.about: About | None = None
        """None: it has not begun."""

    def look(self) -> None:
        """Take in what it has reported.

        Raises:
            IotopError: that is no report.
        """
        for raw in self.child.lines():
            try:
                line = _DECODER.decode(raw)
            except msgspec.MsgspecError as error:
                raise IotopError(f"the hog reported {clean(raw, 80)!r}: {error}") from None
            if line.hog is not None:
                self._begin(line.hog)
            else:
                self._take(line)

    def _begin(self, about: About) -> None:
        self.about = about
        self._record.wants_all = about.rate_bytes_per_s is None
        for series in (self._record.written, self._record.lost, self._record.refused):
            series.restart(about.start_ns)

    def _take(self, line: Line) -> None:
        self._record.written.add(line.time_ns, line.written_bytes_total)
        self._record.lost.add(line.time_ns, line.lost_bytes_total)
        self._record.refused.add(line.time_ns, line.errors_total)
