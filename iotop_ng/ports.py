"""The seams: what the session asks of a source and a sink."""

from __future__ import annotations

from typing import Protocol

from iotop_ng.model.frame import Frame
from iotop_ng.sample import Need, Sample


class Source(Protocol):
    """Reads the kernel (or a recording, or a simulation). Owned by one thread."""

    @property
    def name(self) -> str:
        """bcc, procfs, replay or sim."""
        ...

    def open(self) -> None:
        """Start counting.

        Raises:
            SourceError: with the remedy, when it cannot work here.
            NotPermittedError: when a capability is missing.
        """
        ...

    def read(self, needs: frozenset[Need]) -> Sample:
        """Return totals now; attach or detach on-demand probes so that `needs` are served."""
        ...

    def close(self) -> None:
        """Let go of everything; calling it twice is fine."""
        ...


class Sink(Protocol):
    """Takes frames: the screen, batch output, a recorder."""

    def publish(self, frame: Frame) -> None:
        """Take one frame; must not block on a terminal."""
        ...
