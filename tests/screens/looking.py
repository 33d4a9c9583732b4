"""What a screen shows, as text and as styles."""

from __future__ import annotations

from rich.style import Style
from textual.app import App

from iotop_ng.view.app import IotopApp


def lines_of(app: App[object]) -> list[str]:
    """Return the screen's lines, exactly as wide as the terminal."""
    return ["".join(s.text for s in strip) for strip in app.screen._compositor.render_strips()]


def text_of(app: App[object]) -> str:
    return "\n".join(lines_of(app))


def line_with(app: App[object], text: str) -> str:
    """Return the only line with this text."""
    found = [line for line in lines_of(app) if text in line]
    assert len(found) == 1, f"{text!r} is on {len(found)} lines of\n{text_of(app)}"
    return found[0]


def style_of(app: App[object], text: str) -> Style:
    """Return the style of the first segment that contains the text."""
    for strip in app.screen._compositor.render_strips():
        for segment in strip:
            if text in segment.text:
                return segment.style or Style.null()
    raise AssertionError(f"{text!r} is not on the screen:\n{text_of(app)}")


def pids_of(app: App[object]) -> list[int]:
    """Return the pids of the rows in their order, shown or scrolled away."""
    assert isinstance(app, IotopApp)
    return [placed.row.pid for placed in app.main.table.placed]
