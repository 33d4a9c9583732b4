"""Which rows of a frame each policy covers: its process and what that started since, its cgroup."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from iotop_ng.enforcers.orders import InForce
from iotop_ng.model.frame import Frame, Row
from iotop_ng.policy.actions import CgroupTarget, ProcessTarget
from iotop_ng.policy.protect import is_below

_TICK_NS = 10_000_000
"""/proc tells starts in clock ticks."""


class Covered:
    """The covered processes of one frame.

    Args:
        policies: everything in force.
        frame: of the readers.
        now_ns: the keeper's time at this frame; its clock is another one than the frame's.
    """

    def __init__(self, policies: Sequence[InForce], frame: Frame, now_ns: int) -> None:
        self._by_row: dict[int, list[int]] = {}
        """Process key -> numbers of the policies that cover it."""
        self._written: dict[int, float | None] = {policy.id: None for policy in policies}
        self._find(policies, frame.rows)
        for policy in policies:
            # Most have one process, and then nobody's children need to be looked for.
            if policy.order.with_children and (policy.counts.processes or 0) > 1:
                since_ns = frame.mono_ns - (now_ns - policy.since_ns) - _TICK_NS
                self._find_children(policy, frame.rows, since_ns)

    def written(self, number: int) -> float | None:
        """Return what everything that a policy covers wrote, bytes/s; None: not known."""
        return self._written[number]

    def marked(self, rows: tuple[Row, ...], texts: Mapping[int, str]) -> tuple[Row, ...]:
        """Return the rows with what is in force on each; rows that nothing covers stay as is."""
        if not self._by_row or not rows:
            return rows
        marked = list(rows)
        by_row = self._by_row
        for index, row in enumerate(rows):
            if row.key in by_row and not row.exited:
                text = ", ".join(texts[number] for number in by_row[row.key])
                marked[index] = msgspec.structs.replace(row, policy=text)
        return tuple(marked)

    def _find(self, policies: Iterable[InForce], rows: Sequence[Row]) -> None:
        pids: dict[int, list[InForce]] = {}
        paths: list[tuple[str, int]] = []
        for policy in policies:
            target = policy.order.target
            if isinstance(target, ProcessTarget):
                pids.setdefault(target.pid, []).append(policy)
            else:
                paths.append((target.path, policy.id))
        for row in rows:
            if row.exited:
                continue
            for policy in pids.get(row.pid, ()):
                if _is_same(row, policy):
                    self._add(policy.id, row)
            if paths and row.cgroup:
                for path, number in paths:
                    if is_below(row.cgroup, path):
                        self._add(number, row)

    def _find_children(self, policy: InForce, rows: Sequence[Row], since_ns: int) -> None:
        target = policy.order.target
        if isinstance(target, CgroupTarget):
            return
        children: dict[int, list[Row]] = {}
        for row in rows:
            if row.start_ns >= since_ns and not row.exited:
                children.setdefault(row.ppid, []).append(row)
        parents = [target.pid]
        while parents:
            young = children.pop(parents.pop(), ())
            for row in young:
                self._add(policy.id, row)
                parents.append(row.pid)

    def _add(self, number: int, row: Row) -> None:
        self._by_row.setdefault(row.key, []).append(number)
        if row.write_bytes_per_s is not None:
            self._written[number] = (self._written[number] or 0.0) + row.write_bytes_per_s


def _is_same(row: Row, policy: InForce) -> bool:
    """Say whether a row is the target: who ordered it may have had its start from elsewhere."""
    target = policy.order.target
    if not isinstance(target, ProcessTarget):
        return False
    return row.key == target.key or abs(row.start_ns - target.start_ns) <= 2 * _TICK_NS
