"""Every option of the command line, as one table: its spellings, its setting, its help.

The union of iotop's options, iotop-c's and ours. An option only takes down what was written;
`iotop_ng.config` checks it, beside the values of the file and the environment.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import NamedTuple

from iotop_ng.config.items import COLUMN_OF_WORD


class Kind(Enum):
    """How an option is written."""

    VALUE = "takes a value"
    MANY = "takes a value, may be repeated"
    SWITCH = "on, or off by the spelling after the slash"
    SET = "stands for one value"
    COUNT = "may be repeated"


class Option(NamedTuple):
    """One line of the table."""

    spellings: str
    """Separated by spaces; "--si/--no-si" switches on and off, "/-l" only off."""
    item: str
    """Name in `iotop_ng.config.items.ITEMS`; or "batch", "graph", "config", "save", "shown.*"
    and "" (taken and ignored)."""
    kind: Kind
    help: str
    metavar: str = ""
    """Of VALUE and MANY."""
    stands_for: str = ""
    """Of SET."""


def _shown(number: int, word: str) -> Option:
    return Option(
        f"-{number} --hide-{word}/--show-{word}",
        f"shown.{word}",
        Kind.SWITCH,
        f"hide or show the column {word.upper()}",
    )


_V, _M, _S, _X, _C = Kind.VALUE, Kind.MANY, Kind.SWITCH, Kind.SET, Kind.COUNT

SECTIONS: Mapping[str, tuple[Option, ...]] = {
    "What is measured": (
        Option("-d --delay --interval", "interval", _V, "seconds between readings [1]", "SEC"),
        Option("-n --iter", "iterations", _V, "end after NUM intervals", "NUM"),
        Option("--duration", "duration", _V, "end after this time: 30, 10m, 2h", "TIME"),
        Option("--source", "source", _V, "auto, bcc or procfs [auto]", "NAME"),
        Option("--history", "history", _V, "intervals that are kept per row [120]", "NUM"),
    ),
    "Which rows": (
        Option("-o --only/--no-only", "only", _S, "only what does I/O"),
        Option("-p --pid", "pids", _M, "only these processes or threads: 17,4242", "PID"),
        Option("-u --user", "users", _M, "only these users: name, number or +number", "USER"),
        Option("--filter", "filter", _V, "regex, key:value or write>5M; space is and", "TEXT"),
        Option("--threads/--processes /-P", "threads", _S, "a row per thread, or per process"),
        Option("-e --hide-exited/--show-exited", "hide-exited", _S, "leave out what has ended"),
    ),
    "How they are shown": (
        Option("-a --accumulated", "mode", _X, "bytes since the start", stands_for="accumulated"),
        Option("-A --accum-bw", "mode", _X, "average rate since the start", stands_for="average"),
        Option("--no-accumulated --no-accum-bw", "mode", _X, "rates (default)", stands_for="rate"),
        Option("--sort", "sort", _V, "sort by this column", "COLUMN"),
        Option("--reverse/--no-reverse", "reverse", _S, "in reverse order"),
        Option("--tree/--no-tree", "tree", _S, "processes below their parents"),
        Option("--columns", "columns", _V, "columns in order: pid,write,p99,command", "LIST"),
        Option("-c --fullcmdline/--no-fullcmdline", "full-command", _S, "whole command lines"),
        Option("-k --kilobytes/--no-kilobytes", "kilobytes", _S, "always kilobytes"),
        Option("--si/--no-si", "si", _S, "units of 1000, not of 1024"),
        Option("--threshold", "threshold", _V, "next unit above this multiple [2]", "1..10"),
        *(_shown(number, word) for number, word in enumerate(COLUMN_OF_WORD, 1)),
    ),
    "Batch output": (
        Option("-b --batch", "batch", _S, "print intervals, no screen"),
        Option("--format", "format", _V, "text, json (lines) or csv; implies -b", "NAME"),
        Option("--compat", "compat", _V, "layout of text: c, py or py0.6 [c]", "NAME"),
        Option("--strict-compat", "strict-compat", _S, "iotop's order, zeros and exit codes too"),
        Option("-t --time --timestamp", "timestamps", _S, "print the time; implies -b"),
        Option("-q --quiet", "quiet", _C, "names once, -qq never, -qqq no sums; implies -b"),
    ),
    "The screen": (
        Option("--view", "view", _V, "first view: processes, devices, policies, probes", "NAME"),
        Option("--theme", "theme", _V, "colours", "NAME"),
        Option("--color/--no-color /-l", "color", _S, "colours or none (also NO_COLOR)"),
        Option("--ascii/--unicode", "ascii", _S, "only ASCII characters"),
        Option("--low-bandwidth/--no-low-bandwidth", "low-bandwidth", _S, "send what changed"),
        Option("--mouse/--no-mouse", "mouse", _S, "take mouse clicks [on]"),
        Option("--read-only", "read-only", _S, "no keys that act on processes"),
        Option("-g --grtype", "graph", _V, "order: io, r, w, rw or sw", "TYPE"),
        Option("-R --reverse-graph/--no-reverse-graph", "reverse-graph", _S, "newest at the left"),
        Option("-x --dead-x/--no-dead-x", "dead-x", _S, "an x beside ended rows"),
        Option("--show-time/--hide-time /-T", "clock", _S, "the clock [shown]"),
        Option("-N --inverse/--no-inverse", "inverse", _S, "dark and light swapped"),
        Option("-H --help-type", "help-type", _V, "none, win or inline", "TYPE"),
    ),
    "Other": (
        Option("--config", "config", _V, "read this file, not the user's", "FILE"),
        Option("-W --write", "save", _S, "save these options as the user's, then end"),
        Option("--no-help", "", _S, "accepted for iotop's sake"),
        Option("--profile", "", _S, "accepted for iotop's sake"),
    ),
}

_PYTHON_IOTOP = frozenset(
    """version help only batch iter delay pid user processes accumulated kilobytes time timestamp
    quiet no-help profile""".split()  # noqa: SIM905 - forty quoted words are harder to compare
)
_IOTOP_C = frozenset(
    """version help help-type only no-only batch iter delay pid user processes threads accumulated
    no-accumulated accum-bw no-accum-bw kilobytes no-kilobytes time fullcmdline no-fullcmdline
    grtype reverse-graph no-reverse-graph quiet dead-x no-dead-x hide-exited show-exited no-color
    color si no-si threshold ascii unicode filter hide-time show-time inverse
    write""".split()  # noqa: SIM905
) | {f"{verb}-{word}" for verb in ("hide", "show") for word in COLUMN_OF_WORD}


def spellings(option: Option) -> list[str]:
    """Return every spelling of an option, the off ones too."""
    return [part for part in option.spellings.replace("/", " ").split() if part]


def whole_name(name: str) -> str:
    """Return the option that a unique beginning stands for; both iotops allow `--accum`.

    Only their own options can be shortened, so that ours may grow without changing what a script
    means. Python iotop is asked first, then iotop-c.
    """
    for names in (_PYTHON_IOTOP, _IOTOP_C):
        if len(name) < 2 or name in names:
            return name
        matches = [full for full in names if full.startswith(name)]
        if len(matches) == 1 and not _is_ours(name):
            return matches[0]
    return name


def _is_ours(name: str) -> bool:
    return any(
        f"--{name}" in spellings(option) for options in SECTIONS.values() for option in options
    )
