"""Find what is to be acted on, hold on to it, and refuse what nobody may touch.

Identity is pid and start time together, pinned by a pidfd; a cgroup's is its path and inode. Both
are looked at again right before acting (`check`).

A process inside a container is a target like any other: it has a number in our PID namespace, and
that is the number which /proc, BPF and ptrace use. What cannot work is the other direction. When
iotop-ng itself runs in a PID namespace of its own, /proc shows that namespace's numbers and BPF the
kernel's, so one number would mean two processes: nothing can be acted on from there.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

from iotop_ng.enforcers import processes
from iotop_ng.enforcers.cgroupfs import Cgroup, Cgroups, parse_mountinfo
from iotop_ng.enforcers.enforcer import Member, Pinned
from iotop_ng.enforcers.kin import descendants
from iotop_ng.enforcers.pinner import Own
from iotop_ng.enforcers.protection import operator_protection
from iotop_ng.errors import EnforcerError, TargetError
from iotop_ng.model.frame import Row
from iotop_ng.policy.actions import CgroupTarget, ProcessTarget, Target
from iotop_ng.policy.protect import Guarded, Protection, is_below
from iotop_ng.sample import process_key
from iotop_ng.sources.containers import Containers
from iotop_ng.sources.identity import Described, Identities
from iotop_ng.sources.kept_file import read_small
from iotop_ng.units import clean

INITIAL_NAMESPACE = "pid:[4026531836]"
"""PROC_PID_INIT_INO, include/linux/proc_ns.h."""
_MOUNTINFO_BYTES = 1024 * 1024
_MAX_CHAIN = 1024
_NAME_S = 1.0
"""How long the name of a container is waited for: the keeper has others to answer."""


class PinnedProcess:
    """A process that is held on to by its pidfd."""

    def __init__(self, target: ProcessTarget, name: str, handle: processes.Handle) -> None:
        self._target = target
        self._name = name
        self._handle = handle
        self.spared: frozenset[int] = frozenset()
        """Descendants that nobody may touch, as they were judged last."""

    @property
    def target(self) -> ProcessTarget:
        """What was asked for."""
        return self._target

    @property
    def name(self) -> str:
        """Command and pid, "dd[4242]", cleaned."""
        return self._name

    def check(self) -> None:
        """Look again.

        Raises:
            TargetError: it has ended.
        """
        if self._handle.has_ended():
            raise TargetError(f"{self._name} has ended")

    def members(self) -> tuple[Member, ...]:
        """Return the process itself; nothing when it has ended."""
        if self._handle.has_ended():
            return ()
        return (Member(self._target.pid, self._handle.start_ns, self._name),)

    def offspring(self) -> tuple[int, ...]:
        """Return its descendants of now that may be touched."""
        found = descendants(self._target.pid)
        return tuple(pid for pid in found if pid not in self.spared and pid != os.getpid())

    def close(self) -> None:
        """Let go of it; twice is fine."""
        self._handle.close()


def family(pinned: Pinned, *, with_children: bool) -> tuple[int, ...]:
    """Return the pids of a target now, with the processes that it has forked when asked for."""
    pids = tuple(member.pid for member in pinned.members())
    if with_children and pids and isinstance(pinned, PinnedProcess):
        return tuple(dict.fromkeys((*pids, *pinned.offspring())))
    return pids


class PinnedCgroup:
    """A cgroup by its path, in every hierarchy that has this path, with the inode of each."""

    def __init__(
        self, target: CgroupTarget, places: tuple[Cgroup, ...], cgroups: Cgroups, *,
        name: str, identities: Identities, proc: Path,
    ) -> None:  # fmt: skip
        self._target = target
        self.places = places
        """Where it is: in v2 only, or in each of the hierarchies of v1."""
        self._cgroups = cgroups
        self._identities = identities
        self._proc = proc
        self._name = name

    @property
    def target(self) -> CgroupTarget:
        """What was asked for."""
        return self._target

    @property
    def name(self) -> str:
        """The path, cleaned; a container's own name."""
        return self._name

    def check(self) -> None:
        """Look again.

        Raises:
            TargetError: it is gone, or was made anew under the same name.
        """
        if not any(place.is_still_there() for place in self.places):
            raise TargetError(f"{self.name} is gone")

    def members(self) -> tuple[Member, ...]:
        """Return all processes in it and below, as the screen counts them; never ourselves.

        With v1 a process is in several cgroups at once: what counts is the one path by which it is
        shown.
        """
        pids: set[int] = set()
        for place in self.places:
            if place.is_still_there():
                pids |= self._cgroups.pids(place)
        found = (self._member(pid) for pid in sorted(pids - {os.getpid()}))
        return tuple(member for member in found if member is not None)

    def _member(self, pid: int) -> Member | None:
        path = self._identities.cgroup(pid)
        stat = processes.read_stat(pid, self._proc)
        if path is None or stat is None or not is_below(path, _normal(self._target.path)):
            return None
        return Member(pid, stat.start_ticks * processes.NS_PER_TICK, f"{stat.comm}[{pid}]")

    def close(self) -> None:
        """Hold nothing."""


class HostPinner:
    """Finds targets on this machine; see `iotop_ng.enforcers.pinner.Pinner`.

    Args:
        root: where /proc and the cgroups are.
        protection: gives what the operator adds to the protected.
        namespace: the PID namespace in which acting is possible.
    """

    def __init__(
        self,
        root: Path = Path("/"),
        protection: Callable[[], Protection] = operator_protection,
        namespace: str = INITIAL_NAMESPACE,
    ) -> None:
        self._proc = root / "proc"
        self._root = root
        self._protection = protection
        self._namespace = namespace
        self._identities = Identities(root)
        self._cgroups = Cgroups(root)
        self._containers = Containers(root, patience_s=_NAME_S)

    def pin(self, target: Target) -> PinnedProcess | PinnedCgroup:
        """Find it and hold on to it.

        Raises:
            TargetError: gone, another one by now, or out of our reach.
            EnforcerError: no descriptor is left to hold on to it.
        """
        self._check_namespace()
        if isinstance(target, CgroupTarget):
            return self._pin_cgroup(target)
        return self._pin_process(target)

    def unpin(self, pinned: Pinned) -> None:
        """Let go of it; twice is fine."""
        if isinstance(pinned, PinnedProcess | PinnedCgroup):
            pinned.close()

    def why_untouchable(self, pinned: Pinned, own: Own) -> str:
        """Return why nobody may touch it, looked at now; "" when it may be touched.

        Only what decides is read: the target, its ancestors, ours and our clients'.

        Raises:
            UsageError: what the operator adds has mistakes.
        """
        target = pinned.target
        ours = frozenset({os.getpid(), *own.helpers})
        added = self._protection()
        clients = {*own.clients, *(_leader(pid) for pid in own.clients)} - {0}
        members = tuple(member.pid for member in pinned.members())
        heirs = descendants(target.pid) if isinstance(target, ProcessTarget) else ()
        rows = self._rows({*members, *heirs, *ours, *clients})
        guarded = Guarded(
            Protection(
                own_pids=ours,
                terminal_pids=frozenset(clients),
                programs=added.programs,
                cgroups=added.cgroups,
            ),
            rows.values(),
        )
        if isinstance(target, CgroupTarget):
            return guarded.why_cgroup(_normal(target.path))
        if isinstance(pinned, PinnedProcess):
            pinned.spared = _spared(heirs, rows, guarded)
        row = rows.get(target.pid)
        # One that has just ended is nothing to protect: the next check says that it is gone.
        return "" if row is None else guarded.why(row)

    def _pin_process(self, target: ProcessTarget) -> PinnedProcess:
        try:
            handle = processes.find(target.pid, target.start_ns)
        except OSError as error:
            raise EnforcerError(f"process {target.pid}: {error.strerror}") from error
        stat = processes.read_stat(target.pid, self._proc)
        if handle is None:
            raise TargetError(_why_not_found(target, stat is not None))
        name = f"{stat.comm if stat else '?'}[{target.pid}]"
        pinned = PinnedProcess(target, name, handle)
        try:
            pinned.check()
        except TargetError:
            pinned.close()
            raise
        return pinned

    def _pin_cgroup(self, target: CgroupTarget) -> PinnedCgroup:
        found = (self._cgroups.find(mount, target.path) for mount in self._hierarchies())
        places = tuple(place for place in found if place is not None)
        if not places or not target.path.startswith("/"):
            raise TargetError(f"there is no cgroup {clean(target.path, 512)}")
        container = self._containers.of(_normal(target.path))
        # What is below the container's own cgroup is only a part of it.
        is_whole = container is not None and container.cgroup == _normal(target.path)
        name = container.shown if container and is_whole else clean(target.path, 512)
        return PinnedCgroup(
            target, places, self._cgroups, name=name, identities=self._identities, proc=self._proc
        )

    def _hierarchies(self) -> list[Path]:
        """Return where v2 and each hierarchy of v1 are mounted."""
        raw = read_small(self._proc / "self/mountinfo", _MOUNTINFO_BYTES) or b""
        mounts = parse_mountinfo(os.fsdecode(raw))
        return [
            self._root / mount.point.lstrip("/")
            for mount in mounts
            if mount.kind in {"cgroup", "cgroup2"}
        ]

    def _check_namespace(self) -> None:
        try:
            own = os.readlink(self._proc / "self/ns/pid")  # noqa: PTH115 - no path comes back
            is_our_proc = os.readlink(self._proc / "self") == str(os.getpid())  # noqa: PTH115 - as above
        except OSError as error:
            raise TargetError(f"/proc cannot be read: {error.strerror}") from error
        if own != self._namespace or not is_our_proc:
            raise TargetError(
                "iotop-ng runs in another PID namespace than the machine: process numbers here"
                " are not the kernel's; run it on the host (in a container: with --pid=host)"
            )

    def _rows(self, pids: Iterable[int]) -> dict[int, Row]:
        """Return these processes and all their ancestors as rows, and PID 1."""
        rows: dict[int, Row] = {}
        for pid in (1, *pids):
            current = pid
            for _ in range(_MAX_CHAIN):
                if current <= 0 or current in rows:
                    break
                described = self._identities.describe(current)
                if described is None:
                    break
                rows[current] = _row(current, described)
                current = described.ppid
        return rows


def _spared(heirs: Iterable[int], rows: dict[int, Row], guarded: Guarded) -> frozenset[int]:
    """Return those of a family, nearest first, that are protected, with what they have forked."""
    spared: set[int] = set()
    for pid in heirs:
        row = rows.get(pid)
        if row is not None and (row.ppid in spared or guarded.why(row)):
            spared.add(pid)
    return frozenset(spared)


def _row(pid: int, who: Described) -> Row:
    return Row(
        key=process_key(pid, who.start_ns),
        pid=pid,
        tid=None,
        start_ns=who.start_ns,
        ppid=who.ppid,
        uid=who.uid,
        user="",
        comm=who.comm,
        command=who.command,
        cgroup=who.cgroup,
        prio=None,
        is_kthread=who.is_kthread,
        exited=False,
    )


def _leader(pid: int) -> int:
    """Return the leader of a process's session: the shell of its terminal; 0 when it is gone."""
    try:
        return os.getsid(pid)
    except OSError:
        return 0


def _why_not_found(target: ProcessTarget, has_number: bool) -> str:
    if target.pid <= 0:
        return f"{target.pid} is no process"
    if has_number:
        return f"process {target.pid} has ended, and another one has its number now"
    return f"process {target.pid} is gone"


def _normal(path: str) -> str:
    return "/" + "/".join(part for part in path.split("/") if part)
