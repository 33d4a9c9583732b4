"""The ring: no byte is rewritten before the disk has it, and little is under way."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotop_ng.demo.ring import Backlog, Ring
from tests.fakes.writeback import FakeFile


@given(
    chunk=st.integers(1, 16),
    chunks=st.integers(2, 6),
    behind=st.integers(0, 8),
    sizes=st.lists(st.integers(0, 20), max_size=120),
)
def test_every_byte_reaches_the_disk_once(
    chunk: int, chunks: int, behind: int, sizes: list[int]
) -> None:
    file = FakeFile()
    ring = Ring(file, chunk, chunks, Backlog(chunk, behind, behind))

    written = 0
    for wish in sizes:
        size = min(wish, ring.room)
        file.write(ring.offset, size)
        ring.wrote(size)
        written += size
        assert 1 <= ring.room <= chunk
        assert 0 <= ring.offset < chunk * chunks
    ring.finish()

    assert file.lost_bytes == 0
    assert (file.disk_bytes, file.unfinished) == (written, 0)
    assert file.most_under_way <= max(1, min(behind, chunks - 1)) + 1


def test_the_fake_sees_what_a_careless_hog_would_do() -> None:
    """The test above can fail."""
    file = FakeFile()
    file.write(0, 4)
    file.write(0, 4)
    file.finish(0, 4)

    assert (file.lost_bytes, file.disk_bytes) == (4, 4)


def test_nothing_is_waited_for_until_enough_is_under_way() -> None:
    file = FakeFile()
    ring = Ring(file, 4, 8, Backlog(4, 3, 3))
    for _ in range(3):
        file.write(ring.offset, 4)
        ring.wrote(4)
    assert file.disk_bytes == 0

    file.write(ring.offset, 4)
    ring.wrote(4)

    assert file.disk_bytes == 4


def test_a_disk_that_refuses_a_page_stops_nothing() -> None:
    file = FakeFile(fails_at=0)
    ring = Ring(file, 4, 3, Backlog(4, 1, 1))
    file.write(0, 4)
    ring.wrote(4)
    file.write(4, 4)
    with pytest.raises(OSError, match="Input/output error"):
        ring.wrote(4)

    file.write(ring.offset, 4)
    ring.wrote(4)
    ring.finish()

    assert (ring.offset, file.lost_bytes, file.unfinished) == (0, 0, 0)


MS = 1_000_000


def backlog_of(per_s: float, least: int, most: int) -> int:
    """Return the chunks that may be under way to a disk that writes so many a second."""
    now = 0

    def now_ns() -> int:
        return int(now)

    backlog = Backlog(1 << 20, least, most, now_ns)
    for _ in range(max(int(per_s * 2), 4)):
        now += int(1000 * MS / per_s)
        backlog.finished()
    return backlog.allowed


@pytest.mark.parametrize(
    ("per_s", "allowed"), [(2, 16), (40, 20), (400, 200), (2000, 255), (100_000, 255)]
)
def test_half_a_second_of_the_disks_work_is_under_way(per_s: float, allowed: int) -> None:
    assert backlog_of(per_s, 16, 255) == pytest.approx(allowed, abs=1)


def test_a_queue_that_was_asked_for_stays_as_it_is() -> None:
    assert backlog_of(100_000, 8, 8) == backlog_of(1, 8, 8) == 8


@given(
    least=st.integers(0, 100),
    most=st.integers(0, 100),
    steps=st.lists(st.integers(0, 400 * MS), max_size=50),
)
def test_a_backlog_keeps_to_its_bounds(least: int, most: int, steps: list[int]) -> None:
    times = iter([0, *steps])
    now = 0

    def now_ns() -> int:
        nonlocal now
        now += next(times)
        return now

    backlog = Backlog(4096, least, most, now_ns)
    for _ in steps:
        backlog.finished()
        assert max(1, min(least, most)) <= backlog.allowed <= max(1, most)
