"""A file that is rewritten in place for ever, and of which every byte reaches the disk.

A page that is written again while it is still dirty costs the disk nothing: a hog that did this
would claim bytes that no disk has seen. So the file is divided into chunks. A finished chunk is
handed to the disk at once. Before a chunk is written again it is clean, which is waited for; and
what is under way at the same time is bounded (`Backlog`), so that what is written is never far
ahead of what the disk has done: who is stopped now disturbs nobody seconds later.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from time import monotonic_ns
from typing import Protocol, final

_WINDOW_NS = 100_000_000
_WORTH_NS = 500_000_000


class Writeback(Protocol):
    """What the kernel does with a part of a file."""

    def start(self, offset: int, size: int) -> None:
        """Begin to write what is dirty there."""
        ...

    def finish(self, offset: int, size: int) -> None:
        """Return when nothing of what was started there is dirty or under way."""
        ...


@final
class Backlog:
    """How many chunks may be under way: what the disk writes in half a second.

    Less would hardly be felt on a fast disk, and more would keep a slow one busy long after the hog
    was stopped. With a disk that takes c bytes/s in chunks of b: max(least, min(most, c / 2b)).
    Worked: 40 MB/s in chunks of 1 MB are 20 chunks, 2 GB/s are 1000.

    Args:
        chunk_bytes: size of a chunk.
        least: chunks that always may be; until a rate is known no more than these.
        most: chunks that may be; the same as `least`: it is fixed.
        now_ns: CLOCK_MONOTONIC.
    """

    def __init__(
        self, chunk_bytes: int, least: int, most: int, now_ns: Callable[[], int] = monotonic_ns
    ) -> None:
        self._chunk = chunk_bytes
        self._most = max(1, most)
        self._least = max(1, min(least, self._most))
        self._now_ns = now_ns
        self._since_ns = now_ns()
        self._finished = 0
        self.allowed = self._least
        """Chunks."""

    def finished(self) -> None:
        """Take down that the disk has one more chunk."""
        self._finished += 1
        took_ns = self._now_ns() - self._since_ns
        if took_ns < _WINDOW_NS:
            return
        worth = self._finished * _WORTH_NS // took_ns
        self.allowed = max(self._least, min(worth, self._most))
        self._since_ns += took_ns
        self._finished = 0


@final
class Ring:
    """Where the next record goes.

    Args:
        writeback: of the file.
        chunk_bytes: a multiple of the records' size.
        chunks: of the file; at least 2.
        backlog: what may be under way at the same time; it is always less than `chunks`.
    """

    def __init__(
        self, writeback: Writeback, chunk_bytes: int, chunks: int, backlog: Backlog
    ) -> None:
        self._writeback = writeback
        self._chunk = chunk_bytes
        self._size = chunk_bytes * chunks
        self._chunks = chunks
        self._backlog = backlog
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
        while len(self._under_way) > min(self._backlog.allowed, self._chunks - 1):
            self._writeback.finish(self._under_way.popleft(), self._chunk)
            self._backlog.finished()

    def finish(self) -> None:
        """Return when everything that was written is on the disk."""
        while self._under_way:
            self._writeback.finish(self._under_way.popleft(), self._chunk)
        if part := self.offset % self._chunk:
            self._writeback.start(self.offset - part, part)
            self._writeback.finish(self.offset - part, part)
