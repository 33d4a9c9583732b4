"""Rates, times and words on the line of a command that acts: checked before anything is touched."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from iotop_ng.config import checks
from iotop_ng.config.checks import quoted
from iotop_ng.enforcers.orders import LADDER, Mechanism
from iotop_ng.errors import UsageError, nearest
from iotop_ng.policy.rules import ERRNO_NAMES
from iotop_ng.units import parse_rate, parse_size, parse_span

T = TypeVar("T")

_LONGEST_PATTERN = 255
_ANY_RATE = float(1 << 60)


def read(check: Callable[[str], T], text: str, where: str) -> T:
    """Return the checked value.

    Args:
        check: one of those below, or of `iotop_ng.units`.
        text: as it was written.
        where: the option, for messages.

    Raises:
        UsageError: one line with the option, the text and what is allowed.
    """
    try:
        return check(text)
    except UsageError as error:
        raise UsageError(f"{where}: {error}") from None


class Rate:
    """A rate as it was asked for, in bytes per second or as a share of the present one."""

    def __init__(self, text: str) -> None:
        """Check it as far as that goes without the present rate.

        Raises:
            UsageError: naming the text and what is allowed.
        """
        self._text = text
        self.is_share = text.strip().endswith("%")
        parse_rate(text, _ANY_RATE)

    def of(self, present: float | None) -> int:
        """Return bytes per second.

        Raises:
            UsageError: it is a share, and the present rate is none or too low.
        """
        return parse_rate(self._text, present)


def size(text: str) -> int:
    """Bytes, more than 0."""
    value = parse_size(text)
    if value < 1:
        raise UsageError(f"size {quoted(text)}: expected more than 0, such as 100M or 1G")
    return value


span = parse_span
"""A time in ns, more than 0 and at most a week."""


def errno_name(text: str) -> str:
    """What a refused write ends with."""
    if text.upper() in ERRNO_NAMES:
        return text.upper()
    named = {name.lower(): name for name in ERRNO_NAMES}
    hint = nearest(text, named)
    for lower, name in named.items():
        hint = hint.replace(lower, name)
    expected = f"{', '.join(ERRNO_NAMES[:-1])} or {ERRNO_NAMES[-1]}"
    raise UsageError(f"{quoted(text)}: expected {expected}{hint}")


def mechanism(text: str) -> Mechanism:
    """A way to throttle."""
    try:
        return Mechanism(checks.choice(*(one.value for one in LADDER))(text))
    except UsageError as error:
        raise UsageError(f"{quoted(text)}: {error}") from None


def pattern(text: str) -> str:
    """A shell pattern of files."""
    if not text.strip() or not text.isprintable() or len(text) > _LONGEST_PATTERN:
        raise UsageError(f"{quoted(text)}: expected a shell pattern of files such as *.log")
    return text
