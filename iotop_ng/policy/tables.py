"""TOML tables read strictly: every mistake is kept with its line, and all are told at once.

The parser of TOML gives no line numbers, so the text is looked through once more for them.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple, TypeVar

from iotop_ng.errors import UsageError, nearest
from iotop_ng.policy.actions import NS_PER_S
from iotop_ng.units import clean, parse_size

T = TypeVar("T")
Check = Callable[[object], T]

SIZE_LIMIT = 1 << 20
LONGEST_NS = 7 * 86400 * NS_PER_S
_TIME = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,9})?)\s*(us|ms|s|min|m|h)")
_TIME_UNITS = {"us": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "min": 60 * 10**9,
               "h": 3600 * 10**9}  # fmt: skip
_HEADER = re.compile(r"\s*\[(\[)?\s*([A-Za-z0-9_.\"' -]+?)\s*\]")
_KEY = re.compile(r"\s*[\"']?([A-Za-z0-9_-]+)[\"']?\s*[=.]")


class Problem(NamedTuple):
    """One mistake."""

    line: int
    """Counted from 1; 0 when it belongs to no line."""
    text: str


class TableError(UsageError):
    """A file has mistakes, all of them named in one line.

    Attributes:
        problems: in the order of lines.
    """

    def __init__(self, where: str, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(problems))
        shown = clean(where, 200)
        super().__init__(
            "; ".join(f"{shown}:{p.line}: {p.text}" if p.line else f"{shown}: {p.text}"
                      for p in self.problems)
        )  # fmt: skip


class Table:
    """One table: hands out checked values and remembers what was asked for."""

    def __init__(
        self, values: Mapping[str, object], lines: Mapping[str, int], line: int,
        problems: list[Problem],
    ) -> None:  # fmt: skip
        self._values = values
        self._lines = lines
        self._problems = problems
        self._known: list[str] = []
        self.line = line

    def has(self, key: str) -> bool:
        """Say whether the key is there, right or wrong."""
        return key in self._values

    def take(self, key: str, check: Check[T], default: T) -> T:
        """Return the checked value, or the default when it is missing or wrong."""
        self._known.append(key)
        if key not in self._values:
            return default
        try:
            return check(self._values[key])
        except UsageError as error:
            self.complain(f"{key}: {error}", key)
            return default

    def need(self, key: str, check: Check[T], default: T) -> T:
        """Return the checked value; complain when it is missing."""
        if key not in self._values:
            self.complain(f"{key} is missing")
        return self.take(key, check, default)

    def complain(self, text: str, key: str = "") -> None:
        """Take down a mistake, at the line of a key or of the table."""
        self._problems.append(Problem(self._lines.get(key, self.line), text))

    def tables(self, key: str) -> list[Table]:
        """Return the tables of a list inside this table; all stand at this one's lines."""
        self._known.append(key)
        found = self._values.get(key, [])
        if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
            self.complain(f"{key}: expected a list of tables", key)
            return []
        line = self._lines.get(key, self.line)
        return [Table(one, {}, line, self._problems) for one in found]

    def end(self) -> None:
        """Complain about every key that nobody asked for."""
        for key in self._values:
            if key not in self._known:
                hint = nearest(key, self._known)
                self.complain(f"unknown key {shown(key)}{hint}", key)


class Document:
    """A whole file."""

    def __init__(self, text: str, where: str) -> None:
        """Parse.

        Raises:
            TableError: it is no TOML.
        """
        self._where = where
        self.problems: list[Problem] = []
        self._values = _parse(text, where)
        self._tables, self._keys = _places(text)
        self._known: list[str] = []
        self.top = Table(self._values, self._keys.get(("", 0), {}), 0, self.problems)

    def table(self, name: str) -> Table:
        """Return a table; an empty one when it is missing."""
        self._known.append(name)
        values = self._values.get(name, {})
        if not isinstance(values, dict):
            self.problems.append(Problem(self._line(name), f"{name}: expected a table, [{name}]"))
            values = {}
        return self._table(name, 0, values)

    def tables(self, name: str) -> list[Table]:
        """Return every [[name]]."""
        self._known.append(name)
        values = self._values.get(name, [])
        if not isinstance(values, list) or not all(isinstance(one, dict) for one in values):
            text = f"{name}: expected a list of tables, [[{name}]]"
            self.problems.append(Problem(self._line(name), text))
            return []
        return [self._table(name, number, one) for number, one in enumerate(values)]

    def finish(self, keys: Iterable[str] = ()) -> None:
        """Complain about unknown tables, then raise what was found.

        Args:
            keys: plain keys of the top level that were taken.

        Raises:
            TableError: with every mistake.
        """
        known = [*self._known, *keys]
        for name in self._values:
            if name not in known:
                line = self._line(name) or self._keys.get(("", 0), {}).get(name, 0)
                text = f"unknown table {shown(name)}{nearest(name, known)}"
                self.problems.append(Problem(line, text))
        if self.problems:
            raise TableError(self._where, self.problems)

    def _line(self, name: str, number: int = 0) -> int:
        return self._tables.get((name, number), 0) or self._keys.get(("", 0), {}).get(name, 0)

    def _table(self, name: str, number: int, values: Mapping[str, object]) -> Table:
        lines = self._keys.get((name, number), {})
        return Table(values, lines, self._line(name, number), self.problems)


def shown(raw: object) -> str:
    """Return what somebody wrote as one safe, short piece of a message."""
    try:
        text = str(raw)
    except (ValueError, RecursionError):  # an integer of more digits than may be printed
        return "that"
    return repr(clean(text, 40) + ("…" if len(text) > 40 else ""))


def text(raw: object) -> str:
    """A line of text that is not empty."""
    if not isinstance(raw, str) or not raw.strip():
        raise UsageError(f"{shown(raw)}: expected text in quotes")
    return clean(raw.strip(), 256)


def texts(raw: object) -> tuple[str, ...]:
    """One text or a list of texts."""
    return tuple(text(one) for one in raw) if isinstance(raw, list) else (text(raw),)


def yes(raw: object) -> bool:
    """True or false."""
    if not isinstance(raw, bool):
        raise UsageError(f"{shown(raw)}: expected true or false")
    return raw


def whole(lowest: int, highest: int) -> Check[int]:
    """Return the check of a whole number."""

    def check(raw: object) -> int:
        if isinstance(raw, bool) or not isinstance(raw, int) or not lowest <= raw <= highest:
            raise UsageError(f"{shown(raw)}: expected a whole number, {lowest} to {highest}")
        return raw

    return check


def choice(*words: str) -> Check[str]:
    """Return the check of a word out of a few."""

    def check(raw: object) -> str:
        if isinstance(raw, str) and raw in words:
            return raw
        hint = nearest(raw, words) if isinstance(raw, str) else ""
        raise UsageError(f"{shown(raw)}: expected {' or '.join(words)}{hint}")

    return check


def size(raw: object) -> int:
    """Bytes or bytes per second, more than 0: "5M", "200MB/s"."""
    if not isinstance(raw, str):
        raise UsageError(f'{shown(raw)}: expected a size in quotes, such as "5M"')
    if _TIME.fullmatch(raw.strip()) and not raw.strip().endswith("m"):
        raise UsageError(f"{shown(raw)}: expected a size such as 5M, not a time")
    value = parse_size(raw)
    if value < 1:
        raise UsageError(f"{shown(raw)}: expected more than 0")
    return value


def time(raw: object) -> int:
    """A time in ns, 0 to a week: "20ms", "10s", "5min"."""
    match = _TIME.fullmatch(raw.strip()) if isinstance(raw, str) else None
    if match is None:
        raise UsageError(f'{shown(raw)}: expected a time in quotes, such as "20ms", "10s", "5m"')
    number, unit = match.groups()
    whole_part, _, fraction = number.partition(".")
    factor = _TIME_UNITS[unit]
    value = int(whole_part) * factor + int(fraction.ljust(9, "0") or 0) * factor // NS_PER_S
    if value > LONGEST_NS:
        raise UsageError(f"{shown(raw)}: expected a week or less")
    return value


def span(raw: object) -> int:
    """A time that is more than 0."""
    value = time(raw)
    if value < 1:
        raise UsageError(f"{shown(raw)}: expected more than 0")
    return value


def _parse(text: str, where: str) -> dict[str, object]:
    if len(text) > SIZE_LIMIT:
        raise TableError(where, [Problem(0, f"more than {SIZE_LIMIT} characters")])
    # Reading rules is rare: nobody else pays 10 ms for the parser.
    if sys.version_info >= (3, 11):
        import tomllib  # noqa: PLC0415 - only for rules
    else:
        import tomli as tomllib  # noqa: PLC0415 - Python 3.10

    try:
        return tomllib.loads(text)
    except RecursionError:
        raise TableError(where, [Problem(0, "nested too deeply")]) from None
    except ValueError as error:  # TOMLDecodeError, and integers of more than 4300 digits
        said = clean(str(error), 160)
        line = re.search(r"at line ([0-9]+)", said)
        raise TableError(where, [Problem(int(line.group(1)) if line else 0, said)]) from None


def _places(text: str) -> tuple[dict[tuple[str, int], int], dict[tuple[str, int], dict[str, int]]]:
    """Return the lines of (table, number of its kind) and of the keys in each."""
    tables: dict[tuple[str, int], int] = {}
    keys: dict[tuple[str, int], dict[str, int]] = {}
    counts: dict[str, int] = {}
    current = ("", 0)
    for number, line in enumerate(text.splitlines(), 1):
        header = _HEADER.match(line)
        if header:
            name = header.group(2)
            counts[name] = counts.get(name, -1) + 1
            parent, dot, child = name.partition(".")
            # [rule.match] is written below its [[rule]] and belongs to it.
            current = (parent, counts.get(parent, 0)) if dot else (name, counts[name])
            if dot:
                keys.setdefault(current, {}).setdefault(child, number)
            tables.setdefault(current, number)
        elif key := _KEY.match(line):
            keys.setdefault(current, {}).setdefault(key.group(1), number)
    return tables, keys
