"""Which mechanisms of acting work on this host, as `doctor` says it: facts, and a pure decision.

Nothing is loaded or started for it. Whether one works on a target is the keeper's to say
(`throttle --dry-run`): a process may be traced already, or share its cgroup.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import msgspec

from iotop_ng.enforcers import drop_ability
from iotop_ng.enforcers.block_stack import BlockStack, Disk
from iotop_ng.enforcers.cgroupfs import Cgroups
from iotop_ng.enforcers.ionice import why_ignored
from iotop_ng.enforcers.orders import Kind, Mechanism, Order
from iotop_ng.policy.actions import CgroupTarget, Reason
from iotop_ng.sources.choose import SUDO, obstacles
from iotop_ng.sources.kept_file import read_small
from iotop_ng.sources.plan import Layout
from iotop_ng.sources.plan_acting import make_drop_plan, make_hold_plan
from iotop_ng.sources.probe import Facts

V2_ONLY = "boot with systemd.unified_cgroup_hierarchy=1 cgroup_no_v1=all"
SECURITYFS = "mount -t securityfs securityfs /sys/kernel/security"
_MEMORY_DISKS = re.compile(r"(loop|ram|zram|nbd|sr|fd)\d+")
_NOBODY_TRACES = "3"


class Ability(msgspec.Struct, frozen=True):
    """One mechanism."""

    mechanism: str
    works: bool | None
    """None: it cannot be known without trying."""
    why: str
    """What it stands on; why it does not work."""
    remedy: str = ""
    """What mends it, "" where nothing does or nothing has to."""


class Ground(NamedTuple):
    """What the host has that decides about acting. The defaults lack nothing."""

    facts: Facts = Facts()
    hold_gaps: tuple[str, ...] | None = ()
    """Why the programs of hold cannot run; None: not known, because BPF does not work."""
    drop_gaps: tuple[str, ...] | None = ()
    security: drop_ability.Facts = drop_ability.Facts(("bpf",))
    ptrace_scope: str = "0"
    """kernel.yama.ptrace_scope."""
    has_unified: bool = True
    has_io: bool = True
    """The io controller is in cgroup v2."""
    is_io_in_v1: bool = False
    has_freezer: bool = True
    ignored: tuple[str, ...] = ()
    """Of each disk whose scheduler does not look at priorities, why."""
    honoured: tuple[str, ...] = ("sda",)
    """Disks whose scheduler does."""


def gather(facts: Facts, layout: Layout | None, root: Path = Path("/")) -> Ground:
    """Look at the host; nothing is changed."""
    cgroups = Cgroups(root)
    unified = cgroups.unified()
    controllers = b"" if unified is None else read_small(unified / "cgroup.controllers") or b""
    ignored, honoured = _schedulers(root)
    hold = None if layout is None else make_hold_plan(layout)
    drop = None if layout is None else make_drop_plan(layout)
    return Ground(
        facts=facts,
        hold_gaps=None if hold is None else () if hold.programs else hold.gaps,
        drop_gaps=None if drop is None else () if drop.programs else drop.gaps,
        security=drop_ability.read_facts(root),
        ptrace_scope=_text(root / "proc/sys/kernel/yama/ptrace_scope"),
        has_unified=unified is not None,
        has_io=b"io" in controllers.split(),
        is_io_in_v1=cgroups.is_io_in_v1(),
        has_freezer=unified is not None or cgroups.freezer_v1() is not None,
        ignored=ignored,
        honoured=honoured,
    )


def abilities(ground: Ground) -> tuple[Ability, ...]:
    """Return every mechanism, the ladder first. Pure."""
    found = (_hold(ground), _io_max(ground), _pause(ground), _drop(ground), _ionice(ground))
    if ground.facts.is_root:
        return found
    why = "only root may act on processes"
    return tuple(Ability(one.mechanism, works=False, why=why, remedy=SUDO) for one in found)


def _hold(ground: Ground) -> Ability:
    name = Mechanism.HOLD.value
    for obstacle in obstacles(ground.facts):
        return Ability(name, works=False, why=obstacle.what, remedy=obstacle.remedy)
    if "CAP_SYS_PTRACE" not in ground.facts.capabilities:
        return Ability(name, works=False, why="it needs CAP_SYS_PTRACE", remedy=SUDO)
    if ground.ptrace_scope == _NOBODY_TRACES:
        why = "kernel.yama.ptrace_scope is 3: nobody may trace until the next boot"
        return Ability(name, works=False, why=why, remedy="boot with kernel.yama.ptrace_scope=1")
    if ground.hold_gaps is None:
        return Ability(name, works=None, why="the kernel's types could not be read")
    if ground.hold_gaps:
        return Ability(name, works=False, why="; ".join(ground.hold_gaps))
    return Ability(name, works=True, why="BPF counts, ptrace holds")


def _io_max(ground: Ground) -> Ability:
    name = Mechanism.IO_MAX.value
    if not ground.has_unified:
        return Ability(name, works=False, why="cgroup v2 is not mounted here", remedy=V2_ONLY)
    if ground.has_io:
        return Ability(name, works=True, why="cgroup v2 has the io controller")
    if ground.is_io_in_v1:
        why = "the io controller belongs to cgroup v1 here"
        return Ability(name, works=False, why=why, remedy=V2_ONLY)
    why = "this kernel's cgroup v2 has no io controller (CONFIG_BLK_CGROUP)"
    return Ability(name, works=False, why=why)


def _pause(ground: Ground) -> Ability:
    how = "the freezer where a cgroup is the target's alone, else SIGSTOP and SIGCONT"
    return Ability(
        Mechanism.PAUSE.value,
        works=True,
        why=how if ground.has_freezer else "SIGSTOP and SIGCONT; there is no freezer",
    )


def _drop(ground: Ground) -> Ability:
    name = Mechanism.DROP.value
    for obstacle in obstacles(ground.facts):
        return Ability(name, works=False, why=obstacle.what, remedy=obstacle.remedy)
    if ground.drop_gaps:
        return Ability(name, works=False, why="; ".join(ground.drop_gaps))
    if why := drop_ability.why_not(ground.security):
        return Ability(name, works=False, why=why)
    if ground.security.modules is None:
        why = "which security modules run is not known: securityfs is not mounted"
        return Ability(name, works=None, why=why, remedy=SECURITYFS)
    if ground.drop_gaps is None:
        return Ability(name, works=None, why="the kernel's types could not be read")
    return Ability(name, works=True, why="bpf is among the security modules")


def _ionice(ground: Ground) -> Ability:
    name = Mechanism.IONICE.value
    if ground.honoured:
        more = f"; {'; '.join(ground.ignored)}" if ground.ignored else ""
        disks = ", ".join(ground.honoured)
        return Ability(name, works=True, why=f"the scheduler of {disks} looks at priorities{more}")
    why = "; ".join(ground.ignored) or "there is no disk with a scheduler"
    return Ability(name, works=False, why=why)


def _schedulers(root: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return why some disks ignore priorities, and the names of those that do not."""
    stack = BlockStack(root)
    # The class that is asked for when none is named.
    idle = Order(Kind.IONICE, CgroupTarget("/"), Reason("", ""))
    ignored, honoured = [], []
    for disk in _disks(root):
        why = why_ignored(stack, disk, idle)
        if why:
            ignored.append(why)
        else:
            honoured.append(disk.name)
    return tuple(ignored), tuple(honoured)


def _disks(root: Path) -> list[Disk]:
    """Return the whole disks of the machine, none in memory and none made of others."""
    try:
        directories = sorted((root / "sys/block").iterdir())
    except OSError:
        return []
    found = []
    for directory in directories:
        major, _, minor = _text(directory / "dev").partition(":")
        if _MEMORY_DISKS.fullmatch(directory.name) or not (major.isdigit() and minor.isdigit()):
            continue
        if not _has_any(directory / "slaves"):
            found.append(Disk(int(major), int(minor), directory.name))
    return found


def _has_any(directory: Path) -> bool:
    try:
        return any(directory.iterdir())
    except OSError:
        return False


def _text(path: Path) -> str:
    return (read_small(path, 256) or b"").decode("ascii", "replace").strip()
