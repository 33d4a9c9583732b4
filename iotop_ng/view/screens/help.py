"""The help page: every key, every sign, every column with what it counts and what it does not."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen

from iotop_ng.model.fields import COLUMNS
from iotop_ng.view.bindings import Action
from iotop_ng.view.widgets.canvas import Canvas
from iotop_ng.view.widgets.ink import Ink, Line
from iotop_ng.view.widgets.marks import HOG_FLOOR, HOG_SHARE, SUFFERING_US

KEY_WIDTH = 10
NAME_WIDTH = 10
MAX_WIDTH = 110

FILTER_WIDTH = 18
FILTERS = (
    ("dd", "a regular expression anywhere in pid, name, command line or user"),
    ('"log flood"', "the same with a space in it"),
    ("user:root", "also comm: pid: tid: cgroup:, where * and ? stand for anything"),
    ("write>5M", "a column compared: > >= < <= = !=, as in p99>20ms, iops>=100, io>50"),
    ("write_total>5G", "what happened since the start"),
    ("!kworker", "not; several words must all match"),
)
READING = """\
0 is measured: none. A dash is not measured here, or for latencies: no request in the interval.
K M G T are powers of 1024 (--si: 1000).

FSYNC, ASK and CALLS need probes on every system call. They are counted while the details of a row
are open (Enter), or all the time once such a column was chosen (F2, --columns).

HISTORY draws what the table is sorted by, each row to its own scale from zero: written bytes, read
bytes or latency.

coverage: share of the devices' bytes that the rows explain. lost: events that the kernel could not
hand over. self: what iotop-ng itself uses of one processor.
"""


class HelpScreen(Screen[None], inherit_bindings=False):
    """One long page that scrolls."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,question_mark,h,f1,enter", "close", "back", show=False),
        Binding("down,j", "scroll(1)", "down", show=False),
        Binding("up,k", "scroll(-1)", "up", show=False),
        Binding("pagedown,space", "page(1)", "page down", show=False),
        Binding("pageup", "page(-1)", "page up", show=False),
        Binding("home", "scroll(-100000)", "first", show=False),
        Binding("end", "scroll(100000)", "last", show=False),
    ]
    CSS = """
    HelpScreen #page { height: 1fr; overflow: hidden scroll; }
    HelpScreen #hint { height: 1; }
    """

    def __init__(self, actions: Sequence[Action], ink: Ink) -> None:
        super().__init__()
        self._actions = actions
        self._ink = ink
        self._page = Canvas(id="page")
        self._hint = Canvas(id="hint", base="footer")

    def compose(self) -> ComposeResult:
        """Page and hint."""
        yield self._page
        yield self._hint

    def on_mount(self) -> None:
        """Draw."""
        self.set_ink(self._ink)

    def on_resize(self) -> None:
        """Wrap again."""
        self._draw()

    def set_ink(self, ink: Ink) -> None:
        """Take new styles."""
        self._ink = ink
        self._page.set_ink(ink)
        self._hint.set_ink(ink)
        self._draw()

    def _draw(self) -> None:
        width = min(self.size.width, MAX_WIDTH)
        self._page.show(help_lines(self._actions, self._ink, width))
        keys = [
            (" Esc", "key"),
            (" back ", "footer"),
            (" PgUp PgDn", "key"),
            (" scroll ", "footer"),
        ]
        self._hint.show([keys])

    def action_close(self) -> None:
        """Back to the screen before."""
        self.dismiss()

    def action_scroll(self, lines: int) -> None:
        """Scroll by lines."""
        self._page.scroll_relative(y=lines, animate=False)

    def action_page(self, pages: int) -> None:
        """Scroll by pages."""
        self._page.scroll_relative(y=pages * max(self._page.size.height - 1, 1), animate=False)


def help_lines(actions: Sequence[Action], ink: Ink, width: int) -> list[Line]:
    """Return the whole page, wrapped to a width."""
    lines: list[Line] = []
    for group in dict.fromkeys(action.group for action in actions):
        lines.append([(f" {group}".ljust(width), "header")])
        for action in actions:
            if action.group == group:
                entry = _wrapped(action.shown, action.help, KEY_WIDTH, ink, width)
                lines += _painted(entry, "key")
        lines.append([])
    lines.append([(" Signs before a row".ljust(width), "header")])
    for sign, role, meaning in _signs(ink):
        lines += _painted(_wrapped(sign, meaning, KEY_WIDTH, ink, width), role)
    lines.append([])
    lines.append([(" How to read it".ljust(width), "header")])
    for paragraph in READING.split("\n\n"):
        lines += _wrapped("", paragraph, 0, ink, width)
    lines.append([])
    lines.append([(" Filter (/)".ljust(width), "header")])
    for example, meaning in FILTERS:
        lines += _painted(_wrapped(example, meaning, FILTER_WIDTH, ink, width), "title")
    lines.append([])
    lines.append([(" Columns".ljust(width), "header")])
    for column in COLUMNS:
        lines += _painted(_wrapped(column.title, column.help, NAME_WIDTH, ink, width), "title")
        origin = _wrapped("", f"from {column.source}", NAME_WIDTH, ink, width)
        lines += _painted(origin, "", "muted")
    return lines


def _signs(ink: Ink) -> tuple[tuple[str, str, str], ...]:
    glyphs = ink.glyphs
    share, floor = int(HOG_SHARE * 100), HOG_FLOOR >> 20
    return (
        (glyphs.cursor, "title", "The selected row"),
        (glyphs.tag, "tagged", "Tagged"),
        (glyphs.hog, "hog", f"Hog: writes {share} % of all bytes written, and {floor} M/s or more"),
        (
            glyphs.suffering,
            "suffering",
            f"Suffers: 1 % of its requests or fsyncs took {SUFFERING_US / 1000:.0f} ms or longer",
        ),
        (glyphs.throttled, "throttled", "Throttled; POLICY says to what, and the share held back"),
        (glyphs.dropping, "dropping", "Its writes are refused; POLICY says how many per second"),
        (glyphs.exited, "exited", "Ended; the row stays for the length of the history"),
    )


def _wrapped(name: str, text: str, name_width: int, ink: Ink, width: int) -> list[Line]:
    """Return a name and its text beside it; the roles are set by `_painted`."""
    parts = textwrap.wrap(ink.safe(text), max(width - name_width - 3, 20)) or [""]
    labels = [ink.safe(name), *([""] * (len(parts) - 1))]
    return [
        [(f"  {label:<{name_width}} ", ""), (part, "")]
        for label, part in zip(labels, parts, strict=True)
    ]


def _painted(lines: list[Line], role: str, text_role: str = "") -> list[Line]:
    return [[(line[0][0], role), (line[1][0], text_role)] for line in lines]
