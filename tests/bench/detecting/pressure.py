"""The pressure of one cgroup: io.pressure, where there is a cgroup v2."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from iotop_ng.sources.host import parse_pressure
from iotop_ng.sources.kept_file import KeptFile

_PLACES = (Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/unified"))


class CgroupPressure:
    """Says from call to call in which share of the time somebody of a cgroup waited for I/O."""

    def __init__(self, cgroup: Path | None) -> None:
        self._file = None if cgroup is None else KeptFile(cgroup / "io.pressure")
        self._last: tuple[int, int] | None = None

    def some_pct(self) -> float | None:
        """Return the share since the last call, %; None: not measured."""
        total = None if self._file is None else parse_pressure(self._file.read()).get("some")
        now, before = time.monotonic_ns(), self._last
        self._last = None if total is None else (now, total)
        if before is None or total is None or now <= before[0]:
            return None
        return min(100 * (total - before[1]) * 1000 / (now - before[0]), 100.0)


@contextmanager
def victims_cgroup() -> Iterator[Path | None]:
    """Give a cgroup v2 for the victim; None where there is none."""
    place = next((one for one in _PLACES if (one / "cgroup.controllers").exists()), None)
    if place is None:
        yield None
        return
    made = place / f"iotop-ng-victim-{os.getpid()}"
    made.mkdir()
    try:
        yield made
    finally:
        for _ in range(100):
            with contextlib.suppress(OSError):
                made.rmdir()
                break
            time.sleep(0.05)
