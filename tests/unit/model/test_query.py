"""Which rows, in which order, and how deep."""

from __future__ import annotations

from random import Random

import pytest
from msgspec.structs import replace

from iotop_ng.model.fields import Mode
from iotop_ng.model.frame import EMPTY_FRAME, Frame, Row
from iotop_ng.model.query import Query, arrange, is_active, parse_filter
from iotop_ng.sample import Totals
from tests.fakes.samples import SECOND
from tests.unit.model.test_fields import ROW


def row(pid: int, written: float | None = 0.0, **changes: object) -> Row:
    base = replace(ROW, key=pid, pid=pid, ppid=0, write_bytes_per_s=written)
    return replace(base, **changes)


def frame(*rows: Row) -> Frame:
    return replace(EMPTY_FRAME, tick=5, rows=rows, threads=rows, mono_ns=110 * SECOND)


def pids(found: Frame, query: Query) -> list[int]:
    return [placed.row.pid for placed in arrange(found, query)]


def test_numbers_go_down_unknown_last_and_ties_by_pid() -> None:
    shown = frame(row(9), row(3, None), row(5, 7.0), row(1, None), row(2), row(4, 9.0))

    assert pids(shown, Query()) == [4, 5, 2, 9, 1, 3]
    assert pids(shown, Query(reverse=True)) == [2, 9, 5, 4, 1, 3]


def test_names_and_ids_go_up() -> None:
    shown = frame(row(9, user="b"), row(3, user="c"), row(5, user="a"))

    assert pids(shown, Query(sort="user")) == [5, 9, 3]
    assert pids(shown, Query(sort="user", reverse=True)) == [3, 9, 5]
    assert pids(shown, Query(sort="pid")) == [3, 5, 9]


def test_a_tie_between_threads_goes_by_tid() -> None:
    shown = frame(row(9, tid=12), row(9, tid=0), row(9, tid=9))

    found = [placed.row.tid for placed in arrange(shown, Query(threads=True))]

    assert found == [0, 9, 12]


def test_an_ended_process_stands_among_the_threads_as_a_whole() -> None:
    ended = row(9, 7.0, exited=True, exited_tick=5)
    shown = replace(frame(ended), threads=(row(3, tid=3),))

    assert pids(shown, Query(threads=True)) == [9, 3]


def test_modes_sort_by_their_own_numbers() -> None:
    """Pid 1 wrote most in all, pid 2 most per second since it is there, pid 3 most right now."""
    shown = frame(
        row(1, 0.0, totals=Totals(write_bytes=1000), first_seen_ns=10 * SECOND),
        row(2, 0.0, totals=Totals(write_bytes=500), first_seen_ns=109 * SECOND),
        row(3, 1.0, totals=Totals(write_bytes=1), first_seen_ns=100 * SECOND),
    )

    assert [pids(shown, Query(mode=mode))[0] for mode in (Mode.TOTAL, Mode.AVERAGE, Mode.RATE)] == [
        1,
        2,
        3,
    ]


def test_only_active_asks_the_mode() -> None:
    now = row(1, 5.0)
    waiting = row(2, io_delay_pct=3.0)
    earlier = row(3, totals=Totals(read_bytes=9))
    idle = row(4, totals=Totals(read_bytes=0))
    shown = frame(now, waiting, earlier, idle)

    assert pids(shown, Query(only_active=True)) == [1, 2]
    assert pids(shown, Query(only_active=True, mode=Mode.TOTAL)) == [3]
    assert not is_active(row(1, None), Mode.RATE)


def test_pids_users_and_filter_all_have_to_agree() -> None:
    shown = frame(row(1, user="a"), row(2, user="a"), row(3, user="b"), row(4, user="a", comm="x"))
    query = Query(pids=frozenset({1, 3, 4}), users=frozenset({"a"}), filter=parse_filter("comm:dd"))

    assert pids(shown, query) == [1]


def test_an_unknown_column_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        arrange(frame(row(1)), Query(sort="colour"))


def tree_of(*rows: Row) -> list[tuple[int, int, bool]]:
    found = arrange(frame(*rows), Query(tree=True))
    return [(placed.row.pid, placed.depth, placed.is_last) for placed in found]


def test_children_stand_below_parents_in_the_order_of_the_sort() -> None:
    found = tree_of(
        row(1), row(20, 5.0, ppid=1), row(10, 9.0, ppid=1), row(30, 7.0, ppid=20), row(2, 1.0)
    )

    assert found == [
        (1, 0, False),
        (10, 1, False),
        (20, 1, True),
        (30, 2, True),
        (2, 0, True),
    ]


def test_the_first_row_of_the_sort_lifts_all_that_it_hangs_below() -> None:
    """Pid 31 writes most, three levels below an idle shell that has an idle neighbour before it."""
    found = tree_of(row(1), row(2), row(20, ppid=2), row(30, 1.0, ppid=2), row(31, 9.0, ppid=20))

    assert [pid for pid, _, _ in found] == [2, 20, 31, 30, 1]


def test_among_equals_rows_with_io_stand_above_idle_ones() -> None:
    reader = row(9, 0.0, read_bytes_per_s=5.0)
    waiting = row(7, 0.0, disk_iops=1.0)
    shown = frame(row(2, 0.0), row(3, 0.0), waiting, reader, row(5, 1.0))

    assert pids(shown, Query()) == [5, 9, 7, 2, 3]
    assert pids(shown, Query(reverse=True)) == [9, 7, 2, 3, 5]
    assert pids(shown, Query(sort="latency_p99_us")) == [9, 5, 7, 2, 3]


def test_an_orphan_stands_at_the_top() -> None:
    assert tree_of(row(20, ppid=1), row(30, ppid=20)) == [(20, 0, True), (30, 1, True)]


def test_a_ring_of_reused_pids_is_shown_whole() -> None:
    found = tree_of(row(1, ppid=2), row(2, ppid=1), row(3, ppid=3))

    assert sorted(pid for pid, _, _ in found) == [1, 2, 3]


def test_a_child_hangs_below_the_living_owner_of_the_pid() -> None:
    dead = row(1, 9.0, key=100, exited=True, start_ns=1)
    alive = row(1, 1.0, key=101, start_ns=2)
    found = arrange(frame(dead, alive, row(5, ppid=1, start_ns=3)), Query(tree=True))

    assert [(p.row.key, p.depth) for p in found] == [(100, 0), (101, 0), (5, 1)]


def test_a_parent_that_started_later_is_none() -> None:
    assert tree_of(row(1, start_ns=9), row(5, 1.0, ppid=1, start_ns=3)) == [
        (5, 0, False),
        (1, 0, True),
    ]


def test_threads_stand_below_their_process() -> None:
    rows = [row(7, tid=7), row(7, 5.0, tid=8), row(7, tid=0), row(9, tid=9, ppid=7)]
    found = arrange(frame(*rows), Query(tree=True, threads=True))

    assert [(p.row.tid, p.depth) for p in found] == [(7, 0), (8, 1), (0, 1), (9, 1)]


def test_a_thread_does_not_stand_below_another_owner_of_the_pid() -> None:
    old, new = row(7, tid=7, key=1), row(7, 5.0, tid=8, key=2)
    found = arrange(frame(old, new), Query(tree=True, threads=True))

    assert [(p.row.key, p.depth) for p in found] == [(2, 0), (1, 0)]


def test_a_chain_longer_than_the_stack_of_python() -> None:
    rows = [row(pid, ppid=pid - 1) for pid in range(1, 5001)]

    assert arrange(frame(*rows), Query(tree=True))[-1].depth == 4999


def test_the_order_does_not_depend_on_the_order_of_the_frame() -> None:
    rows = [row(pid, float(pid % 3)) for pid in range(1, 200)]
    mixed = rows[:]
    Random(5).shuffle(mixed)

    assert pids(frame(*rows), Query()) == pids(frame(*mixed), Query())
