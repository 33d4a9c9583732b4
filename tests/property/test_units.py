"""Nothing that a terminal would interpret gets through, and numbers keep their order."""

from __future__ import annotations

import unicodedata
from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st

from iotop_ng.errors import UsageError
from iotop_ng.units import (
    COMMAND_LIMIT,
    MAX_SIZE,
    clean,
    clean_command,
    count,
    duration,
    human,
    parse_size,
)
from tests.property.strategies import hostile_text

FORBIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Mn", "Me"}
BIDI = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI", "BN", "B", "S"}
amounts = st.one_of(st.floats(0, 2**64), st.integers(0, 1 << 64), st.floats(0, 1e5))


def assert_drawable(text: str) -> None:
    for character in text:
        assert unicodedata.category(character) not in FORBIDDEN
        assert unicodedata.bidirectional(character) not in BIDI


@given(hostile_text, st.integers(0, 30))
def test_cleaned_text_is_drawable_short_and_clean_already(text: str, limit: int) -> None:
    found = clean(text, limit)

    assert_drawable(found)
    assert len(found) <= limit
    assert clean(found, limit) == found


@given(st.binary(max_size=80))
def test_any_bytes_become_drawable_text(raw: bytes) -> None:
    for found in (clean(raw), clean_command(raw)):
        assert_drawable(found)
        assert len(found) <= COMMAND_LIMIT
        assert clean(found) == found


@given(st.text(st.characters(codec="ascii", min_codepoint=32, max_codepoint=126), max_size=40))
def test_plain_text_stays_as_it_is(text: str) -> None:
    assert clean(text) == text
    assert clean(text.encode()) == text


@given(hostile_text | st.from_regex(r"[0-9.]{1,8}\s?[kKMGTib]{0,3}(/s)?", fullmatch=True))
def test_any_text_is_a_size_or_a_usage_error(text: str) -> None:
    with suppress(UsageError):
        assert 0 <= parse_size(text) <= MAX_SIZE


@given(st.integers(0, 1 << 20), st.sampled_from("KMGT"))
def test_sizes_are_multiples(number: int, letter: str) -> None:
    power = "KMGT".index(letter) + 1

    assert parse_size(f"{number}{letter}") == number * 1024**power
    assert parse_size(f"{number}{letter}B/s") == number * 1000**power


@given(amounts, amounts, st.booleans())
def test_people_read_larger_bytes_as_not_smaller(one: float, two: float, si: bool) -> None:
    low, high = (human(amount, si=si) for amount in sorted((one, two)))

    assert max(len(low), len(high)) <= 5
    assert _amount(low, 1000 if si else 1024) <= _amount(high, 1000 if si else 1024)


@given(amounts, amounts)
def test_people_read_larger_counts_as_not_smaller(one: float, two: float) -> None:
    low, high = (count(amount) for amount in sorted((one, two)))

    assert max(len(low), len(high)) <= 5
    assert _amount(low.upper(), 1000) <= _amount(high.upper(), 1000)


@given(amounts, amounts)
def test_people_read_longer_latencies_as_not_shorter(one: float, two: float) -> None:
    low, high = (duration(min(amount, 1e14)) for amount in sorted((one, two)))

    assert max(len(low), len(high)) <= 5
    assert _us(low) <= _us(high)


@given(amounts, st.booleans())
def test_bytes_for_people_are_right_to_their_digits(amount: float, si: bool) -> None:
    shown = _amount(human(amount, si=si), 1000 if si else 1024)

    assert abs(shown - amount) <= max(0.5, 0.051 * amount)


def _amount(text: str, base: int) -> float:
    letter = text[-1]
    if letter.isdigit():
        return float(text)
    return float(text[:-1]) * float(base) ** ("KMGTPE".index(letter) + 1)


def _us(text: str) -> float:
    factors = {"us": 1.0, "ms": 1e3, "s": 1e6, "h": 3.6e9, "d": 86.4e9}
    unit = text.lstrip("0123456789.")
    return float(text[: -len(unit)]) * factors[unit]
