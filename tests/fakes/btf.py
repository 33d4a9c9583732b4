"""Builds BTF blobs by hand: Documentation/bpf/btf.rst."""

from __future__ import annotations

import struct

INT, PTR, STRUCT, UNION, ENUM, TYPEDEF, FUNC, FUNC_PROTO = 1, 2, 4, 5, 6, 8, 12, 13


class BtfBuilder:
    """Adds types one after the other; ids start at 1."""

    def __init__(self) -> None:
        self._types = b""
        self._strings = b"\0"
        self._count = 0

    def name(self, text: str) -> int:
        if not text:
            return 0
        offset = len(self._strings)
        self._strings += text.encode() + b"\0"
        return offset

    def add(self, kind: int, name: str, size_or_type: int, tail: bytes = b"", vlen: int = 0) -> int:
        info = kind << 24 | vlen
        self._types += struct.pack("<III", self.name(name), info, size_or_type) + tail
        self._count += 1
        return self._count

    def integer(self, name: str, size: int) -> int:
        return self.add(INT, name, size, struct.pack("<I", size * 8))

    def composite(self, kind: int, name: str, members: list[tuple[str, int, int]]) -> int:
        """Add a struct or union of (name, type, byte offset)."""
        tail = b"".join(struct.pack("<III", self.name(n), t, o * 8) for n, t, o in members)
        return self.add(kind, name, 64, tail, len(members))

    def enum(self, name: str, values: dict[str, int]) -> int:
        tail = b"".join(struct.pack("<Ii", self.name(n), v) for n, v in values.items())
        return self.add(ENUM, name, 4, tail, len(values))

    def tracepoint(self, name: str, arguments: int) -> None:
        """Add `typedef void (*btf_trace_NAME)(void *, ...)`."""
        tail = struct.pack("<II", 0, 0) * (arguments + 1)
        proto = self.add(FUNC_PROTO, "", 0, tail, arguments + 1)
        pointer = self.add(PTR, "", proto)
        self.add(TYPEDEF, f"btf_trace_{name}", pointer)

    def function(self, name: str) -> int:
        return self.add(FUNC, name, 1)

    def blob(self) -> bytes:
        header = struct.pack(
            "<HBBIIIII", 0xEB9F, 1, 0, 24, 0, len(self._types), len(self._types), len(self._strings)
        )
        return header + self._types + self._strings
