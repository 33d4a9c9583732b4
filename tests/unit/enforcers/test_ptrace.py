"""What waitpid says, and a ring buffer as the kernel lays it out."""

from __future__ import annotations

import mmap
import os
import signal
import struct
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iotop_ng.enforcers.ptrace import Report, Stop, explain
from iotop_ng.enforcers.ring import RingBuffer
from iotop_ng.enforcers.tally import Held, Tally

STOPPED = 0x7F


def stopped(number: int, event: int = 0) -> int:
    return event << 16 | number << 8 | STOPPED


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (0, Report(7, Stop.GONE, 0)),
        (3 << 8, Report(7, Stop.GONE, 0)),
        (signal.SIGKILL, Report(7, Stop.GONE, 0)),
        (stopped(signal.SIGURG), Report(7, Stop.SIGNAL, signal.SIGURG)),
        (stopped(signal.SIGSTOP), Report(7, Stop.SIGNAL, signal.SIGSTOP)),
        (stopped(signal.SIGSTOP, 128), Report(7, Stop.GROUP, signal.SIGSTOP)),
        (stopped(signal.SIGTTOU, 128), Report(7, Stop.GROUP, signal.SIGTTOU)),
        (stopped(signal.SIGTRAP, 128), Report(7, Stop.TRAP, signal.SIGTRAP)),
        (stopped(signal.SIGTRAP, 1), Report(7, Stop.EVENT, signal.SIGTRAP)),
        (stopped(signal.SIGTRAP, 3), Report(7, Stop.EVENT, signal.SIGTRAP)),
    ],
)
def test_wait_status_is_read_as_ptrace_documents(status: int, expected: Report) -> None:
    """The event is in the third byte, the signal in the second."""
    assert explain(7, status) == expected


PAGE = mmap.PAGESIZE
SIZE = PAGE


class FakeRing:
    """A file with the pages of a ring buffer, whose second copy of the data is kept equal."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.write_bytes(bytes(2 * PAGE + 2 * SIZE))
        self.end = 0

    def write(self, payload: bytes, flags: int = 0) -> None:
        record = struct.pack("<II", len(payload) | flags, 0) + payload
        record += bytes(-len(record) % 8)
        raw = bytearray(self.path.read_bytes())
        for offset, byte in enumerate(record):
            at = (self.end + offset) & (SIZE - 1)
            raw[2 * PAGE + at] = raw[2 * PAGE + SIZE + at] = byte
        self.end += len(record)
        struct.pack_into("<Q", raw, PAGE, self.end)
        with self.path.open("r+b") as file:
            # The first page is the consumer's own.
            file.seek(PAGE)
            file.write(raw[PAGE:])


def open_ring(path: Path) -> RingBuffer:
    fd = os.open(path, os.O_RDWR)
    try:
        return RingBuffer(fd, SIZE)
    finally:
        os.close(fd)


def test_records_come_out_in_order_and_once(tmp_path: Path) -> None:
    """Also those that wrap round the end: 300 records of 16 bytes do so twice in a page."""
    fake = FakeRing(tmp_path / "ring")
    ring = open_ring(fake.path)
    out = []

    for number in range(300):
        fake.write(struct.pack("<4I", number, 0, 0, 0))
        out += ring.read()

    assert [struct.unpack("<4I", raw)[0] for raw in out] == list(range(300))
    assert ring.read() == []
    ring.close()
    ring.close()


def test_a_discarded_record_is_skipped_and_a_busy_one_waited_for(tmp_path: Path) -> None:
    """Bits 30 and 31 of the length."""
    fake = FakeRing(tmp_path / "ring")
    ring = open_ring(fake.path)

    fake.write(b"discarded", 1 << 30)
    fake.write(b"good")
    fake.write(b"not yet", 1 << 31)
    fake.write(b"behind it")

    assert ring.read() == [b"good"]
    assert ring.read() == []


@settings(max_examples=50)
@given(st.lists(st.binary(min_size=1, max_size=200), max_size=10))
def test_whatever_is_written_is_read(payloads: list[bytes]) -> None:
    """Any length, padded to eight bytes."""
    with tempfile.TemporaryDirectory() as directory:
        fake = FakeRing(Path(directory) / "ring")
        ring = open_ring(fake.path)
        for payload in payloads:
            fake.write(payload)

        assert ring.read() == payloads
        ring.close()


def test_waiting_that_goes_on_counts_until_now() -> None:
    """Two threads wait since 100 and 300: at 500 that is 600, beside 1,000 that are over."""
    held = Held(ended_ns=1000, holds=3, waiting=2, starts_ns=400)

    assert held.held_ns(500) == 1600


def test_a_tally_is_shared_with_a_child() -> None:
    """Written in a forked process, read here."""
    tally = Tally()
    pid = os.fork()
    if pid == 0:
        tally.write(Held(1, 2, 3, 4, 5, 6))
        os._exit(0)
    os.waitpid(pid, 0)

    assert tally.read() == Held(1, 2, 3, 4, 5, 6)
