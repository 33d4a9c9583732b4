"""What acting may leave behind: looked at before and after, value for value."""

from __future__ import annotations

import contextlib
import ctypes
import os
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from iotop_ng.sources import bpf_syscall
from tests.kernel.counts import bpf_ids
from tests.kernel.hogs import state

CGROUPS = Path("/sys/fs/cgroup")
_IOPRIO_GET = {"x86_64": 252, "aarch64": 31}[os.uname().machine]
_IOPRIO_WHO_PROCESS = 1
_GET_FD_BY_ID = {"prog_id": 13, "map_id": 14, "link_id": 30}  # include/uapi/linux/bpf.h
_STATUS = {
    "TracerPid", "SigBlk", "SigIgn", "SigCgt", "Seccomp", "NoNewPrivs", "Cpus_allowed", "CapEff",
}  # fmt: skip
_CGROUP_FILES = {
    "io.max", "io.weight", "io.latency", "cgroup.freeze", "cpu.max", "memory.high", "memory.max",
    "cgroup.subtree_control", "freezer.state", "blkio.throttle.write_bps_device",
}  # fmt: skip
_libc = ctypes.CDLL(None, use_errno=True)


class State(NamedTuple):
    """What of some processes and of all cgroups can be changed from outside."""

    processes: Mapping[int, Mapping[str, str]]
    cgroups: Mapping[str, str]


def look(pids: Iterable[int]) -> State:
    """Return how it is now."""
    return State({pid: _process(pid) for pid in pids}, _cgroups())


def _process(pid: int) -> dict[str, str]:
    proc = Path(f"/proc/{pid}")
    found = {
        "cgroup": (proc / "cgroup").read_text("utf-8"),
        "oom": (proc / "oom_score_adj").read_text("ascii"),
        "limits": (proc / "limits").read_text("ascii"),
        "halted": "yes" if state(pid) in {"T", "t"} else "no",
    }
    for task in (proc / "task").iterdir():
        for line in (task / "status").read_text("utf-8", "replace").splitlines():
            name, _, value = line.partition(":")
            if name in _STATUS:
                found[f"{task.name} {name}"] = value.strip()
        priority = _libc.syscall(_IOPRIO_GET, _IOPRIO_WHO_PROCESS, int(task.name))
        found[f"{task.name} ioprio"] = str(priority)
        fields = (task / "stat").read_text("utf-8", "replace").rpartition(") ")[2].split()
        found[f"{task.name} nice"] = fields[16]
    return found


def _cgroups() -> dict[str, str]:
    found = {}
    for directory, _, files in os.walk(CGROUPS):
        # One of ours has its name; those of other programs may come and go meanwhile.
        if "iotop" in directory:
            found[directory] = "ours"
        for file in _CGROUP_FILES.intersection(files):
            path = Path(directory, file)
            with contextlib.suppress(OSError):
                found[str(path)] = path.read_text("utf-8")
    return found


def differences(before: State, after: State) -> list[str]:
    """Return what is not as it was; cgroups of others that came or went do not count."""
    found = []
    for pid, values in before.processes.items():
        now = after.processes[pid]
        found += [
            f"{pid} {name}: {values.get(name)!r} -> {now.get(name)!r}"
            for name in sorted(values.keys() | now.keys())
            if values.get(name) != now.get(name)
        ]
    for path in sorted(before.cgroups.keys() | after.cgroups.keys()):
        old, new = before.cgroups.get(path), after.cgroups.get(path)
        if old != new and ("iotop" in path or None not in {old, new}):
            found.append(f"{path}: {old!r} -> {new!r}")
    return found


def belonging(run_directory: Path) -> dict[int, str]:
    """Return pid -> command line of the keepers and helpers of a run directory, zombies not."""
    mark = f"IOTOP_NG_RUN_DIR={run_directory}".encode()
    found = {}
    for path in Path("/proc").iterdir():
        if not path.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            words = (path / "cmdline").read_bytes().replace(b"\0", b" ")
            command = words.decode("utf-8", "replace")
            inherited = mark in (path / "environ").read_bytes().split(b"\0")
            if inherited and ("iotop-ng-keeper" in command or "iotop_ng" in command):
                found[int(path.name)] = command
    return found


def keeper_of(run_directory: Path) -> int | None:
    """Return the keeper of a run directory; its helpers are its children."""
    found = belonging(run_directory)
    for pid, command in found.items():
        if "iotop-ng-keeper" in command and _parent(pid) not in found:
            return pid
    return None


def helpers_of(keeper: int) -> list[int]:
    """Return the processes that a keeper has forked."""
    text = Path(f"/proc/{keeper}/task/{keeper}/children").read_text("ascii")
    return [int(pid) for pid in text.split()]


def _parent(pid: int) -> int:
    try:
        text = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
    except OSError:
        return 0
    return int(text.rpartition(") ")[2].split()[1])


def bpf_of(pids: Iterable[int]) -> set[tuple[str, int]]:
    """Return every BPF object that these processes hold; those that are gone hold none."""
    found: set[tuple[str, int]] = set()
    for pid in pids:
        with contextlib.suppress(OSError):
            found |= bpf_ids(pid)
    return found


def still_loaded(objects: Iterable[tuple[str, int]]) -> list[tuple[str, int]]:
    """Return which of these BPF objects the kernel still has."""
    found = []
    for kind, number in objects:
        attributes = number.to_bytes(4, "little") + bytes(8)
        try:
            os.close(bpf_syscall.bpf(_GET_FD_BY_ID[kind], attributes))
        except FileNotFoundError:
            continue
        found.append((kind, number))
    return found


class Gone(NamedTuple):
    """How long it took until nothing was left, and what still was when patience ended."""

    effect_s: float
    """Until nobody was limited, stopped or traced, nothing attached, and every value as before."""
    all_s: float
    """Until no process of ours was left either, and no program loaded."""
    left: list[str]


def wait_until_gone(
    run_directory: Path, before: State, objects: Iterable[tuple[str, int]], patience_s: float
) -> Gone:
    """Wait until nothing of ours is left and all is as before."""
    began, objects, effect_s = time.monotonic(), tuple(objects), 0.0
    links = [one for one in objects if one[0] == "link_id"]
    while True:
        left = _effects(run_directory, before, links)
        seconds = time.monotonic() - began
        if not left:
            effect_s = effect_s or seconds
            left = [f"process {pid}: {line}" for pid, line in belonging(run_directory).items()]
            left += [f"loaded: {kind} {number}" for kind, number in still_loaded(objects)]
        if not left or seconds > patience_s:
            return Gone(effect_s or seconds, seconds, left)
        time.sleep(0.01)


def _effects(run_directory: Path, before: State, links: list[tuple[str, int]]) -> list[str]:
    """Return what still acts, and which values are not as before."""
    keeper = keeper_of(run_directory)
    helpers = [pid for pid in belonging(run_directory) if pid != keeper]
    return [
        *(f"process {pid} of {keeper}" for pid in helpers),
        *(f"attached: {number}" for _, number in still_loaded(links)),
        *differences(before, look(before.processes)),
    ]
