"""What happened to policies by itself, for the key bar: nobody asked, so nobody would look."""

from __future__ import annotations

from collections.abc import Sequence

from iotop_ng.model.frame import PolicyEvent

NEWS = frozenset({"expired", "ended", "failed", "recovered"})


class News:
    """Remembers up to which event everything was told."""

    def __init__(self) -> None:
        self._last_seq: int | None = None

    def take(self, events: Sequence[PolicyEvent]) -> str:
        """Return what is new and worth a line, the last of it; "" for nothing.

        The events that are there at first happened before anybody looked.
        """
        newest = max((event.seq for event in events), default=None)
        seen, self._last_seq = self._last_seq, newest
        if seen is None or newest is None:
            return ""
        fresh = [event for event in events if event.seq > seen and event.what in NEWS]
        return sentence(fresh[-1]) if fresh else ""


def sentence(event: PolicyEvent) -> str:
    """Return an event with the name of whom it is about, once."""
    if not event.name or event.text.startswith(event.name):
        return event.text
    return f"{event.name}: {event.text}"
