"""Which source to use: a pure decision over `Facts`, and opening with a step down.

The ladder is BPF, then /proc with delay accounting, then /proc. Every step down says what is
missing and the one command that mends it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import msgspec

from iotop_ng.errors import IotopError, NotPermittedError, SourceError, UsageError
from iotop_ng.ports import Source
from iotop_ng.sample import Need, Sample
from iotop_ng.sources.probe import Facts, gather
from iotop_ng.sources.procfs import ProcfsSource
from iotop_ng.sources.taskstats import TaskStats
from iotop_ng.units import clean

SOURCES = ("bcc", "procfs")
"""Names for --source."""

_OLDEST = (4, 18, 0)
SUDO = "sudo iotop-ng"
_ON_HOST = "run it on the host, or start the container with --privileged --pid=host"
MOUNT_TRACEFS = "mount -t tracefs tracefs /sys/kernel/tracing"
DELAYACCT_ON = "sysctl kernel.task_delayacct=1"


class Obstacle(NamedTuple):
    """One thing that is missing."""

    what: str
    """A clause, without a full stop."""
    remedy: str
    """The one command that mends it; "" where there is none."""
    is_permission: bool = False


Progress = Callable[[str], None]


class Choice(NamedTuple):
    """What was decided."""

    source: Source
    """Not opened."""
    notes: tuple[str, ...]
    """What is lost and why, one sentence each."""
    remedies: tuple[str, ...]
    """Commands that would lift the restrictions, in the order of the notes."""


def obstacles(facts: Facts) -> tuple[Obstacle, ...]:
    """Return what keeps BPF from working here, most basic first; () when it can work. Pure."""
    found = (look(facts) for look in OBSTACLES.values())
    return tuple(obstacle for obstacle in found if obstacle is not None)


def limits(facts: Facts) -> tuple[Obstacle, ...]:
    """Return what BPF works without, each saying what is lost. Pure."""
    if facts.tracefs is not None:
        return ()
    what = "no FSYNC, ASKED and kernel-pause columns: "
    if facts.is_tracefs_mounted:
        return (Obstacle(f"{what}tracefs cannot be read", SUDO),)
    return (Obstacle(f"{what}tracefs is not mounted", MOUNT_TRACEFS),)


def choose(facts: Facts, forced: str | None = None, on_progress: Progress | None = None) -> Choice:
    """Return the best source that these facts allow, or the forced one. Pure, opens nothing.

    Args:
        facts: what the host has.
        forced: one of SOURCES, None for the best.
        on_progress: is told in a few words what takes long while the source opens.

    Raises:
        UsageError: for a source that does not exist.
        NotPermittedError: when the forced source lacks a permission.
        SourceError: when the forced source cannot work here.
    """
    if forced is not None and forced not in SOURCES:
        raise UsageError(f"source {clean(forced, 40)!r}: there is {', '.join(SOURCES)}")
    if forced == "procfs":
        return _procfs(facts, ())
    found = obstacles(facts)
    if not found:
        return _bcc(facts, on_progress)
    if forced == "bcc":
        raise as_error(found[0])
    return _procfs(facts, found)


def as_error(obstacle: Obstacle) -> IotopError:
    """Return the error that a forced source ends with."""
    if obstacle.is_permission:
        return NotPermittedError(f"{obstacle.what}: {obstacle.remedy}")
    return SourceError(obstacle.what, obstacle.remedy)


def step_down(facts: Facts, error: Exception) -> Choice:
    """Return what to use after the BPF source failed to open although the facts allowed it."""
    remedy = error.remedy if isinstance(error, SourceError) else ""
    return _procfs(facts, (Obstacle(clean(str(error), 300), remedy or "iotop-ng doctor"),))


class BestSource:
    """The best source that works here, found when it is opened.

    So a screen can be up before anything was looked at. See `Source` for the protocol.
    """

    def __init__(
        self,
        forced: str | None = None,
        on_progress: Progress | None = None,
        *,
        look: Callable[[], Facts] = gather,
        decide: Callable[[Facts, str | None, Progress | None], Choice] = choose,
    ) -> None:
        self._forced = forced
        self._on_progress = on_progress
        self._look = look
        self._decide = decide
        self._source: Source | None = None
        self._notes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Name of the source that was found; the forced one or "" before."""
        return self._source.name if self._source is not None else self._forced or ""

    def open(self) -> None:
        """Look at the host, decide and open; a second call does nothing.

        Raises:
            IotopError: when the forced source does not work, or none does.
            OSError: likewise, in words of the system.
        """
        if self._source is not None:
            return
        facts = self._look()
        choice = self._decide(facts, self._forced, self._on_progress)
        try:
            choice.source.open()
        except (IotopError, OSError) as error:
            choice.source.close()
            if self._forced is not None or choice.source.name == "procfs":
                raise
            choice = step_down(facts, error)
            choice.source.open()
        self._source = choice.source
        # The procfs source says them itself: it knows more of them while it runs.
        self._notes = () if choice.source.name == "procfs" else choice.notes

    def read(self, needs: frozenset[Need]) -> Sample:
        """Read the source that was found."""
        if self._source is None:
            raise SourceError("the source is not open")
        sample = self._source.read(needs)
        if self._notes:
            return msgspec.structs.replace(sample, notes=(*self._notes, *sample.notes))
        return sample

    def close(self) -> None:
        """Close the source that was found."""
        if self._source is not None:
            self._source.close()
            self._source = None


def open_source(forced: str | None = None, on_progress: Progress | None = None) -> Source:
    """Return the best source that works here, opened.

    Raises:
        IotopError: when the forced source does not work, or none does.
    """
    source = BestSource(forced, on_progress)
    source.open()
    return source


def _bcc(facts: Facts, on_progress: Progress | None) -> Choice:
    # Deferred: only a host that can run BPF pays for the import.
    from iotop_ng.sources.bcc import BccSource  # noqa: PLC0415

    found = limits(facts)
    return Choice(
        BccSource(on_progress=on_progress),
        tuple(_sentence(limit) for limit in found),
        tuple(limit.remedy for limit in found if limit.remedy),
    )


def _procfs(facts: Facts, found: tuple[Obstacle, ...]) -> Choice:
    notes = []
    if found:
        more = f" (and {len(found) - 1} more: iotop-ng doctor)" if len(found) > 1 else ""
        notes.append(f"no BPF: {_sentence(found[0])}{more}")
    if facts.hidepid and "CAP_SYS_PTRACE" not in facts.capabilities:
        notes.append(f"/proc hides other users' processes (hidepid={facts.hidepid}): {SUDO}")
    problem = _delays_problem(facts)
    source = ProcfsSource(
        delays=None if problem else TaskStats(), delays_problem=problem, notes=tuple(notes)
    )
    remedies = [obstacle.remedy for obstacle in found if obstacle.remedy]
    if facts.delayacct == "off" and not problem:
        remedies.append(DELAYACCT_ON)
    return Choice(source, tuple(notes), tuple(dict.fromkeys(remedies)))


def _delays_problem(facts: Facts) -> str:
    """Say why delays cannot be read even if they were counted; "" when they can."""
    if facts.delayacct == "missing":
        return "no IO%: this kernel has no delay accounting"
    if facts.taskstats_error:
        return f"no IO%: {facts.taskstats_error}" + ("" if facts.is_root else f": {SUDO}")
    return ""


def _sentence(obstacle: Obstacle) -> str:
    return f"{obstacle.what}: {obstacle.remedy}" if obstacle.remedy else obstacle.what


def _old_kernel(facts: Facts) -> Obstacle | None:
    if facts.version >= _OLDEST:
        return None
    return Obstacle(f"Linux {clean(facts.release, 40)} is older than 4.18", "")


def _not_privileged(facts: Facts) -> Obstacle | None:
    # CAP_BPF and CAP_PERFMON were split off CAP_SYS_ADMIN in 5.8.
    enough = {"CAP_BPF", "CAP_PERFMON"} if facts.version >= (5, 8, 0) else {"CAP_SYS_ADMIN"}
    if "CAP_SYS_ADMIN" in facts.capabilities or enough <= facts.capabilities:
        return None
    missing = " and ".join(sorted(enough - facts.capabilities))
    remedy = _ON_HOST if facts.is_root else SUDO
    return Obstacle(f"BPF needs {missing}", remedy, is_permission=True)


def _locked_down(facts: Facts) -> Obstacle | None:
    if facts.lockdown != "confidentiality":
        return None
    return Obstacle(
        "the kernel is locked down (confidentiality), BPF may not read its memory",
        "boot with lockdown=integrity",
    )


def _bpf_refused(facts: Facts) -> Obstacle | None:
    if not facts.bpf_error or _not_privileged(facts) is not None:
        return None
    if facts.bpf_error == "ENOSYS":
        return Obstacle("this kernel was built without bpf(2) (CONFIG_BPF_SYSCALL)", "")
    if facts.bpf_error in {"EPERM", "EACCES"}:
        what = f"bpf(2) is refused ({facts.bpf_error}) although we are privileged: a container?"
        return Obstacle(what, _ON_HOST, is_permission=True)
    return Obstacle(f"a trial of bpf(2) failed ({facts.bpf_error})", "iotop-ng doctor")


def _foreign_pids(facts: Facts) -> Obstacle | None:
    if facts.is_host_pidns:
        return None
    return Obstacle("this container has its own PID namespace, BPF sees the host's", _ON_HOST)


def _unknown_layout(facts: Facts) -> Obstacle | None:
    if facts.has_btf or facts.headers is not None:
        return None
    return Obstacle(
        "the kernel has neither BTF (/sys/kernel/btf/vmlinux) nor headers", facts.headers_remedy
    )


def _no_bcc(facts: Facts) -> Obstacle | None:
    if not facts.bcc_problem:
        return None
    return Obstacle(facts.bcc_problem, facts.bcc_remedy)


OBSTACLES: Mapping[str, Callable[[Facts], Obstacle | None]] = {
    "kernel": _old_kernel,
    "privileges": _not_privileged,
    "lockdown": _locked_down,
    "bpf": _bpf_refused,
    "pid_namespace": _foreign_pids,
    "kernel_types": _unknown_layout,
    "bcc": _no_bcc,
}
"""What BPF needs, most basic first, by the name that `iotop-ng doctor` gives it."""
