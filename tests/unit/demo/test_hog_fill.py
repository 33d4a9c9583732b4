"""What is written: repeatable, and nothing that a disk could make smaller."""

from __future__ import annotations

import zlib

import pytest

from iotop_ng.demo.fill import Fill
from iotop_ng.demo.modes import MODES, Mode

LARGE = [mode for mode in MODES.values() if mode.record_bytes > 1]


def text(mode: Mode, seed: int, size: int) -> bytes:
    """Return the first bytes that a mode writes."""
    fill = Fill(mode.record_bytes, is_lines=mode.is_lines, seed=seed)
    return b"".join(fill.take(max(size // mode.record_bytes, 2)))


@pytest.mark.parametrize("mode", MODES.values(), ids=[*MODES])
def test_a_seed_gives_the_same_and_another_gives_other(mode: Mode) -> None:
    assert text(mode, 7, 4096) == text(mode, 7, 4096)
    assert text(mode, 7, 4096) != text(mode, 8, 4096)


@pytest.mark.parametrize("mode", LARGE, ids=lambda mode: mode.name)
def test_no_two_pages_are_equal_and_none_can_be_compressed(mode: Mode) -> None:
    data = text(mode, 1, 6 << 20)
    pages = [data[at : at + 4096] for at in range(0, len(data), 4096)]

    assert len(set(pages)) == len(pages)
    # A file system compresses up to 128 KiB at once.
    for at in range(0, 1 << 20, 1 << 17):
        piece = data[at : at + (1 << 17)]
        assert len(zlib.compress(piece, 6)) > 0.99 * len(piece)


def test_lines_end_with_their_only_newline() -> None:
    fill = Fill(512, is_lines=True, seed=1)

    for line in fill.take(3000):
        assert len(line) == 512
        assert bytes(line).find(b"\n") == 511


def test_every_other_single_byte_is_a_newline() -> None:
    data = text(MODES["bytes"], 1, 1001)

    assert set(data[::2]) == {ord("\n")}
    assert ord("\n") not in data[1::2]
    assert len(set(data[1::2])) > 100
