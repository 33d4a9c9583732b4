"""What is a process's own, and what it only waited for."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotop_ng.sources.own_io import NO_IO, IoCounters, OwnIo, parse_inherited
from tests.fakes.procfs import FakeIo, FakeProc

PID = 50


class World:
    """One process with threads and children, and its io file as the kernel would write it."""

    def __init__(self, root: Path) -> None:
        self.fake = FakeProc(root)
        self.threads = {PID: 0}
        self.ended = 0
        self.inherited = 0
        self.faults = 0
        self.fake.start(PID)

    @property
    def own(self) -> int:
        return sum(self.threads.values()) + self.ended

    def show(self) -> IoCounters:
        """Write the files and return the io file's counters."""
        self.fake.set_stat(PID, "shell", child_faults=self.faults)
        for tid, written in self.threads.items():
            self.fake.start_thread(PID, tid, "t", FakeIo(write_bytes=written))
        return NO_IO._replace(write_bytes=self.own + self.inherited)

    def wait_for_child(self, written: int) -> None:
        self.inherited += written
        self.faults += 97

    def end_thread(self, tid: int) -> None:
        self.show()
        self.ended += self.threads.pop(tid)
        self.fake.end_thread(PID, tid)

    def follow(self) -> OwnIo:
        return OwnIo(str(self.fake.proc / str(PID)), self.show())

    def advance(self, own: OwnIo) -> int:
        own.advance(self.show(), self.show)
        return own.own.write_bytes


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_the_worked_example(world: World) -> None:
    """A shell wrote 10, waits for a child that wrote 500, writes 3 more."""
    world.threads[PID] = 10
    own = world.follow()
    assert own.own.write_bytes == 10
    world.wait_for_child(500)
    world.threads[PID] += 3

    assert world.advance(own) == 13


def test_without_children_all_is_its_own(world: World) -> None:
    world.threads |= {PID: 5, 51: 7}
    own = world.follow()
    world.threads[51] += 100
    world.end_thread(51)
    world.threads[52] = 1

    assert world.advance(own) == 5 + 107 + 1


def test_what_was_inherited_before_we_looked_is_not_its_own(world: World) -> None:
    world.threads[PID] = 10
    world.wait_for_child(500)
    own = world.follow()
    assert own.own.write_bytes == 10
    world.threads[PID] += 4

    assert world.advance(own) == 14


def test_child_after_child(world: World) -> None:
    own = world.follow()
    seen = []
    for _ in range(4):
        world.wait_for_child(1000)
        world.threads[PID] += 1
        seen.append(world.advance(own))

    assert seen == [1, 2, 3, 4]


def test_a_child_that_ends_between_two_reads_belongs_to_no_interval(world: World) -> None:
    """The io file was read before the wait, the stat file after it."""
    own = world.follow()
    before_wait = world.show()
    world.wait_for_child(500)
    world.show()
    own.advance(before_wait, world.show)

    assert own.own.write_bytes == 0
    world.threads[PID] += 2
    assert world.advance(own) == 2


def test_a_wait_while_it_is_read_again_is_seen(world: World) -> None:
    own = world.follow()
    world.wait_for_child(500)
    first = world.show()
    waits = iter([700, 900])

    def read_again() -> IoCounters:
        for written in waits:
            counters = world.show()
            world.wait_for_child(written)
            world.show()
            return counters
        return world.show()

    own.advance(first, read_again)
    world.threads[PID] += 2

    assert world.advance(own) == 2


def test_a_process_that_vanishes_keeps_what_it_had(world: World) -> None:
    world.threads[PID] = 10
    own = world.follow()
    world.fake.end(PID)
    own.advance(NO_IO._replace(write_bytes=10), lambda: None)

    assert own.own.write_bytes == 10


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.integers(0, 1000)),
        st.tuples(st.just("wait"), st.integers(0, 100_000)),
        st.tuples(st.just("thread"), st.integers(0, 1000)),
        st.tuples(st.just("end"), st.just(0)),
        st.tuples(st.just("look"), st.just(0)),
    ),
    max_size=20,
)


@given(STEPS)
def test_never_falls_never_exceeds_the_truth(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int]]
) -> None:
    """And is exact while threads do not end."""
    world = World(tmp_path_factory.mktemp("world"))
    own = world.follow()
    last, tid, has_ended = 0, 100, False
    for kind, amount in [*steps, ("look", 0)]:
        if kind == "write":
            world.threads[PID] += amount
        elif kind == "wait":
            world.wait_for_child(amount)
        elif kind == "thread":
            tid += 1
            world.threads[tid] = amount
        elif kind == "end" and len(world.threads) > 1:
            world.end_thread(max(world.threads))
            has_ended = True
        elif kind == "look":
            now = world.advance(own)
            assert last <= now <= world.own
            assert has_ended or now == world.own
            last = now


def test_what_is_no_stat_line_says_nothing() -> None:
    assert parse_inherited(b"") is None
    assert parse_inherited(b"1 (x) S 1 2") is None
