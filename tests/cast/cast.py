"""A recording (asciicast v2) as a terminal would show it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pyte

GOOD = re.compile(
    r"\x1b\[[0-9;]*[HmJKABCDGd]"  # places, colours, erasing
    r"|\x1b\[\?(?:1049|25|7)[hl]"  # other screen, cursor, line wrap
    r"|\x1b\(B"
)
"""Every escape sequence that a recording may have: none asks, none changes how keys are sent."""
NEUTRAL = ("version", "width", "height", "env")
"""What the head of a recording says; a time or a path would be this machine's."""


class Cast(NamedTuple):
    """One recording."""

    width: int
    height: int
    events: tuple[tuple[float, str], ...]
    """Seconds since the start, and what was written then."""

    @property
    def seconds(self) -> float:
        return self.events[-1][0]

    def screens(self) -> Iterator[tuple[float, pyte.Screen]]:
        """Yield the screen after each event; it is one screen, which changes."""
        screen = pyte.Screen(self.width, self.height)
        stream = pyte.Stream(screen)
        for seconds, data in self.events:
            stream.feed(data)
            yield seconds, screen

    def strays(self) -> list[str]:
        """Return what follows each escape that begins nothing known."""
        whole = "".join(data for _, data in self.events)
        return [repr(part[:12]) for part in GOOD.sub("", whole).split("\x1b")[1:]]


def load(path: Path) -> tuple[dict[str, object], Cast]:
    """Return the head and the recording."""
    first, *lines = path.read_text("utf-8").splitlines()
    head = json.loads(first)
    events = tuple(
        (float(at), str(data)) for at, kind, data in map(json.loads, lines) if kind == "o"
    )
    return head, Cast(int(head["width"]), int(head["height"]), events)


def neutral(text: str) -> str:
    """Return a recording whose head says nothing of the machine and the time."""
    first, rest = text.split("\n", 1)
    head = json.loads(first)
    head["env"] = {"TERM": head.get("env", {}).get("TERM", "xterm-256color")}
    return json.dumps({key: head[key] for key in NEUTRAL}) + "\n" + rest


def text_of(screen: pyte.Screen) -> str:
    return "\n".join(screen.display)
