"""Find processes in samples, and read their totals as plain numbers."""

from __future__ import annotations

from collections.abc import Sequence

from iotop_ng.sample import Histogram, OpTotals, Process, Sample


def number(value: int | None) -> int:
    """Return a total that must have been measured."""
    assert value is not None, "not measured"
    return value


def find(sample: Sample, pid: int) -> Process:
    """Return the latest process that has this pid."""
    found = [process for process in sample.processes if process.pid == pid]
    assert found, f"no process {pid} in the sample"
    return max(found, key=lambda process: process.start_ns)


def children(sample: Sample, ppid: int) -> list[Process]:
    """Return the processes whose parent is (or was, when they ended) `ppid`."""
    return [process for process in sample.processes if process.ppid == ppid]


def named(sample: Sample, comm: str) -> Process:
    """Return the one living process with this name."""
    found = [p for p in sample.processes if p.comm == comm and not p.is_exited]
    assert len(found) == 1, f"{len(found)} processes are named {comm}"
    return found[0]


def operations(sample: Sample, device: str) -> dict[str, OpTotals]:
    """Return operation -> totals of a device; an operation without requests is absent."""
    for found in sample.devices:
        if found.name == device:
            return {op.op: op for op in found.ops}
    raise LookupError(device)


def grown(after: Sequence[int], before: Sequence[int] | None) -> Histogram:
    """Return the difference of two histograms; None before is empty."""
    return tuple(a - b for a, b in zip(after, before or (0,) * len(after), strict=True))


def slots_at(histogram: Sequence[int], quantile: float, slack: float = 0.0) -> set[int]:
    """Return the slots in which a quantile, give or take `slack`, lies."""
    total = sum(histogram)
    low, high = (quantile - slack) * total, (quantile + slack) * total
    found, below = set(), 0
    for slot, count in enumerate(histogram):
        if count and below < max(high, 1) and below + count >= low:
            found.add(slot)
        below += count
    return found


def log2_slot(value: float) -> int:
    """Return the slot that counts a duration of `value` ns."""
    return max(int(value), 1).bit_length() - 1
