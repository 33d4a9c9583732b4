"""The one table of named actions: key bindings, key bar, help and command palette come from it."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from textual.binding import Binding
from textual.keys import KEY_NAME_REPLACEMENTS, Keys

from iotop_ng.errors import UsageError, nearest
from iotop_ng.units import clean


class Action(NamedTuple):
    """One thing that a key does."""

    name: str
    """The method is `action_<name>`; the name in the `[keys]` table of the configuration."""
    keys: str
    """Textual's key names, separated by commas."""
    shown: str
    """The keys as people write them."""
    label: str
    """One word for the key bar."""
    help: str
    """One sentence for help and palette."""
    group: str
    rank: int = 0
    """Place in the key bar, the lowest number stays longest; 0 is not in the bar."""


VIEW, ACT, MOVE, SORT, SHOW, TIME, OTHER = (
    "Views",
    "Act on processes",
    "Move and select",
    "Sort",
    "What is shown",
    "Time",
    "Other",
)

ACTIONS: tuple[Action, ...] = (
    Action("view_processes", "1", "1", "procs", "Processes: who reads and writes", VIEW, 5),
    Action("view_devices", "3", "3", "devices", "Devices: rates, latency, operations", VIEW, 8),
    Action(
        "view_policies",
        "7",
        "7",
        "policies",
        "Policies: what is in force, its effect, and what was done before",
        VIEW,
        7,
    ),
    Action(
        "view_probes",
        "8",
        "8",
        "probes",
        "Probes: hits and cost of each kernel program, map fill (counts only while open)",
        VIEW,
        10,
    ),
    Action("next_view", "tab", "Tab", "next view", "The next view", VIEW),
    Action(
        "details",
        "enter",
        "Enter",
        "details",
        "Details of the row; again: over the whole screen; latency of fsync is probed meanwhile",
        VIEW,
        9,
    ),
    Action("graph", "g", "g", "graph", "Graph page of the row; ← → choose what is drawn", VIEW, 13),
    Action("back", "escape", "Esc", "back", "Close what is open, else clear the filter", VIEW),
    Action(
        "throttle",
        "t",
        "t",
        "throttle",
        "Slow down the writes of the row, or of all tagged rows; nothing is lost",
        ACT,
        2,
    ),
    Action("drop", "d", "d", "drop", "Refuse the writes of the row: its data is lost", ACT, 3),
    Action("release", "u", "u", "release", "Release the row at once", ACT, 4),
    Action("release_all", "U", "U", "release all", "Release everything at once", ACT),
    Action("ionice", "i", "i", "ionice", "I/O priority, where the scheduler honours it", ACT),
    Action("signal", "K,f9", "K F9", "signal", "Send a signal to the row", ACT),
    Action("up", "up,k", "↑ k", "up", "One row up", MOVE),
    Action("down", "down,j", "↓ j", "down", "One row down", MOVE),
    Action("page_up", "pageup", "PgUp", "page up", "One page up", MOVE),
    Action("page_down", "pagedown", "PgDn", "page down", "One page down", MOVE),
    Action("first", "home", "Home", "first", "To the first row", MOVE),
    Action("last", "end", "End", "last", "To the last row", MOVE),
    Action("tag", "space", "Space", "tag", "Tag the row; y copies all tagged rows", MOVE),
    Action("follow", "F", "F", "follow", "Keep the cursor on this process as rows move", MOVE, 18),
    Action("sort_next", "right,f6", "→ F6", "sort", "Sort by the next column", SORT, 14),
    Action("sort_previous", "left", "←", "sort", "Sort by the column before", SORT),
    Action("reverse", "I", "I", "reverse", "Reverse the order", SORT),
    Action("sort_write", "w", "w", "write", "Sort by bytes written", SORT, 15),
    Action("sort_read", "r", "r", "read", "Sort by bytes read", SORT, 16),
    Action("sort_latency", "l", "l", "latency", "Sort by 99th percentile of latency", SORT, 17),
    Action(
        "filter",
        "slash,f4",
        "/ F4",
        "filter",
        "Filter: regular expression, key:value, write>5M; a space means and",
        SHOW,
        6,
    ),
    Action("match_next", "n", "n", "next", "The next row that matches the last filter", SHOW),
    Action("match_previous", "N", "N", "previous", "The row before that matches it", SHOW),
    Action("only_active", "o", "o", "active", "Only rows with I/O in this interval", SHOW, 19),
    Action("mode", "a", "a", "mode", "Rate, accumulated since the start, average", SHOW, 20),
    Action("threads", "p", "p", "threads", "Processes or threads", SHOW, 21),
    Action("tree", "T,f5", "T F5", "tree", "Processes below their parents", SHOW, 22),
    Action("full_command", "c", "c", "command", "Whole command line or name only", SHOW),
    Action("pause", "z,P", "z P", "pause", "Stop the screen; measuring goes on", TIME, 11),
    Action("step_back", "left_square_bracket", "[", "back", "Paused: one interval back", TIME),
    Action("step_on", "right_square_bracket", "]", "on", "Paused: one interval on", TIME),
    Action("slower", "plus", "+", "slower", "A longer interval; more for a throttled row", TIME),
    Action("faster", "minus", "-", "faster", "A shorter interval; less for a throttled row", TIME),
    Action("settings", "f2", "F2", "settings", "Columns and theme", OTHER, 23),
    Action("picture", "s", "s", "picture", "Save a picture of the screen (SVG)", OTHER),
    Action("copy", "y", "y", "copy", "Copy the row, or the tagged rows, to the clipboard", OTHER),
    Action("palette", "colon,ctrl+p", ": ^P", "palette", "Every action by its name", OTHER, 24),
    Action("redraw", "ctrl+l", "^L", "redraw", "Draw the whole screen again", OTHER),
    Action("suspend", "ctrl+z", "^Z", "suspend", "Back to the shell, fg returns", OTHER),
    Action("help", "question_mark,h,f1", "? h F1", "help", "Keys and columns explained", OTHER, 1),
    Action("quit", "q,f10,ctrl+c", "q F10 ^C", "quit", "Leave", OTHER, 12),
)

LATER = {
    "2": "cgroups",
    "4": "files",
    "5": "latency",
    "6": "events",
}
"""Views that have a number and no code: pressing it says so."""

BY_NAME: Mapping[str, Action] = {action.name: action for action in ACTIONS}
EVERYWHERE = frozenset({"settings", "picture", "palette", "redraw", "suspend", "help", "quit"})
"""Actions of the application; the others belong to the main screen."""
ACTING = frozenset({"throttle", "drop", "release", "release_all", "ionice", "signal"})
"""Actions that do something to processes; --read-only has none of them."""
DIALOGS = ACTING - {"release", "release_all"}
"""Acting actions that open a dialog, which gets the keys that are typed after it."""


def bindings(*, everywhere: bool) -> Iterator[Binding]:
    """Yield the bindings of the application, or those of the main screen.

    The id of each is the action's name, for `App.set_keymap`.
    """
    for action in ACTIONS:
        if (action.name in EVERYWHERE) is everywhere:
            yield Binding(
                action.keys, f"do('{action.name}')", action.label, show=False, id=action.name
            )
    if everywhere:
        # A text field takes Ctrl+C for copying; here it always leaves.
        yield Binding("ctrl+c", "do('quit')", "quit", show=False, priority=True)
    else:
        for key, view in LATER.items():
            yield Binding(key, f"not_here('{key}', '{view}')", view, show=False)


def with_keys(keys: Mapping[str, str]) -> tuple[Action, ...]:
    """Return the actions with the user's keys in place of ours, for help and key bar."""
    return tuple(
        action._replace(keys=keys[action.name], shown=keys[action.name].replace(",", " "))
        if action.name in keys
        else action
        for action in ACTIONS
    )


def without_acting(actions: Iterable[Action]) -> tuple[Action, ...]:
    """Return the actions of --read-only, whose + and - mean the interval alone."""
    return tuple(
        action._replace(help=action.help.partition(";")[0])
        if action.name in {"slower", "faster"}
        else action
        for action in actions
        if action.name not in ACTING
    )


_ARROWS = {"→": "Right", "←": "Left", "↑": "Up", "↓": "Down"}


def in_ascii(actions: Iterable[Action]) -> tuple[Action, ...]:
    """Return the actions with words in place of arrows."""

    def spelled(text: str) -> str:
        for arrow, word in _ARROWS.items():
            text = text.replace(arrow, word)
        return text

    return tuple(a._replace(shown=spelled(a.shown), help=spelled(a.help)) for a in actions)


def check_keys(keys: Mapping[str, str]) -> None:
    """Check the `[keys]` table of the configuration.

    Raises:
        UsageError: an unknown action or key, or one key for two actions.
    """
    taken: dict[str, str] = {}
    for name in keys:
        if name not in BY_NAME:
            raise UsageError(
                f"keys: no action is called {clean(name, 40)!r}{nearest(name, BY_NAME)};"
                f" there are {', '.join(BY_NAME)}"
            )
    for action in with_keys(keys):
        for key in map(str.strip, action.keys.split(",")):
            if not _is_key(key):
                raise UsageError(
                    f"keys: {action.name}: no key is called {clean(key, 40)!r}"
                    f"{nearest(key, _KEY_NAMES)}; expected such as x, f5, ctrl+x or question_mark"
                )
            other = taken.setdefault(key, action.name)
            if other != action.name:
                raise UsageError(f"keys: {key!r} is set for both {other} and {action.name}")


_KEY_NAMES = {*(key.value for key in Keys), *KEY_NAME_REPLACEMENTS.values()}


def _is_key(key: str) -> bool:
    """Say whether Textual knows a key of this name: a character, a name, or either with ctrl+."""
    rest = key
    while rest.startswith(("ctrl+", "shift+", "alt+", "super+", "meta+", "hyper+")):
        rest = rest.partition("+")[2]
    if len(rest) == 1 or rest in _KEY_NAMES or key in _KEY_NAMES:
        return True
    try:
        return bool(unicodedata.lookup(rest.replace("_", " ")))
    except KeyError:
        return False
