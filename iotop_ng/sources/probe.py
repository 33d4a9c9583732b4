"""Facts about this host. Nothing is decided here: `choose` does, purely, from these."""

from __future__ import annotations

import errno
import os
import re
import struct
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from iotop_ng.errors import IotopError
from iotop_ng.sources import bpf_syscall
from iotop_ng.sources.bcc_module import locate_bcc
from iotop_ng.sources.capabilities import own_capabilities
from iotop_ng.sources.distribution import packages
from iotop_ng.sources.kept_file import read_small
from iotop_ng.sources.taskstats import TaskStats
from iotop_ng.units import clean

_FIRST_PID_NAMESPACE = 0xEFFFFFFC  # PROC_PID_INIT_INO, include/linux/proc_ns.h
_MAP_LRU_HASH = 9
_GZIP = 31  # zlib's wbits for a gzip header; the gzip module would cost 2 ms of start
_CONFIG = (
    "CONFIG_BPF_SYSCALL", "CONFIG_BPF_EVENTS", "CONFIG_DEBUG_INFO_BTF", "CONFIG_FTRACE_SYSCALLS",
    "CONFIG_TASK_IO_ACCOUNTING", "CONFIG_TASKSTATS", "CONFIG_TASK_DELAY_ACCT",
)  # fmt: skip


class Facts(msgspec.Struct, frozen=True):
    """What one host has. The defaults are a host that lacks nothing."""

    release: str = "6.18.0"
    version: tuple[int, int, int] = (6, 18, 0)
    machine: str = "x86_64"
    is_root: bool = True
    capabilities: frozenset[str] = frozenset(
        {"CAP_SYS_ADMIN", "CAP_BPF", "CAP_PERFMON", "CAP_SYS_PTRACE", "CAP_NET_ADMIN"}
    )
    """Effective ones; only those that matter here are named."""
    has_io_counters: bool = True
    """/proc/PID/io exists."""
    has_btf: bool = True
    headers: str | None = None
    """Where the kernel's headers are."""
    headers_remedy: str = ""
    tracefs: str | None = "/sys/kernel/tracing"
    """Where it can be read."""
    is_tracefs_mounted: bool = True
    lockdown: str | None = "none"
    """none, integrity, confidentiality; None when the kernel does not say."""
    bpf_error: str = ""
    """The errno's name of a trial map and program, "" when both were loaded."""
    bcc_version: str = ""
    bcc_path: str | None = None
    bcc_problem: str = ""
    bcc_remedy: str = ""
    is_host_pidns: bool = True
    hidepid: str = ""
    """The mount option of /proc, "" when all processes are shown."""
    delayacct: str = "on"
    """on, off (a sysctl away) or missing (not in this kernel)."""
    taskstats_error: str = ""
    config: Mapping[str, str] = {}
    """Options of the kernel that was built, where they can be read; only for `doctor`."""


def gather(
    root: Path = Path("/"),
    *,
    is_thorough: bool = False,
    try_bpf: Callable[[], str] | None = None,
    try_taskstats: Callable[[], str] | None = None,
) -> Facts:
    """Look at the host; nothing is changed, nothing is raised.

    Args:
        root: where /proc and /sys are.
        is_thorough: also read the kernel's configuration.
        try_bpf: loads a trial map and program, returns the errno's name.
        try_taskstats: asks taskstats for one task, returns the complaint.
    """
    kernel = os.uname()
    version = parse_release(_line(root, "proc/sys/kernel/osrelease") or kernel.release)
    bcc = locate_bcc(root)
    mounts = (read_small(root / "proc/self/mounts", 1 << 20) or b"").decode("utf-8", "replace")
    release = clean(_line(root, "proc/sys/kernel/osrelease") or kernel.release, 100)
    return Facts(
        release=release,
        version=version,
        machine=kernel.machine,
        is_root=os.geteuid() == 0,
        capabilities=own_capabilities(root),
        has_io_counters=(root / "proc/self/io").exists(),
        has_btf=os.access(root / "sys/kernel/btf/vmlinux", os.R_OK),
        headers=_headers(root, release),
        headers_remedy=packages(root).headers,
        tracefs=_tracefs(root),
        is_tracefs_mounted=bool(re.search(r"^\S+ \S+ tracefs ", mounts, re.MULTILINE)),
        lockdown=parse_lockdown(_line(root, "sys/kernel/security/lockdown")),
        bpf_error=(try_bpf or trial_bpf)(),
        bcc_version=bcc.version,
        bcc_path=None if bcc.directory is None else clean(str(bcc.directory), 300),
        bcc_problem=bcc.problem,
        bcc_remedy=bcc.remedy,
        is_host_pidns=_is_host_pidns(root),
        hidepid=parse_hidepid(mounts),
        delayacct=_delayacct(root, version),
        taskstats_error=(try_taskstats or trial_taskstats)(),
        config=_config(root, release) if is_thorough else {},
    )


def parse_release(release: str) -> tuple[int, int, int]:
    """Return the numbers of "6.1.0-56-amd64"; 0 for those that are missing."""
    match = re.match(r"(\d{1,9})(?:\.(\d{1,9}))?(?:\.(\d{1,9}))?", release)
    numbers = [int(part or 0) for part in match.groups()] if match else [0, 0, 0]
    return numbers[0], numbers[1], numbers[2]


def parse_lockdown(text: str) -> str | None:
    """Return the marked word of "none [integrity] confidentiality"."""
    match = re.search(r"\[(none|integrity|confidentiality)\]", text)
    return match.group(1) if match else None


def parse_hidepid(mounts: str) -> str:
    """Return the hidepid option of /proc's mount, "" when it hides nothing."""
    found = ""
    for line in mounts.splitlines():
        fields = line.split(" ")
        if len(fields) >= 4 and fields[1] == "/proc" and fields[2] == "proc":
            match = re.search(r"(?:^|,)hidepid=(\w+)", fields[3])
            found = match.group(1) if match else ""
    return "" if found in {"0", "off"} else found


def parse_config(text: str) -> dict[str, str]:
    """Return the options of a kernel configuration that matter here; "n" when unset."""
    values = dict(re.findall(r"^(CONFIG_\w+)=(\w+)$", text, re.MULTILINE))
    return {name: values.get(name, "n") for name in _CONFIG} if values else {}


def trial_bpf() -> str:
    """Create the smallest map and program that we need; return the errno's name, "" when fine.

    Arrays and socket filters may be open to everybody: an LRU hash and a raw tracepoint program
    need what our own programs need.
    """
    # r0 = 0; exit
    code = struct.pack("<BBhiBBhi", 0xB7, 0, 0, 0, 0x95, 0, 0, 0)
    try:
        os.close(bpf_syscall.map_create("trial", _MAP_LRU_HASH, (4, 8, 16), 0))
        os.close(bpf_syscall.prog_load(bpf_syscall.PROG_RAW_TRACEPOINT, code, "trial"))
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, str(error.errno))
    return ""


def trial_taskstats() -> str:
    """Ask taskstats for one task; return the complaint, "" when it answers."""
    link = TaskStats()
    try:
        link.open()
    except IotopError as error:
        return str(error)
    finally:
        link.close()
    return ""


def _line(root: Path, path: str) -> str:
    return (read_small(root / path, 4096) or b"").decode("utf-8", "replace").strip()


def _headers(root: Path, release: str) -> str | None:
    for path in (f"lib/modules/{release}/build", f"lib/modules/{release}/source"):
        if (root / path / "include").is_dir():
            return f"/{path}"
    if (root / "sys/kernel/kheaders.tar.xz").exists():
        return "/sys/kernel/kheaders.tar.xz"
    return None


def _tracefs(root: Path) -> str | None:
    for path in ("sys/kernel/tracing", "sys/kernel/debug/tracing"):
        if os.access(root / path / "events", os.R_OK | os.X_OK):
            return f"/{path}"
    return None


def _is_host_pidns(root: Path) -> bool:
    """Say whether the pids that BPF sees are those of our /proc."""
    try:
        link = os.readlink(root / "proc/self/ns/pid")  # noqa: PTH115 - Path would normalise it
    except OSError:
        return True  # a kernel without PID namespaces
    return link == f"pid:[{_FIRST_PID_NAMESPACE}]"


def _delayacct(root: Path, version: tuple[int, int, int]) -> str:
    switch = _line(root, "proc/sys/kernel/task_delayacct")
    if switch:
        return "off" if switch == "0" else "on"
    # Before 5.14 there was no switch but the boot parameter.
    if version < (5, 14, 0) and "nodelayacct" not in _line(root, "proc/cmdline").split():
        return "on"
    return "missing"


def _config(root: Path, release: str) -> dict[str, str]:
    packed = read_small(root / "proc/config.gz", 1 << 22)
    plain = read_small(root / f"boot/config-{release}", 1 << 22)
    try:
        raw = zlib.decompress(packed, _GZIP) if packed else plain or b""
    except zlib.error:
        raw = b""
    return parse_config(raw.decode("utf-8", "replace"))
