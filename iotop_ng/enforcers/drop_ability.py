"""Whether this kernel lets BPF refuse writes: a decision over facts, and the facts."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import NamedTuple

from iotop_ng.sources.kept_file import read_small

LSM_LIST = "sys/kernel/security/lsm"
_FIRST_PID_NAMESPACE = 0xEFFFFFFC  # PROC_PID_INIT_INO, include/linux/proc_ns.h
_ALWAYS_ON = frozenset({"capability"})
"""In the list, but not to be asked for."""
_INSTEAD = "throttle works without it"


class Facts(NamedTuple):
    """What decides."""

    modules: tuple[str, ...] | None
    """Security modules in use; None where the kernel's list cannot be read."""
    is_first_pid_namespace: bool = True
    refusal: str = ""
    """What was said when the programs were loaded, "" when they were, or were not tried."""
    is_called: bool | None = None
    """Whether the kernel runs an attached program; None: not tried."""


def why_not(facts: Facts) -> str:
    """Return why writes cannot be refused here, with what to do; "" when they can."""
    if not facts.is_first_pid_namespace:
        return "iotop-ng runs in a PID namespace of its own, and BPF counts by the host's pids"
    if facts.modules is not None and "bpf" not in facts.modules:
        line = ",".join((*(name for name in facts.modules if name not in _ALWAYS_ON), "bpf"))
        return (
            f"this kernel's security modules are without bpf; with lsm={line} on its command line "
            f"they have it ({_INSTEAD})"
        )
    if facts.refusal:
        return f"{facts.refusal} ({_INSTEAD})"
    if facts.is_called is False:
        return (
            "this kernel asks no BPF security program: its command line needs lsm= with bpf at "
            f"the end of the list that it has now ({_INSTEAD})"
        )
    return ""


def read_facts(root: Path = Path("/")) -> Facts:
    """Read what can be known without loading anything."""
    raw = read_small(root / LSM_LIST, 4096)
    modules = None if raw is None else tuple(raw.decode("ascii", "replace").strip().split(","))
    is_first = True
    with contextlib.suppress(OSError):
        is_first = (root / "proc/self/ns/pid").stat().st_ino == _FIRST_PID_NAMESPACE
    return Facts(modules, is_first)


def write_something() -> None:
    """Ask the kernel for one write to a regular file, in memory: security modules are asked."""
    descriptor = os.memfd_create("iotop-ng", os.MFD_CLOEXEC)
    try:
        os.write(descriptor, b"?")
    finally:
        os.close(descriptor)
