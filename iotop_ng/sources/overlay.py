"""Block layer counts laid over processes that were read from /proc.

For kernels that have the tracepoints but no task iterator (before 5.8, or without BTF). /proc tells
a process's start in clock ticks, the kernel's maps in nanoseconds: a key is matched by pid and a
start less than two ticks away.
"""

from __future__ import annotations

import msgspec

from iotop_ng.sample import PID_BITS, Process
from iotop_ng.sources import wire
from iotop_ng.sources.wire import Measured, Pairs

_TOLERANCE_NS = 20_000_000


def _by_pid(pairs: Pairs) -> dict[int, list[tuple[int, bytes]]]:
    """Return pid -> [(start in ns, to 2**20, raw value)]."""
    found: dict[int, list[tuple[int, bytes]]] = {}
    for name, raw in pairs:
        key = int.from_bytes(name, "little")
        found.setdefault(key & ((1 << PID_BITS) - 1), []).append(((key >> PID_BITS) << 20, raw))
    return found


def _match(found: dict[int, list[tuple[int, bytes]]], process: Process) -> bytes | None:
    for start_ns, raw in found.get(process.pid, ()):
        if abs(start_ns - process.start_ns) <= _TOLERANCE_NS:
            return raw
    return None


def overlay(
    processes: tuple[Process, ...], owners: Pairs, calls: Pairs, measured: Measured
) -> tuple[Process, ...]:
    """Return the processes with what the maps know of each."""
    owned, called = _by_pid(owners), _by_pid(calls)
    out = []
    for process in processes:
        owner, call = _match(owned, process), _match(called, process)
        fields = wire.owner_fields(wire.owner_row(owner) if owner else wire.NO_OWNER, measured)
        fields.update(wire.calls_fields(wire.calls_row(call) if call else wire.NO_CALLS, measured))
        totals = msgspec.structs.replace(process.totals, **fields)
        out.append(msgspec.structs.replace(process, totals=totals))
    return tuple(out)
