"""Whom a policy covers, as it changes: those of the beginning, and those who join."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, Protocol

from iotop_ng.enforcers.enforcer import Member, Pinned
from iotop_ng.enforcers.kin import Kin, relative
from iotop_ng.enforcers.processes import NS_PER_TICK, PROC
from iotop_ng.errors import TargetError


class Joined(NamedTuple):
    """What has changed since the last look."""

    members: tuple[Member, ...] = ()
    watched: tuple[int, ...] = ()
    """Children that are not covered, but whose I/O a member inherits when they end."""


class Crowd(Protocol):
    """Those whom a policy covers."""

    def look(self) -> Joined:
        """Return who is new since the last look; at the first, everybody.

        Raises:
            TargetError: nobody is left.
        """
        ...

    def is_born_since(self, member: Member) -> bool:
        """Say whether a member started after the first look, so that all it did counts."""
        ...

    def pids(self) -> frozenset[int]:
        """Return those that were covered and alive at the last look."""
        ...


class ProcessCrowd:
    """A process and, where asked for, those that it forks from now on."""

    def __init__(self, pinned: Pinned, proc: Path = PROC, *, with_children: bool = True) -> None:
        self._pinned = pinned
        self._with_children = with_children
        self._first = pinned.members()
        self._first_pids = {member.pid for member in self._first}
        self._kin = Kin(self._first[0].pid, proc) if self._first else None
        self._is_first = True

    def look(self) -> Joined:
        """Return the new children; at the first look the process itself."""
        children = () if self._kin is None else self._kin.look()
        try:
            self._pinned.check()
        except TargetError:
            # Its children go on, and so does the limit, until the last has ended.
            if self._kin is None or not self._with_children or not self._kin.family:
                raise
        if self._is_first:
            self._is_first = False
            elders = () if self._kin is None else tuple(sorted(self._kin.elders))
            return Joined(self._first, elders)
        if not self._with_children:
            return Joined(watched=tuple(child.pid for child in children))
        return Joined(tuple(Member(*child) for child in children))

    def is_born_since(self, member: Member) -> bool:
        """Say whether it is not the process of the beginning."""
        return member.pid not in self._first_pids

    def pids(self) -> frozenset[int]:
        """Return the process and its new children that live."""
        alive = frozenset() if self._kin is None else frozenset(self._kin.family)
        return alive if self._with_children else alive & self._first_pids


class CgroupCrowd:
    """Everybody in a cgroup, whoever started them."""

    def __init__(
        self, pinned: Pinned, pids: Callable[[], frozenset[int]] | None, proc: Path = PROC
    ) -> None:
        """Ask `pids` who is in it; the target itself where that is the cgroup (None)."""
        self._pinned = pinned
        self._pids = pids
        self._proc = proc
        self._known: dict[int, Member] = {}
        self._since_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)

    def look(self) -> Joined:
        """Return who is new in the cgroup."""
        self._pinned.check()
        present = {member.pid: member for member in self._present()}
        new = tuple(m for pid, m in present.items() if self._known.get(pid) != m)
        self._known = present
        return Joined(new)

    def is_born_since(self, member: Member) -> bool:
        """Say whether it started after we began."""
        return member.start_ns // NS_PER_TICK > self._since_ns // NS_PER_TICK

    def pids(self) -> frozenset[int]:
        """Return those of the last look."""
        return frozenset(self._known)

    def _present(self) -> tuple[Member, ...]:
        if self._pids is None:
            return self._pinned.members()
        found = (relative(self._proc, pid) for pid in sorted(self._pids()))
        return tuple(Member(*who) for who in found if who is not None)
