"""The last frames, for pausing and stepping back: bounded in number and in memory."""

from __future__ import annotations

from collections import deque
from statistics import median

from iotop_ng.model.frame import EMPTY_FRAME, Frame

FRAMES = 120
ROWS = 15_000
"""New rows that are kept over all frames: about 0.7 KiB each. A row that a frame shares with the
one before it is not counted, so an idle host keeps two minutes and one with 10,000 busy processes
still keeps its last frame."""


class Tape:
    """Frames oldest first, and which of them is on the screen."""

    def __init__(self, frames: int = FRAMES, rows: int = ROWS) -> None:
        self._frames: deque[tuple[Frame, int]] = deque()
        self._limit = frames
        self._rows_limit = rows
        self._rows = 0
        self._back = 0
        self._last_ids: set[int] = set()
        self.is_paused = False

    def add(self, frame: Frame) -> None:
        """Keep a frame; while paused the one on the screen stays where it is, if it can."""
        # Rows are compared by identity; the last frame's are alive, so no id is used twice.
        ids = set(map(id, frame.rows))
        ids.update(map(id, frame.threads))
        fresh = len(ids - self._last_ids)
        self._last_ids = ids
        self._frames.append((frame, fresh))
        self._rows += fresh
        if self.is_paused and len(self._frames) > 1:
            # Paused before the first one: that is the one to hold.
            self._back += 1
        while len(self._frames) > 1 and (
            len(self._frames) > self._limit or self._rows > self._rows_limit
        ):
            # A paused screen keeps its frame; what came after it may go instead of what was before.
            victim = 0 if self._back < len(self._frames) - 1 else 1
            self._rows -= self._frames[victim][1]
            del self._frames[victim]
            self._back = min(self._back, len(self._frames) - 1)

    def pause(self) -> None:
        """Hold the newest frame."""
        self.is_paused = True
        self._back = 0

    def resume(self) -> None:
        """Show the newest frame again."""
        self.is_paused = False
        self._back = 0

    def step(self, frames: int) -> bool:
        """Move by some frames, negative is back in time; return whether it moved."""
        wanted = min(max(self._back - frames, 0), max(len(self._frames) - 1, 0))
        moved = wanted != self._back
        self._back = wanted
        return moved

    @property
    def frame(self) -> Frame:
        """The frame to show; EMPTY_FRAME before the first one."""
        return self._frames[-1 - self._back][0] if self._frames else EMPTY_FRAME

    @property
    def newest(self) -> Frame:
        """The last frame measured."""
        return self._frames[-1][0] if self._frames else EMPTY_FRAME

    @property
    def pace_s(self) -> float:
        """The usual interval of the frames kept: one late frame does not shift the time of all."""
        paces = [frame.interval_s for frame, _ in self._frames if frame.tick > 0]
        return round(median(paces), 2) if paces else self.frame.interval_s

    @property
    def behind_s(self) -> float:
        """How far the shown frame is behind the newest, in seconds."""
        return (self.newest.mono_ns - self.frame.mono_ns) / 1e9
