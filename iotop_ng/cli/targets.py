"""TARGET on the line of a command: which processes or cgroup it means here and now."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from iotop_ng.config.checks import HIGHEST_PID, quoted
from iotop_ng.errors import TargetError, UsageError
from iotop_ng.policy.actions import CgroupTarget, ProcessTarget, Target
from iotop_ng.sample import process_key
from iotop_ng.sources.containers import Containers, called
from iotop_ng.sources.identity import Identities, parse_stat
from iotop_ng.sources.kept_file import read_small
from iotop_ng.units import clean

CGROUP_MOUNT = "/sys/fs/cgroup"
_SHOWN = 12
_NAMED = frozenset({"comm", "container"})
"""Kinds of TARGET that may mean several."""
_PID = re.compile(r"0*[0-9]{1,9}", re.ASCII)
"""No longer number is read: one of a million digits takes Python seconds."""
_TGID = re.compile(rb"^Tgid:\s*([0-9]+)$", re.MULTILINE)


class Asked(NamedTuple):
    """A TARGET as it was written."""

    kind: str
    """pid, cgroup, comm or container."""
    value: str

    def __str__(self) -> str:
        return self.value if self.kind == "pid" else f"{self.kind}:{self.value}"


class Found(NamedTuple):
    """One target of this machine."""

    target: Target
    name: str
    """For people: "dd[4242]", or the cgroup's path."""
    is_swept: bool = False
    """One of several that a name stood for."""


def parse_target(text: str) -> Asked:
    """Return what a TARGET asks for.

    Raises:
        UsageError: it is none of PID, cgroup:PATH, comm:NAME and container:NAME.
    """
    kind, _, value = text.partition(":")
    if _PID.fullmatch(text) and 1 <= int(text) <= HIGHEST_PID:
        return Asked("pid", str(int(text)))
    if kind in _NAMED and value.strip():
        return Asked(kind, value)
    if kind == "cgroup" and (path := _cgroup_path(value)):
        return Asked(kind, path)
    raise UsageError(
        f"TARGET {quoted(text)}: expected a PID (1 to {HIGHEST_PID}), cgroup:/PATH, comm:NAME"
        " or container:NAME"
    )


def parse_targets(texts: Sequence[str], *, every: bool) -> tuple[Asked, ...]:
    """Return what all of them ask for, each once.

    Args:
        texts: as they were written.
        every: --all was given.

    Raises:
        UsageError: one is wrong, or --all stands without a name.
    """
    asked = tuple(dict.fromkeys(parse_target(text) for text in texts))
    if every and not any(one.kind in _NAMED for one in asked):
        raise UsageError(
            "--all takes every process or container of a name: it has no meaning without comm:NAME"
            " or container:NAME"
        )
    return asked


def shown(target: Target) -> str:
    """Return a target as it can be written on a command line."""
    return str(target.pid) if isinstance(target, ProcessTarget) else f"cgroup:{target.path}"


class Finder:
    """Looks TARGETs up in /proc. The pid and the start time are read once, and belong together.

    Who finds out later that the pid is another process's by then is the keeper.
    """

    def __init__(self, root: Path = Path("/")) -> None:
        self._proc = root / "proc"
        self._identities = Identities(root)
        self._containers = Containers(root)

    def find(self, asked: Iterable[Asked], *, every: bool) -> tuple[Found, ...]:
        """Return the targets, each once.

        Raises:
            TargetError: a process is gone or no process, or nobody has the name.
            UsageError: a name is that of several processes or containers, which it lists.
        """
        found: dict[Target, Found] = {}
        for one in asked:
            for target in self._meant(one, every=every):
                found.setdefault(target.target, target)
        return tuple(found.values())

    def _meant(self, asked: Asked, *, every: bool) -> tuple[Found, ...]:
        match asked.kind:
            case "cgroup":
                return (Found(CgroupTarget(asked.value), asked.value),)
            case "comm":
                return self._called(asked.value, every=every)
            case "container":
                return self._contained(asked.value, every=every)
            case _:
                return (self._process(int(asked.value)),)

    def _process(self, pid: int) -> Found:
        status = read_small(self._proc / str(pid) / "status", 8192)
        described = self._identities.describe(pid)
        if status is None or described is None:
            raise TargetError(f"{pid}: there is no such process")
        tgid = _TGID.search(status)
        if tgid is not None and int(tgid.group(1)) != pid:
            raise TargetError(f"{pid} is a thread of the process {int(tgid.group(1))}: name that")
        stat = parse_stat(read_small(self._proc / str(pid) / "stat", 4096) or b"")
        name = f"{described.comm}[{pid}]"
        # A first thread that has ended leaves a process that runs on in the others.
        if stat is None or (stat.state in {"Z", "X"} and stat.num_threads <= 1):
            raise TargetError(f"{name} has ended")
        key = process_key(pid, described.start_ns)
        return Found(ProcessTarget(key, pid, described.start_ns), name)

    def _called(self, name: str, *, every: bool) -> tuple[Found, ...]:
        pids = [pid for pid in self.pids() if self._comm(pid) == name and pid != os.getpid()]
        found = [one._replace(is_swept=every) for pid in pids for one in self._alive(pid)]
        if not found:
            raise TargetError(f"comm:{clean(name, 64)}: no process is called that")
        if len(found) > 1 and not every:
            raise UsageError(
                f"comm:{clean(name, 64)} means {len(found)} processes:"
                f" {_listed([one.name for one in found])}; name one by its PID, or add --all"
            )
        return tuple(found)

    def _contained(self, name: str, *, every: bool) -> tuple[Found, ...]:
        """Return the containers of a name that processes are in."""
        paths = {self._identities.cgroup(pid) for pid in self.pids()} - {None}
        present = [one for path in paths if path and (one := self._containers.of(path))]
        found = called(name, present)
        if not found:
            shown = sorted({one.shown for one in present})
            there = f"there is {_listed(shown)}" if shown else "there is none with processes"
            raise TargetError(f"container:{clean(name, 64)}: no container is called that; {there}")
        if len(found) > 1 and not every:
            raise UsageError(
                f"container:{clean(name, 64)} means {len(found)} containers:"
                f" {_listed([f'{one.shown} ({one.short})' for one in found])};"
                " name one by its id, or add --all"
            )
        return tuple(Found(CgroupTarget(one.cgroup), one.shown, every) for one in found)

    def _alive(self, pid: int) -> tuple[Found, ...]:
        """Return a process, nothing when it ended while we looked."""
        try:
            return (self._process(pid),)
        except TargetError:
            return ()

    def pids(self) -> list[int]:
        """Return every process that /proc shows."""
        return sorted(int(name) for name in os.listdir(self._proc) if name.isdecimal())  # noqa: PTH208 (speed)

    def _comm(self, pid: int) -> str:
        stat = parse_stat(read_small(self._proc / str(pid) / "stat", 4096) or b"")
        return "" if stat is None else stat.comm


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _cgroup_path(text: str) -> str:
    """Return "/a/b" for "/a/b/" and "/sys/fs/cgroup/a/b"; "" for what is no path of a cgroup."""
    path = text.removeprefix(CGROUP_MOUNT) if text.startswith(f"{CGROUP_MOUNT}/") else text
    parts = path.split("/")
    is_path = path.startswith("/") and path.isprintable() and not {".", ".."} & set(parts)
    return "/" + "/".join(part for part in parts if part) if is_path else ""
