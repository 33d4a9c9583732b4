"""What the session thread and the widgets say to the screen."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from textual.message import Message
from textual.widget import Widget

from iotop_ng.model.frame import Frame, Row
from iotop_ng.sample import Need

if TYPE_CHECKING:
    from iotop_ng.view.acting import Errand


class FrameReady(Message):
    """A new interval was measured."""

    bubble = False

    def __init__(self, frame: Frame) -> None:
        super().__init__()
        self.frame = frame

    def can_replace(self, message: Message) -> bool:
        """Say yes for an older frame: a slow terminal skips intervals, it never queues them."""
        return isinstance(message, FrameReady)


class SourceStatus(Message):
    """What the session thread is doing before the first frame: one line, "" when it is done."""

    bubble = False

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text


class SourceFailed(Message):
    """The data source stopped working: one sentence, and whether another one takes over."""

    bubble = False

    def __init__(self, text: str, *, is_final: bool) -> None:
        super().__init__()
        self.text = text
        self.is_final = is_final


class SessionEnded(Message):
    """The session thread is done: `--duration` or `-n` was reached, or it cannot go on.

    `error` is what ended it, None when it was asked to end.
    """

    bubble = False

    def __init__(self, error: Exception | None = None) -> None:
        super().__init__()
        self.error = error


class SortWanted(Message):
    """A header was clicked."""

    def __init__(self, column: str) -> None:
        super().__init__()
        self.column = column


class ActionWanted(Message):
    """An entry of the key bar was clicked; `name` is an action of the binding table."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name


class CursorMoved(Message):
    """Another row is selected."""


class RowChosen(Message):
    """The selected row was clicked a second time."""


class FilterChanged(Message):
    """The text of the filter was edited; it has not been parsed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text


class FilterKept(Message):
    """Enter was pressed in the filter line."""


class NeedsChanged(Message):
    """Something was opened or closed that decides what the source must count."""

    def __init__(self, needs: frozenset[Need]) -> None:
        super().__init__()
        self.needs = needs


class IntervalChanged(Message):
    """Another interval was chosen."""

    def __init__(self, interval_s: float) -> None:
        super().__init__()
        self.interval_s = interval_s


class ColumnsChosen(Message):
    """Other columns were chosen, in order."""

    def __init__(self, columns: tuple[str, ...]) -> None:
        super().__init__()
        self.columns = columns


class ThemeChosen(Message):
    """Another theme is to be used."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name


class GraphWanted(Message):
    """The graph page is to be opened for a row, or for the devices."""

    def __init__(self, row: Row | None) -> None:
        super().__init__()
        self.row = row


class OrderWanted(Message):
    """Something is to be done by what acts, in the session's thread."""

    def __init__(self, errand: Errand) -> None:
        super().__init__()
        self.errand = errand


class Answered(Message):
    """The session's thread did what it was asked; `then` tells whoever asked."""

    bubble = False

    def __init__(self, then: Callable[[], None]) -> None:
        super().__init__()
        self.then = then


class ChoiceMade(Message):
    """One of several options was chosen in a dialog."""

    def __init__(self, chooser: Widget, index: int) -> None:
        super().__init__()
        self.chooser = chooser
        self.index = index


class FieldChanged(Message):
    """What stands in a field of a dialog has changed; the field has judged it already."""


class Pressed(Message):
    """The word that confirms was pressed in a dialog."""
