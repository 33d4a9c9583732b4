"""Read a BPF ring buffer (BPF_MAP_TYPE_RINGBUF, Linux 5.8) without libbpf.

Documentation/bpf/ringbuf.rst: one page with the consumer's position, one with the producer's, then
the data, mapped twice in a row so that a record that wraps can be read in one piece.
"""

from __future__ import annotations

import contextlib
import mmap
import struct

_POSITION = struct.Struct("<Q")
_HEADER = struct.Struct("<I")
_BUSY, _DISCARD = 1 << 31, 1 << 30
_HEADER_SIZE = 8


class RingBuffer:
    """The consumer's side; there may be only one.

    Args:
        fd: the map; it can be polled.
        size: bytes of data, a power of two of pages.
    """

    def __init__(self, fd: int, size: int) -> None:
        self.fd = fd
        self._mask = size - 1
        self._consumer = mmap.mmap(fd, mmap.PAGESIZE)
        self._producer = mmap.mmap(
            fd,
            mmap.PAGESIZE + 2 * size,
            flags=mmap.MAP_SHARED,
            prot=mmap.PROT_READ,
            offset=mmap.PAGESIZE,
        )

    def read(self) -> list[bytes]:
        """Return all finished records."""
        out = []
        at = _POSITION.unpack_from(self._consumer)[0]
        end = _POSITION.unpack_from(self._producer)[0]
        while at < end:
            start = mmap.PAGESIZE + (at & self._mask)
            header = _HEADER.unpack_from(self._producer, start)[0]
            if header & _BUSY:
                break
            length = header & ~(_BUSY | _DISCARD)
            if not header & _DISCARD:
                out.append(self._producer[start + _HEADER_SIZE : start + _HEADER_SIZE + length])
            at += (length + _HEADER_SIZE + 7) & ~7
        _POSITION.pack_into(self._consumer, 0, at)
        return out

    def close(self) -> None:
        """Unmap; twice is fine."""
        with contextlib.suppress(ValueError):
            self._consumer.close()
            self._producer.close()
