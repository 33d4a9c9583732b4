"""The simulated machine as a source and a clock: what reads it cannot tell it from a kernel."""

from __future__ import annotations

import threading

from iotop_ng.policy.actions import NS_PER_S
from iotop_ng.sample import Device as DeviceTotals
from iotop_ng.sample import Host, Need, Process, Sample, Totals, process_key
from iotop_ng.sim.actors import Counts
from iotop_ng.sim.world import World

EPOCH_NS = 1_800_000_000 * NS_PER_S
NS_PER_MS = 1_000_000
START_NS = 1 << 30
"""When the programs started, since boot: nobody asks, but it is part of who they are."""


class SimClock:
    """The world's time. Sleeping is what makes it go on."""

    def __init__(self, world: World) -> None:
        self._world = world

    def wall_ns(self) -> int:
        """Nanoseconds since the epoch, in a year that is the same in every run."""
        return EPOCH_NS + self._world.now_ns

    def mono_ns(self) -> int:
        """Nanoseconds since the simulated machine started."""
        return self._world.now_ns

    def sleep_until(self, mono_ns: int, wake: threading.Event | None = None) -> None:
        """Let the world go on until then, unless `wake` is set."""
        if wake is None or not wake.is_set():
            self._world.run_until(mono_ns)


class SimSource:
    """Totals of the simulated machine."""

    name = "sim"

    def __init__(self, world: World) -> None:
        self._world = world

    def open(self) -> None:
        """Nothing has to be opened."""

    def close(self) -> None:
        """Nothing has to be closed."""

    def read(self, needs: frozenset[Need]) -> Sample:  # noqa: ARG002 - everything is there
        """Return totals now."""
        world = self._world
        victim = world.victim
        processes = [
            _process(1, "init", "/init.scope", None),
            _process(2, "kthreadd", "/", None),
            _process(
                victim.pid, victim.spec.name, victim.spec.cgroup, victim.counts,
                victim.age_ns(world.now_ns),
            ),
            *(
                _process(one.pid, one.name, one.spec.cgroup, one.counts)
                for one in world.writers
                if one.is_there(world.now_ns)
            ),
        ]  # fmt: skip
        device = world.device
        return Sample(
            source=self.name,
            wall_ns=EPOCH_NS + world.now_ns,
            mono_ns=world.now_ns,
            processes=tuple(processes),
            devices=(_device(world),),
            host=Host(
                page_in_kib=0,
                page_out_kib=device.served_bytes // 1024,
                dirty_bytes=world.dirty_bytes,
                writeback_bytes=device.queued_bytes,
            ),
        )


def _process(
    pid: int, name: str, cgroup: str, counts: Counts | None, age_ns: int = 0
) -> Process:  # fmt: skip
    return Process(
        key=process_key(pid, START_NS),
        pid=pid,
        start_ns=START_NS,
        ppid=0 if pid <= 2 else 1,
        uid=0 if counts is None else 1000,
        user="root" if counts is None else "app",
        comm=name[:15],
        command=name,
        cgroup=cgroup,
        prio=None,
        is_kthread=pid == 2,
        is_exited=False,
        totals=_totals(counts or Counts()),
        fsync_age_ns=age_ns,
    )


def _totals(counts: Counts) -> Totals:
    return Totals(
        read_bytes=0,
        write_bytes=counts.write_bytes,
        cancelled_write_bytes=0,
        disk_read_bytes=0,
        disk_write_bytes=counts.disk_write_bytes,
        disk_ios=counts.disk_ios,
        latency=tuple(counts.latency),
        fsync=tuple(counts.fsync),
    )


def _device(world: World) -> DeviceTotals:
    device = world.device
    return DeviceTotals(
        name="sim0",
        major=252,
        minor=0,
        is_stacked=False,
        read_ios=0,
        read_bytes=0,
        write_ios=device.served_ios,
        write_bytes=device.served_bytes,
        discard_ios=0,
        discard_bytes=0,
        flush_ios=len(world.victim.operations),
        in_flight=device.in_flight,
        read_ms=0,
        write_ms=device.waited_ns // NS_PER_MS,
        flush_ms=0,
        busy_ms=device.busy_ns // NS_PER_MS,
        weighted_ms=device.waited_ns // NS_PER_MS,
    )
