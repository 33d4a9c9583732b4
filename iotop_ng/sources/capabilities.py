"""The capabilities that this process has now (capabilities(7))."""

from __future__ import annotations

from pathlib import Path

from iotop_ng.sources.kept_file import read_small

# include/uapi/linux/capability.h; only those that we ever ask for.
_BITS = {
    12: "CAP_NET_ADMIN",
    19: "CAP_SYS_PTRACE",
    21: "CAP_SYS_ADMIN",
    24: "CAP_SYS_RESOURCE",
    38: "CAP_PERFMON",
    39: "CAP_BPF",
}


def parse_capabilities(status: bytes) -> frozenset[str]:
    """Return the names of effective capabilities in a /proc/PID/status."""
    for line in status.splitlines():
        if line.startswith(b"CapEff:"):
            try:
                mask = int(line.partition(b":")[2], 16)
            except ValueError:
                return frozenset()
            return frozenset(name for bit, name in _BITS.items() if mask >> bit & 1)
    return frozenset()


def own_capabilities(root: Path = Path("/")) -> frozenset[str]:
    """Return the names of this process's effective capabilities."""
    return parse_capabilities(read_small(root / "proc/self/status", 8192) or b"")
