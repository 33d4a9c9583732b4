"""What a row is about: who fills the disk, who waits for it, who is gone."""

from __future__ import annotations

from iotop_ng.model.frame import Frame, Row

HOG_SHARE = 0.4
HOG_FLOOR = 4 * 1024 * 1024
"""A hog writes at least this many bytes per second and this share of what all processes write."""
SUFFERING_US = 100_000.0
"""Suffering: the slowest hundredth of block requests or fsyncs took at least this long."""

HOG, SUFFERING, EXITED, PLAIN = "hog", "suffering", "exited", ""
THROTTLED, DROPPING = "throttled", "dropping"

THROTTLES, DROPS = "throttle", "drop"
"""How the text of a policy begins (`Row.policy`) that is in force, and not only tried dry."""


def hog_threshold(frame: Frame) -> float:
    """Return the write rate from which a row of this frame is a hog, in bytes per second."""
    return max(HOG_FLOOR, HOG_SHARE * (frame.write_bytes_per_s or 0.0))


def mark(row: Row, hog_from: float) -> str:
    """Return the role of a row: "exited", "dropping", "throttled", "hog", "suffering" or ""."""
    if row.exited:
        return EXITED
    if row.policy.startswith(DROPS):
        return DROPPING
    if row.policy.startswith(THROTTLES):
        return THROTTLED
    if row.write_bytes_per_s is not None and row.write_bytes_per_s >= hog_from:
        return HOG
    if (row.latency_p99_us or 0.0) >= SUFFERING_US or (row.fsync_p99_us or 0.0) >= SUFFERING_US:
        return SUFFERING
    return PLAIN
