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


class Control(Protocol):
    """What acts on the frames: the policies. Owned by the session's thread."""

    @property
    def interval_s(self) -> float | None:
        """How often it has to see a frame, whatever the screen's interval; None: never between."""
        ...

    @property
    def needs(self) -> frozenset[Need]:
        """What the source must count for it."""
        ...

    def tick(self, frame: Frame) -> None:
        """Look at a frame of its own interval, and act. Never raises."""
        ...

    def blind(self, why: str) -> None:
        """Be told that no frame could be made in this interval. Never raises."""
        ...

    def mark(self, frame: Frame) -> Frame:
        """Return a frame for the readers with what is in force in it."""
        ...

    def close(self) -> None:
        """Take back everything; twice is fine."""
        ...
