"""The programs of bpf/drop.c: loaded once, attached while there is a policy."""

from __future__ import annotations

import contextlib
import errno
import os
import struct
from pathlib import Path
from typing import NamedTuple

from iotop_ng.enforcers.charging import U32, Bucket, Charging, Limit
from iotop_ng.enforcers.drop_ability import write_something
from iotop_ng.enforcers.drop_paths import mounts_of, overlays_on_disk
from iotop_ng.errors import EnforcerError
from iotop_ng.sources.bpf_syscall import wait_for_programs

MODE_ALL, MODE_MARKED, MODE_WITHIN_BUDGET = 1, 2, 4
ENDED_SPENT, ENDED_UNKNOWN = 1, 2
"""As in bpf/drop.c."""
ERRORS = {name: getattr(errno, name) for name in ("ENOSPC", "EDQUOT", "EIO", "EPERM", "EAGAIN")}
"""Those that bpf/drop.c can return."""
TERMS = struct.Struct("<qII")
MARKS = struct.Struct("<4I")
GROUP, HOOK = "drop", "on_drop_write"


class DropLimit(NamedTuple):
    """What one policy asks of the programs."""

    rate_bytes_per_s: int | None
    error: int
    with_children: bool
    budget_bytes: int | None
    is_by_path: bool

    def limit(self) -> Limit:
        """Return it as bpf/charge.h has it."""
        mode = MODE_ALL if self.rate_bytes_per_s is None else 0
        mode |= MODE_MARKED if self.is_by_path else 0
        mode |= MODE_WITHIN_BUDGET if self.budget_bytes is not None else 0
        return Limit(
            self.rate_bytes_per_s or 0,
            mode,
            with_children=self.with_children,
            error=self.error,
        )


def load_kernel() -> Kernel:
    """Load the programs.

    Raises:
        IotopError: they cannot be compiled, or the kernel refuses them.
    """
    try:
        return Kernel(Charging("drop"))
    except EnforcerError as error:
        words = os.strerror(errno.EPERM)
        if HOOK in str(error) and words in str(error):
            raise EnforcerError(
                f"this kernel refuses BPF security programs ({HOOK}: {words})"
            ) from error
        raise


class Kernel:
    """The loaded programs, shared by all policies."""

    def __init__(self, charging: Charging) -> None:
        self._charging = charging
        self._serials: dict[int, int] = {}
        self._last_serial = 0
        self._namespaces: set[int] = set()
        """Mount namespaces whose overlays were entered."""

    def is_called(self) -> bool:
        """Attach for a moment, write something, and say whether the kernel asked the program."""
        programs = self._charging.programs
        self._attach()
        programs.count_runs(wanted=True)
        try:
            write_something()
            hits = next(probe.hits for probe in programs.probes() if probe.name == HOOK)
        finally:
            programs.count_runs(wanted=False)
            self._detach_if_idle()
        # Without run statistics (before 5.1) nothing is known against it.
        return hits is None or hits > 0

    @property
    def knows_paths(self) -> bool:
        """Say whether files can be marked here (Linux 5.10)."""
        return "marks" in self._charging.programs.maps

    def take(self, wanted: DropLimit) -> int:
        """Return a slot for a policy; the first one attaches the programs.

        Raises:
            EnforcerError: no slot is free, or the programs cannot be attached.
        """
        self._attach()
        slot = self._charging.take(wanted.limit(), wanted.budget_bytes or 0)
        self._last_serial += 1
        self._serials[slot] = self._last_serial
        self.give_room(slot, 0)
        # An overlay may have been mounted since a namespace was looked at for another policy.
        self._namespaces.clear()
        return slot

    def change(self, slot: int, wanted: DropLimit) -> None:
        """Go over to another rate."""
        self._charging.change(slot, wanted.limit())

    def give_back(self, slot: int) -> None:
        """Let go of a slot, and detach after the last; twice is fine.

        After the return nothing is refused any more: the bucket says all that ever was.
        """
        self._charging.give_back(slot)
        self._serials.pop(slot, None)
        self._detach_if_idle()
        wait_for_programs()

    def give_room(self, slot: int, returned_bytes: int) -> None:
        """Say how much of the budget is free again."""
        terms = TERMS.pack(returned_bytes, self._serials[slot], 0)
        self._charging.programs.maps["terms"].set(U32.pack(slot), terms)

    def bucket(self, slot: int) -> Bucket:
        """Return what happened to a policy."""
        return self._charging.bucket(slot)

    def add(self, pid: int, slot: int) -> None:
        """Refuse what a process writes from now on.

        Its threads' totals are read first: a write that is charged for the first time counts whole.
        """
        self._enter_overlays(pid)
        self._charging.add(pid, slot, is_late=True)

    def remove(self, pid: int) -> None:
        """Let a process write again."""
        self._charging.remove(pid)

    def members(self, slot: int) -> tuple[int, ...]:
        """Return the processes that a policy covers."""
        return self._charging.members(slot)

    def close(self) -> None:
        """Detach and free everything."""
        self._charging.close()

    def marks(self, slot: int) -> InodeMarks:
        """Return what marks files for a policy."""
        return InodeMarks(self, self._serials[slot])

    def read_mark(self, descriptor: int) -> tuple[int, ...]:
        """Return the serials of live policies in a file's mark."""
        raw = self._charging.programs.maps["marks"].get(U32.pack(descriptor))
        live = set(self._serials.values())
        return tuple(n for n in MARKS.unpack(raw or bytes(MARKS.size)) if n in live)

    def write_mark(self, descriptor: int, serials: tuple[int, ...]) -> None:
        """Mark a file for these policies and no others; at most four."""
        padded = (*serials, 0, 0, 0, 0)[:4]
        self._charging.programs.maps["marks"].set(U32.pack(descriptor), MARKS.pack(*padded))

    def _attach(self) -> None:
        programs = self._charging.programs
        programs.demand(GROUP, wanted=True)
        if not programs.is_attached(GROUP):
            name, why = next(iter(programs.problems.items()), (GROUP, "is refused by the kernel"))
            raise EnforcerError(f"the program {name} {why}")

    def _detach_if_idle(self) -> None:
        if self._charging.is_used:
            return
        self._charging.programs.demand(GROUP, wanted=False)
        # Device numbers of overlays are used again.
        overlays = self._charging.programs.maps["overlays"]
        for number, _ in overlays.read():
            overlays.delete(number)
        self._namespaces.clear()

    def _enter_overlays(self, pid: int) -> None:
        """Tell the programs which overlays that a process sees are on a disk."""
        with contextlib.suppress(OSError):
            namespace = Path(f"/proc/{pid}/ns/mnt").stat().st_ino
            if namespace in self._namespaces:
                return
            self._namespaces.add(namespace)
            for number in overlays_on_disk(mounts_of(pid).values()):
                self._charging.programs.maps["overlays"].set(U32.pack(number), U32.pack(1))


class InodeMarks:
    """Marks of one policy."""

    def __init__(self, kernel: Kernel, serial: int) -> None:
        self._kernel = kernel
        self._serial = serial

    def has(self, descriptor: int) -> bool:
        """Say whether a file is marked."""
        return self._serial in self._kernel.read_mark(descriptor)

    def put(self, descriptor: int) -> bool:
        """Mark a file; False when four other policies have marked it."""
        others = self._kernel.read_mark(descriptor)
        if len(others) >= 4:
            return False
        self._kernel.write_mark(descriptor, (*others, self._serial))
        return True
