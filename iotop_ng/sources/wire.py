"""The records of bpf/record.h as Python sees them; sizes are compared by a test.

"pid" is the process and "tid" the thread here as everywhere; the kernel calls them tgid and pid.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

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

Pairs = Iterable[tuple[bytes, bytes]]
"""What a map holds: raw keys and values."""

OPS = ("read", "write", "flush", "discard", "other")
"""Order of enum op."""
_KTHREAD, _LEADER, _HAS_DELAYS, _ZOMBIE = 1, 2, 4, 8
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
    exec_id: int
    """Changes with every program that it runs; 0 where the kernel does not say."""
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
    def has_delays(self) -> bool:
        """Delay accounting was on when it started."""
        return bool(self.flags & _HAS_DELAYS)

    @property
    def is_zombie(self) -> bool:
        """It has ended; its bytes are among those of ended threads."""
        return bool(self.flags & _ZOMBIE)

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
    exec_id: int
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


ZERO: Histogram = (0,) * HISTOGRAM_SLOTS
NO_OWNER = OwnerRow(0, 0, 0, 0, 0, 0, 0, 0, ZERO, ZERO)
NO_CALLS = CallsRow(0, 0, 0, 0, ZERO, ZERO)


class Measured(NamedTuple):
    """Which parts count now: what does not is None in every process."""

    dirty: bool
    block: bool
    pauses: bool
    calls: bool
    delays: bool


def owner_fields(owner: OwnerRow, measured: Measured) -> dict[str, Any]:
    """Return the fields of `Totals` that the page cache and block programs count."""
    fields: dict[str, Any] = {}
    if measured.dirty:
        fields["dirtied_bytes"] = owner.dirtied_bytes
    if measured.pauses:
        fields["kernel_pause_ns"] = owner.pause_ns
    if measured.block:
        fields.update(
            disk_read_bytes=owner.disk_read_bytes,
            disk_write_bytes=owner.disk_write_bytes,
            disk_discard_bytes=owner.disk_discard_bytes,
            disk_ios=owner.ios,
            disk_errors=owner.errors,
            submitted_bytes=owner.submitted_bytes,
            latency=owner.latency,
            queued=owner.queued,
        )
    return fields


def calls_fields(calls: CallsRow, measured: Measured) -> dict[str, Any]:
    """Return the fields of `Totals` that the system call programs count."""
    if not measured.calls:
        return {}
    return {
        "asked_read_bytes": calls.read_bytes,
        "asked_write_bytes": calls.write_bytes,
        "read_calls": calls.read_calls,
        "write_calls": calls.write_calls,
        "write_sizes": calls.write_sizes,
        "fsync": calls.fsync,
    }


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
    return OwnerRow._make((*values[:8], *_split(values, 8)))


def device_row(raw: bytes) -> DeviceRow:
    """Decode a value of the map `devices`."""
    values = DEVICE_ROW.unpack(raw)
    return DeviceRow._make((*values[:6], *_split(values, 6)))


def calls_row(raw: bytes) -> CallsRow:
    """Decode a value of the map `calls`."""
    values = CALLS_ROW.unpack(raw)
    return CallsRow._make((*values[:4], *_split(values, 4)))


def by_submitter(
    behalf: Pairs, shown: Mapping[int, int] | None = None
) -> dict[int, tuple[tuple[int, int], ...]]:
    """Return submitter's key -> ((owner's key, bytes), ...), in a stable order.

    Args:
        behalf: the map.
        shown: the kernel's process key -> the reader's, where they differ.
    """
    shown = shown or {}
    found: dict[int, list[tuple[int, int]]] = {}
    for name, raw in behalf:
        submitter, owner = BEHALF_KEY.unpack(name)
        pair = (shown.get(owner, owner), int.from_bytes(raw, "little"))
        found.setdefault(shown.get(submitter, submitter), []).append(pair)
    return {key: tuple(sorted(pairs)) for key, pairs in found.items()}


def device_key(raw: bytes) -> tuple[int, int, str]:
    """Return (major, minor, operation) of a key of the map `devices`."""
    dev, op = DEVICE_KEY.unpack(raw)
    return dev >> _MINOR_BITS, dev & ((1 << _MINOR_BITS) - 1), OPS[op]


def device_number(major: int, minor: int) -> bytes:
    """Return the kernel's dev_t as a map key."""
    return U32.pack((major << _MINOR_BITS) | minor)
