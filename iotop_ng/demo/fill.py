"""What is written: the same for the same seed, and nothing that could be made smaller.

A disk or file system that compresses, or finds equal blocks, would do less than it claims. So
records are taken from a pool of random bytes in an order that does not come back: a page of lines
is made of lines that were never together before, and each larger record begins behind the one
before it and a bit further, so that neither neighbours nor pages are alike.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import final

_POOL_BYTES = 4 << 20
_PAGE = 4096
_LINES = 8191  # prime
_MOST_STRIDE = 64
_GAP = 4099  # 3 more than a page: 4096 records until two of them divide the pool alike
NEWLINE = b"\n"


@final
class Fill:
    """Records without end.

    Args:
        record_bytes: the size of each.
        is_lines: each ends with a newline, and has no other one.
        seed: what all randomness comes from.
    """

    def __init__(self, record_bytes: int, *, is_lines: bool, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311 - repeatable, not secret
        self._size = record_bytes
        self._place = 0
        self._left = 0
        """Lines until each has come once."""
        self._stride = 1
        # A large record slides through a pool of its size and a bit.
        pool = self._random.randbytes(max(_POOL_BYTES, record_bytes + _PAGE * 64))
        if is_lines:
            pool = pool.replace(NEWLINE, b"\r")
        self._pool = memoryview(pool)
        self._lines = self._cut(pool) if is_lines and _PAGE > record_bytes > 1 else []

    def take(self, calls: int) -> Iterator[memoryview | bytes]:
        """Return the next records."""
        if self._size == 1:
            return self._single(calls)
        if self._lines:
            return iter(self._shuffled(calls))
        return self._sliding(calls)

    def _shuffled(self, calls: int) -> list[memoryview | bytes]:
        """Return lines by a stride that changes each lap: each comes once in a lap."""
        taken: list[memoryview | bytes] = []
        lines = self._lines
        while len(taken) < calls:
            if not self._left:
                self._left, self._stride = len(lines), self._random.randrange(1, _MOST_STRIDE)
            end = self._place + self._stride * min(calls - len(taken), self._left)
            piece = lines[self._place : end : self._stride]
            taken += piece
            self._left -= len(piece)
            self._place = (self._place + self._stride * len(piece)) % len(lines)
        return taken

    def _cut(self, pool: bytes) -> list[memoryview | bytes]:
        body = self._size - len(NEWLINE)
        # A prime number of them: any stride comes by all.
        return [pool[at : at + body] + NEWLINE for at in range(0, _LINES * body, body)]

    def _single(self, calls: int) -> Iterator[memoryview | bytes]:
        for _ in range(calls):
            self._place = (self._place + 1) % len(self._pool)
            yield NEWLINE if self._place % 2 else self._pool[self._place : self._place + 1]

    def _sliding(self, calls: int) -> Iterator[memoryview]:
        for _ in range(calls):
            self._place = (self._place + self._size + _GAP) % (len(self._pool) - self._size)
            yield self._pool[self._place : self._place + self._size]
