"""The filter language: words that a row must match, all of them.

    dd                     case-insensitive regular expression, anywhere in pid, comm, command, user
    "log flood"            the same with a space
    user:root              the user's name
    comm:dd  comm:kworker* the task's name; * stands for anything, ? for one character
    pid:123  tid:123       one id; pid:1,2,3 any of them
    cgroup:/system.slice   the group and everything below it; * and ? as above
    container:web          the container's name, or pod/name, or docker-0123456789ab
    write>5M               a column compared with a number: > >= < <= = !=
    !word                  not

Columns go by their id (`write_bytes_per_s`) or a short name (write, read, diskw, diskr, iops, p50,
p99, latency, max, fsync, io, pause, cancel, dirty). Bytes take K M G T (1024) or kB MB (1000),
latencies ns us ms s, shares a number of percent. A value that is not known matches no comparison.
What is compared is the rate; write_total>5G and so on compare what happened since the start.
"""

from __future__ import annotations

import operator
import re
import warnings
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from iotop_ng.errors import UsageError, nearest
from iotop_ng.model.column import Column, Getter
from iotop_ng.model.fields import BY_ID, COLUMNS
from iotop_ng.model.frame import Row
from iotop_ng.units import clean, parse_size

SYNTAX = (
    "a regex, key:value (user comm pid tid cgroup container), or column>number, as in write>5M"
    " p99>20ms"
)
"""One line for error messages and prompts."""
LONGEST = 1000
"""Characters; a regular expression of that length is a mistake."""

ALIASES: Mapping[str, str] = MappingProxyType(
    {
        "write": "write_bytes_per_s",
        "read": "read_bytes_per_s",
        "diskw": "disk_write_bytes_per_s",
        "diskr": "disk_read_bytes_per_s",
        "iops": "disk_iops",
        "p50": "latency_p50_us",
        "p99": "latency_p99_us",
        "latency": "latency_p99_us",
        "max": "latency_max_us",
        "fsync": "fsync_p99_us",
        "io": "io_delay_pct",
        "pause": "kernel_pause_ms_per_s",
        "cancel": "cancelled_bytes_per_s",
        "dirty": "dirtied_bytes_per_s",
    }
)

Test = Callable[[Row], bool]
_WORD = re.compile(r'(?:"[^"]*"|[^\s"]|")+')
_COMPARISON = re.compile(r"([A-Za-z][A-Za-z0-9_]*)(>=|<=|!=|==|>|<|=)(.*)", re.DOTALL)
_KEYED = re.compile(r"(user|comm|pid|tid|cgroup|container):(.*)", re.DOTALL)
_IDS = re.compile(r"[0-9]{1,10}(?:,[0-9]{1,10})*")
_NUMBER = re.compile(r"([0-9]{1,18}(?:\.[0-9]{1,9})?|\.[0-9]{1,9})([a-zA-Z%]*)")
_OPERATORS: Mapping[str, Callable[[float, float], bool]] = MappingProxyType(
    {
        ">": operator.gt,
        ">=": operator.ge,
        "<": operator.lt,
        "<=": operator.le,
        "=": operator.eq,
        "==": operator.eq,
        "!=": operator.ne,
    }
)
_US = {"ns": 1e-3, "us": 1.0, "ms": 1e3, "s": 1e6}
_COUNTS = {"": 1.0, "k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9}
_FACTORS: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {
        "us": _US,
        "ns": {unit: factor * 1e3 for unit, factor in _US.items()},
        "pct": {"": 1.0, "%": 1.0},
        "ms/s": {"": 1.0, "ms": 1.0},
        "count": _COUNTS,
        "count/s": _COUNTS,
    }
)


class Filter(NamedTuple):
    """Tests that a row must pass, and the text they came from."""

    text: str
    tests: tuple[Test, ...]

    def matches(self, row: Row) -> bool:
        """Return whether the row passes every test."""
        return all(test(row) for test in self.tests)


def parse_filter(text: str) -> Filter:
    """Return the filter that a text stands for; an empty text matches everything.

    Raises:
        UsageError: naming the word, and what would be right.
    """
    if len(text) > LONGEST:
        raise UsageError(f"filter: longer than {LONGEST} characters")
    return Filter(text, tuple([_test(word) for word in _WORD.findall(text)]))


def _test(word: str) -> Test:
    if word.startswith("!") and len(word) > 1:
        inner = _test(word[1:])
        return lambda row: not inner(row)
    if not word.startswith('"'):
        keyed = _KEYED.fullmatch(word)
        if keyed:
            return _keyed(keyed[1], _unquote(keyed[2]))
        comparison = _COMPARISON.fullmatch(word)
        if comparison:
            test = _comparison(word, comparison[1], comparison[2], _unquote(comparison[3]))
            if test is not None:
                return test
    return _regex(_unquote(word))


def _unquote(word: str) -> str:
    return re.sub(r'"([^"]*)"', r"\1", word)


def _keyed(key: str, wanted: str) -> Test:
    if key in {"pid", "tid"}:
        if not _IDS.fullmatch(wanted):
            raise UsageError(f"filter {key}:{clean(wanted, 40)}: expected a number, or some: 1,2,3")
        ids = frozenset(int(part) for part in wanted.split(","))
        get: Callable[[Row], int | None] = operator.attrgetter(key)
        return lambda row: get(row) in ids
    pattern = _wildcards(wanted)
    if key == "cgroup":
        below = _wildcards(f"{wanted.rstrip('/')}/*")
        return lambda row: (
            row.cgroup is not None
            and bool(pattern.fullmatch(row.cgroup) or below.fullmatch(row.cgroup))
        )
    if key == "container":
        in_pod = _wildcards(f"*/{wanted}")
        return lambda row: bool(
            row.container and (pattern.fullmatch(row.container) or in_pod.fullmatch(row.container))
        )
    name: Callable[[Row], str] = operator.attrgetter(key)
    return lambda row: pattern.fullmatch(name(row)) is not None


def _wildcards(text: str) -> re.Pattern[str]:
    parts = [".*" if c == "*" else "." if c == "?" else re.escape(c) for c in text]
    return re.compile("".join(parts), re.DOTALL)


def _regex(text: str) -> Test:
    try:
        # Python warns of sets that it may read differently one day; a screen has no place for it.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            search = re.compile(text, re.IGNORECASE).search
    except (re.error, OverflowError, RecursionError) as error:
        raise UsageError(
            f"filter {clean(text, 60)!r}: not a regular expression ({error}); expected {SYNTAX}"
        ) from None

    def test(row: Row) -> bool:
        return (
            search(row.comm) is not None
            or search(row.command) is not None
            or search(row.user) is not None
            or search(str(row.pid)) is not None
        )

    return test


def _comparison(word: str, name: str, sign: str, number: str) -> Test | None:
    """Return the test of `name sign number`, or None when this is no comparison but a regex."""
    found = _quantity(name)
    if found is None:
        if "<" not in sign and ">" not in sign:
            return None  # "--file=x" is looked for in command lines
        hint = nearest(name, _QUANTITIES)
        raise UsageError(
            f"filter {clean(word, 60)!r}: no column {clean(name, 40)!r}{hint}; expected {SYNTAX}"
        )
    get, unit = found
    wanted = _number(word, number, unit)
    compare = _OPERATORS[sign]

    def test(row: Row) -> bool:
        value = get(row)
        return isinstance(value, int | float) and compare(value, wanted)

    return test


def _quantity(name: str) -> tuple[Getter, str] | None:
    column = _QUANTITIES.get(name.lower())
    if column is None:
        return None
    if name.lower().endswith("_total") and column.total is not None:
        return column.total, column.total_unit
    return column.rate, column.unit


def _number(word: str, text: str, unit: str) -> float:
    if unit.startswith("bytes"):
        try:
            return parse_size(text)
        except UsageError as error:
            raise UsageError(f"filter {clean(word, 60)!r}: {error}") from None
    factors = _FACTORS[unit]
    match = _NUMBER.fullmatch(text)
    amount = float(match[1]) if match else -1.0
    if match is None or (match[2] not in factors and amount != 0):
        units = " or ".join(name or "nothing" for name in factors)
        raise UsageError(f"filter {clean(word, 60)!r}: expected a number followed by {units}")
    return amount * factors.get(match[2], 0.0)


def _quantities() -> dict[str, Column]:
    """Return every name of a number: ids, totals, short names and their totals."""
    names = {column.id: column for column in COLUMNS if column.is_number}
    names.update({c.total_id: c for c in COLUMNS if c.total_id})
    for alias, column_id in ALIASES.items():
        names[alias] = BY_ID[column_id]
        if BY_ID[column_id].total_id:
            names[f"{alias}_total"] = BY_ID[column_id]
    return names


_QUANTITIES: Mapping[str, Column] = MappingProxyType(_quantities())
