"""What the kernel itself counts, read apart from the program under test."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

SECTOR = 512


class ProcIo(NamedTuple):
    """/proc/PID/io: proc_pid_io(5)."""

    rchar: int
    wchar: int
    syscr: int
    syscw: int
    read_bytes: int
    write_bytes: int
    cancelled_write_bytes: int


class DiskStats(NamedTuple):
    """One line of /proc/diskstats: Documentation/admin-guide/iostats.rst."""

    reads: int
    reads_merged: int
    sectors_read: int
    read_ms: int
    writes: int
    writes_merged: int
    sectors_written: int
    write_ms: int
    in_flight: int
    busy_ms: int
    weighted_ms: int
    discards: int
    discards_merged: int
    sectors_discarded: int
    discard_ms: int
    flushes: int
    flush_ms: int

    def since(self, before: DiskStats) -> DiskStats:
        """Return the differences."""
        return DiskStats._make(a - b for a, b in zip(self, before, strict=True))


def proc_io(pid: int) -> ProcIo:
    """Return the I/O counters of a living process."""
    lines = Path(f"/proc/{pid}/io").read_text("ascii").splitlines()
    return ProcIo._make(int(line.partition(":")[2]) for line in lines)


def diskstats(name: str) -> DiskStats:
    """Return the counters of a block device."""
    for line in Path("/proc/diskstats").read_text("ascii").splitlines():
        fields = line.split()
        if fields[2] == name:
            return DiskStats._make(int(field) for field in fields[3:20])
    raise LookupError(name)


def bpf_ids(pid: int) -> set[tuple[str, int]]:
    """Return ("prog_id" | "map_id" | "link_id", id) of every BPF object that a process holds."""
    found = set()
    for path in Path(f"/proc/{pid}/fdinfo").iterdir():
        try:
            lines = path.read_text("utf-8", "replace").splitlines()
        except OSError:
            continue
        for line in lines:
            name, _, value = line.partition(":")
            if name in {"prog_id", "map_id", "link_id"}:
                found.add((name, int(value)))
    return found
