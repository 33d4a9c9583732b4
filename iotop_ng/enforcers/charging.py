"""The maps of bpf/charge.h: rates, what was charged, and whose writes count.

Made once for the hold and once for the drop programs, when the first policy of the kind is applied.
"""

from __future__ import annotations

import contextlib
import mmap
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from iotop_ng.errors import EnforcerError, IotopError
from iotop_ng.sources.build import compiled_for
from iotop_ng.sources.layout import find_tracefs
from iotop_ng.sources.programs import Programs

LIMIT = struct.Struct("<5Q4I")
BUCKET = struct.Struct("<6QqQ")
EVENT = struct.Struct("<4I")
SEEN = struct.Struct("<3Q")
U32 = struct.Struct("<I")
POLICIES = 64
"""As in bpf/charge.h."""

BURST_NS = 100_000_000
"""Unused time that may be made up for: a waking helper may be late by that."""
QUANTUM_NS = 10_000_000
"""Debt that is let pass, so that a thread waits at most 100 times a second."""


class Limit(NamedTuple):
    """One policy as the programs know it."""

    rate_bytes_per_s: int
    mode: int = 0
    signal: int = 0
    with_children: bool = True
    error: int = 0

    def pack(self, since_ns: int) -> bytes:
        """Return struct limit as set now; `since_ns` is a boot time."""
        return LIMIT.pack(
            self.rate_bytes_per_s,
            BURST_NS,
            QUANTUM_NS,
            since_ns,
            time.monotonic_ns(),
            self.mode,
            self.signal,
            int(self.with_children),
            self.error,
        )


class Bucket(NamedTuple):
    """struct bucket: totals since the policy was applied."""

    tat_ns: int
    charged_bytes: int
    refused_calls: int
    refused_bytes: int
    unsized_calls: int
    lost: int
    budget_bytes: int
    ended: int
    """Why a drop refuses nothing any more: ENDED_SPENT or ENDED_UNKNOWN of bpf/drop.c."""


class Charging:
    """Loaded programs with the maps of charge.h.

    Args:
        job: hold or drop.
        say: told what takes long.

    Raises:
        SourceError: when they cannot be compiled here.
        NotPermittedError: when the kernel refuses them.
        EnforcerError: when one of them cannot be attached.
    """

    def __init__(self, job: str, say: Callable[[str], None] = lambda _: None) -> None:
        self.programs = Programs(compiled_for(job, say), {}, find_tracefs())
        try:
            _refuse(self.programs.problems)
            fd = self.programs.maps["buckets"].fd
            self._buckets = mmap.mmap(fd, BUCKET.size * POLICIES)
        except BaseException:
            self.programs.close()
            raise
        self._slots: dict[int, Limit] = {}

    def close(self) -> None:
        """Detach and free everything; twice is fine."""
        with contextlib.suppress(ValueError):
            self._buckets.close()
        self.programs.close()

    @property
    def is_used(self) -> bool:
        """Say whether any policy has a slot."""
        return bool(self._slots)

    def take(self, limit: Limit, budget_bytes: int = 0) -> int:
        """Return a slot with this limit, from now on.

        Raises:
            EnforcerError: all are taken.
        """
        slot = next((slot for slot in range(POLICIES) if slot not in self._slots), None)
        if slot is None:
            raise EnforcerError(f"{POLICIES} policies are in force, and no more can be")
        fresh = Bucket(time.monotonic_ns(), 0, 0, 0, 0, 0, budget_bytes, 0)
        BUCKET.pack_into(self._buckets, slot * BUCKET.size, *fresh)
        since = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        self.programs.maps["limits"].set(U32.pack(slot), limit.pack(since))
        self._slots[slot] = limit
        return slot

    def give_back(self, slot: int) -> None:
        """Free a slot and forget its processes; twice is fine."""
        if self._slots.pop(slot, None) is None:
            return
        for pid in self.members(slot):
            self.remove(pid)
        self.programs.maps["limits"].set(U32.pack(slot), bytes(LIMIT.size))

    def change(self, slot: int, limit: Limit) -> None:
        """Go over to another limit; a debt shrinks or grows with the rate."""
        before = self._slots[slot]
        raw = self.programs.maps["limits"].get(U32.pack(slot)) or bytes(LIMIT.size)
        since = LIMIT.unpack(raw)[3]
        self.programs.maps["limits"].set(U32.pack(slot), limit.pack(since))
        now, tat = time.monotonic_ns(), self.bucket(slot).tat_ns
        if tat > now and limit.rate_bytes_per_s and before.rate_bytes_per_s:
            debt = (tat - now) * before.rate_bytes_per_s // limit.rate_bytes_per_s
            struct.pack_into("<Q", self._buckets, slot * BUCKET.size, now + debt)
        self._slots[slot] = limit

    def bucket(self, slot: int) -> Bucket:
        """Return what happened to a policy. No system call."""
        return Bucket(*BUCKET.unpack_from(self._buckets, slot * BUCKET.size))

    def add(self, pid: int, slot: int, *, is_late: bool = False) -> None:
        """Charge what a process writes from now on.

        Args:
            pid: the process.
            slot: of the policy.
            is_late: it may be younger than the policy, and have written before it joined. Threads
                that are older are taken by the kernel side as they are when it first sees them.

        Raises:
            EnforcerError: the table of processes is full.
        """
        for tid, written in written_by_thread(pid).items() if is_late else ():
            self.programs.maps["seen_of"].set(U32.pack(tid), SEEN.pack(written, 0, 0))
        try:
            self.programs.maps["members"].set(U32.pack(pid), U32.pack(slot))
        except OSError as error:
            raise EnforcerError(f"process {pid} cannot be entered: {error.strerror}") from error

    def remove(self, pid: int) -> None:
        """Charge a process no more; one that is not charged is fine."""
        self.programs.maps["members"].delete(U32.pack(pid))
        for tid in written_by_thread(pid):
            self.programs.maps["seen_of"].delete(U32.pack(tid))

    def members(self, slot: int) -> tuple[int, ...]:
        """Return the processes that a policy covers, forked ones included."""
        wanted = U32.pack(slot)
        pairs = self.programs.maps["members"].read()
        return tuple(U32.unpack(pid)[0] for pid, value in pairs if value == wanted)


def _refuse(problems: dict[str, str]) -> None:
    """Raise EnforcerError for the first problem: half of the programs would charge half."""
    for name, why in problems.items():
        raise EnforcerError(f"the program {name} does not run here: {why}")


def written_by_thread(pid: int, proc: Path = Path("/proc")) -> dict[int, int]:
    """Return tid -> write_bytes of the live threads of a process; {} when it is gone."""
    out = {}
    with contextlib.suppress(OSError):
        for entry in (proc / str(pid) / "task").iterdir():
            with contextlib.suppress(OSError, ValueError):
                lines = (entry / "io").read_bytes().splitlines()
                fields = dict(line.split(b": ") for line in lines)
                out[int(entry.name)] = int(fields[b"write_bytes"])
    return out


def why_not(job: str) -> str:
    """Load and unload the programs of a job; return why they cannot run here, "" when they can."""
    try:
        Charging(job).close()
    except IotopError as error:
        return str(error)
    except OSError as error:
        return f"BPF does not work here: {error.strerror}"
    return ""
