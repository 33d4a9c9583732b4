"""What `iotop-ng demo --headless` prints: a table and its verdicts for people, one object else."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from iotop_ng.clock import NS_PER_S
from iotop_ng.demo.figures import FACTOR, SETTLE_NS, WORSE, Figures, Verdict
from iotop_ng.units import duration, human

SCHEMA = 1
BUSY = 10
"""A disk is not idle when it writes one part in so many of what it can."""
HEADER = (
    "PHASE", "P50", "P99", "MAX", "WELL AFTER", "P99 THEN", "HOG/s", "DISK/s", "ISOL", "05", "01",
    "LAT-IMP", "WORK-CSV", "HELPED",
)  # fmt: skip
LEGEND = f"""\
p50, p99, max     the victim's latencies over the whole phase: from the request on, in guard from
                  the flood's first byte; what is on its way to the disk then is written first
well after        time until the p99 of all that was due from then on was within the limit
p99 then          p99 of what began from then on
hog/s, disk/s     bytes that the hog wrote; bytes that the disk wrote, for everybody
isol              per second: operations of the victim, of those that it does alone; mean, and 5th
                  and 1st percentile
lat-imp           per second: mean latency, how much more than alone; mean
work-csv          what the disk wrote, of what it could have written for a hog that never has enough
helped            well after at most {SETTLE_NS // NS_PER_S} s (and half of the phase)"""


class Outcome(msgspec.Struct, frozen=True):
    """One run. Bytes, nanoseconds; what each phase was is in `phases`."""

    schema: int
    time: str
    """When it began, RFC 3339."""
    directory: str
    disks: tuple[str, ...]
    mode: str
    engine: str
    seed: int
    seconds: int
    """Of each phase."""
    period_ns: int
    """Of the victim."""
    cap_bytes_per_s: int
    """Of throttle."""
    limit_ns: int
    """What is still well, and what guard is told to keep."""
    capacity_bytes_per_s: float | None
    """What the disk wrote for a hog that nobody held: median second."""
    failed_operations: int
    """Of the victim: they ended with an error and are in no figure."""
    phases: tuple[Figures, ...]
    verdicts: tuple[Verdict, ...]
    helped: bool
    """All verdicts hold; else the exit code is 1."""


def as_json(outcome: Outcome) -> bytes:
    """Return one line."""
    return msgspec.json.encode(outcome) + b"\n"


def as_text(outcome: Outcome) -> str:
    """Return the table, what it means, and the verdicts."""
    disks = ", ".join(outcome.disks) or "no disk"
    limit = _ms(outcome.limit_ns)
    capacity = human(outcome.capacity_bytes_per_s)
    where = f"{outcome.directory} on {disks}, which writes {capacity}/s when it floods"
    limits = f"limit {limit} (without --limit: {FACTOR} x the p99 alone)"
    cap = human(outcome.cap_bytes_per_s)
    lines = [
        where,
        f"{outcome.seconds} s each, {limits}, throttled to {cap}/s, hog {outcome.mode}",
        "",
        *_table(outcome),
        "",
        *(f"{one.phase}: not here: {one.why_not}" for one in outcome.phases if not one.here),
        *(
            f"{'yes' if one.holds else 'NO ':<3}  {one.what}: {one.text}"
            for one in outcome.verdicts
        ),
    ]
    if others := _others(outcome):
        lines.append(f"     {others}")
    if outcome.failed_operations:
        lines.append(f"     {outcome.failed_operations} operations of the victim failed")
    whole = "the policies helped" if outcome.helped else "the policies did not help"
    if any(one.what == "problem" and not one.holds for one in outcome.verdicts):
        whole = f"no problem to be solved here (a flood should make p99 {WORSE} times as long)"
    return "\n".join([*lines, "", whole, "", LEGEND, ""])


def _others(outcome: Outcome) -> str:
    """Say when the disk had other work before the flood: then nothing is what it would be alone."""
    alone, capacity = outcome.phases[0].device_bytes_per_s, outcome.capacity_bytes_per_s
    if alone is None or not capacity or alone * BUSY < capacity:
        return ""
    return f"the disk was not idle: {human(alone)}/s were written to it before the flood"


def _table(outcome: Outcome) -> list[str]:
    helped = {one.what: "yes" if one.holds else "NO" for one in outcome.verdicts}
    rows = [HEADER, *(_cells(one, helped.get(one.phase, "")) for one in outcome.phases if one.here)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [_line(row, widths) for row in rows]


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    cells = (
        cell.rjust(width) if number else cell.ljust(width)
        for number, (cell, width) in enumerate(zip(row, widths, strict=True))
    )
    return "  ".join(cells).rstrip()


def _cells(one: Figures, helped: str) -> tuple[str, ...]:
    is_acted = one.phase not in {"baseline", "after", "flood"}
    name = f"{one.phase} ({one.how})" if one.how and one.how != one.phase else one.phase
    well = "never" if one.settled_ns is None else f"{one.settled_ns / NS_PER_S:.2f}s"
    return (
        name,
        *(_ms(ns) for ns in (one.p50_ns, one.p99_ns, one.max_ns)),
        well if is_acted else "",
        _ms(one.settled_p99_ns) if is_acted else "",
        human(one.hog_bytes_per_s),
        human(one.device_bytes_per_s),
        *(_percent(share, 1) for share in (one.isol_pct, one.isol_05_pct, one.isol_01_pct)),
        _percent(one.lat_imp_pct, 0),
        _percent(one.work_csv_pct, 0),
        helped,
    )


def _ms(ns: int | None) -> str:
    return duration(None if ns is None else ns / 1000)


def _percent(share: float | None, decimals: int) -> str:
    return "-" if share is None else f"{share:.{decimals}f}%"
