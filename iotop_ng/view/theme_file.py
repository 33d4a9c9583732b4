"""The text of one theme file, checked into types; nothing of it is trusted.

    about = "Dark grey ground"
    kind = "dark"                  # dark, light, ansi, mono
    based_on = "dark"              # only for a partial file
    [ground]
    background = "#1c1c1c"
    [look]
    hog = "bold #ff8787"
    selected = "on #3a3a3a"
    [plot]
    series = ["#ffaf5f", "#87d7ff"]
    heat = ["#1c1c1c", "#ffff87"]

A colour is ``#rrggbb``, one of the sixteen names of the terminal (``red``, ``bright_red``) or
``default``. A look is attributes, a colour, and ``on`` with a background colour, each optional.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from iotop_ng.errors import UsageError, nearest
from iotop_ng.units import clean

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

GROUND = (
    "foreground",
    "background",
    "surface",
    "panel",
    "primary",
    "secondary",
    "accent",
    "warning",
    "error",
    "success",
)
LOOKS = (
    # Columns and numbers.
    "read",
    "write",
    "latency",
    "muted",
    # Rows: what they are about.
    "hog",
    "suffering",
    "throttled",
    "dropping",
    "exited",
    "tagged",
    "selected",
    "zebra",
    "match",
    # The rest of the screen.
    "header",
    "sorted",
    "title",
    "label",
    "key",
    "footer",
    "rule",
    "axis",
    "cursor",
    "ok",
    "warning",
    "error",
    "banner",
)
KINDS = ("dark", "light", "ansi", "mono")
ATTRIBUTES = ("bold", "dim", "italic", "underline", "reverse", "strike")
_BASIC = ("black", "red", "green", "yellow", "blue", "magenta", "cyan", "white")
ANSI_COLOURS = (*_BASIC, *(f"bright_{name}" for name in _BASIC))
"""Indexes 0 to 15 of the terminal's palette."""
DEFAULT_COLOUR = "default"
MAX_BYTES = 65536
_HEX = re.compile(r"#[0-9a-f]{6}\Z")
_TABLES = {"ground": GROUND, "look": LOOKS, "plot": ("series", "heat")}
_TOP = ("about", "kind", "based_on", *_TABLES)


class Look(NamedTuple):
    """Attributes and colours of some text; "" is "as what lies below"."""

    attributes: tuple[str, ...] = ()
    foreground: str = ""
    background: str = ""

    def under(self, above: Look) -> Look:
        """Return this look with another one laid over it."""
        added = tuple(name for name in above.attributes if name not in self.attributes)
        return Look(
            self.attributes + added,
            above.foreground or self.foreground,
            above.background or self.background,
        )


class ThemeFile(NamedTuple):
    """What one file says; what it leaves out is absent or empty, `heat` None."""

    name: str
    about: str
    kind: str
    based_on: str
    ground: Mapping[str, str]
    looks: Mapping[str, Look]
    series: tuple[str, ...]
    heat: tuple[str, ...] | None

    @property
    def is_complete(self) -> bool:
        """Nothing has to come from another theme."""
        whole = len(self.ground) == len(GROUND) and len(self.looks) == len(LOOKS)
        return whole and bool(self.kind) and bool(self.series) and self.heat is not None


def parse(name: str, raw: bytes, where: str) -> ThemeFile:
    """Return the checked content of a theme file.

    Raises:
        UsageError: naming the file, the key, and the nearest key or the allowed values.
    """
    reader = _Reader(f"theme {clean(where, 200)}")
    top = reader.document(raw)
    reader.known(top, _TOP, "")
    tables = {table: reader.table(top, table) for table in _TABLES}
    for table, keys in _TABLES.items():
        reader.known(tables[table], keys, f"[{table}] ")
    kind = reader.text(top, "kind")
    if kind and kind not in KINDS:
        raise reader.error(f"kind {clean(kind, 40)!r}: expected one of {', '.join(KINDS)}")
    heat = tables["plot"].get("heat")
    return ThemeFile(
        name=name,
        about=clean(reader.text(top, "about"), 80),
        kind=kind,
        based_on=reader.text(top, "based_on") or "dark",
        ground={
            key: reader.colour(value, f"ground.{key}") for key, value in tables["ground"].items()
        },
        looks={key: reader.look(value, f"look.{key}") for key, value in tables["look"].items()},
        series=reader.colours(tables["plot"].get("series", []), "plot.series"),
        heat=None if heat is None else reader.colours(heat, "plot.heat"),
    )


class _Reader:
    """Checks values and says where a wrong one stands."""

    def __init__(self, where: str) -> None:
        self.where = where

    def error(self, message: str) -> UsageError:
        return UsageError(f"{self.where}: {message}")

    def document(self, raw: bytes) -> dict[str, object]:
        if len(raw) > MAX_BYTES:
            raise self.error(f"more than {MAX_BYTES} bytes")
        try:
            return tomllib.loads(raw.decode("utf-8"))
        except UnicodeDecodeError:
            raise self.error("not UTF-8") from None
        except (tomllib.TOMLDecodeError, RecursionError) as error:
            raise self.error(clean(str(error), 120) or "nested too deeply") from None

    def known(self, table: Mapping[str, object], keys: Iterable[str], prefix: str) -> None:
        for key in table:
            if key not in keys:
                raise self.error(f"{prefix}unknown key {clean(key, 40)!r}{nearest(key, keys)}")

    def table(self, top: Mapping[str, object], key: str) -> dict[str, object]:
        value = top.get(key, {})
        if not isinstance(value, dict):
            raise self.error(f"{key}: expected a table, [{key}]")
        return value

    def text(self, top: Mapping[str, object], key: str) -> str:
        value = top.get(key, "")
        if not isinstance(value, str):
            raise self.error(f"{key}: expected a string in quotes")
        return value

    def colours(self, value: object, key: str) -> tuple[str, ...]:
        if not isinstance(value, list):
            raise self.error(f"{key}: expected a list of colours")
        return tuple(self.colour(item, key) for item in value)

    def colour(self, value: object, key: str) -> str:
        text = value.lower() if isinstance(value, str) else ""
        if text == DEFAULT_COLOUR or text in ANSI_COLOURS or _HEX.match(text):
            return text
        hint = nearest(text, ANSI_COLOURS)
        shown = clean(str(value), 40)
        raise self.error(f"{key}: bad colour {shown!r}{hint}; expected #rrggbb or a name like red")

    def look(self, value: object, key: str) -> Look:
        if not isinstance(value, str):
            raise self.error(f"{key}: expected a string like 'bold #ff8787 on #1c1c1c'")
        before, on, after = f" {value} ".partition(" on ")
        words = before.split()
        attributes = tuple(word for word in words if word in ATTRIBUTES)
        colours = [word for word in words if word not in ATTRIBUTES]
        backgrounds = after.split()
        if len(colours) > 1 or len(backgrounds) != (1 if on else 0):
            raise self.error(f"{key}: {clean(value, 60)!r}: expected '[bold] [colour] [on colour]'")
        return Look(
            attributes,
            self.colour(colours[0], key) if colours else "",
            self.colour(backgrounds[0], key) if backgrounds else "",
        )
