"""A file that is rewritten in place for ever, and of which every byte reaches the disk.

A page that is written again while it is still dirty costs the disk nothing: a hog that did this
would claim bytes that no disk has seen. So the file is divided into chunks. A finished chunk is
handed to the disk at once. Before a chunk is written again it is clean, which is waited for; and
no more than a few chunks are under way at the same time, so that what is written is never far
ahead of what the disk has done: who is stopped now disturbs nobody seconds later.
"""

from __future__ import annotations

from collections import deque
from typing import Protocol, final


class Writeback(Protocol):
    """What the kernel does with a part of a file."""

    def start(self, offset: int, size: int) -> None:
        """Begin to write what is dirty there."""
        ...

    def finish(self, offset: int, size: int) -> None:
        """Return when nothing of what was started there is dirty or under way."""
        ...


@final
class Ring:
    """Where the next record goes.

    Args:
        writeback: of the file.
        chunk_bytes: a multiple of the records' size.
        chunks: of the file; at least 2.
        behind: chunks that may be under way at the same time, at least 1 and less than `chunks`.
    """

    def __init__(self, writeback: Writeback, chunk_bytes: int, chunks: int, behind: int) -> None:
        self._writeback = writeback
        self._chunk = chunk_bytes
        self._size = chunk_bytes * chunks
        self._behind = max(1, min(behind, chunks - 1))
        self._under_way: deque[int] = deque()
        self.offset = 0
        """Of the next byte."""

    @property
    def room(self) -> int:
        """Bytes until the end of this chunk, at least 1: they may be written."""
        return self._chunk - self.offset % self._chunk

    def wrote(self, size: int) -> None:
        """Take down that this much, at most `room`, was written at `offset`.

        It waits for the disk when the chunk is full and enough is under way.
        """
        self.offset += size
        if self.offset % self._chunk or not size:
            return
        done = self.offset - self._chunk
        self._writeback.start(done, self._chunk)
        self._under_way.append(done)
        self.offset %= self._size
        # The chunk that begins now was finished `chunks` chunks ago, so it is not among them.
        while len(self._under_way) > self._behind:
            self._writeback.finish(self._under_way.popleft(), self._chunk)

    def finish(self) -> None:
        """Return when everything that was written is on the disk."""
        while self._under_way:
            self._writeback.finish(self._under_way.popleft(), self._chunk)
        if part := self.offset % self._chunk:
            self._writeback.start(self.offset - part, part)
            self._writeback.finish(self.offset - part, part)
