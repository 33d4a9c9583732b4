"""Map contents laid over processes that /proc listed."""

from __future__ import annotations

from iotop_ng.sample import Process, Totals
from iotop_ng.sources.overlay import Overlay
from iotop_ng.sources.roster import LINGER_NS
from iotop_ng.sources.wire import Measured
from tests.fakes.maps import ALL, NOTHING, START, FakeMaps, key


def process(pid: int, start_ns: int = START, written: int = 5) -> Process:
    return Process(
        key=key(pid, start_ns), pid=pid, start_ns=start_ns, ppid=1, uid=0, user="root", comm="dd",
        command="dd", cgroup=None, prio=None, is_kthread=False, is_exited=False,
        totals=Totals(read_bytes=0, write_bytes=written, cancelled_write_bytes=0),
    )  # fmt: skip


class Reader:
    """An overlay over a fake kernel."""

    def __init__(self) -> None:
        self.overlay = Overlay(lambda uid: f"user{uid}")
        self.now = 0

    def read(self, maps: FakeMaps, *base: Process, measured: Measured = ALL) -> dict[int, Process]:
        self.now += 1
        raw = maps.reading()
        tables = (raw.exits, raw.owners, raw.calls, raw.behalf)
        found = self.overlay.update(base, tables, measured, self.now)
        assert len({p.key for p in found}) == len(found)
        return {p.pid: p for p in found}


def test_a_start_in_clock_ticks_finds_its_nanoseconds() -> None:
    maps = FakeMaps()
    maps.owner(10, 4096)

    found = Reader().read(maps, process(10, START - START % 10_000_000))[10]

    assert found.totals.disk_write_bytes == 4096
    assert found.totals.write_bytes == 5


def test_a_reused_pid_gets_nothing_of_the_old_process() -> None:
    maps = FakeMaps()
    maps.owner(10, 4096)

    found = Reader().read(maps, process(10, START + 1_000_000_000))[10]

    assert found.totals.disk_write_bytes == 0


def test_what_does_not_count_stays_none() -> None:
    found = Reader().read(FakeMaps(), process(10), measured=NOTHING)[10]

    assert found.totals == Totals(read_bytes=0, write_bytes=5, cancelled_write_bytes=0)


def test_a_process_that_proc_never_showed_is_there_with_name_and_bytes() -> None:
    maps, reader = FakeMaps(), Reader()
    maps.exit(77, 65536, args=b"dd\0of=x")
    maps.owner(77, 4096)

    found = reader.read(maps)[77]

    assert (found.command, found.user, found.is_exited) == ("dd of=x", "user0", True)
    assert (found.totals.write_bytes, found.totals.disk_write_bytes) == (65536, 4096)


def test_a_known_process_keeps_its_key_and_gets_its_last_bytes() -> None:
    maps, reader = FakeMaps(), Reader()
    alive = process(10, START - START % 10_000_000)
    reader.read(maps, alive)

    maps.exit(10, 9)
    ended = reader.read(maps, alive)[10]
    later = reader.read(maps, process(10, alive.start_ns))[10]

    assert (ended.key, ended.is_exited, ended.totals.write_bytes) == (alive.key, True, 9)
    assert later == ended
    assert reader.overlay.dead == (key(10),)


def test_a_kworker_says_for_whom_in_keys_that_the_processes_have() -> None:
    maps = FakeMaps()
    maps.owner(5, 0)
    maps.owner(10, 4096)
    maps.behalf[key(5), key(10)] = 4096
    tick = START - START % 10_000_000

    found = Reader().read(maps, process(5, tick), process(10, tick))

    assert found[5].submits_for == ((key(10, tick), 4096),)


def test_entries_that_nobody_claims_are_given_up_after_a_while() -> None:
    maps, reader = FakeMaps(), Reader()
    maps.owner(10, 4096)
    maps.owner(20, 4096)
    maps.exit(30, 1)
    reader.read(maps, process(10))

    reader.now += LINGER_NS
    found = reader.read(maps, process(10))

    assert set(reader.overlay.expired) == {key(20), key(30)}
    assert set(found) == {10}
