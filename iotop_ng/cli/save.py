"""-W: write the options of this command line into the user's configuration file."""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path

from iotop_ng.config import file
from iotop_ng.config.items import ITEMS
from iotop_ng.config.layers import Flags
from iotop_ng.errors import IotopError, UsageError

_TABLE = re.compile(r"\s*\[")
_BATCH = re.compile(r"\s*\[\s*batch\s*\]")
_CONTROL = re.compile(r"[\x7f-\x9f]")


def run(flags: Flags, environ: Mapping[str, str], euid: int) -> str:
    """Save the options and return what was done, as one sentence.

    Options that only make sense for one run (-n, -p) are left out and named. With -b they go to
    the [batch] table.

    Raises:
        UsageError: under sudo, where the file belongs to somebody else.
        IotopError: the file cannot be written, or not without losing what is in it.
    """
    if file.invoking_user(environ, euid) is not None:
        raise UsageError("-W writes your own configuration: call it without sudo")
    directory = file.own_directory(environ, euid)
    path = flags.config or (None if directory is None else directory / file.NAME)
    if path is None:
        raise IotopError("there is no home directory to save the options in")
    kept, dropped = {}, []
    for name, given in flags.items.items():
        item = ITEMS[name]
        if item.in_batch if flags.is_batch else item.in_file:
            kept[name] = item.check(given.value)
        else:
            dropped.append(given.where)
    said = f"; not saved: {', '.join(dropped)}" if dropped else ""
    if not kept:
        raise UsageError(f"-W: no option to save was given{said}")
    before = _present(path)
    after = edited(before, kept, "batch" if flags.is_batch else "")
    _replace(path, after)
    return f"saved {', '.join(kept)} in {path}{said}"


def edited(text: str, values: Mapping[str, object], table: str) -> str:
    """Return the text of a file with values set at its top or in [batch], all else as it was.

    Raises:
        IotopError: the text is written in a way that this cannot edit.
    """
    lines = text.splitlines()
    wanted = _document(text)
    scope = wanted.setdefault("batch", {}) if table else wanted
    if not isinstance(scope, dict):
        raise IotopError("batch is no table in the configuration file")
    for name, value in values.items():
        scope[name] = _plain(value)
        start, end = _section(lines, table)
        line = f"{name} = {_toml(scope[name])}"
        pattern = re.compile(rf"\s*{re.escape(name)}\s*=")
        place = next((i for i in range(start, end) if pattern.match(lines[i])), None)
        if place is None:
            lines.insert(start, line)
        else:
            lines[place] = line
    after = "\n".join(lines) + "\n"
    # A value over several lines would be cut: what we write must say what we mean.
    try:
        is_right = _document(after) == wanted
    except UsageError:
        is_right = False
    if not is_right:
        raise IotopError(f"cannot set {', '.join(values)} in the configuration file: edit it")
    return after


def _section(lines: list[str], table: str) -> tuple[int, int]:
    """Return the first and the line after the last of the top or of [batch]."""
    if not table:
        return 0, next((i for i, line in enumerate(lines) if _TABLE.match(line)), len(lines))
    header = next((i for i, line in enumerate(lines) if _BATCH.match(line)), None)
    if header is None:
        lines.append("[batch]")
        header = len(lines) - 1
    rest = range(header + 1, len(lines))
    return header + 1, next((i for i in rest if _TABLE.match(lines[i])), len(lines))


def _document(text: str) -> dict[str, object]:
    return file.document(text, "the configuration file")


def _plain(value: object) -> object:
    """Return what TOML can hold: sets and tuples become lists, no source is "auto"."""
    if isinstance(value, (frozenset, tuple)):
        return sorted(value) if isinstance(value, frozenset) else list(value)
    return "auto" if value is None else value


def _toml(value: object) -> str:
    """Return a value as TOML; its basic strings are JSON's, but for DEL and C1."""
    text = json.dumps(value, ensure_ascii=False)
    return _CONTROL.sub(lambda match: f"\\u{ord(match.group()):04x}", text)


def _present(path: Path) -> str:
    if not path.exists():
        return ""
    file.read(file.chosen(path))  # what is broken is reported, not overwritten
    return path.read_text("utf-8")


def _replace(path: Path, text: str) -> None:
    """Put the new text in place in one step: a crash leaves the old file or the new one."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".config-")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as out:
                out.write(text)
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except (OSError, UnicodeError) as error:
        raise IotopError(f"{path} cannot be written: {error}") from None
