"""Throttle by cgroup v2: a line in io.max of the target's own cgroup, one for each disk.

Nobody is moved to another cgroup: that would take its other limits off it. So a process can be
throttled this way only where nobody else is in its cgroup.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from iotop_ng.enforcers.block_stack import Disk
from iotop_ng.enforcers.cgroupfs import Cgroup, Cgroups, Files
from iotop_ng.enforcers.enforcer import Effect, Note, Pinned
from iotop_ng.enforcers.io_max_lines import IoMaxEffect, Lines, UnitLines
from iotop_ng.enforcers.kin import Relative, strangers
from iotop_ng.enforcers.orders import Mechanism, Order, Rung
from iotop_ng.enforcers.places import Places
from iotop_ng.enforcers.systemd import Systemd
from iotop_ng.errors import EnforcerError, IotopError, TargetError
from iotop_ng.policy.actions import CgroupTarget, ProcessTarget
from iotop_ng.units import clean

_ESCAPE = (
    "it waits at the disk: buffered writers fill memory first and escape it for some seconds, "
    "longer when they rewrite cached files"
)
_SURVIVES = "the line in io.max, until iotop-ng runs again or 'iotop-ng undo'"


class Place(NamedTuple):
    """Where the limit of a target goes."""

    cgroup: Cgroup
    unit: str | None
    """systemd's, "" never; None: the cgroup is not systemd's."""
    disks: tuple[Disk, ...]
    others: tuple[Relative, ...] = ()
    """Who is in a process's cgroup without belonging to the process."""


class IoMaxEnforcer:
    """Looks for the cgroup and its disks; `IoMaxEffect` is what is in force."""

    def __init__(
        self, root: Path = Path("/"), files: Files | None = None, systemd: Systemd | None = None
    ) -> None:
        """Look below another root, with other files or another systemd, in tests."""
        self._proc = root / "proc"
        self._cgroups = Cgroups(root, files)
        self._places = Places(root)
        self._systemd = systemd or Systemd(root)

    @property
    def mechanism(self) -> Mechanism:
        """Its name."""
        return Mechanism.IO_MAX

    def rung(self, pinned: Pinned, order: Order) -> Rung:
        """Say whether it can work here, who else is hit, and on which disks."""
        does = "the kernel delays all that its cgroup writes, at the disk"
        try:
            place = self._place(pinned)
        except IotopError as error:
            return Rung(Mechanism.IO_MAX, works=False, why=str(error), does=does)
        names = ", ".join(disk.name for disk in place.disks)
        each = "each of " if len(place.disks) > 1 else ""
        through = f" through systemd ({place.unit})" if place.unit else ""
        does = f"the kernel delays all that {place.cgroup.shown} writes to {each}{names}{through}"
        others = tuple(other.name for other in place.others)
        why = _why_not(place, order)
        if not why and isinstance(pinned.target, CgroupTarget):
            others = tuple(member.name for member in pinned.members())
        return Rung(
            Mechanism.IO_MAX,
            works=not why,
            why=why or _ESCAPE,
            does=does,
            others=others,
            survives=_SURVIVES,
        )

    def apply(self, pinned: Pinned, order: Order, note: Note) -> Effect:
        """Write the lines.

        Raises:
            EnforcerError: with one line; what was noted so far is undone by the keeper.
            TargetError: the target is gone.
            NotPermittedError: cgroupfs may not be written.
        """
        pinned.check()
        place = self._place(pinned)
        if why := _why_not(place, order):
            raise EnforcerError(f"io.max: {why}")
        stack = self._places.stack
        lines = (
            Lines(self._cgroups, place.cgroup, note)
            if place.unit is None
            else UnitLines(self._systemd, stack, place.unit, note)
        )
        effect = IoMaxEffect(
            pinned=pinned,
            cgroup=place.cgroup,
            cgroups=self._cgroups,
            places=self._places,
            lines=lines,
            proc=self._proc,
        )
        effect.start(place.disks, order)
        return effect

    def _place(self, pinned: Pinned) -> Place:
        """Find cgroup, unit and disks.

        Raises:
            IotopError: there are none, with the reason.
        """
        mount = self._cgroups.unified()
        if mount is None:
            raise EnforcerError("cgroup v2 is not mounted here")
        self._check_kernel(mount)
        cgroup = self._cgroup(pinned, mount)
        unit = self._systemd.unit_of(cgroup.path)
        self._check_controller(cgroup, unit)
        pids = self._cgroups.pids(cgroup)
        others: tuple[Relative, ...] = ()
        if isinstance(pinned.target, ProcessTarget):
            if pinned.target.pid not in pids:
                # Threaded cgroups do not say: who else is in it could not be seen.
                raise EnforcerError(f"who is in its cgroup {cgroup.shown} cannot be read")
            others = strangers(self._proc, pids, pinned.target.pid)
        return Place(cgroup, unit, tuple(sorted(self._places.at_first(pids))), others)

    def _cgroup(self, pinned: Pinned, mount: Path) -> Cgroup:
        match pinned.target:
            case CgroupTarget(path=path):
                pass
            case ProcessTarget(pid=pid):
                own = self._cgroups.of_process(pid)
                if own is None:
                    raise TargetError(f"{pinned.name} has ended, or is in no cgroup of v2")
                path = own
        if path in {"", "/"}:
            whose = "it" if isinstance(pinned.target, CgroupTarget) else f"{pinned.name}'s cgroup"
            raise EnforcerError(f"{whose} is the root of all cgroups, which has no io.max")
        cgroup = self._cgroups.find(mount, path)
        if cgroup is None:
            raise EnforcerError(f"cgroup v2 has no {clean(path, 512)}")
        return cgroup

    def _check_kernel(self, mount: Path) -> None:
        """Make sure that cgroup v2 has the io controller here at all."""
        if "io" in self._cgroups.read(Cgroup("/", mount, 0), "cgroup.controllers").split():
            return
        if self._cgroups.is_io_in_v1():
            raise EnforcerError("the io controller belongs to cgroup v1 here")
        raise EnforcerError("this kernel's cgroup v2 has no io controller")

    def _check_controller(self, cgroup: Cgroup, unit: str | None) -> None:
        """Make sure that the cgroup has io.max, or gets it from systemd."""
        controllers = self._cgroups.read(cgroup, "cgroup.controllers").split()
        if unit is None and "io" not in controllers:
            above = clean(cgroup.path.rpartition("/")[0] or "/", 512)
            raise EnforcerError(
                f"{cgroup.shown} has no io controller: cgroup.subtree_control of {above} lacks +io"
            )


def _why_not(place: Place, order: Order) -> str:
    """Return why the limit cannot be set there, "" when it can."""
    if order.rate_bytes_per_s is None:
        return "it needs a rate"
    if place.others:
        count = f"{len(place.others)} other{'s' if len(place.others) > 1 else ''}"
        return (
            f"its cgroup {place.cgroup.shown} holds {count}: throttle the cgroup to hold them all"
        )
    if not place.disks:
        return "no disk is under the files that it writes (memory, network, or no files)"
    return ""
