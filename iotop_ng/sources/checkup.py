"""What this host allows, one check per ability: pure, from `Facts`. `iotop-ng doctor` prints it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import msgspec

from iotop_ng.sources.choose import DELAYACCT_ON, OBSTACLES, SUDO, Obstacle, limits
from iotop_ng.sources.probe import Facts

OK, LIMITED, MISSING = "ok", "limited", "missing"

_NO_BPF = "short-lived processes, block bytes by owner, latency: only /proc is left"


class Check(msgspec.Struct, frozen=True):
    """One ability of the host."""

    id: str
    title: str
    state: str
    """ok, limited (works without) or missing (the BPF source does not work)."""
    evidence: str
    """What was seen."""
    lost: str = ""
    """What iotop-ng cannot show; "" when ok."""
    remedy: str = ""
    """The one command that mends it; "" when ok or when there is none."""

    @property
    def is_essential_missing(self) -> bool:
        """Whether `doctor` ends with exit code 1 for it."""
        return self.state == MISSING


class _Essential(NamedTuple):
    title: str
    evidence: Callable[[Facts], str]


def _privileges(facts: Facts) -> str:
    names = ", ".join(sorted(facts.capabilities)) or "none of the capabilities that matter"
    return f"{'root' if facts.is_root else 'not root'}; {names}"


def _types(facts: Facts) -> str:
    if facts.has_btf:
        return "/sys/kernel/btf/vmlinux"
    return f"no BTF; headers in {facts.headers}" if facts.headers else "no BTF, no headers"


def _bpf(facts: Facts) -> str:
    if facts.bpf_error:
        return f"a trial map and program: {facts.bpf_error}"
    return "a trial map and program were loaded"


def _bcc(facts: Facts) -> str:
    if facts.bcc_path is None:
        return facts.bcc_problem
    return f"{facts.bcc_version or 'unknown version'} in {facts.bcc_path}"


_ESSENTIAL: Mapping[str, _Essential] = {
    "kernel": _Essential("kernel 4.18 or later", lambda f: f"Linux {f.release} {f.machine}"),
    "privileges": _Essential("privileges for BPF", _privileges),
    "lockdown": _Essential("no lockdown", lambda f: f.lockdown or "the kernel does not say"),
    "bpf": _Essential("bpf(2)", _bpf),
    "pid_namespace": _Essential(
        "host PID namespace",
        lambda f: "the first PID namespace" if f.is_host_pidns else "a namespace of its own",
    ),
    "kernel_types": _Essential("kernel types", _types),
    "bcc": _Essential("BCC for Python", _bcc),
}


def examine(facts: Facts) -> tuple[Check, ...]:
    """Return every check, the most basic first."""
    essential = (_essential(name, what, facts) for name, what in _ESSENTIAL.items())
    return (
        _counters(facts),
        *essential,
        _tracefs(facts),
        _others(facts),
        _delays(facts),
    )


def _essential(name: str, what: _Essential, facts: Facts) -> Check:
    obstacle: Obstacle | None = OBSTACLES[name](facts)
    evidence = what.evidence(facts)
    if obstacle is None:
        # An earlier check says why; the trial itself did not pass all the same.
        is_untried = name == "bpf" and bool(facts.bpf_error)
        return Check(name, what.title, LIMITED if is_untried else OK, evidence)
    return Check(name, what.title, MISSING, evidence, _NO_BPF, obstacle.remedy)


def _counters(facts: Facts) -> Check:
    title = "I/O counters"
    if facts.has_io_counters:
        return Check("io_counters", title, OK, "/proc/PID/io")
    return Check(
        "io_counters", title, MISSING, "no /proc/PID/io (CONFIG_TASK_IO_ACCOUNTING)",
        "bytes per process: everything", "",
    )  # fmt: skip


def _tracefs(facts: Facts) -> Check:
    title = "tracefs"
    found = limits(facts)
    if not found:
        return Check("tracefs", title, OK, str(facts.tracefs))
    lost, _, evidence = found[0].what.partition(": ")
    return Check("tracefs", title, LIMITED, evidence, lost, found[0].remedy)


def _others(facts: Facts) -> Check:
    title = "other users' processes"
    hiding = f"/proc is mounted with hidepid={facts.hidepid}" if facts.hidepid else ""
    if "CAP_SYS_PTRACE" in facts.capabilities:
        return Check("others", title, OK, hiding or "CAP_SYS_PTRACE")
    lost = "other users' processes" if facts.hidepid else "other users' counters"
    evidence = f"{hiding or '/proc shows all processes'}, no CAP_SYS_PTRACE"
    return Check("others", title, LIMITED, evidence, f"{lost} with --source procfs", SUDO)


def _delays(facts: Facts) -> Check:
    title = "delay accounting"
    lost = "IO% and SWAPIN"
    if facts.delayacct == "missing":
        evidence = "not in this kernel (CONFIG_TASK_DELAY_ACCT)"
        return Check("delayacct", title, LIMITED, evidence, lost)
    if facts.delayacct == "off":
        evidence = "kernel.task_delayacct is 0"
        return Check("delayacct", title, LIMITED, evidence, lost, DELAYACCT_ON)
    if facts.taskstats_error:
        evidence = f"on, but taskstats does not answer: {facts.taskstats_error}"
        remedy = SUDO if not facts.is_root else ""
        return Check("delayacct", title, LIMITED, evidence, f"{lost} with --source procfs", remedy)
    return Check("delayacct", title, OK, "on, taskstats answers")
