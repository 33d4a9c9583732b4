"""Rows as a tree: children under parents, the branch with the first row first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from iotop_ng.model.frame import Row


class Placed(NamedTuple):
    """A row and where it stands."""

    row: Row
    depth: int
    """0 at the top."""
    is_last: bool
    """No sibling follows."""


def flat(rows: Iterable[Row]) -> list[Placed]:
    """Return the rows one below the other, without a tree."""
    return [Placed(row, 0, True) for row in rows]


def tree(rows: Sequence[Row]) -> list[Placed]:
    """Return each row below its parent, and the first row of the list on the first branch.

    Of siblings the one comes first that is, or has anywhere below it, the earlier row.

    A process hangs below the process of its ppid, a thread below its process's first thread. Whose
    parent is not among the rows (filtered out, ended, in another container) stands at the top.
    """
    parents = _heads(rows)
    children: dict[int, list[int]] = {}
    top: list[int] = []
    above = [_parent(row, index, rows, parents) for index, row in enumerate(rows)]
    for index in _branches(above):
        parent = above[index]
        if parent is None:
            top.append(index)
        else:
            children.setdefault(parent, []).append(index)
    placed = _walk(rows, top, children)
    if len(placed) < len(rows):
        # Reused pids can make a ring, which hangs from nowhere: show its members at the top.
        known = {id(p.row) for p in placed}
        placed.extend(flat(row for row in rows if id(row) not in known))
    return placed


def _branches(above: Sequence[int | None]) -> list[int]:
    """Return the indices in their order, but each one's ancestors before it."""
    found: list[int] = []
    known: set[int] = set()
    for start in range(len(above)):
        chain: list[int] = []
        index: int | None = start
        while index is not None and index not in known:
            known.add(index)
            chain.append(index)
            index = above[index]
        found.extend(reversed(chain))
    return found


def _heads(rows: Sequence[Row]) -> dict[int, int]:
    """Return by pid the index of the row that children hang below: alive before ended."""
    heads: dict[int, int] = {}
    for index, row in enumerate(rows):
        if row.tid is not None and row.tid != row.pid:
            continue
        known = heads.get(row.pid)
        if known is None or (rows[known].exited, -rows[known].start_ns) > (
            row.exited,
            -row.start_ns,
        ):
            heads[row.pid] = index
    return heads


def _parent(row: Row, index: int, rows: Sequence[Row], heads: dict[int, int]) -> int | None:
    if row.tid is not None and row.tid != row.pid:
        head = heads.get(row.pid)
        if head is not None and rows[head].key == row.key:
            return head
    parent = heads.get(row.ppid)
    # A parent that started later has only got the pid of the real one.
    if parent is None or parent == index or rows[parent].start_ns > row.start_ns:
        return None
    return parent


def _walk(rows: Sequence[Row], top: list[int], children: dict[int, list[int]]) -> list[Placed]:
    # A stack instead of recursion: a chain of shells can be deeper than Python's.
    placed: list[Placed] = []
    stack = [(index, 0, index == top[-1]) for index in reversed(top)]
    while stack:
        index, depth, is_last = stack.pop()
        placed.append(Placed(rows[index], depth, is_last))
        below = children.get(index)
        if below:
            stack.extend([(i, depth + 1, i == below[-1]) for i in reversed(below)])
    return placed
