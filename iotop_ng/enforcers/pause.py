"""Throttle by pause: the whole target is stopped when it has overdrawn, and continued when due.

A cgroup that holds only the target is frozen, which nobody sees; else SIGSTOP and SIGCONT, which
shells and parents do see. Counted by the kernel where BPF works, else with /proc/PID/io.
"""

from __future__ import annotations

from pathlib import Path

from iotop_ng.enforcers import processes
from iotop_ng.enforcers.cgroupfs import Cgroups
from iotop_ng.enforcers.crowd import CgroupCrowd, Crowd, ProcessCrowd
from iotop_ng.enforcers.enforcer import Effect, Note, Pinned
from iotop_ng.enforcers.kin import strangers
from iotop_ng.enforcers.orders import Mechanism, Order, Rung
from iotop_ng.enforcers.pause_effect import ByFreezer, BySignals, PauseEffect
from iotop_ng.enforcers.pause_kernel import KernelCount
from iotop_ng.errors import EnforcerError, IotopError
from iotop_ng.policy.actions import CgroupTarget, ProcessTarget

_DOES_SIGNALS = (
    "all of it stops (SIGSTOP) when it has written too much, and goes on (SIGCONT) when that is "
    'due; a shell prints "[1]+ Stopped" and takes its terminal back, a parent may see it'
)
_DOES_FREEZER = "all of {} is frozen when it has written too much, and thawed when that is due"
_SURVIVES = "nothing; if keeper and helper are killed together, a pause until 'iotop-ng undo'"
_STOPPED = "T"


class PauseEnforcer:
    """Throttle by pause."""

    def __init__(self, root: Path = Path("/"), *, with_bpf: bool = True) -> None:
        """Look for cgroups below another root, and count without BPF, in tests."""
        self._proc = root / "proc"
        self._cgroups = Cgroups(root)
        self._no_bpf = "" if with_bpf else "BPF is not to be used"
        self._loaded: KernelCount | None = None

    @property
    def mechanism(self) -> Mechanism:
        """Its name."""
        return Mechanism.PAUSE

    def rung(self, pinned: Pinned, order: Order) -> Rung:
        """Say how it would be stopped, and whether somebody has stopped it already."""
        freeze = self._freezer(pinned)
        does = _DOES_FREEZER.format(freeze.cgroup.shown) if freeze else _DOES_SIGNALS
        others: tuple[str, ...] = ()
        if isinstance(pinned.target, CgroupTarget):
            others = tuple(member.name for member in pinned.members())
        try:
            why = "it needs a rate" if order.rate_bytes_per_s is None else ""
            why = why or self._why_stopped(pinned, freeze)
        except IotopError as error:
            why = str(error)
        return Rung(
            Mechanism.PAUSE,
            works=not why,
            why=why or self._how_it_counts(),
            does=does,
            others=others,
            survives=_SURVIVES,
        )

    def _how_it_counts(self) -> str:
        if why := self._load():
            return f"it writes in gulps, and the rate holds over seconds only: {why}"
        return ""

    def apply(self, pinned: Pinned, order: Order, note: Note) -> Effect:
        """Pause it from now on.

        Raises:
            EnforcerError: somebody else has stopped it, or the helper cannot be started.
            TargetError: the target is gone.
        """
        pinned.check()
        freeze = self._freezer(pinned)
        if why := self._why_stopped(pinned, freeze):
            raise EnforcerError(f"pause: {why}")
        crowd: Crowd
        if freeze is not None:
            crowd = CgroupCrowd(pinned, lambda: self._cgroups.pids(freeze.cgroup), self._proc)
        elif isinstance(pinned.target, ProcessTarget):
            crowd = ProcessCrowd(pinned, self._proc, with_children=order.with_children)
        else:
            crowd = CgroupCrowd(pinned, None, self._proc)
        count = self._kernel_count(order)
        effect = PauseEffect(pinned, order, note, freeze or BySignals(), crowd, count=count)
        try:
            effect.start()
        except OSError as error:
            effect.undo()
            raise EnforcerError(f"pause: {pinned.name}: {error.strerror}") from error
        except BaseException:
            effect.undo()
            raise
        return effect

    def _kernel_count(self, order: Order) -> KernelCount | None:
        """Return the kernel's own counting, attached; None where BPF does not work."""
        self._load()
        count, self._loaded = self._loaded, None
        if count is None:
            return None
        try:
            count.begin(order.rate_bytes_per_s or 1, with_children=order.with_children)
        except (IotopError, OSError):
            count.close()
            return None
        return count

    def _load(self) -> str:
        """Load what the next target needs, because that takes a second; return why it cannot be."""
        if not self._no_bpf and self._loaded is None:
            try:
                self._loaded = KernelCount()
            except IotopError as error:
                self._no_bpf = str(error)
            except OSError as error:
                self._no_bpf = f"BPF does not work here: {error.strerror}"
        return self._no_bpf

    def _freezer(self, pinned: Pinned) -> ByFreezer | None:
        """Return the freezer of a cgroup that is the target's alone, None without one."""
        unified, v1 = self._cgroups.unified(), self._cgroups.freezer_v1()
        found = None
        if unified is not None:
            found = self._of(pinned, unified, "", "cgroup.freeze", ("1", "0"))
        if found is None and v1 is not None:
            found = self._of(pinned, v1, "freezer", "freezer.state", ("FROZEN", "THAWED"))
        return found

    def _of(
        self, pinned: Pinned, mount: Path, controller: str, file: str, values: tuple[str, str]
    ) -> ByFreezer | None:
        match pinned.target:
            case CgroupTarget(path=path):
                where: str | None = path
            case ProcessTarget(pid=pid):
                where = self._cgroups.of_process(pid, controller)
        if where in {None, "", "/"}:
            return None
        cgroup = self._cgroups.find(mount, where or "")
        if cgroup is None or not (cgroup.directory / file).exists():
            return None
        target = pinned.target
        if isinstance(target, ProcessTarget):
            pids = self._cgroups.pids(cgroup)
            if target.pid not in pids or strangers(self._proc, pids, target.pid):
                return None
        return ByFreezer(cgroup, file, *values)

    def _why_stopped(self, pinned: Pinned, freeze: ByFreezer | None) -> str:
        """Return who has stopped it already, "" when nobody has."""
        if freeze is not None:
            state = self._cgroups.read(freeze.cgroup, freeze.file).strip()
            return "" if state == freeze.off else "its cgroup is frozen already, by somebody else"
        for member in pinned.members():
            stat = processes.read_stat(member.pid)
            if stat is not None and stat.state == _STOPPED:
                return f"{member.name} is stopped already, by somebody else"
        return ""
