"""Themes: what each meaning on the screen looks like, read from TOML files.

A theme says colours by meaning (`read`, `hog`, `selected`), never by place. The shipped ones are in
``themes/``; files of the user's configuration directory come on top and win by name. A file may be
partial: what it leaves out comes from the theme named by ``based_on`` ("dark" unless said).

Nothing here imports Textual or Rich until a style is asked for, so that a wrong ``--theme`` costs
no start-up.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from iotop_ng import resources
from iotop_ng.errors import UsageError, nearest
from iotop_ng.units import clean
from iotop_ng.view.theme_file import MAX_BYTES, Look, ThemeFile, parse

if TYPE_CHECKING:
    from rich.style import Style
    from textual.theme import Theme as TextualTheme

DEFAULT = "dark"
_PLAIN = Look()
_SIXTEEN_COLOUR_TERMS = ("linux", "xterm", "screen", "vt100", "vt220", "ansi", "rxvt")


@dataclass(frozen=True)
class Theme:
    """One complete theme."""

    name: str
    about: str
    kind: str
    """dark, light, ansi (the terminal's own sixteen colours) or mono (no colour at all)."""
    ground: Mapping[str, str]
    """The names of `GROUND`, each a colour: "#rrggbb", or an ANSI name such as "bright_red"."""
    looks: Mapping[str, Look]
    """The names of `LOOKS`."""
    series: tuple[str, ...]
    """Colours of plotted lines, in order: write, read, latency, then others."""
    heat: tuple[str, ...]
    """Colours from nothing to most; empty means "use shaded characters"."""

    @property
    def is_native(self) -> bool:
        """The terminal's own palette and background show through."""
        return self.kind in {"ansi", "mono"}

    def look(self, *names: str) -> Look:
        """Return several meanings laid over the ground, later ones over earlier ones."""
        look = Look((), self.ground["foreground"], self.ground["background"])
        for name in names:
            look = look.under(self.looks[name])
        return look

    def cell_look(
        self, role: str = "", state: str = "", *, zebra: bool = False, selected: bool = False
    ) -> Look:
        """Return the look of one table cell.

        Laid over each other: ground, zebra, the column's role (`read`, `write`, `latency`,
        `muted`), the row's state (`hog`, `suffering`, `throttled`, `dropping`, `exited`,
        `tagged`), selection. Grey text on the selected line is drawn in the normal colour: two
        greys would be unreadable.
        """
        names = ["zebra"] if zebra and not selected else []
        names += [
            name
            for name in (role, state)
            if name and not (selected and name in {"muted", "exited"})
        ]
        if selected:
            names.append("selected")
        return self.look(*names)

    def style(self, *names: str) -> Style:
        """Return `look` as a Rich style, for segments that bypass CSS."""
        return rich_style(self.look(*names))

    def cell(
        self, role: str = "", state: str = "", *, zebra: bool = False, selected: bool = False
    ) -> Style:
        """Return `cell_look` as a Rich style."""
        return rich_style(self.cell_look(role, state, zebra=zebra, selected=selected))

    def styles(self) -> dict[str, Style]:
        """Return each meaning alone, to be laid over others with "+", and "text", the ground."""
        styles = {name: rich_style(look) for name, look in self.looks.items()}
        return {"text": rich_style(self.look()), **styles}

    def series_styles(self) -> list[Style]:
        """Return the style of the background (index 0) and of each series (1, 2, ...)."""
        ground = self.look()
        return [rich_style(ground)] + [
            rich_style(ground.under(Look((), colour))) for colour in self.series
        ]

    def textual(self) -> TextualTheme:
        """Return the theme for `App.register_theme`; our looks are the variables `$io-NAME`."""
        # Textual costs 150 ms to import; a wrong theme name is reported without it.
        from textual.theme import Theme as TextualTheme  # noqa: PLC0415

        ground = {name: _css(value) for name, value in self.ground.items()}
        return TextualTheme(
            name=self.name,
            primary=ground["primary"],
            secondary=ground["secondary"],
            warning=ground["warning"],
            error=ground["error"],
            success=ground["success"],
            accent=ground["accent"],
            foreground=ground["foreground"],
            background=ground["background"],
            surface=ground["surface"],
            panel=ground["panel"],
            dark=self.kind != "light",
            ansi=self.is_native,
            variables=self.css_variables(),
        )

    def css_variables(self) -> dict[str, str]:
        """Return `$io-NAME` and `$io-NAME-background` for each look, and Textual's derived names.

        Textual blends its derived colours from primary and background; a blend near black becomes
        navy in 256 colours, so each of them is set to a colour of the theme.
        """
        variables = {name: _css(self.ground[colour]) for name, colour in _FLAT.items()}
        for name in self.looks:
            look = self.look(name)
            variables[f"io-{name}"] = _css(look.foreground)
            variables[f"io-{name}-background"] = _css(look.background)
            variables[f"io-{name}-text-style"] = " ".join(look.attributes) or "none"
        for name, (look_name, is_background) in _DERIVED.items():
            look = self.look(*look_name.split("+")) if look_name else self.look()
            variables[name] = _css(look.background if is_background else look.foreground)
        for name in _DERIVED_STYLES:
            variables[name] = " ".join(self.looks["selected"].attributes) or "none"
        return variables


_ACCENTS = ("primary", "secondary", "accent", "warning", "error", "success")
_SHADES = ("-darken-3", "-darken-2", "-darken-1", "", "-lighten-1", "-lighten-2", "-lighten-3")
_FLAT = {
    **{f"{name}{shade}": name for name in _ACCENTS for shade in _SHADES if shade},
    **{f"text-{name}": name for name in _ACCENTS},
    **{f"{name}-background{shade}": "panel" for name in _ACCENTS[:2] for shade in _SHADES},
}
"""Textual's shades of a colour, all replaced by the colour itself."""
_DERIVED = {
    "block-cursor-foreground": ("selected", False),
    "block-cursor-background": ("selected", True),
    "block-cursor-blurred-foreground": ("", False),
    "block-cursor-blurred-background": ("zebra", True),
    "block-hover-background": ("zebra", True),
    "border": ("rule", False),
    "border-blurred": ("rule", False),
    "scrollbar": ("rule", False),
    "scrollbar-hover": ("muted", False),
    "scrollbar-active": ("title", False),
    "scrollbar-background": ("zebra", True),
    "scrollbar-background-hover": ("zebra", True),
    "scrollbar-background-active": ("zebra", True),
    "scrollbar-corner-color": ("zebra", True),
    "footer-foreground": ("footer", False),
    "footer-background": ("footer", True),
    "footer-key-foreground": ("footer+key", False),
    "footer-key-background": ("footer", True),
    "footer-description-foreground": ("footer", False),
    "footer-description-background": ("footer", True),
    "footer-item-background": ("footer", True),
    "input-cursor-foreground": ("cursor", False),
    "input-cursor-background": ("cursor", True),
    "input-selection-background": ("selected", True),
    "screen-selection-background": ("selected", True),
    "ansi-foreground": ("", False),
    "ansi-background": ("", True),
    "surface-active": ("zebra", True),
    "screen-selection-foreground": ("selected", False),
    "link-color": ("key", False),
    "link-color-hover": ("selected", False),
    "link-background-hover": ("selected", True),
    **{f"markdown-h{level}-color": ("title", False) for level in range(1, 7)},
    "primary-muted": ("selected", True),
    "secondary-muted": ("selected", True),
    "accent-muted": ("selected", True),
    "warning-muted": ("selected", True),
    "error-muted": ("selected", True),
    "success-muted": ("selected", True),
}
_DERIVED_STYLES = ("block-cursor-text-style", "input-cursor-text-style")


class Themes(Mapping[str, Theme]):
    """All themes by name; shipped files are read when they are asked for.

    Attributes:
        problems: one sentence for each file of the user that was left out.
    """

    def __init__(
        self, shipped: Mapping[str, Path], users: Mapping[str, ThemeFile | UsageError]
    ) -> None:
        self._shipped = shipped
        self._users = users
        self._built: dict[str, Theme] = {}
        self.problems: tuple[str, ...] = tuple(
            str(found) for found in users.values() if isinstance(found, UsageError)
        )

    def __iter__(self) -> Iterator[str]:
        """Iterate over usable names in alphabetical order."""
        return iter(sorted(self._names()))

    def __len__(self) -> int:
        return len(self._names())

    def __contains__(self, name: object) -> bool:
        return name in self._names()

    def _names(self) -> set[str]:
        broken = {name for name, found in self._users.items() if isinstance(found, UsageError)}
        return (set(self._shipped) | set(self._users)) - broken

    def __getitem__(self, name: str) -> Theme:
        """Return the theme.

        Raises:
            UsageError: unknown (names the nearest) or broken (says where).
        """
        theme = self._built.get(name)
        if theme is None:
            theme = self._built[name] = self._build(name, ())
        return theme

    def _build(self, name: str, above: tuple[str, ...]) -> Theme:
        found = self._users.get(name)
        if isinstance(found, UsageError):
            raise found
        if name in above and name in self._shipped:
            found = None  # a user's "dark" based on "dark" means the shipped one
        elif name in above:
            raise UsageError(f"theme {clean(name, 40)!r} is based on itself")
        if found is None:
            path = self._shipped.get(name)
            if path is None:
                raise _unknown(name, self._names())
            found = parse(name, path.read_bytes(), str(path))
        base = None if found.is_complete else self._build(found.based_on, (*above, name))
        return _complete(found, base)


def load_themes(user_dir: Path | None) -> Themes:
    """Return the shipped themes and those of `user_dir` (a missing directory is no error).

    A broken file of the user never stops the others: it is listed in `Themes.problems`, and asking
    for it by name raises its error.

    Raises:
        SourceError: the shipped themes are missing from the installation.
    """
    shipped = {path.stem: path for path in resources.directory("themes").glob("*.toml")}
    paths = user_dir.glob("*.toml") if user_dir is not None else ()
    return Themes(shipped, {path.stem: _read_users(path) for path in sorted(paths)})


def _read_users(path: Path) -> ThemeFile | UsageError:
    """Return what a file of the user says, or why it cannot be used."""
    try:
        # A pipe would block for ever; a file of gigabytes is cut and then refused by its size.
        if not path.is_file():
            return UsageError(f"theme {clean(str(path))}: not a file")
        with path.open("rb") as file:
            return parse(path.stem, file.read(MAX_BYTES + 1), str(path))
    except OSError as error:
        return UsageError(f"theme {clean(str(path))}: {error.strerror}")
    except UsageError as error:
        return error


def default_name(environ: Mapping[str, str]) -> str:
    """Return the theme for this terminal when nobody chose one.

    NO_COLOR (https://no-color.org: set and not empty) gives "mono", a terminal of sixteen colours
    "ansi16", every other one "dark".
    """
    if environ.get("NO_COLOR"):
        return "mono"
    if environ.get("COLORTERM", "").lower() in {"truecolor", "24bit"}:
        return DEFAULT
    return "ansi16" if environ.get("TERM", "") in _SIXTEEN_COLOUR_TERMS else DEFAULT


@lru_cache(maxsize=1024)
def rich_style(look: Look) -> Style:
    """Return a look as a Rich style; a default background stays the terminal's own."""
    from rich.style import Style  # noqa: PLC0415 - 20 ms, see the module's docstring

    flags = dict.fromkeys(look.attributes, True)
    return Style(color=look.foreground or None, bgcolor=look.background or None, **flags)  # type: ignore[arg-type]


def _css(colour: str) -> str:
    """Return Textual's spelling: its "red" is #ff0000, the terminal's red is "ansi_red"."""
    return colour if colour.startswith("#") else f"ansi_{colour}"


def _complete(found: ThemeFile, base: Theme | None) -> Theme:
    """Fill what a file leaves out from the theme that it is based on."""
    if base is None:
        ground, looks, series, heat = found.ground, found.looks, found.series, found.heat
    else:
        ground = {**base.ground, **found.ground}
        looks = {**base.looks, **found.looks}
        series = found.series or base.series
        heat = base.heat if found.heat is None else found.heat
    kind = found.kind or (base.kind if base else "dark")
    return Theme(found.name, found.about, kind, ground, looks, series, heat or ())


def _unknown(name: str, names: set[str]) -> UsageError:
    known = sorted(names)
    return UsageError(
        f"theme {clean(name, 40)!r} does not exist{nearest(name, known)};"
        f" there are {', '.join(known)}"
    )
