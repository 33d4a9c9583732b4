"""The settings page: which columns, in which order, and which theme; both take effect at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from iotop_ng.model.fields import BY_ID, COLUMNS, DEFAULT
from iotop_ng.view.messages import ColumnsChosen, ThemeChosen
from iotop_ng.view.widgets.columns import COMMAND

HINT = "Space on/off   < > move   d default   Tab columns/themes   Esc done"


class SettingsScreen(ModalScreen[None]):
    """Two lists: columns to switch and move, themes that are shown as they are passed over."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,f2,q", "close", "done", show=False),
        Binding("space", "switch", "on/off", show=False),
        Binding("less_than_sign", "move(-1)", "left", show=False),
        Binding("greater_than_sign", "move(1)", "right", show=False),
        Binding("d", "default", "default", show=False),
        Binding("tab", "app.focus_next", "next list", show=False),
    ]
    CSS = """
    SettingsScreen { align: center middle; background: $background; }
    SettingsScreen #box { width: 100%; max-width: 100; height: 100%; max-height: 50; }
    SettingsScreen Static { height: 1; background: $panel; color: $foreground; text-style: bold; }
    SettingsScreen OptionList {
        height: 1fr; border: none; padding: 0 1; background: $background; color: $foreground;
        scrollbar-size-vertical: 1;
        text-wrap: nowrap; text-overflow: ellipsis;
    }
    SettingsScreen #columns { width: 2fr; }
    SettingsScreen #themes { width: 1fr; }
    SettingsScreen.-ascii OptionList { text-overflow: clip; scrollbar-size-vertical: 0; }
    """

    def __init__(
        self, columns: Sequence[str], themes: Sequence[str], theme: str, *, ascii_only: bool
    ) -> None:
        super().__init__(classes="-ascii" if ascii_only else "")
        self._on = list(columns)
        self._themes = themes
        self._theme = theme

    def compose(self) -> ComposeResult:
        """Lay out the two lists."""
        with Vertical(id="box"):
            yield Static(" Columns and theme", markup=False)
            with Horizontal():
                yield OptionList(*self._options(), id="columns", markup=False)
                yield OptionList(
                    *(Option(name, id=name) for name in self._themes), id="themes", markup=False
                )
            yield Static(f" {HINT}", markup=False)

    def on_mount(self) -> None:
        """Start in the list of columns, at the present theme."""
        self.query_one("#themes", OptionList).highlighted = list(self._themes).index(self._theme)
        columns = self.query_one("#columns", OptionList)
        columns.highlighted = 0
        columns.focus()

    def _order(self) -> list[str]:
        """Return the shown columns in their order, then the others."""
        return self._on + [column.id for column in COLUMNS if column.id not in self._on]

    def _options(self) -> list[Option]:
        options = []
        for name in self._order():
            column = BY_ID[name]
            box = "[x]" if name in self._on else "[ ]"
            first = column.help.split(". ")[0].split("; ")[0].split(": ")[0].rstrip(".")
            options.append(Option(f"{box} {column.title:<9} {first}", id=name))
        return options

    def _refill(self, name: str) -> None:
        columns = self.query_one("#columns", OptionList)
        columns.set_options(self._options())
        columns.highlighted = self._order().index(name)
        self.post_message(ColumnsChosen(tuple(self._on)))

    def _current(self) -> str | None:
        columns = self.query_one("#columns", OptionList)
        if not columns.has_focus or columns.highlighted is None:
            return None
        return columns.get_option_at_index(columns.highlighted).id

    def action_switch(self) -> None:
        """Switch a column on or off; COMMAND stays."""
        name = self._current()
        if name is None or name == COMMAND:
            return
        if name in self._on:
            self._on.remove(name)
        else:
            # Before COMMAND, which takes the rest of the line.
            at = self._on.index(COMMAND) if COMMAND in self._on else len(self._on)
            self._on.insert(at, name)
        self._refill(name)

    def action_move(self, step: int) -> None:
        """Move a shown column."""
        name = self._current()
        if name is None or name not in self._on:
            return
        at = self._on.index(name)
        to = min(max(at + step, 0), len(self._on) - 1)
        self._on.insert(to, self._on.pop(at))
        self._refill(name)

    def action_default(self) -> None:
        """Show the columns of the first start."""
        self._on = list(DEFAULT)
        self._refill(self._on[0])

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Enter switches a column too."""
        event.stop()
        if event.option_list.id == "columns":
            self.action_switch()

    def on_option_list_option_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        """Show a theme while it is passed over."""
        event.stop()
        name = event.option.id
        if event.option_list.id == "themes" and name and name != self._theme:
            self._theme = name
            self.post_message(ThemeChosen(name))

    def action_close(self) -> None:
        """Back; everything is in effect already."""
        self.dismiss()
