"""What a frame says about a disk that somebody is kept from: one number per sign."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from iotop_ng.model.frame import Frame, Row
from iotop_ng.policy.rule import HOG_BYTES_PER_S
from iotop_ng.policy.signals import alive, busiest, latency_ns, written

MB = 1e6


class Metric:
    """One sign.

    Attributes:
        name: in the raw results.
        unit: behind the numbers of the page.
        about: where it comes from.
        of: takes it from a frame; None: not measured, or nobody that it could be of.
    """

    def __init__(
        self, name: str, unit: str, about: str, of: Callable[[Frame], float | None]
    ) -> None:
        self.name, self.unit, self.about, self.of = name, unit, about, of


def _others(frame: Frame) -> list[Row]:
    """Return those who may suffer: as guards see it, who writes more than 1 MiB/s is a hog."""
    return [row for row in alive(frame) if not row.is_kthread and written(row) <= HOG_BYTES_PER_S]


def _most(values: Iterable[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)


def _fsync_ms(frame: Frame) -> float | None:
    found = _most(latency_ns(row) for row in _others(frame))
    return None if found is None else found / 1e6


def _io_delay_pct(frame: Frame) -> float | None:
    return _most(row.io_delay_pct for row in _others(frame))


def _queue_ms(frame: Frame) -> float | None:
    disk = busiest(frame.devices)
    return None if disk is None or disk.write_await_us is None else disk.write_await_us / 1e3


def _queue_depth(frame: Frame) -> float | None:
    return _most(row.queue_depth for row in frame.devices if not row.is_stacked)


def _util_pct(frame: Frame) -> float | None:
    return _most(row.util_pct for row in frame.devices if not row.is_stacked)


def _dirty_pct(frame: Frame) -> float | None:
    limit, dirty, under_way = (
        frame.host.dirty_limit_bytes, frame.dirty_bytes, frame.writeback_bytes
    )  # fmt: skip
    if not limit or dirty is None or under_way is None:
        return None
    return 100 * (dirty + under_way) / limit


def _writeback_mb(frame: Frame) -> float | None:
    return None if frame.writeback_bytes is None else frame.writeback_bytes / MB


def _top_mb_per_s(frame: Frame) -> float | None:
    found = _most(row.write_bytes_per_s for row in alive(frame))
    return None if found is None else found / MB


METRICS = (
    Metric("fsync", "ms", "slowest fsync of those who write less than 1 MiB/s: p99 of the finished "
           "ones, or the age of one that is stuck", _fsync_ms),
    Metric("psi_some", "%", "`/proc/pressure/io`, some: share of the time in which somebody waited",
           lambda frame: frame.io_some_pct),
    Metric("psi_full", "%", "`/proc/pressure/io`, full: in which everybody who wanted to run did",
           lambda frame: frame.io_full_pct),
    Metric("io_delay", "%", "delay accounting: longest wait for a block device of one who writes "
           "less than 1 MiB/s, share of the time", _io_delay_pct),
    Metric("queue_delay", "ms", "`/proc/diskstats`: mean time of a write on the busiest disk",
           _queue_ms),
    Metric("queue_depth", "", "`/proc/diskstats`: mean number of requests under way",
           _queue_depth),
    Metric("util", "%", "`/proc/diskstats`: share of the time with a request under way",
           _util_pct),
    Metric("dirty", "%", "Dirty + Writeback, share of the limit from where on writers wait",
           _dirty_pct),
    Metric("writeback", "MB", "Writeback: pages on their way to the disk", _writeback_mb),
    Metric("pause", "ms/s", "`writeback:balance_dirty_pages`: sleep that the kernel imposed on "
           "writers, all together", lambda frame: frame.kernel_pause_ms_per_s),
    Metric("top_writer", "MB/s", "what the one writes who writes most", _top_mb_per_s),
)  # fmt: skip
"""As a guard sees them, all of one frame."""

OF_CGROUP = Metric("psi_victim", "%", "`io.pressure` of the victim's own cgroup, some",
                   lambda _: None)  # fmt: skip


def row_of(frame: Frame) -> tuple[float | None, ...]:
    """Return every metric of a frame, rounded as the raw results keep it."""
    return tuple(rounded(metric.of(frame)) for metric in METRICS)


def rounded(value: float | None) -> float | None:
    """Return three decimals at most."""
    return None if value is None else round(value, 3)
