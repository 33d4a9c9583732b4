"""Delay accounting over netlink: the parsers, and the socket as far as we may."""

from __future__ import annotations

import os
import struct

import pytest

from iotop_ng.errors import NotPermittedError, SourceError
from iotop_ng.sources.taskstats import (
    Delays,
    TaskStats,
    attributes,
    known,
    parse_answers,
    parse_stats,
)

WAITS = Delays(11, 22_000, 33, 44_000)


def usual(version: int, size: int) -> bytes:
    head = struct.pack("=HxxIBB6x", version, 0, 0, 0)
    return (head + struct.pack("=6Q", 1, 2, *WAITS)).ljust(size, b"\xee")


def spread(version: int, size: int) -> bytes:
    """Linux 6.14: count, total, max, min of each wait in turn."""
    head = struct.pack("=HxxIBB6x", version, 0, 0, 0)
    body = struct.pack(
        "=12Q", 1, 2, 3, 4, WAITS[0], WAITS[1], 7, 8, WAITS[2], WAITS[3], 9, 10
    )  # fmt: skip
    return (head + body).ljust(size, b"\xee")


@pytest.mark.parametrize(
    "raw",
    [
        usual(1, 64),
        usual(8, 328),
        usual(9, 344),
        usual(13, 416),
        usual(14, 432),
        spread(14, 560),
        spread(15, 560),
        usual(16, 560),
        usual(17, 688),
    ],
    ids=lambda raw: f"version {raw[0]} of {len(raw)} bytes",
)
def test_every_layout_of_the_kernel_is_read(raw: bytes) -> None:
    assert parse_stats(raw) == WAITS


@pytest.mark.parametrize("raw", [b"", usual(0, 64), usual(13, 64)[:63], spread(15, 112)[:95]])
def test_what_is_no_taskstats_is_none(raw: bytes) -> None:
    assert parse_stats(raw) is None


def test_attributes_are_padded_and_flagged() -> None:
    raw = struct.pack("=HH3sx", 7, 1, b"abc") + struct.pack("=HHI", 8, 0x8000 | 2, 5)

    assert list(attributes(raw)) == [(1, b"abc"), (2, struct.pack("=I", 5))]


def test_answers_and_errors_are_told_apart() -> None:
    good = struct.pack("=IHHIIBBH", 20, 30, 0, 7, 0, 2, 1, 0)
    bad = struct.pack("=IHHIIi", 20, 2, 0, 8, 0, -3)

    answers = list(parse_answers(good + bad))

    assert [(one.kind, one.sequence, one.error) for one in answers] == [(30, 7, 0), (2, 8, 3)]


def test_zero_is_known_only_from_the_start() -> None:
    none = Delays(0, 0, 0, 0)

    assert known(none, is_complete=True) == none
    assert known(none, is_complete=False) is None
    assert known(WAITS, is_complete=False) == WAITS
    assert known(None, is_complete=True) is None


def test_the_kernel_answers_or_refuses_in_our_words() -> None:
    """As root: our own task is known, whole and as a thread, and nobody else answers for it."""
    link = TaskStats()
    pids = [os.getpid(), 2**22 + 1, os.getppid()]
    try:
        link.open()
        link.open()
    except (NotPermittedError, SourceError) as error:
        complaint = str(error)
        answers: list[set[int]] = []
    else:
        complaint = ""
        answers = [set(link.of_processes(pids)), set(link.of_threads(pids))]
    link.close()
    link.close()

    if complaint:
        assert "CAP_NET_ADMIN" in complaint or "taskstats" in complaint
    else:
        assert answers == [{os.getpid(), os.getppid()}, {os.getpid(), os.getppid()}]


def test_a_closed_link_is_an_error_of_ours() -> None:
    with pytest.raises(SourceError):
        TaskStats().of_processes([1])
