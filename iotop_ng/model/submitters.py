"""For whom a kernel thread works: the owner of most of what it submitted for others."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from iotop_ng.sample import PID_BITS, Process

Submitted: TypeAlias = tuple[tuple[int, int], ...]
"""(owner's process key, bytes since the source opened), as in `Process.submits_for`."""


def submits_for(before: Submitted, after: Submitted, find: Callable[[int], Process | None]) -> str:
    """Return "dd[4242] 98%": the largest owner and its share of the bytes submitted for others.

    Only what was added between the two readings counts; "" when that is nothing. An owner that
    nobody knows by name is "?[pid]".

    98 MB for dd and 2 MB for sh are "dd[4242] 98%".
    """
    if before is after:
        return ""
    earlier = dict(before)
    grown = [(count - earlier.get(owner, 0), owner) for owner, count in after]
    largest, owner = max(grown, default=(0, 0))
    if largest <= 0:
        return ""
    pct = 100.0 * largest / sum(count for count, _ in grown if count > 0)
    process = find(owner)
    name = "?" if process is None else process.comm
    return f"{name}[{owner & ((1 << PID_BITS) - 1)}] {pct:.0f}%"
