"""The records of bpf/record.h as Python sees them; sizes are compared by a test.

"pid" is the process and "tid" the thread here as everywhere; the kernel calls them tgid and pid.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from iotop_ng.sample import HISTOGRAM_SLOTS, Histogram, process_key

_SLOTS32 = f"{HISTOGRAM_SLOTS}I"
_SLOTS64 = f"{HISTOGRAM_SLOTS}Q"

TASK_ROW = struct.Struct("<7Q6I16s")
EXIT_ROW = struct.Struct("<7Q6I16s128s")
OWNER_ROW = struct.Struct(f"<8Q{_SLOTS32}{_SLOTS32}")
DEVICE_KEY = struct.Struct("<II")
DEVICE_ROW = struct.Struct(f"<6Q{_SLOTS64}{_SLOTS64}")
BEHALF_KEY = struct.Struct("<QQ")
CALLS_ROW = struct.Struct(f"<4Q{_SLOTS32}{_SLOTS32}")
KEY = struct.Struct("<Q")
U32 = struct.Struct("<I")

OPS = ("read", "write", "flush", "discard", "other")
"""Order of enum op."""
_KTHREAD, _LEADER = 1, 2
_MINOR_BITS = 20


class TaskRow(NamedTuple):
    """One thread from the task iterator. Bytes and nanoseconds since it started."""

    start_ns: int
    read_bytes: int
    write_bytes: int
    cancelled_write_bytes: int
    io_delay_ns: int
    swapin_delay_ns: int
    cgroup_id: int
    pid: int
    tid: int
    ppid: int
    uid: int
    flags: int
    pad: int
    comm_bytes: bytes

    @property
    def key(self) -> int:
        """Identity of the process."""
        return process_key(self.pid, self.start_ns)

    @property
    def is_kthread(self) -> bool:
        """It has no user space."""
        return bool(self.flags & _KTHREAD)

    @property
    def is_leader(self) -> bool:
        """It is the first thread of its process."""
        return bool(self.flags & _LEADER)

    @property
    def comm(self) -> bytes:
        """The thread's name, raw."""
        return self.comm_bytes.partition(b"\0")[0]


class ExitRow(NamedTuple):
    """Totals of a process's ended threads."""

    start_ns: int
    read_bytes: int
    write_bytes: int
    cancelled_write_bytes: int
    io_delay_ns: int
    swapin_delay_ns: int
    cgroup_id: int
    pid: int
    ppid: int
    uid: int
    is_dead: int
    args_len: int
    pad: int
    comm_bytes: bytes
    args_bytes: bytes

    @property
    def comm(self) -> bytes:
        """The process's name, raw."""
        return self.comm_bytes.partition(b"\0")[0]

    @property
    def args(self) -> bytes:
        """The beginning of its command line, arguments separated by NUL, raw."""
        return self.args_bytes[: self.args_len]


class OwnerRow(NamedTuple):
    """What a process caused at the page cache and the block layer."""

    dirtied_bytes: int
    disk_read_bytes: int
    disk_write_bytes: int
    disk_discard_bytes: int
    submitted_bytes: int
    ios: int
    errors: int
    pause_ns: int
    latency: Histogram
    queued: Histogram


class DeviceRow(NamedTuple):
    """Requests of one device number and operation."""

    ios: int
    bytes: int
    errors: int
    requeues: int
    latency_ns: int
    queued_ns: int
    latency: Histogram
    queued: Histogram


class CallsRow(NamedTuple):
    """System calls of a process."""

    read_calls: int
    read_bytes: int
    write_calls: int
    write_bytes: int
    write_sizes: Histogram
    fsync: Histogram


def task_row(raw: bytes) -> TaskRow:
    """Decode one record of the iterator."""
    return TaskRow._make(TASK_ROW.unpack(raw))


def exit_row(raw: bytes) -> ExitRow:
    """Decode a value of the map `exits`."""
    return ExitRow._make(EXIT_ROW.unpack(raw))


def _split(values: tuple[int, ...], scalars: int) -> tuple[Histogram, Histogram]:
    middle = scalars + HISTOGRAM_SLOTS
    return values[scalars:middle], values[middle:]


def owner_row(raw: bytes) -> OwnerRow:
    """Decode a value of the map `owners`."""
    values = OWNER_ROW.unpack(raw)
    return OwnerRow(*values[:8], *_split(values, 8))


def device_row(raw: bytes) -> DeviceRow:
    """Decode a value of the map `devices`."""
    values = DEVICE_ROW.unpack(raw)
    return DeviceRow(*values[:6], *_split(values, 6))


def calls_row(raw: bytes) -> CallsRow:
    """Decode a value of the map `calls`."""
    values = CALLS_ROW.unpack(raw)
    return CallsRow(*values[:4], *_split(values, 4))


def device_key(raw: bytes) -> tuple[int, int, str]:
    """Return (major, minor, operation) of a key of the map `devices`."""
    dev, op = DEVICE_KEY.unpack(raw)
    return dev >> _MINOR_BITS, dev & ((1 << _MINOR_BITS) - 1), OPS[op]


def device_number(major: int, minor: int) -> bytes:
    """Return the kernel's dev_t as a map key."""
    return U32.pack((major << _MINOR_BITS) | minor)
