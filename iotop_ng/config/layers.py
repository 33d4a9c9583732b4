"""Join defaults, file, environment and flags; the later one wins, every one is checked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from iotop_ng.config import checks, file
from iotop_ng.config.checks import Given
from iotop_ng.config.items import COLUMN_OF_WORD, GRAPHS, ITEMS, SORT_OF_GRAPH
from iotop_ng.config.settings import Settings
from iotop_ng.errors import UsageError

PREFIX = "IOTOP_NG_"
NO_TERMINAL = "stdout is no terminal"
_FLAGS_OF_BATCH = ("timestamps", "quiet")
"""These flags of iotop mean -b."""


class Flags(NamedTuple):
    """What the command line said."""

    items: Mapping[str, Given] = {}
    """By the names of `iotop_ng.config.items.ITEMS`."""
    is_batch: bool = False
    """-b was given."""
    shown: Mapping[str, bool] = {}
    """Words of --show-* (true) and --hide-* (false)."""
    graph: Given | None = None
    """--grtype."""
    config: Path | None = None
    """--config: read this file and no other."""


class _Layer(NamedTuple):
    """The checked values of one place, and where each stands."""

    values: Mapping[str, Any]
    places: Mapping[str, str]


def load(
    flags: Flags, environ: Mapping[str, str], *, euid: int, has_terminal: bool = True
) -> Settings:
    """Return the checked settings.

    Args:
        flags: what the command line said.
        environ: the environment.
        euid: effective user; root under sudo reads the invoking user's file.
        has_terminal: stdout is one; without it there is only batch output.

    Raises:
        UsageError: one line that names the place, the value and what is allowed.
    """
    found = file.find(environ, euid) if flags.config is None else file.chosen(flags.config)
    top, batch = (_checked(table) for table in file.read(found))
    said = _checked(flags.items)
    why = _why_batch(flags, said, has_terminal=has_terminal)
    merged: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for layer in (batch if why else top, _checked(_environment(environ)), said):
        merged |= {ITEMS[name].field: value for name, value in layer.values.items()}
        origins |= {ITEMS[name].field: place for name, place in layer.places.items()}
    if why:
        origins["batch"] = why
        # iotop's rows are threads unless -P is given; records for programs are processes.
        merged.setdefault("threads", merged.get("format", "text") == "text")
    merged |= _from_columns(merged, flags)
    return Settings(batch=bool(why), config_dir=found.directory, origins=origins, **merged)


def _why_batch(flags: Flags, said: _Layer, *, has_terminal: bool) -> str:
    """Return what asks for batch output, "" for the screen."""
    if flags.is_batch:
        return "-b"
    for name in _FLAGS_OF_BATCH:
        if said.values.get(name):
            return said.places[name]
    if said.values.get("format", "text") != "text":
        return said.places["format"]
    return "" if has_terminal else NO_TERMINAL


def _checked(table: Mapping[str, Given]) -> _Layer:
    values = {name: checks.checked(ITEMS[name].check, given) for name, given in table.items()}
    return _Layer(values, {name: given.where for name, given in table.items()})


def _environment(environ: Mapping[str, str]) -> dict[str, Given]:
    found = {}
    if environ.get("NO_COLOR"):
        found["color"] = Given(value=False, where="NO_COLOR")
    for name, item in ITEMS.items():
        variable = PREFIX + name.upper().replace("-", "_")
        if item.in_file and name != "keys" and environ.get(variable):
            found[name] = Given(environ[variable], variable)
    return found


def _from_columns(merged: Mapping[str, Any], flags: Flags) -> dict[str, Any]:
    """Return the fields that follow from --hide-*, --show-* and --grtype."""
    fields: dict[str, Any] = {}
    if flags.graph is not None:
        graph = str(checks.checked(checks.choice(*GRAPHS), flags.graph))
        fields["sort"] = merged.get("sort") or SORT_OF_GRAPH[graph]
    if flags.shown:
        fields["columns"] = _visible(merged.get("columns", ()), flags.shown)
    return fields


def _visible(chosen: tuple[str, ...], shown: Mapping[str, bool]) -> tuple[str, ...]:
    """Return the chosen or default columns without the hidden ones, with the shown ones."""
    # The model takes 20 ms to import; most calls need it only after this.
    from iotop_ng.model.fields import COLUMNS, DEFAULT  # noqa: PLC0415

    wanted = {COLUMN_OF_WORD[word]: is_shown for word, is_shown in shown.items()}
    base = chosen or DEFAULT
    kept = [column for column in base if wanted.get(column, True)]
    order = {column.id: place for place, column in enumerate(COLUMNS)}
    for column in (name for name, is_shown in wanted.items() if is_shown and name not in kept):
        before = [i for i, name in enumerate(kept) if order[name] < order[column]]
        kept.insert(max(before, default=-1) + 1, column)
    if not kept:
        raise UsageError("every column is hidden: leave at least one")
    return tuple(kept)
