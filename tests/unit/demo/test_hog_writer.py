"""A writer: writes, counts, waits; with a clock that only moves when it sleeps."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from iotop_ng.clock import NS_PER_S
from iotop_ng.demo.counts import SharedCounts, added
from iotop_ng.demo.fill import Fill
from iotop_ng.demo.modes import MODES
from iotop_ng.demo.pacing import Pace
from iotop_ng.demo.ring import Backlog, Ring
from iotop_ng.demo.writer import Orders, Stream
from tests.fakes.writeback import Calm

CHUNK = 8192


class Time:
    """Moves by what is slept; tells the writer to stop when its time has come."""

    def __init__(self, shared: SharedCounts, end_ns: int) -> None:
        self.now = 0
        self.shared = shared
        self.end_ns = end_ns
        self.held: dict[int, int] = {}
        """At or after the first time, it takes until the second: somebody holds the writer."""

    def read(self) -> int:
        for at in [at for at in self.held if self.now >= at]:
            self.now = max(self.now, self.held.pop(at))
        if self.now >= self.end_ns:
            self.shared.stop()
        return self.now

    def sleep(self, ns: int) -> None:
        self.now += ns


@pytest.fixture
def file(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path / "log", os.O_RDWR | os.O_CREAT)
    yield fd
    os.close(fd)


@pytest.fixture
def shared() -> SharedCounts:
    return SharedCounts(1)


def stream(
    fd: int,
    shared: SharedCounts,
    pace: Pace,
    *,
    mode: str = "lines",
    calls: int | None = None,
    end_ns: int = 10 * NS_PER_S,
    stops_at_error: bool = False,
) -> tuple[Stream, Time]:
    time = Time(shared, end_ns)
    fill = Fill(MODES[mode].record_bytes, is_lines=MODES[mode].is_lines, seed=1)
    made = Stream(
        fd,
        Ring(Calm(), max(CHUNK, MODES[mode].record_bytes), 4, Backlog(CHUNK, 2, 2)),
        fill,
        shared=shared,
        stream=0,
        orders=Orders(MODES[mode], pace, 0, calls, stops_at_error),
        now_ns=time.read,
        sleep_ns=time.sleep,
    )
    return made, time


def test_calls_are_counted_and_the_file_stays_within_its_ring(
    file: int, shared: SharedCounts
) -> None:
    stream(file, shared, Pace(None), calls=997)[0].run()

    assert shared.counts(0) == (997 * 512, 997, 0, 0, 0)
    assert os.fstat(file).st_size == 4 * CHUNK
    assert all(len(line) == 511 for line in os.pread(file, 4 * CHUNK, 0).split(b"\n")[:-1])


def test_a_rate_is_kept_to_a_record(file: int, shared: SharedCounts) -> None:
    stream(file, shared, Pace(100_000))[0].run()

    written, calls, errors, _, lost = shared.counts(0)
    assert (calls, errors, lost) == (written // 512, 0, 0)
    assert 1_000_000 - 10_000 <= written <= 1_000_000


def test_who_is_held_catches_up_with_a_second_and_loses_the_rest(
    file: int, shared: SharedCounts
) -> None:
    writer, time = stream(file, shared, Pace(100_000))
    time.held[2 * NS_PER_S] = 7 * NS_PER_S
    writer.run()

    written, _, _, _, lost = shared.counts(0)
    assert lost == pytest.approx(400_000, abs=10_000)
    assert written + lost == pytest.approx(1_000_000, abs=10_000)


def test_what_is_refused_is_an_error_and_lost_and_not_written_later(
    tmp_path: Path, shared: SharedCounts
) -> None:
    (tmp_path / "log").touch()
    fd = os.open(tmp_path / "log", os.O_RDONLY)
    stream(fd, shared, Pace(100_000), end_ns=NS_PER_S)[0].run()
    os.close(fd)

    written, calls, errors, last, lost = shared.counts(0)
    assert (written, last) == (0, errno.EBADF)
    assert calls == errors == lost // 512
    assert lost == pytest.approx(100_000, rel=0.1)


def test_refusals_do_not_burn_a_processor(tmp_path: Path, shared: SharedCounts) -> None:
    (tmp_path / "log").touch()
    fd = os.open(tmp_path / "log", os.O_RDONLY)
    stream(fd, shared, Pace(None), end_ns=NS_PER_S)[0].run()
    os.close(fd)

    assert shared.counts(0).errors <= 1001


def test_on_error_stop_stops(tmp_path: Path, shared: SharedCounts) -> None:
    (tmp_path / "log").touch()
    fd = os.open(tmp_path / "log", os.O_RDONLY)
    stream(fd, shared, Pace(None), stops_at_error=True)[0].run()
    os.close(fd)

    assert shared.counts(0)[:4] == (0, 1, 1, errno.EBADF)


@pytest.mark.parametrize("mode", ["lines", "big"])
def test_a_call_that_takes_a_part_leaves_the_ring_whole(
    mode: str, file: int, shared: SharedCounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a signal or a file size limit makes it: the next call begins where this one ended."""
    whole: Callable[..., int] = os.pwrite
    places: list[tuple[int, int]] = []

    def part(fd: int, data: bytes, offset: int) -> int:
        size = whole(fd, data[: len(data) * 2 // 3 + 1], offset)
        places.append((offset, size))
        return size

    monkeypatch.setattr(os, "pwrite", part)
    stream(file, shared, Pace(None), mode=mode, calls=53)[0].run()

    ring = 4 * max(CHUNK, MODES[mode].record_bytes)
    at = 0
    for offset, size in places:
        assert offset == at
        at = (at + size) % ring
    assert shared.counts(0)[:3] == (sum(size for _, size in places), 53, 0)


def test_synced_records_are_synced_one_by_one(
    file: int, shared: SharedCounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    stream(file, shared, Pace(None), mode="fsync", calls=11)[0].run()

    assert synced == [file] * 11


def test_counts_of_another_process_are_seen_and_it_can_be_stopped() -> None:
    shared = SharedCounts(3)
    child = os.fork()
    if child == 0:
        shared.line(2)[0] = 1 << 40
        while not shared.is_stopped:
            os.sched_yield()
        shared.line(1)[3] = errno.ENOSPC
        os._exit(0)
    shared.stop()
    assert os.waitpid(child, 0)[1] == 0

    every = [shared.counts(number) for number in range(3)]
    assert added(every) == (1 << 40, 0, 0, errno.ENOSPC, 0)
