"""Checks of single values: text of a flag or variable, or a value of TOML, to what we keep.

Every check raises UsageError with what is expected; who calls it adds where the value stands.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

from iotop_ng.errors import UsageError, nearest
from iotop_ng.units import clean

Check = Callable[[object], object]


class Given(NamedTuple):
    """A value as somebody wrote it."""

    value: object
    where: str
    """For messages: "-d", "IOTOP_NG_INTERVAL", "/root/.config/…/config.toml:3: interval"."""


SHORTEST_S = 0.01
LONGEST_S = 86400.0
HIGHEST_PID = 1 << 22
"""PID_MAX_LIMIT; a test compares it with `iotop_ng.sample`, whose import takes 20 ms."""
_NUMBER = re.compile(r"\+?([0-9]{1,15}(\.[0-9]{0,15})?|\.[0-9]{1,15})")
_WHOLE = re.compile(r"\+?[0-9]{1,18}")
_DURATION_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_WORDS_FOR_TRUE = ("1", "true", "yes", "on")
_WORDS_FOR_FALSE = ("0", "false", "no", "off")


def checked(check: Check, given: Given) -> object:
    """Return the checked value.

    Raises:
        UsageError: one line with the place, the value and what is expected.
    """
    try:
        return check(given.value)
    except UsageError as error:
        raise UsageError(f"{given.where} {quoted(given.value)}: {error}") from None


def quoted(raw: object, limit: int = 60) -> str:
    """Return what somebody wrote as one safe, short piece of a message."""
    if isinstance(raw, (list, tuple)):
        raw = ",".join(str(part) for part in raw[:8])
    text = str(raw)
    return repr(clean(text, limit) + ("…" if len(text) > limit else ""))


def seconds(raw: object) -> float:
    """An interval."""
    value = _number(raw)
    if value is None or not SHORTEST_S <= value <= LONGEST_S:
        raise UsageError(f"expected seconds, {SHORTEST_S} to {LONGEST_S:.0f}, such as 0.5")
    return value


def duration(raw: object) -> float:
    """A time span: seconds, or with s, m, h or d."""
    unit = raw[-1:] if isinstance(raw, str) and raw[-1:] in {"s", "m", "h", "d"} else ""
    value = _number(raw.removesuffix(unit) if isinstance(raw, str) else raw)
    if value is None or value <= 0:
        raise UsageError("expected a time more than 0, such as 10, 1.5m or 2h")
    return value * _DURATION_UNITS[unit]


def whole(lowest: int, highest: int | None = None) -> Check:
    """Return the check of a whole number between two bounds."""
    allowed = f"at least {lowest}" if highest is None else f"{lowest} to {highest}"

    def check(raw: object) -> int:
        value = _whole(raw)
        if value is None or value < lowest or (highest is not None and value > highest):
            raise UsageError(f"expected a whole number, {allowed}")
        return value

    return check


def choice(*words: str) -> Check:
    """Return the check of a word out of a few."""

    def check(raw: object) -> str:
        if isinstance(raw, str) and raw.lower() in words:
            return raw.lower()
        hint = nearest(raw, words) if isinstance(raw, str) else ""
        raise UsageError(f"expected {_or(words)}{hint}")

    return check


def renamed(check: Check, names: Mapping[str, object]) -> Check:
    """Return a check whose words stand for other values."""

    def renaming(raw: object) -> object:
        word = check(raw)
        return names.get(word, word) if isinstance(word, str) else word

    return renaming


def yes(raw: object) -> bool:
    """A claim that is true or false."""
    if isinstance(raw, bool):
        return raw
    if isinstance(raw, str) and raw.lower() in _WORDS_FOR_TRUE + _WORDS_FOR_FALSE:
        return raw.lower() in _WORDS_FOR_TRUE
    raise UsageError("expected true or false")


def text(raw: object) -> str:
    """A line of text."""
    if not isinstance(raw, str):
        raise UsageError("expected text in quotes")
    return raw


def pids(raw: object) -> frozenset[int]:
    """Process or thread ids: repeated, with commas, or a list."""
    found = set()
    for part in _parts(raw):
        value = _whole(part)
        if value is None or not 1 <= value <= HIGHEST_PID:
            raise UsageError(f"{quoted(part)} is no process id: expected 1 to {HIGHEST_PID}")
        found.add(value)
    if not found:
        raise UsageError("expected a process id")
    return frozenset(found)


def users(raw: object) -> frozenset[str]:
    """Users by name, number, or +number where a name consists of digits; as rows show them."""
    found = frozenset(_user(str(part)) for part in _parts(raw))
    if not found:
        raise UsageError("expected the name or number of a user")
    return found


def row_filter(raw: object) -> str:
    """A filter that can be parsed."""
    line = text(raw)
    # The model takes 20 ms to import; who sets no filter does not wait for it.
    from iotop_ng.model.query import parse_filter  # noqa: PLC0415

    if line.strip():
        parse_filter(line)
    return line


def column(raw: object) -> str:
    """The id of a column, given as its id or its title."""
    from iotop_ng.model.fields import BY_ID, COLUMNS  # noqa: PLC0415 - as above

    word = text(raw).strip().lower()
    if word in BY_ID:
        return word
    titles = {column.title.lower().removesuffix("/s"): column.id for column in reversed(COLUMNS)}
    if word.removesuffix("/s") in titles:
        return titles[word.removesuffix("/s")]
    hint = nearest(word, [*titles, *BY_ID])
    raise UsageError(f"no column {quoted(word)}{hint}; there are {', '.join(BY_ID)}")


def columns(raw: object) -> tuple[str, ...]:
    """Ids of columns in order, each once."""
    found = tuple(dict.fromkeys(column(part) for part in _parts(raw)))
    if not found:
        raise UsageError("expected names of columns, separated by commas")
    return found


def keys(raw: object) -> dict[str, str]:
    """The table of actions and their keys."""
    if not isinstance(raw, dict):
        raise UsageError('expected a table: [keys] with lines such as quit = "q,x"')
    return {name: ",".join(_key_names(name, value)) for name, value in raw.items()}


def _key_names(action: str, value: object) -> list[str]:
    names = value.split(",") if isinstance(value, str) else value
    if not isinstance(names, list) or not all(
        isinstance(name, str) and name.strip() for name in names
    ):
        raise UsageError(f"action {quoted(action)}: expected the name of a key in quotes")
    return [name.strip() for name in names]


def _or(words: tuple[str, ...]) -> str:
    return f"{', '.join(words[:-1])} or {words[-1]}" if len(words) > 1 else words[0]


def _number(raw: object) -> float | None:
    if isinstance(raw, bool):
        return None
    if isinstance(raw, (int, float)):
        # TOML has inf, nan and integers without a limit.
        return float(raw) if abs(raw) < 1e15 else None
    match = _NUMBER.fullmatch(raw.strip()) if isinstance(raw, str) else None
    return float(match.group()) if match else None


def _whole(raw: object) -> int | None:
    if isinstance(raw, int):
        return None if isinstance(raw, bool) else raw
    match = _WHOLE.fullmatch(raw.strip()) if isinstance(raw, str) else None
    return int(match.group()) if match else None


def _parts(raw: object) -> list[object]:
    """Return the parts of "a,b", of a list, and of a list of such texts."""
    whole_list = list(raw) if isinstance(raw, (list, tuple)) else [raw]
    parts: list[object] = []
    for item in whole_list:
        if isinstance(item, str):
            parts += [part.strip() for part in item.split(",") if part.strip()]
        elif isinstance(item, int) and not isinstance(item, bool):
            parts.append(item)
        else:
            raise UsageError("expected text, or a list of texts")
    return parts


def _user(word: str) -> str:
    """Return the name under which rows show this user: of the account, else the number."""
    import pwd  # noqa: PLC0415 - only who names a user asks the name service

    number = _whole(word)
    if not word.startswith("+"):
        try:
            return pwd.getpwnam(word).pw_name
        except (KeyError, ValueError):
            if number is None:
                names = [account.pw_name for account in pwd.getpwall()]
                hint = nearest(word, names)
                raise UsageError(f"there is no user {quoted(word)} here{hint}") from None
    if number is None or number >= 1 << 32:
        raise UsageError(f"{quoted(word)} is no user number: expected +0 to +{(1 << 32) - 1}")
    try:
        return pwd.getpwuid(number).pw_name
    except (KeyError, OverflowError):
        return str(number)
