"""Text that is safe to draw, and numbers as people write and read them."""

from __future__ import annotations

import pytest

from iotop_ng.errors import UsageError
from iotop_ng.units import COMMAND_LIMIT, clean, clean_command, count, duration, human, parse_size


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("dd if=/dev/zero", "dd if=/dev/zero"),
        ("a\x1b[2Jb", "a·[2Jb"),
        ("a\nb\tc\rd\x00e\x7ff", "a·b·c·d·e·f"),
        (b"caf\xc3\xa9", "café"),
        ("cafe\u0301", "café"),
        (b"bad\xff\xfe", "bad··"),
        ("a\u202eb\u2066c\u200bd\ufeffe", "a·b·c·d·e"),
        ("x\u0336\u0336\u0336", "x···"),
        ("\u115f\u1160\u3164", "···"),
        ("\ud800", "·"),
        ("\x9b31m", "·31m"),
        ("[bold red]x[/]", "[bold red]x[/]"),
        ("日本", "日本"),
        ("", ""),
        (b"", ""),
    ],
)
def test_what_a_terminal_would_interpret_becomes_a_dot(raw: bytes | str, expected: str) -> None:
    assert clean(raw) == expected


def test_megabytes_of_arguments_are_cut() -> None:
    assert clean_command(b"x" * (4 << 20)) == "x" * COMMAND_LIMIT
    assert len(clean("é".encode() * (2 << 20))) == COMMAND_LIMIT


def test_arguments_are_joined_with_spaces() -> None:
    assert clean_command(b"dd\0if=/dev/zero\0bs=1M\0\0") == "dd if=/dev/zero bs=1M"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("64", 64),
        ("5M", 5 << 20),
        ("5m", 5 << 20),
        ("500K", 500 << 10),
        ("1.5GB", 1_500_000_000),
        ("5kB", 5000),
        ("2MiB", 2 << 20),
        (" .5K/s ", 512),
        ("3b", 3),
        ("1T", 1 << 40),
        ("1048576T", 1 << 60),
    ],
)
def test_sizes_are_read_as_documented(text: str, expected: int) -> None:
    assert parse_size(text) == expected


@pytest.mark.parametrize(
    "text",
    ["", "M", "5X", "-5M", "5 M M", "1e9", "5MBB", "1048577T", "9" * 99, "\u0665M", "5M\x1b"],
)
def test_what_is_no_size_is_named(text: str) -> None:
    with pytest.raises(UsageError, match="size"):
        parse_size(text)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "-"),
        (0, "0"),
        (812, "812"),
        (1023, "1023"),
        (1024, "1.0K"),
        (1228.8, "1.2K"),
        (10188, "9.9K"),
        (10189, "10K"),
        (1023 << 10, "1023K"),
        ((1024 << 10) - 1, "1.0M"),
        (198 << 20, "198M"),
        (3 << 40, "3.0T"),
        (1 << 64, "16E"),
    ],
)
def test_bytes_for_people(value: float | None, expected: str) -> None:
    assert human(value) == expected


def test_decimal_bytes_for_people() -> None:
    assert [human(n, si=True) for n in (999, 1000, 999_499, 999_500, 2_000_000)] == [
        "999",
        "1.0K",
        "999K",
        "1.0M",
        "2.0M",
    ]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "-"),
        (0.0, "0"),
        (0.44, "0.4"),
        (5, "5"),
        (5.0, "5.0"),
        (90.2, "90"),
        (999, "999"),
        (999.6, "1.0k"),
        (1000, "1.0k"),
        (1900.0, "1.9k"),
        (12_000_000, "12M"),
        (10**15, "1.0P"),
    ],
)
def test_counts_for_people(value: float | None, expected: str) -> None:
    assert count(value) == expected


@pytest.mark.parametrize(
    ("us", "expected"),
    [
        (None, "-"),
        (0.3, "0us"),
        (85, "85us"),
        (999.4, "999us"),
        (999.6, "1.0ms"),
        (2100, "2.1ms"),
        (41_000, "41ms"),
        (999_600, "1.0s"),
        (1_200_000, "1.2s"),
        (9_999e6, "9999s"),
        (36_000e6, "10h"),
        (9_999.5 * 3600e6, "417d"),
    ],
)
def test_latencies_for_people(us: float | None, expected: str) -> None:
    assert duration(us) == expected
