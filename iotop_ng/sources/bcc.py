"""The BPF source: programs compiled by BCC, maps read once per interval.

Reading is the only thing that happens in this process; BCC and LLVM stay in a child that ends.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from iotop_ng.clock import Clock, SystemClock
from iotop_ng.errors import SourceError
from iotop_ng.sample import Device, Host, Need, OpTotals, Process, Sample
from iotop_ng.sources import wire
from iotop_ng.sources.build import compiled_for
from iotop_ng.sources.containers import Containers
from iotop_ng.sources.devices import Devices
from iotop_ng.sources.fsyncs import by_process, waiting
from iotop_ng.sources.host import HostCounters
from iotop_ng.sources.identity import Identities, Users
from iotop_ng.sources.layout import find_tracefs
from iotop_ng.sources.overlay import Overlay
from iotop_ng.sources.procfs import ProcfsSource
from iotop_ng.sources.programs import Programs
from iotop_ng.sources.roster import Reading, Roster
from iotop_ng.sources.stacking import below_stacks, request_slots
from iotop_ng.sources.wire import Measured

_DELAYACCT = Path("/proc/sys/kernel/task_delayacct")
_STACK_CHECK_NS = 10_000_000_000
_SLOT_0 = wire.U32.pack(0)


class BccSource:
    """Counts I/O in the kernel.

    Args:
        clock: the times that samples carry.
        on_progress: told in a few words what takes long while opening.
        use_btf: False compiles against installed headers even where there is BTF.
    """

    name = "bcc"

    def __init__(
        self,
        clock: Clock | None = None,
        on_progress: Callable[[str], None] | None = None,
        *,
        use_btf: bool = True,
    ) -> None:
        self._clock = clock or SystemClock()
        self._say = on_progress or (lambda _: None)
        self._use_btf = use_btf
        self._programs: Programs | None = None
        self._procfs: ProcfsSource | None = None
        self._notes: tuple[str, ...] = ()
        self._stack_checked_ns = -_STACK_CHECK_NS
        self._stacked: frozenset[bytes] = frozenset()
        self._threads_wanted = False

    def open(self) -> None:
        """Load and attach.

        Raises:
            SourceError: when the programs cannot be compiled here.
            NotPermittedError: when the kernel refuses them.
        """
        tracefs = find_tracefs()
        code = compiled_for("count", self._say, use_btf=self._use_btf)
        self._say("loading probes")
        self._programs = Programs(code, {"inflight": request_slots()}, tracefs)
        self._roster = Roster(Identities(), Users().name, Containers(patience_s=0).shown)
        self._overlay = Overlay(Users().name)
        self._devices = Devices()
        self._host = HostCounters()
        problems = tuple(f"{name}: {why}" for name, why in self._programs.problems.items())
        self._notes = (*code.plan.gaps, *problems)
        if not self._programs.is_attached("tasks"):
            self._procfs = ProcfsSource()
            self._procfs.open()

    def read(self, needs: frozenset[Need]) -> Sample:
        """Return totals now; programs on demand follow `needs`."""
        programs = self._programs
        if programs is None:
            raise SourceError("the BPF source is not open")
        now = self._clock.mono_ns()
        self._follow(programs, needs, now)
        processes = self._processes(programs, needs, now)
        lost = programs.lost()
        with_probes = Need.PROBES in needs
        return Sample(
            source=self.name,
            wall_ns=self._clock.wall_ns(),
            mono_ns=now,
            processes=processes,
            devices=self._devices_now(programs),
            host=self._host_now(programs),
            probes=programs.probes(),
            maps=programs.fills(lost) if with_probes else (),
            lost=sum(lost.values()),
            self_cpu_ns=time.process_time_ns(),
            notes=self._notes,
        )

    def _follow(self, programs: Programs, needs: frozenset[Need], now: int) -> None:
        """Attach and detach what the needs ask for; note devices that were stacked meanwhile."""
        asked = Need.SYSCALLS in needs
        if asked and not programs.is_attached("syscalls") and "fsync_start" in programs.maps:
            # A call that was under way when we last looked has ended unseen.
            for thread, _ in programs.maps["fsync_start"].read():
                programs.maps["fsync_start"].delete(thread)
        programs.demand("syscalls", wanted=asked)
        programs.count_runs(wanted=Need.PROBES in needs)
        threads = Need.THREADS in needs
        if threads != self._threads_wanted and "want_threads" in programs.maps:
            programs.maps["want_threads"].set(_SLOT_0, wire.U32.pack(int(threads)))
            self._threads_wanted = threads
        if now - self._stack_checked_ns >= _STACK_CHECK_NS and "under_stack" in programs.maps:
            self._stack_checked_ns = now
            self._note_stacks(programs)

    def _note_stacks(self, programs: Programs) -> None:
        below = frozenset(wire.device_number(*number) for number in below_stacks())
        table = programs.maps["under_stack"]
        for number in below - self._stacked:
            table.set(number, wire.U32.pack(1))
        for number in self._stacked - below:
            table.delete(number)
        if below != self._stacked:
            programs.maps["has_stack"].set(_SLOT_0, wire.U32.pack(int(bool(below))))
        self._stacked = below

    def _measured(self, programs: Programs) -> Measured:
        try:
            delays = _DELAYACCT.read_bytes().strip() == b"1"
        except OSError:
            delays = False
        return Measured(
            dirty=programs.is_attached("dirty"),
            block=programs.is_attached("block"),
            pauses=programs.is_attached("pauses"),
            calls=programs.is_attached("syscalls"),
            delays=delays,
        )

    def _processes(
        self, programs: Programs, needs: frozenset[Need], now: int
    ) -> tuple[Process, ...]:
        def pairs(name: str) -> list[tuple[bytes, bytes]]:
            return programs.maps[name].read() if name in programs.maps else []

        measured = self._measured(programs)
        calls = pairs("fsync_start") if measured.calls else []
        fsyncs = waiting(calls, time.monotonic_ns(), now) if measured.calls else None
        if self._procfs is not None:
            base = self._procfs.read(needs).processes
            calls = pairs("calls") if measured.calls else []
            maps = (pairs("exits"), pairs("owners"), calls, pairs("behalf"))
            processes = self._overlay.update(base, maps, measured, now, by_process(fsyncs))
            _forget(programs, self._overlay.dead, self._overlay.expired)
            return processes
        # Exits before the walk, for threads that ended while their process lives on, and after
        # it, for processes that ended: whatever ends in between is never counted twice.
        reading = Reading(
            exits_before=pairs("exits"),
            tasks=programs.walk_tasks(),
            exits=pairs("exits"),
            owners=pairs("owners"),
            calls=pairs("calls") if measured.calls else [],
            behalf=pairs("behalf"),
            fsyncs=fsyncs,
        )
        roster = self._roster
        processes = roster.update(reading, measured, now, threads=Need.THREADS in needs)
        _forget(programs, roster.dead, roster.expired)
        return processes

    def _host_now(self, programs: Programs) -> Host:
        host = self._host.read()
        if not programs.is_attached("pauses"):
            return host
        pauses = int.from_bytes(programs.maps["pauses"].get(_SLOT_0) or b"", "little")
        return msgspec.structs.replace(host, kernel_pause_ns=pauses)

    def _devices_now(self, programs: Programs) -> tuple[Device, ...]:
        devices = self._devices.read()
        if not programs.is_attached("block"):
            return devices
        ops = self._ops(programs)
        return tuple(
            msgspec.structs.replace(device, ops=ops.get((device.major, device.minor), ()))
            for device in devices
        )

    def _ops(self, programs: Programs) -> dict[tuple[int, int], tuple[OpTotals, ...]]:
        """Return whole disk -> its operations, partitions added up."""
        rows: dict[tuple[int, int], dict[str, OpTotals]] = {}
        for name, raw in programs.maps["devices"].read():
            major, minor, op = wire.device_key(name)
            row = wire.device_row(raw)
            disk = rows.setdefault(self._devices.fold(major, minor), {})
            disk[op] = _add(disk.get(op), op, row)
        return {disk: tuple(ops[op] for op in wire.OPS if op in ops) for disk, ops in rows.items()}

    def close(self) -> None:
        """Detach everything; twice is fine."""
        if self._programs is not None:
            self._programs.close()
            self._programs = None
            self._devices.close()
            self._host.close()
        if self._procfs is not None:
            self._procfs.close()
            self._procfs = None


def _forget(programs: Programs, dead: tuple[int, ...], expired: tuple[int, ...]) -> None:
    """Remove map entries of the dead: nothing counts into them any more."""
    for key in dead:
        programs.maps["exits"].delete(wire.KEY.pack(key))
    for name in {"exits", "owners", "calls"} & set(programs.maps):
        for key in expired:
            programs.maps[name].delete(wire.KEY.pack(key))
    if not expired or "behalf" not in programs.maps:
        return
    gone = frozenset(expired)
    for pair, _ in programs.maps["behalf"].read():
        if gone.intersection(wire.BEHALF_KEY.unpack(pair)):
            programs.maps["behalf"].delete(pair)


def _add(before: OpTotals | None, op: str, row: wire.DeviceRow) -> OpTotals:
    if before is None:
        return OpTotals(
            op=op,
            ios=row.ios,
            bytes=row.bytes,
            errors=row.errors,
            requeues=row.requeues,
            latency_ns=row.latency_ns,
            queued_ns=row.queued_ns,
            latency=row.latency,
            queued=row.queued,
        )
    return OpTotals(
        op=op,
        ios=before.ios + row.ios,
        bytes=before.bytes + row.bytes,
        errors=before.errors + row.errors,
        requeues=before.requeues + row.requeues,
        latency_ns=before.latency_ns + row.latency_ns,
        queued_ns=before.queued_ns + row.queued_ns,
        latency=tuple(map(sum, zip(before.latency, row.latency, strict=True))),
        queued=tuple(map(sum, zip(before.queued, row.queued, strict=True))),
    )
