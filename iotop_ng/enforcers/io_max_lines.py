"""Lines of io.max in force: written, looked after, counted.

Only wbps is written, so the other limits of a line stay what they are; "max" is no limit.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol

from iotop_ng.clock import NS_PER_S
from iotop_ng.enforcers.block_stack import BlockStack, Disk
from iotop_ng.enforcers.cgroupfs import Cgroup, Cgroups, parse_nested
from iotop_ng.enforcers.changes import FileValue, UnitProperty
from iotop_ng.enforcers.enforcer import Note, Pinned
from iotop_ng.enforcers.kin import strangers
from iotop_ng.enforcers.orders import Counts, Order
from iotop_ng.enforcers.places import Places
from iotop_ng.enforcers.systemd import Systemd, in_order
from iotop_ng.errors import EnforcerError, IotopError, TargetError
from iotop_ng.policy.actions import ProcessTarget

_LOOK_NS = 2 * NS_PER_S
_FILE = "io.max"
_STAT = "io.stat"
_PROPERTY = "IOWriteBandwidthMax"


class Writer(Protocol):
    """Sets the write limit of disks for one cgroup."""

    def set(self, disks: Sequence[Disk], rate_bytes_per_s: int) -> None:
        """Note and write; these disks are all that shall have the limit.

        Raises:
            IotopError: it could not be written.
        """
        ...


class Lines:
    """Writes to cgroupfs."""

    def __init__(self, cgroups: Cgroups, cgroup: Cgroup, note: Note) -> None:
        self._cgroups = cgroups
        self._cgroup = cgroup
        self._note = note
        self._noted: dict[str, FileValue] = {}

    def set(self, disks: Sequence[Disk], rate_bytes_per_s: int) -> None:
        """Note and write a line for each disk that has another rate yet."""
        for disk in disks:
            line = f"{disk.key} wbps={rate_bytes_per_s}"
            noted = self._noted.get(disk.key)
            if noted is not None and noted.after == line:
                continue
            change = FileValue(
                path=str(self._cgroup.directory / _FILE),
                inode=self._cgroup.inode,
                key=disk.key,
                before=self._before(disk) if noted is None else noted.before,
                after=line,
                earlier=() if noted is None else (noted.after,),
            )
            self._note(change)
            self._noted[disk.key] = change
            self._cgroups.write(self._cgroup, _FILE, line)

    def _before(self, disk: Disk) -> str:
        line = parse_nested(self._cgroups.read(self._cgroup, _FILE)).get(disk.key, {})
        return f"{disk.key} wbps={line.get('wbps', 'max')}"


class UnitLines:
    """Sets systemd's property, which writes the lines and keeps them."""

    def __init__(self, systemd: Systemd, stack: BlockStack, unit: str, note: Note) -> None:
        self._systemd = systemd
        self._stack = stack
        self._unit = unit
        self._note = note
        self._noted: UnitProperty | None = None

    def set(self, disks: Sequence[Disk], rate_bytes_per_s: int) -> None:
        """Note and set one property for all disks."""
        noted = self._noted
        before = (
            self._systemd.get_property(self._unit, _PROPERTY) if noted is None else noted.before
        )
        kept = (entry for entry in before.splitlines() if not self._is_of(entry, disks))
        ours = (f"/dev/{disk.name.replace('!', '/')} {rate_bytes_per_s}" for disk in disks)
        after = in_order([*kept, *ours])
        if noted is not None and noted.after == after:
            return
        earlier = () if noted is None else (noted.after,)
        self._noted = UnitProperty(self._unit, _PROPERTY, before, after, earlier)
        self._note(self._noted)
        self._systemd.set_property(self._unit, _PROPERTY, after)

    def _is_of(self, entry: str, disks: Iterable[Disk]) -> bool:
        """Say whether an entry limits one of these disks, whatever it calls it."""
        path = entry.rpartition(" ")[0]
        try:
            number = Path(path).stat().st_rdev
        except OSError:
            return False
        return not self._stack.disks(os.major(number), os.minor(number)).isdisjoint(disks)


class IoMaxEffect:
    """The limit of one cgroup, in force."""

    def __init__(
        self,
        *,
        pinned: Pinned,
        cgroup: Cgroup,
        cgroups: Cgroups,
        places: Places,
        lines: Writer,
        proc: Path,
    ) -> None:
        self._pinned = pinned
        self._cgroup = cgroup
        self._cgroups = cgroups
        self._places = places
        self._lines = lines
        self._proc = proc
        self._disks: dict[str, Disk] = {}
        self._before: dict[str, int] = {}
        self._rate = 0
        self._looked_ns: int | None = None
        self._processes = 0
        self._problem = ""
        self._is_over = False

    def start(self, disks: Sequence[Disk], order: Order) -> None:
        """Set the limit for the first time.

        Raises:
            IotopError: it could not be written.
        """
        self._before = self._written()
        self._rate = _rate(order)
        self._set({disk.key: disk for disk in disks})
        self._processes = len(self._cgroups.pids(self._cgroup))

    def adjust(self, order: Order) -> None:
        """Write another rate.

        Raises:
            IotopError: it could not be written.
        """
        self._rate = _rate(order)
        self._set(self._disks)

    def tick(self, now_ns: int) -> str:
        """Every 2 s: look whether target and lines are still there; add disks that are new.

        Raises:
            EnforcerError: the process was moved out of the cgroup, so that nothing holds it.
            TargetError: the target has ended, the cgroup is gone.
        """
        if self._is_over or (self._looked_ns is not None and now_ns - self._looked_ns < _LOOK_NS):
            return self._problem
        is_first = self._looked_ns is None
        self._looked_ns = now_ns
        self._pinned.check()
        self._check_place()
        pids = self._cgroups.pids(self._cgroup)
        self._processes = len(pids)
        # systemd writes the lines some time after it has answered.
        changed = [] if is_first else self._changed()
        self._problem = "; ".join([*changed, *self._joined(pids), *self._add_disks(pids)])
        return self._problem

    def counts(self) -> Counts:
        """Return what the cgroup wrote to the disks since, as its io.stat says."""
        written = self._written()
        charged = [written[key] - self._before.get(key, 0) for key in self._disks if key in written]
        return Counts(
            charged_bytes=max(sum(charged), 0) if charged else None, processes=self._processes
        )

    def descriptors(self) -> tuple[int, ...]:
        """Nothing to wait on."""
        return ()

    def undo(self) -> tuple[str, ...]:
        """Write nothing any more: the lines are put back from the journal."""
        self._is_over = True
        return ()

    def _set(self, disks: dict[str, Disk]) -> None:
        self._lines.set([*disks.values()], self._rate)
        self._disks = disks

    def _check_place(self) -> None:
        if not self._cgroup.is_still_there():
            raise TargetError(f"the cgroup {self._cgroup.shown} is gone")
        target = self._pinned.target
        if isinstance(target, ProcessTarget):
            path = self._cgroups.of_process(target.pid)
            if path is not None and path != self._cgroup.path:
                raise EnforcerError(
                    f"{self._pinned.name} was moved out of {self._cgroup.shown}: "
                    "io.max holds it no longer"
                )

    def _changed(self) -> list[str]:
        """Say which lines somebody else has changed; those are left as they are."""
        if not (self._cgroup.directory / _FILE).exists():
            raise EnforcerError(f"{self._cgroup.shown} has no io.max: its io controller is off")
        lines = parse_nested(self._cgroups.read(self._cgroup, _FILE))
        problems = []
        for key, disk in [*self._disks.items()]:
            if not self._places.stack.exists(key):
                del self._disks[key]
                continue
            found = lines.get(key, {}).get("wbps", "max")
            if found != str(self._rate):
                problems.append(f"somebody changed the limit for {disk.name} to {found}")
        return problems

    def _joined(self, pids: frozenset[int]) -> list[str]:
        target = self._pinned.target
        if not isinstance(target, ProcessTarget):
            return []
        others = strangers(self._proc, pids, target.pid)
        return [f"{other.name} joined the cgroup and is held too" for other in others[:3]]

    def _add_disks(self, pids: frozenset[int]) -> list[str]:
        new = {disk.key: disk for disk in self._places.open_now(pids)}
        if new.keys() <= self._disks.keys():
            return []
        try:
            self._set({**self._disks, **new})
        except TargetError:
            raise
        except IotopError as error:
            return [str(error)]
        return []

    def _written(self) -> dict[str, int]:
        """Return written bytes of each disk; empty where io.stat cannot be read."""
        try:
            lines = parse_nested(self._cgroups.read(self._cgroup, _STAT))
            return {key: int(line["wbytes"]) for key, line in lines.items() if "wbytes" in line}
        except (IotopError, ValueError):
            return {}


def _rate(order: Order) -> int:
    if order.rate_bytes_per_s is None:
        raise EnforcerError("io.max needs a rate")
    return max(order.rate_bytes_per_s, 1)
