"""The one record of everything that can be set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

NOTHING: Mapping[str, str] = MappingProxyType({})


def _nothing() -> Mapping[str, str]:
    return NOTHING


@dataclass(frozen=True, slots=True)
class Settings:
    """Checked values: columns, users and the theme exist, the filter can be parsed."""

    batch: bool = False
    format: str = "text"
    """text, json or csv."""
    compat: str = "c"
    """Layout of text: c (iotop-c), py (Python iotop), py0.6 (its "Current" was "Actual")."""
    strict_compat: bool = False
    source: str | None = None
    """Forced source (bcc, procfs); None is "the best that works"."""
    interval_s: float = 1.0
    iterations: int | None = None
    duration_s: float | None = None
    history_ticks: int = 120
    pids: frozenset[int] = frozenset()
    users: frozenset[str] = frozenset()
    """User names as rows show them."""
    filter: str = ""
    only_active: bool = False
    threads: bool = False
    hide_exited: bool = False
    mode: str = "rate"
    """rate, accumulated or average."""
    sort: str = ""
    """Column id; "" is the default of the screen or of the layout."""
    reverse: bool = False
    tree: bool = False
    columns: tuple[str, ...] = ()
    """Column ids in order, `--hide-*` and `--show-*` applied; () is the default set."""
    full_command: bool | None = None
    """None is the reader's own way: iotop-c's layout shortens, everything else does not."""
    kilobytes: bool = False
    si: bool = False
    threshold: int = 2
    """A number steps to the next unit above base * threshold (iotop-c's layout)."""
    timestamps: bool = False
    quiet: int = 0
    view: int = 1
    theme: str = ""
    """"" is "what suits the terminal"."""
    ascii: bool | None = None
    """None is "as the terminal allows"."""
    color: bool = True
    mouse: bool = True
    low_bandwidth: bool | None = None
    """None is the screen's default."""
    read_only: bool = False
    help_type: str = "win"
    """iotop-c's none, win, inline; "none" hides the key bar."""
    clock: bool = True
    inverse: bool = False
    dead_x: bool = False
    """Mark ended rows with an x, not only with a colour."""
    reverse_graph: bool = False
    keys: Mapping[str, str] = field(default_factory=_nothing)
    """Action name to Textual key names, separated by commas."""
    config_dir: Path | None = None
    """Where `config.toml` and `themes/` of the user are; None when there is no home."""
    origins: Mapping[str, str] = field(default_factory=_nothing)
    """Field name to where its value came from; what is absent is a default."""

    @property
    def themes_dir(self) -> Path | None:
        """The user's own themes."""
        return None if self.config_dir is None else self.config_dir / "themes"
