"""Everything that can be set: its word, its field, its check, and where it may stand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from iotop_ng.config import checks
from iotop_ng.config.checks import Check

VIEWS: Mapping[str, object] = {"processes": 1, "devices": 3, "policies": 7, "probes": 8}
SOURCES = ("auto", "bcc", "procfs")
FORMATS = ("text", "json", "csv")
COMPATS = ("c", "py", "py0.6")
MODES = ("rate", "accumulated", "average")
GRAPHS = ("io", "r", "w", "rw", "sw")
HELP_TYPES = ("none", "win", "inline")

COLUMN_OF_WORD: Mapping[str, str] = {
    "pid": "pid",
    "prio": "prio",
    "user": "user",
    "read": "read_bytes_per_s",
    "write": "write_bytes_per_s",
    "swapin": "swapin_pct",
    "io": "io_delay_pct",
    "graph": "history",
    "command": "command",
}
"""iotop-c's columns 1 to 9, the words of --hide-* and --show-*, in the registry's names."""

SORT_OF_GRAPH: Mapping[str, str] = {
    "io": "io_delay_pct",
    "r": "read_bytes_per_s",
    "w": "write_bytes_per_s",
    "rw": "write_bytes_per_s",
    "sw": "swapin_pct",
}
"""--grtype sets the default order too, as in iotop-c."""


class Item(NamedTuple):
    """One setting."""

    field: str
    """Name in `Settings`."""
    check: Check
    in_file: bool = True
    """May stand at the top of the file and in the environment; a flag always may."""
    in_batch: bool = False
    """May stand in the file's [batch] table."""


def _view(raw: object) -> object:
    words = checks.choice(*VIEWS, *(str(number) for number in VIEWS.values()))
    found = checks.renamed(words, VIEWS)(str(raw) if isinstance(raw, int) else raw)
    return int(str(found))


ITEMS: Mapping[str, Item] = {
    "ascii": Item("ascii", checks.yes),
    "clock": Item("clock", checks.yes),
    "color": Item("color", checks.yes),
    "columns": Item("columns", checks.columns, in_batch=True),
    "compat": Item("compat", checks.choice(*COMPATS), in_file=False, in_batch=True),
    "dead-x": Item("dead_x", checks.yes),
    "duration": Item("duration_s", checks.duration, in_file=False),
    "filter": Item("filter", checks.row_filter, in_batch=True),
    "format": Item("format", checks.choice(*FORMATS), in_file=False, in_batch=True),
    "full-command": Item("full_command", checks.yes, in_batch=True),
    "help-type": Item("help_type", checks.choice(*HELP_TYPES)),
    "hide-exited": Item("hide_exited", checks.yes, in_batch=True),
    "history": Item("history_ticks", checks.whole(2, 3600)),
    "interval": Item("interval_s", checks.seconds, in_batch=True),
    "inverse": Item("inverse", checks.yes),
    "iterations": Item("iterations", checks.whole(1), in_file=False),
    "keys": Item("keys", checks.keys),
    "kilobytes": Item("kilobytes", checks.yes, in_batch=True),
    "low-bandwidth": Item("low_bandwidth", checks.yes),
    "mode": Item("mode", checks.choice(*MODES), in_batch=True),
    "mouse": Item("mouse", checks.yes),
    "only": Item("only_active", checks.yes, in_batch=True),
    "pids": Item("pids", checks.pids, in_file=False),
    "quiet": Item("quiet", checks.whole(0), in_file=False, in_batch=True),
    "read-only": Item("read_only", checks.yes),
    "reverse": Item("reverse", checks.yes, in_batch=True),
    "reverse-graph": Item("reverse_graph", checks.yes),
    "si": Item("si", checks.yes, in_batch=True),
    "sort": Item("sort", checks.column, in_batch=True),
    "source": Item(
        "source",
        checks.renamed(checks.choice(*SOURCES), {"auto": None}),
        in_batch=True,
    ),
    "strict-compat": Item("strict_compat", checks.yes, in_file=False, in_batch=True),
    "theme": Item("theme", checks.text),
    "threads": Item("threads", checks.yes, in_batch=True),
    "threshold": Item("threshold", checks.whole(1, 10), in_batch=True),
    "timestamps": Item("timestamps", checks.yes, in_file=False, in_batch=True),
    "tree": Item("tree", checks.yes, in_batch=True),
    "users": Item("users", checks.users, in_file=False, in_batch=True),
    "view": Item("view", _view),
}
