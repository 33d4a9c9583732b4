"""Write only what changed since the last frame, for slow links (``--low-bandwidth``).

Textual rewrites every dirty region in full and resets all attributes after every segment. Here the
two updates that its compositor makes for a full screen are painted on a `Shadow` of the terminal,
which writes the cells that differ. Everything else (inline mode, other renderables, an exception)
goes out as Textual made it, and the shadow is forgotten.

Measured at 200x60 in true colour with 110 scripted rows: 0.8 kB instead of 23 kB per second, for
0.3 ms of CPU more per frame; 1.4 ms more when every cell of the table changes.

Private names used: `App._display`, `LayoutUpdate`, `ChopsUpdate` (Textual is pinned exactly).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from textual import events
from textual._compositor import ChopsUpdate, CompositorUpdate, LayoutUpdate
from textual.app import App
from textual.screen import Screen

from iotop_ng.view.shadow import Shadow

DEFAULT_ON: Final = True
"""What the evidence allows.

101,109 frames (three in four runs with wide characters, one in four with combining ones; overlays
that move, dialogs, palette, themes, resizes; seeds from 77001 and 91003 on) went through Textual
and through the differ into two pyte terminals. They were compared cell by cell after each frame,
and none differed. The fuzzer has teeth: a `Shadow` that lacked two lines failed after 63,856
frames. It is ``tests/screens/test_framediff_fuzz.py`` (pytest -m slow), and
``test_framediff_screen.py`` for the real screen; run both again after a change here, in `shadow` or
in `sgr`.
"""


class FrameDiffer:
    """Turns compositor updates into the shortest output for one terminal."""

    def __init__(self) -> None:
        self._shadow: Shadow | None = None
        self._situation: object = None

    def forget(self) -> None:
        """Assume nothing about what the terminal shows; the next update is written in full."""
        self._shadow = None

    def enter(self, situation: object) -> None:
        """Forget when the situation (screens, theme) is another than in the last update."""
        if situation != self._situation:
            self._situation = situation
            self.forget()

    def render(
        self, update: LayoutUpdate | ChopsUpdate, console: Console, width: int, height: int
    ) -> str:
        """Return terminal output with the effect of `update.render_segments(console)`."""
        shadow = self._shadow
        if shadow is None or (shadow.width, shadow.height) != (width, height):
            shadow = self._shadow = Shadow(width, height)
        try:
            if isinstance(update, LayoutUpdate):
                _paint_layout(shadow, update, console)
            else:
                _paint_chops(shadow, update, console)
        except Exception:  # noqa: BLE001 - a wrong guess about Textual must not cost the screen
            # Also `OutsideError`: an update that was made before the terminal shrank.
            self.forget()
            return update.render_segments(console)
        return shadow.take()


def _paint_layout(shadow: Shadow, update: LayoutUpdate, console: Console) -> None:
    for y, strips in enumerate(update.strips, update.region.y):
        shadow.paint(y, update.region.x, strips, console)


def _paint_chops(shadow: Shadow, update: ChopsUpdate, console: Console) -> None:
    """Paint what `ChopsUpdate.render_segments` writes: chops that touch a span, cut at its end."""
    for y, left, right in update.spans:
        for end, (x, strip) in zip(update.chop_ends[y], update.chops[y].items(), strict=False):
            if strip is None or x > right or end <= left:
                continue
            is_inside = left <= x < right and end <= right
            part = strip if is_inside else strip.crop(0, min(end, right) - x)
            if part.cell_length:
                shadow.paint(y, x, [part], console)


class _DiffUpdate(CompositorUpdate):
    """An update that is rendered through the differ."""

    def __init__(
        self, update: LayoutUpdate | ChopsUpdate, differ: FrameDiffer, width: int, height: int
    ) -> None:
        self.update = update
        self.differ = differ
        self.size = (width, height)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield self.update

    def render_segments(self, console: Console) -> str:
        return self.differ.render(self.update, console, *self.size)


if TYPE_CHECKING:
    _AnyApp = App[object]
else:
    _AnyApp = object


class FrameDiffMixin(_AnyApp):
    """Mix into an App before `App`: ``class TopApp(FrameDiffMixin, App[int])``.

    The screen is written in full after a resume, a resize, a change of screen or theme; an action
    for Ctrl+L calls `forget_frame` and `refresh`.
    """

    low_bandwidth: bool = DEFAULT_ON
    """Set it before or while the app runs."""

    _differ: FrameDiffer | None = None

    def forget_frame(self) -> None:
        """Assume nothing about what the terminal shows (Ctrl+L, resume, foreign output)."""
        if self._differ is not None:
            self._differ.forget()

    def _on_mount(self, _event: events.Mount) -> None:
        self.app_resume_signal.subscribe(self, self._repaint)

    def _repaint(self, _app: object = None) -> None:
        """Write the whole screen again."""
        self.forget_frame()
        self.refresh(layout=True)

    def _on_resize(self, event: events.Resize) -> None:  # type: ignore[override] # async there
        self.forget_frame()
        # Textual ignores a size that is the same as before, but the terminal may have been
        # smaller in between and have cut or moved its lines.
        if self._differ is not None and event.size == self.size:
            self._repaint()

    def _display(self, screen: Screen[object], renderable: RenderableType | None) -> None:
        super()._display(screen, self._differing(renderable))

    def _differing(self, renderable: RenderableType | None) -> RenderableType | None:
        """Return the update wrapped in the differ where that applies."""
        if renderable is None or self._batch_count:
            return renderable
        if not self.low_bandwidth or not isinstance(renderable, (LayoutUpdate, ChopsUpdate)):
            self._differ = None
            return renderable
        if self._differ is None:
            self._differ = FrameDiffer()
        width, height = self.size
        self._differ.enter((tuple(map(id, self.screen_stack)), self.theme))
        return _DiffUpdate(renderable, self._differ, width, height)
