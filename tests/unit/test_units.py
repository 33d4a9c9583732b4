"""Text that is safe to draw, and numbers as people write and read them."""

from __future__ import annotations

import pytest

from iotop_ng.errors import UsageError
from iotop_ng.units import (
    COMMAND_LIMIT,
    clean,
    clean_command,
    count,
    duration,
    human,
    parse_rate,
    parse_size,
    parse_span,
    span,
)


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


@pytest.mark.parametrize(
    ("text", "present", "expected"),
    [
        ("5M", None, 5 << 20),
        ("500K", 0.0, 500 << 10),
        ("5MB/s", None, 5_000_000),
        (" 1.5G/s ", None, 3 << 29),
        ("20%", 200e6, 40_000_000),
        ("12.5 %", 8e6, 1_000_000),
        ("100%", 2048.0, 2048),
    ],
)
def test_rates_are_bytes_per_second_or_a_share(
    text: str, present: float | None, expected: int
) -> None:
    assert parse_rate(text, present) == expected


@pytest.mark.parametrize(
    ("text", "present", "allowed"),
    [
        ("0", None, "1K or more"),
        ("5", None, "1K or more"),
        ("-1", None, "5M, 500K, 5MB/s or 20%"),
        ("5X", None, "5M, 500K, 5MB/s or 20%"),
        ("1e99", None, "5M, 500K, 5MB/s or 20%"),
        ("", None, "5M, 500K, 5MB/s or 20%"),
        ("9999999999T", None, "more than 1 EiB"),
        ("0%", 5e6, "more than 0 and up to 100%"),
        ("101%", 5e6, "more than 0 and up to 100%"),
        ("x%", 5e6, "more than 0 and up to 100%"),
        ("20%", None, "writes nothing now"),
        ("20%", 0.0, "writes nothing now"),
        ("1%", 5000.0, "1K or more"),
        ("\x1b[2J", None, "'·[2J'"),
    ],
)
def test_what_is_no_rate_is_named_with_what_is_allowed(
    text: str, present: float | None, allowed: str
) -> None:
    with pytest.raises(UsageError) as caught:
        parse_rate(text, present)

    assert allowed in str(caught.value)
    assert str(caught.value).startswith("rate '")


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("10m", 600), ("10 min", 600), ("1.5h", 5400)]
)
def test_spans_are_read(text: str, seconds: int) -> None:
    assert parse_span(text) == seconds * 10**9


@pytest.mark.parametrize("text", ["", "0s", "10", "-1m", "10ms", "1e9s", "8000h", "m", "5M"])
def test_what_is_no_span_is_named(text: str) -> None:
    with pytest.raises(UsageError, match=r"time .+ expected such as 90s, 10m or 1h"):
        parse_span(text)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (-3, "0 s"),
        (0.4, "0 s"),
        (59.4, "59 s"),
        (60, "1 min"),
        (552, "9:12 min"),
        (600, "10 min"),
        (3600, "1 h"),
        (3900, "1:05 h"),
        (172800, "2 d"),
    ],
)
def test_spans_for_people(seconds: float, expected: str) -> None:
    assert span(seconds) == expected
