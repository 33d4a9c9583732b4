"""Text that is safe to draw, and numbers as people write and read them."""

from __future__ import annotations

import re
import unicodedata

from iotop_ng.errors import UsageError

COMMAND_LIMIT = 4096
"""Characters of a command line that are kept; a process may pass megabytes of arguments."""

_REPLACEMENT = "·"
# C0, DEL, C1; bidi embeddings, overrides and isolates; zero-width and line separators; Hangul
# fillers and vowels without a first consonant (no width); interlinear and tag characters: all can
# move, hide or reorder what follows them.
_UNSAFE = (
    set(range(0x20))
    | set(range(0x7F, 0xA0))
    | {0xAD, 0x061C, 0x180E, 0xFEFF, 0xFFFC}
    | set(range(0x200B, 0x2010))
    | set(range(0x2028, 0x202F))
    | set(range(0x2060, 0x2070))
    | {0x3164, 0xFFA0}
    | set(range(0x115F, 0x1200))
    | set(range(0xD7B0, 0xD800))
    | set(range(0xFFF9, 0xFFFC))
    | set(range(0xE0000, 0xE0080))
)
_TABLE = dict.fromkeys(_UNSAFE, _REPLACEMENT)


def clean(raw: bytes | str, limit: int = COMMAND_LIMIT) -> str:
    """Return text that a terminal draws and never interprets.

    Invalid UTF-8, control characters, bidi controls, characters without width, combining marks and
    what Unicode does not call printable become "·"; the result is one line of at most `limit`
    characters. Cleaning twice changes nothing more.
    """
    text = raw[: limit * 4].decode("utf-8", "replace") if isinstance(raw, bytes) else raw
    text = text[:limit]
    if text.isascii():
        return text if text.isprintable() else text.translate(_TABLE)
    # An accented letter may come as letter and mark; as one character it is drawn like any other.
    text = unicodedata.normalize("NFC", text)[:limit].translate(_TABLE)
    # Other marks stack on the cell before them and spill over neighbouring rows.
    return "".join([c if _is_drawable(c) else _REPLACEMENT for c in text])


def _is_drawable(character: str) -> bool:
    return (
        character.isprintable()
        and character != "\ufffd"
        and unicodedata.category(character) not in {"Mn", "Me"}
    )


def clean_command(raw: bytes) -> str:
    """Return a /proc/PID/cmdline as one safe line: NULs become spaces, the end is trimmed."""
    return clean(raw[: COMMAND_LIMIT * 4].rstrip(b"\0").replace(b"\0", b" ")).strip()


_SIZE = re.compile(r"^\s*([0-9]+(?:\.[0-9]+)?|\.[0-9]+)\s*([a-zA-Z]*)\s*(?:/s)?\s*$")
_FACTORS = {"": 1, "b": 1, "B": 1}
for _power, _letter in enumerate("KMGT", 1):
    for _name in (_letter, _letter.lower(), f"{_letter}i", f"{_letter}iB"):
        _FACTORS[_name] = 1024**_power
    for _name in (f"{_letter}B", f"{_letter.lower()}B"):
        _FACTORS[_name] = 1000**_power
MAX_SIZE = 2**60


def parse_size(text: str) -> int:
    """Return bytes for "5M", "500K", "1.5GB", "64", "5M/s".

    K M G T are powers of 1024, kB MB GB TB powers of 1000.

    Raises:
        UsageError: naming the text and what is allowed.
    """
    match = _SIZE.match(text)
    factor = _FACTORS.get(match.group(2)) if match else None
    if match is None or factor is None:
        raise UsageError(
            f"size {clean(text, 40)!r}: expected a number with K, M, G, T (1024) "
            "or kB, MB, GB, TB (1000)"
        )
    value = float(match.group(1)) * factor
    if value > MAX_SIZE:
        raise UsageError(f"size {clean(text, 40)!r}: more than 1 EiB")
    return int(value)


MIN_RATE = 1024
"""Bytes per second. Less would stop a program for minutes: it is a unit that was forgotten."""
RATE_FORMS = "5M, 500K, 5MB/s or 20%"
_PERCENT = re.compile(r"^\s*([0-9]{1,3}(?:\.[0-9]{1,3})?)\s*%\s*$")


def parse_rate(text: str, present: float | None = None) -> int:
    """Return bytes per second for "5M", "500K", "5MB/s", or "20%" of a present rate.

    Args:
        text: what a person wrote.
        present: bytes per second that a percentage is of; None when it is not known.

    Raises:
        UsageError: naming the text and what is allowed.
    """
    shown = f"rate {clean(text, 40)!r}"
    if "%" in text:
        return _checked_rate(_share(text, present, shown), shown)
    try:
        rate = parse_size(text)
    except UsageError as error:
        is_huge = "EiB" in str(error)
        raise UsageError(
            f"{shown}: more than 1 EiB per second" if is_huge else f"{shown}: expected {RATE_FORMS}"
        ) from None
    return _checked_rate(rate, shown)


def _checked_rate(rate: int, shown: str) -> int:
    if rate < MIN_RATE:
        raise UsageError(f"{shown}: expected 1K or more per second, such as {RATE_FORMS}")
    return rate


def _share(text: str, present: float | None, shown: str) -> int:
    match = _PERCENT.match(text)
    percent = float(match.group(1)) if match else 0.0
    if not 0 < percent <= 100:
        raise UsageError(f"{shown}: expected more than 0 and up to 100%")
    if not present:
        raise UsageError(f"{shown}: it writes nothing now to take a share of; expected such as 5M")
    return int(present * percent / 100)


_SPAN = re.compile(r"^\s*([0-9]{1,6}(?:\.[0-9]{1,3})?)\s*(s|m|min|h)\s*$")
_SPAN_NS = {"s": 10**9, "m": 60 * 10**9, "min": 60 * 10**9, "h": 3600 * 10**9}
MAX_SPAN_NS = 7 * 86400 * 10**9


def parse_span(text: str) -> int:
    """Return nanoseconds for "90s", "10m", "10min", "1.5h": more than 0, up to a week.

    Raises:
        UsageError: naming the text and what is allowed.
    """
    match = _SPAN.match(text)
    span = round(float(match.group(1)) * _SPAN_NS[match.group(2)]) if match else 0
    if not 0 < span <= MAX_SPAN_NS:
        raise UsageError(
            f"time {clean(text, 40)!r}: expected such as 90s, 10m or 1h, at most a week"
        )
    return span


def span(seconds: float) -> str:
    """Return a time that is left or was given: "45 s", "9:12 min", "10 min", "1:05 h", "2 d"."""
    whole = max(round(seconds), 0)
    if whole < 60:
        return f"{whole} s"
    for size, unit, under in ((60, "min", 3600), (3600, "h", 86400)):
        if whole < under:
            more = whole % size * 60 // size
            return f"{whole // size}:{more:02} {unit}" if more else f"{whole // size} {unit}"
    return f"{whole // 86400} d"


_BINARY = (1024, "BKMGTPE")
_DECIMAL = (1000, "BKMGTPE")
_THOUSANDS = ("", "k", "M", "G", "T", "P", "E")


def human(value: float | None, *, si: bool = False) -> str:
    """Return at most five characters: "0", "812", "1.2K", "9.9M", "198M", "1023K"; None is "-".

    Two to three significant digits; below 10 of a unit one decimal is kept.
    """
    if value is None:
        return "-"
    base, letters = _DECIMAL if si else _BINARY
    if value < base:
        return f"{value:.0f}"
    step = 0
    # 9.95 must become "10", not "10.0"; 1023.6K must become "1.0M", not "1024K".
    while step < len(letters) - 1 and value >= base - 0.5:
        value /= base
        step += 1
    return f"{value:.1f}{letters[step]}" if value < 9.95 else f"{value:.0f}{letters[step]}"


def count(value: float | None) -> str:
    """Return a number of things, or of things per second, as at most five characters.

    "0", "0.4", "90", "1.9k", "12M"; whole numbers keep no decimal below 1000; None is "-".
    """
    if value is None:
        return "-"
    if value == 0 or (isinstance(value, int) and value < 1000):
        return str(int(value))
    step = 0
    while step < len(_THOUSANDS) - 1 and value >= 999.5:
        value /= 1000
        step += 1
    letter = _THOUSANDS[step]
    return f"{value:.1f}{letter}" if value < 9.95 else f"{value:.0f}{letter}"


def duration(us: float | None) -> str:
    """Return a latency in microseconds as at most five characters: "85us", "2.1ms", "1.2s"."""
    if us is None:
        return "-"
    if us < 999.5:
        return f"{us:.0f}us"
    ms = us / 1000
    if ms < 999.5:
        return f"{ms:.1f}ms" if ms < 9.95 else f"{ms:.0f}ms"
    seconds = ms / 1000
    if seconds < 9999.5:
        return f"{seconds:.1f}s" if seconds < 9.95 else f"{seconds:.0f}s"
    hours = seconds / 3600
    return f"{hours:.0f}h" if hours < 9999.5 else f"{hours / 24:.0f}d"
