"""Who may never be touched. No rule can take anybody off this list; operators can add to it.

PID 1, kernel threads, ourselves with our helpers and our ancestors up to PID 1 (shell, sudo,
terminal, sshd), the leader of our session and its ancestors, what keeps the machine reachable and
logged (`protected.py`), the victims, and everything that shares a cgroup with one of them. Where
we run in that cgroup too, it is a login session or a whole container and says nothing about who
belongs to the victim: then a single process in it may be acted on, the cgroup still not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase

import msgspec

from iotop_ng.model.frame import Row
from iotop_ng.policy.protected import CGROUPS, LOGIN_PROGRAMS, SERVICES

MAX_CHAIN = 1024
"""Ancestors that are followed; a longer chain is a circle made of stale parents."""


class Protection(msgspec.Struct, frozen=True):
    """What is protected here beyond the built-in list."""

    own_pids: frozenset[int] = frozenset()
    """Our processes; what they started and their ancestors are protected with them. Empty in a
    simulation."""
    terminal_pids: frozenset[int] = frozenset()
    """The leader of our terminal's session: only with its ancestors, because a hog may have been
    started from the same shell."""
    programs: tuple[str, ...] = ()
    """Patterns of executable names that the operator added."""
    cgroups: tuple[str, ...] = ()
    """Patterns of cgroup paths that the operator added; each with everything below it."""


class Guarded:
    """The protected of one frame, looked up by row and by cgroup."""

    def __init__(
        self, protection: Protection, rows: Iterable[Row], victims: frozenset[int] = frozenset()
    ) -> None:
        """Look at all rows once.

        Args:
            protection: what the operator and the host add.
            rows: of one frame.
            victims: process keys of those that a policy acts for.
        """
        self._protection = protection
        self._rows = [row for row in rows if not row.exited]
        by_pid = {row.pid: row for row in self._rows}
        own, terminal = protection.own_pids, protection.terminal_pids
        self._own = _started_by(own, by_pid) | _up_from(own | terminal, by_pid)
        self._has_systemd = _starts_with_systemd(by_pid.get(1))
        self._victims = victims
        our_cgroups = {by_pid[pid].cgroup for pid in own if pid in by_pid}
        self._victim_cgroups = {
            row.cgroup for row in self._rows if row.key in victims and _is_group(row.cgroup)
        } - our_cgroups
        self._cgroups: dict[str, str] | None = None

    def why(self, row: Row) -> str:
        """Return why this process is protected, "" when it is not."""
        if row.pid <= 1:
            return "it is PID 1"
        if row.is_kthread or row.pid == 2 or row.ppid == 2:
            return "it is a kernel thread"
        if row.pid in self._own:
            return "iotop-ng runs in it or under it"
        if row.key in self._victims:
            return "it is a victim to be helped"
        if row.cgroup in self._victim_cgroups:
            return "it shares the cgroup of a victim"
        return self._why_by_name(row) or self._why_by_place(row.cgroup)

    def why_cgroup(self, path: str) -> str:
        """Return why this cgroup is protected, "" when neither it nor anything below it is."""
        if not _is_group(path):
            return "it is the root of all cgroups"
        if why := self._why_by_place(path):
            return why
        inside = (why for other, why in self._inside().items() if is_below(other, path))
        return next(inside, "")

    def _inside(self) -> dict[str, str]:
        """Return why each cgroup with a protected process is protected; asked for rarely."""
        if self._cgroups is None:
            self._cgroups = {}
            for row in self._rows:
                if row.cgroup and (why := self.why(row)):
                    self._cgroups.setdefault(row.cgroup, f"{row.comm} is in it: {why}")
        return self._cgroups

    def _why_by_name(self, row: Row) -> str:
        names = {row.comm, program_of(row.command)} - {""}
        if any(fnmatchcase(name, p) for name in names for p in self._protection.programs):
            return "the operator protects the program"
        unit = (row.cgroup or "").rsplit("/", 1)[-1]
        is_placed = self._has_systemd and _is_group(row.cgroup)
        for service in SERVICES:
            if is_placed and any(fnmatchcase(unit, pattern) for pattern in service.units):
                return f"the machine needs {unit}"
            if not is_placed and not names.isdisjoint(service.programs):
                return f"the machine needs {row.comm}"
        if is_placed and row.uid == 0 and unit.endswith(".scope") and names & LOGIN_PROGRAMS:
            return "somebody is logged in through it"
        return ""

    def _why_by_place(self, cgroup: str | None) -> str:
        if cgroup is None:
            return ""
        if any(is_below(cgroup, path) for path in CGROUPS):
            return f"the machine needs what is in {cgroup}"
        # systemd moves even itself out of the root, so who is there was put there on purpose.
        if self._has_systemd and not _is_group(cgroup):
            return "it is in the root cgroup"
        if any(_matches_path(cgroup, pattern) for pattern in self._protection.cgroups):
            return "the operator protects the cgroup"
        return ""


def program_of(command: str) -> str:
    """Return the name of the executable in a command line: "sshd" for "sshd: root@pts/0"."""
    first = command.split(" ", 1)[0]
    return first.rsplit("/", 1)[-1].rstrip(":").removeprefix("-")


def is_below(path: str, ancestor: str) -> bool:
    """Say whether a cgroup is another one or below it."""
    return path == ancestor or path.startswith(ancestor.rstrip("/") + "/")


def _matches_path(cgroup: str, pattern: str) -> bool:
    """Say whether the cgroup or one of those above it matches."""
    parts = cgroup.split("/")
    return any(fnmatchcase("/".join(parts[:n]), pattern) for n in range(2, len(parts) + 1))


def _is_group(path: str | None) -> bool:
    return path not in {None, "", "/"}


def _starts_with_systemd(first: Row | None) -> bool:
    return first is not None and first.cgroup == "/init.scope"


def _up_from(pids: frozenset[int], by_pid: Mapping[int, Row]) -> frozenset[int]:
    """Return these and all their ancestors."""
    found = set(pids)
    for pid in pids:
        current = pid
        for _ in range(MAX_CHAIN):
            row = by_pid.get(current)
            if row is None or row.ppid in {0, current}:
                break
            current = row.ppid
            found.add(current)
    return frozenset(found)


def _started_by(pids: frozenset[int], by_pid: Mapping[int, Row]) -> frozenset[int]:
    """Return these and everything that they started."""
    found = set(pids)
    while found and (
        young := {r.pid for r in by_pid.values() if r.ppid in found and r.pid not in found}
    ):
        found |= young
    return frozenset(found)
