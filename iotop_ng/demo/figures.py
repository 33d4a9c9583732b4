"""What is said of each phase of the demo, and whether what was done helped. Pure.

A phase is measured from the request on (in `guard`, where nobody asks, from the flood's first
byte), so that p50, p99, max and the scores include what it takes until a limit works: what is on
its way to the disk at that moment is written before anything else.

A policy helped when the victim was well soon, and to the end: `settled_ns`, the time from which on
the p99 of all that followed is within the limit, is 3 s or less, and not more than half of the
phase. The p99 of the whole phase would not do: it is that of the backlog, which no policy can take
back; or hides it, as a victim that waits does few operations meanwhile (`scores.settling_time`
counts those that were due).
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from iotop_ng.clock import NS_PER_S
from iotop_ng.demo.record import Record, Seen
from iotop_ng.policy import scores
from iotop_ng.policy.scores import Alone, Operation, rank

WORSE = 10
"""A flood is a problem when it makes the victim's p99 so many times what it is alone."""
FACTOR = 2
"""It is solved when p99 is at most so many times what it is alone."""
SETTLE_NS = 3 * NS_PER_S
LEAST_LIMIT_NS = 1_000_000
"""A disk can be so fast that nobody would call twice its p99 slow, and a processor that is busy for
a moment is as long."""


class Figures(msgspec.Struct, frozen=True):
    """One phase. Nanoseconds, bytes, percent; None: not measured, or not meant here."""

    phase: str
    here: bool
    """False: this kernel cannot do it; nothing else is known but why."""
    why_not: str = ""
    how: str = ""
    """The mechanism."""
    seconds: float = 0.0
    operations: int = 0
    """Of the victim: those that ended."""
    p50_ns: int | None = None
    p99_ns: int | None = None
    max_ns: int | None = None
    violations: int = 0
    """Operations that took longer than the limit."""
    protect_ns: int | None = None
    """Time to protect, as the simulation has it: from the request, or the flood's first byte, until
    90 % of a second's operations were within the limit; 0: it never suffered; None: never."""
    settled_ns: int | None = None
    """The same until p99 of all that was due from then on was; None: never."""
    settled_p99_ns: int | None = None
    """p99 of what began from then on."""
    hog_bytes_per_s: float | None = None
    hog_refused_calls: int | None = None
    device_bytes_per_s: float | None = None
    isol_pct: float | None = None
    isol_05_pct: float | None = None
    isol_01_pct: float | None = None
    lat_imp_pct: float | None = None
    work_csv_pct: float | None = None


class Verdict(msgspec.Struct, frozen=True):
    """One answer, and the numbers that it comes from."""

    what: str
    """problem, throttle, drop or guard."""
    holds: bool
    text: str


def limit_of(baseline: Sequence[Operation]) -> int:
    """Return the latency that is still well: twice the p99 of the victim alone, not below 1 ms."""
    return max(FACTOR * p99(baseline), LEAST_LIMIT_NS)


def p99(operations: Sequence[Operation]) -> int:
    """Return the 99th percentile of the latencies, 0 of none."""
    return rank(sorted(one.latency_ns for one in operations), 99, 0)


def figures(
    record: Record, seen: Seen, base: Alone, limit_ns: int, capacity: float | None
) -> Figures:
    """Return what is said of a phase.

    Args:
        record: of the whole run.
        seen: the phase.
        base: the victim alone.
        limit_ns: what is still well.
        capacity: of the disk, bytes per second; None: not known.
    """
    if seen.why_not:
        return Figures(seen.name, here=False, why_not=seen.why_not)
    operations = record.of(seen)
    latencies = sorted(one.latency_ns for one in operations)
    period_ns = round(NS_PER_S / base.operations_per_s) if base.operations_per_s else 0
    settled_ns = scores.settling_time(operations, seen.begin_ns, limit_ns, period_ns)
    found = scores.isolation(scores.windows(operations, seen.begin_ns, seen.end_ns, base))
    device = record.device.grown(seen.begin_ns, seen.end_ns) if record.has_device else None
    return Figures(
        phase=seen.name,
        here=True,
        how=seen.how,
        seconds=round(seen.seconds, 3),
        operations=sum(one.has_ended for one in operations),
        p50_ns=rank(latencies, 50, 0),
        p99_ns=rank(latencies, 99, 0),
        max_ns=latencies[-1] if latencies else 0,
        violations=sum(latency_ns > limit_ns for latency_ns in latencies),
        protect_ns=scores.time_to_protect(operations, seen.begin_ns, limit_ns),
        settled_ns=settled_ns,
        settled_p99_ns=_settled_p99(operations, seen, settled_ns),
        hog_bytes_per_s=_rate(record.written.grown(seen.begin_ns, seen.end_ns), seen),
        hog_refused_calls=round(record.refused.grown(seen.begin_ns, seen.end_ns)),
        device_bytes_per_s=None if device is None else _rate(device, seen),
        isol_pct=_percent(found.isol),
        isol_05_pct=_percent(found.isol_05),
        isol_01_pct=_percent(found.isol_01),
        lat_imp_pct=_percent(found.lat_imp),
        work_csv_pct=_work_conservation(record, seen, device, capacity),
    )


def _settled_p99(operations: Sequence[Operation], seen: Seen, settled_ns: int | None) -> int | None:
    if settled_ns is None:
        return None
    since_ns = seen.begin_ns + settled_ns
    return p99([one for one in operations if not settled_ns or one.began_ns >= since_ns])


def _work_conservation(
    record: Record, seen: Seen, device: float | None, capacity: float | None
) -> float | None:
    if device is None or capacity is None or not seen.has_hog:
        return None
    possible = capacity * seen.seconds
    lost = possible if record.wants_all else record.lost.grown(seen.begin_ns, seen.end_ns)
    return _percent(scores.work_conservation(device, possible, lost))


def verdicts(phases: Sequence[Figures], limit_ns: int) -> tuple[Verdict, ...]:
    """Return whether there was a problem, and what solved it."""
    named = {one.phase: one for one in phases}
    baseline, flood = named["baseline"], named["flood"]
    found = [_problem(baseline, flood)]
    for name in ("throttle", "drop", "guard"):
        one = named.get(name)
        if one is not None and one.here:
            found.append(_helped(one, limit_ns))
    return tuple(found)


def _problem(baseline: Figures, flood: Figures) -> Verdict:
    alone, flooded = baseline.p99_ns or 1, flood.p99_ns or 0
    times = flooded / alone
    text = f"the flood makes the victim's p99 {times:.1f} times what it is alone"
    if times < WORSE:
        text = f"no problem to be solved here: {text}, less than {WORSE} times"
    return Verdict("problem", times >= WORSE, text)


def _helped(one: Figures, limit_ns: int) -> Verdict:
    limit = f"{limit_ns / 1e6:.1f} ms"
    if one.settled_ns is None or one.settled_p99_ns is None:
        return Verdict(one.phase, holds=False, text=f"the victim never came back within {limit}")
    most_ns = min(SETTLE_NS, round(one.seconds * NS_PER_S / 2))
    holds = one.settled_ns <= most_ns
    when = f"after {one.settled_ns / 1e9:.2f} s"
    late = "" if holds else f", which is later than {most_ns / 1e9:.1f} s"
    then = f"p99 {one.settled_p99_ns / 1e6:.1f} ms from then on, limit {limit}"
    return Verdict(one.phase, holds, f"the victim was well {when}{late}: {then}")


def _rate(amount: float, seen: Seen) -> float:
    return round(amount / seen.seconds, 1) if seen.seconds > 0 else 0.0


def _percent(share: float) -> float:
    return round(100 * share, 2)
