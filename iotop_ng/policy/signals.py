"""What a guard or a rule wants to know of a frame: who writes how much, and who waits how long."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from iotop_ng.model.frame import DeviceRow, Frame, Row
from iotop_ng.model.histogram import bounds_us, kth_us
from iotop_ng.policy.latency_target import Signals
from iotop_ng.policy.rule import Pattern, Signs

NS_PER_US = 1000
OUTLIERS = 6
"""One call in so many may be slow for reasons of its own; of four or more, one always may."""
FEW = 3
"""Of so few calls each one counts."""
NS_PER_S = 1_000_000_000
LATE_NS = NS_PER_S
"""A slow fsync counts at least this long: who syncs once a second is heard all the time."""


def alive(frame: Frame) -> list[Row]:
    """Return the processes that have not ended."""
    return [row for row in frame.rows if not row.exited]


def written(row: Row) -> int:
    """Return what it wrote in bytes/s; what is not known is 0 here."""
    return int(row.write_bytes_per_s or 0)


def latency_ns(row: Row) -> int | None:
    """Return the p99 of its fsyncs or the age of one that is stuck, the worse; None: no fsync."""
    found = [us for us in (row.fsync_p99_us, row.fsync_age_us) if us]
    return int(max(found) * NS_PER_US) if found else None


def victims(rows: Iterable[Row], pattern: Pattern, hogs: frozenset[int]) -> list[Row]:
    """Return those who are to be helped: who match, and are no hogs themselves."""
    return [
        row for row in rows if row.key not in hogs and not row.is_kthread and pattern.matches(row)
    ]


def signals(
    frame: Frame,
    suffering: Sequence[Row],
    hogs: Sequence[Row],
    device: str,
    target_ns: int,
    *,
    is_lost: bool,
) -> Signals:
    """Return what one tick says about one guard; of several victims whoever has it worst counts."""
    calls = [row.fsync_per_s for row in suffering if row.fsync_per_s is not None]
    ns = frame.interval_s
    delay_us = queue_us(frame.devices, device)
    return Signals(
        hog_bytes_per_s=_sum(row.write_bytes_per_s for row in hogs),
        fsyncs=round(sum(calls) * ns) if calls else None,
        p99_ns=max((_slowest_ns(row, 100) for row in suffering), default=0),
        usual_ns=max((_slowest_ns(row, OUTLIERS) for row in suffering), default=0),
        late_milli=sum(_late_milli(row, target_ns) for row in suffering),
        age_ns=int(max((row.fsync_age_us or 0 for row in suffering), default=0) * NS_PER_US),
        queue_ns=None if delay_us is None else int(delay_us * NS_PER_US),
        is_lost=is_lost or ns <= 0,
    )


def _slowest_ns(row: Row, divisor: int) -> int:
    """Return the slowest call but one in `divisor`; of three or less, the slowest."""
    durations = row.fsync_durations
    if durations is None:
        return int((row.fsync_p99_us or 0) * NS_PER_US)
    calls = sum(durations)
    left_out = max(calls // divisor, divisor == OUTLIERS) if calls > FEW else 0
    return int(kth_us(durations, calls - left_out) * NS_PER_US) if calls else 0


def _late_milli(row: Row, target_ns: int) -> int:
    """Return how many calls took longer, in thousandths: within the target's slot it is a guess."""
    durations = row.fsync_durations
    if durations is None:
        return 1000 * ((row.fsync_p99_us or 0) * NS_PER_US > target_ns)
    late = 0.0
    for slot, calls in enumerate(durations):
        low, high = bounds_us(slot)
        if calls:
            late += calls * min(max(high - target_ns / NS_PER_US, 0), high - low) / (high - low)
    return int(1000 * late)


def agree(signs: Signs, frame: Frame, device: str = "") -> bool:
    """Say whether nothing that is asked and measured speaks against it."""
    delay_us = queue_us(frame.devices, device)
    if delay_us is None and frame.devices and not any(row.in_flight for row in frame.devices):
        # No write has ended, and none is under way: nobody waits for one. A disk that is stuck has
        # some under way, and says nothing.
        delay_us = 0.0
    asked = (
        (frame.io_some_pct, signs.pressure_over_pct),
        (None if delay_us is None else delay_us * NS_PER_US, signs.queue_over_ns),
    )
    return all(value > limit for value, limit in asked if limit and value is not None)


def busiest(devices: Iterable[DeviceRow]) -> DeviceRow | None:
    """Return the whole device that is written to most; None when nothing is written."""
    rates = {row.name: row.write_bytes_per_s or 0 for row in devices if not row.is_stacked}
    most = max(devices, key=lambda row: rates.get(row.name, -1.0), default=None)
    return most if most is not None and rates.get(most.name, 0) > 0 else None


def queue_us(devices: Sequence[DeviceRow], name: str = "") -> float | None:
    """Return the mean time from a write's allocation to its completion; None: none completed.

    Args:
        devices: of one frame.
        name: of the device; "" takes the one that is written to most.
    """
    if not name:
        found = busiest(devices)
    else:
        found = next((row for row in devices if row.name == name), None)
    return None if found is None else found.write_await_us


def _sum(rates: Iterable[float | None]) -> int | None:
    """Return the sum; None when nothing of it is known, 0 of nobody."""
    total, unknown, count = 0.0, 0, 0
    for rate in rates:
        count += 1
        if rate is None:
            unknown += 1
        else:
            total += rate
    return None if count and unknown == count else int(total)
