"""One Process per process, alive or ended, out of raw map contents."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from iotop_ng.sample import Process
from iotop_ng.sources.roster import LINGER_NS, Roster
from iotop_ng.sources.wire import Measured
from tests.fakes.maps import ALL, NOTHING, FakeDescriber, FakeMaps, key

S = 1_000_000_000


class Reader:
    """A roster that reads a fake kernel."""

    def __init__(self) -> None:
        self.describer = FakeDescriber()
        self.roster = Roster(
            self.describer, lambda uid: f"user{uid}", lambda cgroup: f"container of {cgroup}"
        )
        self.now = 0

    def read(
        self, maps: FakeMaps, measured: Measured = ALL, *, threads: bool = False
    ) -> dict[int, Process]:
        self.now += S
        found = self.roster.update(maps.reading(), measured, self.now, threads=threads)
        assert len({p.key for p in found}) == len(found)
        return {p.pid: p for p in found}


def test_threads_and_ended_threads_add_up_to_the_process() -> None:
    maps = FakeMaps()
    maps.task(10, 100)
    maps.task(10, 20, tid=11)
    maps.exit(10, 3, dead=False)

    process = Reader().read(maps, threads=True)[10]

    assert process.totals.write_bytes == 123
    assert [(t.tid, t.totals.write_bytes) for t in process.threads] == [(10, 100), (11, 20)]
    assert not process.is_exited


def test_the_leader_names_the_process_wherever_its_row_stands() -> None:
    maps = FakeMaps()
    maps.task(10, tid=11, comm=b"worker")
    maps.task(10, comm=b"leader")

    assert Reader().read(maps)[10].comm == "leader"


def test_what_did_nothing_is_the_same_object() -> None:
    maps, reader = FakeMaps(), Reader()
    maps.task(10, 5)
    maps.owner(10, 7)

    first, second = reader.read(maps)[10], reader.read(maps)[10]

    assert first is second
    assert reader.describer.commands == [10]


def test_new_disk_bytes_make_a_new_object_but_ask_no_names_again() -> None:
    maps, reader = FakeMaps(), Reader()
    maps.task(10, 5)
    maps.owner(10, 7)
    reader.read(maps)

    maps.owner(10, 9)
    process = reader.read(maps)[10]

    assert process.totals.disk_write_bytes == 9
    assert reader.describer.commands == [10]
    assert reader.describer.cgroups == [10]


def test_an_exec_reads_the_command_line_again() -> None:
    maps, reader = FakeMaps(), Reader()
    maps.task(10, comm=b"sh")
    reader.read(maps)

    maps.tasks.clear()
    maps.task(10, comm=b"dd")
    process = reader.read(maps)[10]

    assert (process.comm, process.command) == ("dd", "command of 10 #2")


def test_an_exec_under_the_same_name_reads_the_command_line_again() -> None:
    maps, reader = FakeMaps(), Reader()
    maps.task(10, comm=b"sh", exec_id=4)
    reader.read(maps)

    maps.tasks.clear()
    maps.task(10, comm=b"sh", exec_id=5)

    assert reader.read(maps)[10].command == "command of 10 #2"


def test_a_thread_that_ends_during_the_reading_is_not_counted_twice() -> None:
    maps, reader = FakeMaps(exits_before={}), Reader()
    maps.task(10, 1)
    maps.task(10, 20, tid=11)
    maps.exit(10, 20, dead=False)
    during = reader.read(maps)[10].totals.write_bytes

    maps.tasks.pop()
    maps.exits_before = None
    after = reader.read(maps)[10].totals.write_bytes

    assert (during, after) == (21, 21)


def test_totals_do_not_fall_when_a_thread_ends_just_before_the_walk() -> None:
    maps, reader = FakeMaps(), Reader()
    maps.task(10, 1)
    maps.task(10, 20, tid=11)
    reader.read(maps)

    maps.tasks.pop()
    maps.exits_before = {}
    maps.exit(10, 25, dead=False)
    during = reader.read(maps)[10].totals.write_bytes
    maps.exits_before = None
    after = reader.read(maps)[10].totals.write_bytes

    assert (during, after) == (21, 26)


def test_a_zombie_does_not_come_back_to_life_when_its_row_expires() -> None:
    maps, reader = FakeMaps(), Reader()
    maps.task(10, 8)
    reader.read(maps)
    maps.tasks.clear()
    maps.task(10, zombie=True)
    maps.exit(10, 8)
    reader.read(maps)

    maps.exits.clear()
    reader.now += LINGER_NS
    reader.read(maps)

    assert reader.read(maps) == {}


def test_entries_of_processes_that_no_reading_finds_are_given_up() -> None:
    maps, reader = FakeMaps(), Reader()
    maps.owner(10, 7)
    maps.owner(11, 7)
    reader.read(maps)
    first = reader.roster.expired

    maps.task(11)
    reader.read(maps)

    assert first == ()
    assert reader.roster.expired == (key(10),)


def test_a_move_to_another_cgroup_is_seen() -> None:
    maps, reader = FakeMaps(), Reader()
    maps.task(10, cgroup_id=1)
    reader.read(maps)

    maps.tasks.clear()
    reader.describer.path = "/other"
    maps.task(10, cgroup_id=2)

    moved = reader.read(maps)[10]
    assert (moved.cgroup, moved.container) == ("/other", "container of /other")


def test_a_process_that_lived_between_two_readings_is_there_with_name_and_bytes() -> None:
    maps, reader = FakeMaps(), Reader()
    maps.task(1)
    reader.read(maps)

    maps.exit(77, 65536, args=b"dd\0of=/x\0bs=64k\0")
    process = reader.read(maps)[77]

    assert process.is_exited
    assert process.command == "dd of=/x bs=64k"
    assert process.totals.write_bytes == 65536
    assert process.cgroup == "/system.slice/a.service"
    assert process.container == f"container of {process.cgroup}"


def test_an_ended_process_keeps_the_command_line_that_was_read_while_it_lived() -> None:
    maps, reader = FakeMaps(), Reader()
    maps.task(10, 5)
    reader.read(maps)

    maps.tasks.clear()
    maps.exit(10, 8, args=b"cut")
    process = reader.read(maps)[10]

    assert process.command == "command of 10 #1"
    assert process.totals.write_bytes == 8


def test_a_process_that_became_another_program_before_its_end_has_that_ones_name() -> None:
    maps, reader = FakeMaps(), Reader()
    maps.task(10, comm=b"sh")
    reader.read(maps)

    maps.tasks.clear()
    maps.exit(10, 8, args=b"dd\0of=x")
    process = reader.read(maps)[10]

    assert (process.comm, process.command) == ("dd", "dd of=x")


def test_a_process_that_ran_itself_anew_before_its_end_has_the_new_arguments() -> None:
    maps, reader = FakeMaps(), Reader()
    maps.task(10, exec_id=1)
    reader.read(maps)

    maps.tasks.clear()
    maps.exit(10, 8, args=b"dd\0of=x", exec_id=2)

    assert reader.read(maps)[10].command == "dd of=x"


def test_a_zombie_is_listed_once_and_as_ended() -> None:
    maps, reader = FakeMaps(), Reader()
    maps.task(10, 8)
    maps.exit(10, 8)

    assert reader.read(maps)[10].is_exited
    assert reader.read(maps)[10].totals.write_bytes == 8


def test_map_entries_of_the_dead_are_given_up_one_reading_later() -> None:
    maps, reader = FakeMaps(), Reader()
    maps.exit(10, 8)

    dead = []
    for _ in range(2):
        reader.read(maps)
        dead.append(reader.roster.dead)

    assert dead == [(), (key(10),)]


def test_what_the_flusher_writes_after_the_end_is_added() -> None:
    maps, reader = FakeMaps(), Reader()
    maps.exit(10, 8)
    maps.owner(10, 0)
    reader.read(maps)
    maps.exits.clear()

    maps.owner(10, 4096)
    process = reader.read(maps)[10]

    assert process.totals.disk_write_bytes == 4096
    assert process.totals.write_bytes == 8
    assert process.is_exited


def test_an_ended_process_expires_when_nothing_more_is_written_for_it() -> None:
    maps, reader = FakeMaps(), Reader()
    maps.exit(10, 8)
    reader.read(maps)
    maps.exits.clear()
    reader.read(maps)

    reader.now += LINGER_NS
    expired = []
    for _ in range(2):
        assert reader.read(maps) == {}
        expired.append(reader.roster.expired)

    assert expired == [(key(10),), ()]


def test_a_process_that_vanished_without_an_exit_entry_is_shown_as_ended() -> None:
    maps, reader = FakeMaps(), Reader()
    maps.task(10, 8)
    reader.read(maps)

    maps.tasks.clear()
    process = reader.read(maps)[10]

    assert process.is_exited
    assert process.totals.write_bytes == 8


def test_a_process_without_any_io_leaves_nothing_behind() -> None:
    maps, reader = FakeMaps(), Reader()
    maps.task(10)
    reader.read(maps)

    maps.tasks.clear()

    assert reader.read(maps) == {}


def test_what_does_not_count_is_none_and_not_zero() -> None:
    maps = FakeMaps()
    maps.task(10, 5)
    maps.owner(10, 7)

    totals = Reader().read(maps, NOTHING)[10].totals

    assert totals.write_bytes == 5
    assert totals.disk_write_bytes is None
    assert totals.latency is None
    assert totals.fsync is None
    assert totals.io_delay_ns is None
    assert totals.kernel_pause_ns is None


def test_delays_are_summed_and_unknown_when_one_thread_has_none() -> None:
    maps = FakeMaps()
    maps.task(10, delay_ns=5)
    maps.task(10, tid=11, delay_ns=7)
    maps.task(20, delay_ns=None)

    found = Reader().read(maps)

    assert found[10].totals.io_delay_ns == 12
    assert found[20].totals.io_delay_ns is None


def test_measured_without_activity_is_zero_and_not_none() -> None:
    maps = FakeMaps()
    maps.task(10)

    totals = Reader().read(maps)[10].totals

    assert totals.disk_write_bytes == 0
    assert totals.latency == (0,) * 40
    assert totals.fsync == (0,) * 40


def test_a_kworker_says_for_whom_it_submits() -> None:
    maps = FakeMaps()
    maps.task(5, comm=b"kworker/u4:1", kthread=True)
    maps.task(10)
    maps.behalf[key(5), key(10)] = 4096

    process = Reader().read(maps)[5]

    assert process.submits_for == ((key(10), 4096),)
    assert process.command == ""


def test_only_a_kernel_thread_whose_name_may_be_cut_is_asked_for_the_whole() -> None:
    maps = FakeMaps()
    maps.task(5, comm=b"kworker/R-rcu_g", kthread=True)
    maps.task(6, comm=b"kswapd0", kthread=True)
    maps.task(7, comm=b"fifteen-letters")

    found = Reader().read(maps)

    assert [found[n].comm for n in (5, 6, 7)] == ["long name of 5", "kswapd0", "fifteen-letters"]


def test_hostile_names_are_cleaned() -> None:
    maps = FakeMaps()
    maps.task(10, comm=b"\x1b[31mred\n")
    maps.exit(11, 1, args=b"\x1b]0;title\x07\0\xff\xfe")

    found = Reader().read(maps)

    assert found[10].comm == "·[31mred·"
    assert found[11].command == "·]0;title· ··"


lives = st.lists(st.sampled_from(["task", "exit", "both", "gone"]), min_size=1, max_size=12)


@given(lives)
def test_bytes_never_fall_and_the_end_is_final(steps: list[str]) -> None:
    reader, written, seen, ended = Reader(), 0, 0, False
    for step in steps:
        maps = FakeMaps()
        written += 100
        if step in {"task", "both"} and not ended:
            maps.task(10, written)
        if step in {"exit", "both"}:
            maps.exit(10, written)
            ended = True
        process = reader.read(maps).get(10)
        ended = ended or (process is not None and process.is_exited)
        if process is not None:
            assert process.is_exited is ended
            assert (process.totals.write_bytes or 0) >= seen
            seen = process.totals.write_bytes or 0
