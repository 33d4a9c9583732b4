"""Map contents laid over processes that /proc listed."""

from __future__ import annotations

from iotop_ng.sample import Process, Totals
from iotop_ng.sources.overlay import overlay
from tests.fakes.maps import ALL, NOTHING, START, FakeMaps, key


def process(pid: int, start_ns: int = START) -> Process:
    return Process(
        key=key(pid, start_ns), pid=pid, start_ns=start_ns, ppid=1, uid=0, user="root", comm="dd",
        command="dd", cgroup=None, prio=None, is_kthread=False, is_exited=False,
        totals=Totals(write_bytes=5),
    )  # fmt: skip


def test_a_start_in_clock_ticks_finds_its_nanoseconds() -> None:
    maps = FakeMaps()
    maps.owner(10, 4096)
    rounded = process(10, START - START % 10_000_000)

    found = overlay((rounded,), maps.reading().owners, [], ALL)[0]

    assert found.totals.disk_write_bytes == 4096
    assert found.totals.write_bytes == 5


def test_a_reused_pid_gets_nothing_of_the_old_process() -> None:
    maps = FakeMaps()
    maps.owner(10, 4096)

    found = overlay((process(10, START + 1_000_000_000),), maps.reading().owners, [], ALL)[0]

    assert found.totals.disk_write_bytes == 0


def test_what_does_not_count_stays_none() -> None:
    found = overlay((process(10),), [], [], NOTHING)[0]

    assert found.totals == Totals(write_bytes=5)
