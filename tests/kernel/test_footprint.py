"""The source leaves nothing behind: no descriptor, no program, no map, however it ends."""

from __future__ import annotations

import os
import signal
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from iotop_ng.sample import Need
from iotop_ng.sources import bcc as bcc_source
from iotop_ng.sources import bpf_syscall
from iotop_ng.sources.bcc import BccSource
from iotop_ng.sources.programs import Programs
from iotop_ng.sources.roster import LINGER_NS
from tests.kernel.clocks import LaterClock
from tests.kernel.counts import bpf_ids
from tests.kernel.disks import Mounted
from tests.kernel.gate import Workload, wait_until, wait_until_detached

pytestmark = pytest.mark.kernel

ALL_NEEDS = frozenset(Need)
# include/uapi/linux/bpf.h: enum bpf_cmd
_GET_FD_BY_ID = {"prog_id": 13, "map_id": 14, "link_id": 30}


def exists(kind: str, number: int) -> bool:
    """Say whether the kernel still has a BPF object."""
    try:
        os.close(bpf_syscall.bpf(_GET_FD_BY_ID[kind], struct.pack("<III", number, 0, 0)))
    except FileNotFoundError:
        return False
    return True


_HOLDER = """
import sys, time
from iotop_ng.sample import Need
from iotop_ng.sources.bcc import BccSource
source = BccSource()
source.open()
source.read(frozenset(Need))
print("counting", flush=True)
time.sleep(600)
"""


@pytest.mark.usefixtures("own_cache")
def test_a_killed_source_leaves_no_program_map_or_link() -> None:
    """kill -9 while everything is attached: the kernel frees each object that it held."""
    with subprocess.Popen(
        [sys.executable, "-c", _HOLDER], stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"counting\n"
        ids = bpf_ids(holder.pid)
        present = {kind for kind, number in ids if exists(kind, number)}
        holder.send_signal(signal.SIGKILL)

    assert present == {"prog_id", "map_id", "link_id"}
    assert len(ids) >= 25
    wait_until(
        lambda: not [one for one in ids if exists(*one)], "the kernel frees what was held", 20
    )


@pytest.mark.usefixtures("own_cache")
def test_map_entries_of_ended_processes_are_removed(ext4: Mounted) -> None:
    """Those that only call write on a pipe, and those that only sync: none leaves an entry."""
    count = 53
    clock = LaterClock()
    source = BccSource(clock)
    source.open()
    try:
        source.read(ALL_NEEDS)
        path = ext4.path / "data"
        synced = set()
        with path.open("wb", buffering=0) as file:
            for _ in range(count):
                subprocess.run(["/bin/echo", "word"], stdout=subprocess.PIPE, check=True)
                file.write(b"x" * 4096)
                with subprocess.Popen(["sync", path]) as sync:
                    synced.add(sync.pid)
        sample = source.read(ALL_NEEDS)
        listed = {p.pid for p in sample.processes if p.comm == "sync"} & synced
        for _ in range(3):
            clock.moved_ns += LINGER_NS + 1
            source.read(ALL_NEEDS)
        before = {fill.name: fill.entries or 0 for fill in sample.maps}
        after = {fill.name: fill.entries or 0 for fill in source.read(ALL_NEEDS).maps}
    finally:
        source.close()

    assert listed == synced
    assert before["owners"] >= count
    assert before["calls"] >= count
    # Others on this machine come and go meanwhile.
    assert after["owners"] <= before["owners"] - count // 2
    assert after["calls"] <= before["calls"] - count // 2


def descriptors() -> int:
    """Return how many descriptors this process holds."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


@pytest.mark.usefixtures("own_cache")
def test_readings_leave_no_descriptor_open() -> None:
    """200 readings, with and without everything that can be asked for."""
    source = BccSource()
    source.open()
    try:
        source.read(ALL_NEEDS)
        source.read(frozenset())
        wait_until_detached()
        before = descriptors()
        for turn in range(200):
            source.read(frozenset() if turn % 2 else frozenset({Need.THREADS, Need.PROBES}))
        after = descriptors()
    finally:
        source.close()

    assert after == before


@pytest.mark.usefixtures("own_cache")
def test_opening_and_closing_leaves_no_descriptor_open() -> None:
    """Five times, with the programs on demand attached; closing twice is fine."""
    counts = []
    for _ in range(5):
        source = BccSource()
        source.open()
        source.read(ALL_NEEDS)
        source.close()
        source.close()
        counts.append(descriptors())

    assert counts == counts[:1] * 5


@pytest.mark.usefixtures("own_cache")
def test_what_finds_no_place_is_counted_as_lost(
    workloads: Callable[[str], Path],
    ext4: Mounted,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With room for 5 ended processes, 53 end at once: each is listed or counted as lost."""
    room, count = 5, 53

    def small(*arguments: object) -> Programs:
        compiled, sizes, tracefs = arguments
        return Programs(compiled, {**sizes, "exits": room}, tracefs)  # type: ignore[arg-type, dict-item]

    monkeypatch.setattr(bcc_source, "Programs", small)
    source = BccSource()
    source.open()
    try:
        with Workload(workloads("shorties"), ext4.path, count, 65534) as parent:
            source.read(frozenset())
            parent.run()
            sample = source.read(frozenset({Need.PROBES}))
            parent.end()
    finally:
        source.close()
    pids = {int(line.split()[1]) for line in parent.output.splitlines()}
    listed = {p.pid for p in sample.processes if p.is_exited} & pids
    fill = next(fill for fill in sample.maps if fill.name == "exits")

    assert len(pids) == count
    assert len(listed) <= room
    assert len(listed) + sample.lost >= count
    assert (fill.max_entries, fill.lost) == (room, sample.lost)
