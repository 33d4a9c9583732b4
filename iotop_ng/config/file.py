"""The configuration file: where it is, who may own it, what it says.

``iotop-ng/config.toml`` in the user's configuration directory. Keys are the words of the long
options::

    theme = "light"
    interval = 2.0
    columns = ["pid", "write_bytes_per_s", "command"]
    [batch]              # batch output takes its settings from here alone, so that what a user
    only = true          # likes on the screen never changes the bytes that a script reads
    [keys]               # action = keys
    quit = "q,x"

Under sudo it is the invoking user's file, and it is only read: it must be a plain file that this
user owns, so that nobody sees through our messages what stands in a file that only root may read.
"""

from __future__ import annotations

import os
import pwd
import re
import stat
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from iotop_ng.config.checks import Given, quoted
from iotop_ng.config.items import ITEMS
from iotop_ng.errors import UsageError, nearest
from iotop_ng.units import clean

NAME = "config.toml"
SIZE_LIMIT = 1 << 20
_TABLES = ("batch", "keys")
_TABLE_LINE = re.compile(r"\s*\[\s*([A-Za-z0-9_-]+)\s*\]")


class Found(NamedTuple):
    """A configuration directory and the file in it."""

    directory: Path | None
    """Also holds the user's `themes/`; None when there is no home."""
    path: Path | None
    """None when there is no file to read."""
    owner: int | None = None
    """The only user who may own the file; None when anybody may."""


class Tables(NamedTuple):
    """What a file says, not checked yet."""

    top: Mapping[str, Given]
    batch: Mapping[str, Given]


def invoking_user(environ: Mapping[str, str], euid: int) -> int | None:
    """Return the uid of the user behind sudo, None without sudo."""
    uid = environ.get("SUDO_UID", "")
    return int(uid) if euid == 0 and re.fullmatch(r"[1-9][0-9]{0,9}", uid) else None


def find(environ: Mapping[str, str], euid: int) -> Found:
    """Return the file to read: under sudo the invoking user's, else root's own."""
    own = own_directory(environ, euid)
    uid = invoking_user(environ, euid)
    if uid is not None:
        home = _home(uid)
        # sudo drops the user's XDG_CONFIG_HOME, so its default is all that can be known.
        directory = None if home is None else home / ".config" / "iotop-ng"
        if directory is not None and _exists(directory / NAME):
            return Found(directory, directory / NAME, uid)
        if own is None or not _exists(own / NAME):
            return Found(directory or own, None)
    if own is None or not _exists(own / NAME):
        return Found(own, None)
    return Found(own, own / NAME)


def own_directory(environ: Mapping[str, str], euid: int) -> Path | None:
    """Return the configuration directory of the effective user (XDG Base Directory 0.8)."""
    chosen = environ.get("XDG_CONFIG_HOME", "")
    if chosen.startswith("/"):
        return Path(chosen) / "iotop-ng"
    home = environ.get("HOME", "")
    base = Path(home) if home.startswith("/") else _home(euid)
    return None if base is None else base / ".config" / "iotop-ng"


def chosen(path: Path) -> Found:
    """Return a file that was named on the command line; it has to exist."""
    return Found(path.parent, path)


def read(found: Found) -> Tables:
    """Return what the file says.

    Raises:
        UsageError: the file cannot be read, is no TOML, or has a key that does not exist.
    """
    if found.path is None:
        return Tables({}, {})
    shown = clean(str(found.path), 200)
    text = _text(found.path, shown, found.owner)
    said = document(text, shown)
    top = {name: value for name, value in said.items() if name != "batch"}
    batch = said.get("batch", {})
    if not isinstance(batch, dict):
        raise UsageError(f"{shown}: batch: expected a table, [batch]")
    places = _Places(shown, text)
    return Tables(_given(top, places, ""), _given(batch, places, "batch"))


def document(text: str, shown: str) -> dict[str, object]:
    """Return the TOML of a text; `shown` names the file in messages."""
    # Reading a file is rare enough not to let every start pay 10 ms for the parser.
    if sys.version_info >= (3, 11):
        import tomllib  # noqa: PLC0415 - seldom there
    else:
        import tomli as tomllib  # noqa: PLC0415 - Python 3.10

    try:
        return tomllib.loads(text)
    except RecursionError:
        raise UsageError(f"{shown}: nested too deeply") from None
    except ValueError as error:  # TOMLDecodeError, and integers of more than 4300 digits
        raise UsageError(f"{shown}: {clean(str(error), 160)}") from None


def _given(table: Mapping[str, object], places: _Places, name: str) -> dict[str, Given]:
    found = {}
    for key, value in table.items():
        item = ITEMS.get(key)
        if item is None or not (item.in_batch if name else item.in_file):
            raise UsageError(f"{places.of(name, key)}: {_unknown(key, name)}")
        found[key] = Given(value, f"{places.of(name, key)}: {key}")
    return found


def _unknown(key: str, table: str) -> str:
    item = ITEMS.get(key)
    if item is not None and item.in_batch:
        return f"{key} belongs into [batch]"
    if item is not None:
        return f"{key} can only be an option" + (" or stand before [batch]" * item.in_file)
    allowed = [name for name, one in ITEMS.items() if (one.in_batch if table else one.in_file)]
    return f"unknown key {quoted(key, 40)}{nearest(key, [*allowed, *([] if table else _TABLES)])}"


class _Places:
    """Line numbers of keys; the parser does not tell them."""

    def __init__(self, shown: str, text: str) -> None:
        self._shown = shown
        self._lines = text.splitlines()

    def of(self, table: str, key: str) -> str:
        """Return "path:line", or the path when the key stands in an unusual way."""
        wanted = re.compile(rf"""\s*(\[\s*)?["']?{re.escape(key)}["']?\s*[=.\]]""")
        current = ""
        for number, line in enumerate(self._lines, 1):
            if current == table and wanted.match(line):
                return f"{self._shown}:{number}"
            header = _TABLE_LINE.match(line)
            current = header.group(1) if header else current
        return self._shown


def _text(path: Path, shown: str, owner: int | None) -> str:
    try:
        # A pipe must not block the start.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as opened:  # noqa: PTH123 - it is a descriptor
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise UsageError(f"{shown}: not a file")
            if owner is not None and status.st_uid != owner:
                raise UsageError(f"{shown}: not read, it does not belong to the user behind sudo")
            raw = opened.read(SIZE_LIMIT + 1)
    except OSError as error:
        raise UsageError(f"{shown}: cannot be read: {error.strerror}") from None
    except ValueError:  # a NUL in a path
        raise UsageError(f"{shown}: not a path") from None
    if len(raw) > SIZE_LIMIT:
        raise UsageError(f"{shown}: more than {SIZE_LIMIT} bytes")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        raise UsageError(f"{shown}: not UTF-8") from None


def _exists(path: Path) -> bool:
    """Say whether something is there; what cannot be looked at counts, to be reported."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True


def _home(uid: int) -> Path | None:
    try:
        return Path(pwd.getpwuid(uid).pw_dir)
    except (KeyError, OverflowError):
        return None
