"""Raw results by hand: a machine with one sign that tells floods, and one that does not."""

from __future__ import annotations

from collections.abc import Sequence

from tests.bench.detecting.metrics import METRICS, OF_CGROUP
from tests.bench.detecting.records import About, Alarm, Problem, Record, Result, Results, Tick

NAMES = (*(metric.name for metric in METRICS), OF_CGROUP.name)


def ticks(load: str, *, step_s: float = 0.25, **signs: Sequence[float | None]) -> list[Record]:
    """Return a phase in which these signs had these values; all others were not measured."""
    length = max((len(values) for values in signs.values()), default=0)
    return [
        Tick(
            load,
            1,
            step_s * (number + 1),
            tuple(signs[name][number] if name in signs else None for name in NAMES),
        )
        for number in range(length)
    ]


def machine(*records: Record, name: str = "by hand") -> Results:
    """Return results."""
    return Results([About(name, "6.1.0", "ext4", 2 << 30, 1.0, NAMES), *records])


def story() -> Results:
    """A victim alone, a copy, a flood that starves, one that does not, and one that failed."""
    return machine(
        *ticks("copy", psi_some=[10, 30, 90, 20], fsync=[None] * 4, top_writer=[80.0] * 4),
        Result("copy", 1, is_flood=False, top_bytes_per_s=80e6),
        *ticks("victim", psi_some=[1, 2, 30, 1], fsync=[9, 9, 120, 9], top_writer=[0.1] * 4),
        Result("victim", 1, False, 80, 8.0, 10.0, 12.5, 120.0, 82e3),
        *ticks("lines", psi_some=[5, 60, 70, 80], fsync=[9, 200, 400, 900], top_writer=[40.0] * 4),
        Alarm("lines", 1, 0.75, "log-flood[42]", "fsync or queue at 400.0 ms of 100 ms"),
        Result("lines", 1, True, 4, 300.0, 900.0, 900.0, 900.0, 40e6),
        *ticks("bytes", psi_some=[5, 5, 5, 5], fsync=[9, 9, 17, 9], top_writer=[0.1] * 4),
        Result("bytes", 1, True, 80, 9.0, 17.0, 20.0, 21.0, 1e5),
        Problem("fast", 1, "OSError: no loop device"),
    )
