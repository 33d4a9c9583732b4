"""Where kernel fields are: a reader of BTF, the type information that a kernel carries.

BCC does no CO-RE relocation, so offsets come from the running kernel at compile time.
Format: Documentation/bpf/btf.rst. Only what our programs need is decoded.
"""

from __future__ import annotations

import struct
from pathlib import Path

from iotop_ng.errors import SourceError

VMLINUX = Path("/sys/kernel/btf/vmlinux")

_MAGIC = 0xEB9F
_PTR, _ARRAY, _STRUCT, _UNION, _ENUM = 2, 3, 4, 5, 6
_TYPEDEF, _VOLATILE, _CONST, _RESTRICT, _FUNC, _FUNC_PROTO, _TYPE_TAG = 8, 9, 10, 11, 12, 13, 18
_TRANSPARENT = frozenset((_TYPEDEF, _VOLATILE, _CONST, _RESTRICT, _TYPE_TAG))
# Bytes after the 12-byte record: a fixed part and a part per member (vlen), by kind.
_EXTRA = {
    1: (4, 0), 2: (0, 0), 3: (12, 0), 4: (0, 12), 5: (0, 12), 6: (0, 8), 7: (0, 0), 8: (0, 0),
    9: (0, 0), 10: (0, 0), 11: (0, 0), 12: (0, 0), 13: (0, 8), 14: (4, 0), 15: (0, 12),
    16: (0, 0), 17: (4, 0), 18: (0, 0), 19: (0, 12),
}  # fmt: skip
_RECORD = struct.Struct("<III")
_PAIR = struct.Struct("<II")


class Btf:
    """The types of one kernel.

    Raises:
        SourceError: when the bytes are not BTF, are cut short, or use an unknown kind.
    """

    def __init__(self, raw: bytes) -> None:
        self._raw = raw
        try:
            magic, _, _, header, type_off, type_len, str_off, _ = struct.unpack_from(
                "<HBBIIIII", raw, 0
            )
            if magic != _MAGIC:
                raise SourceError("the kernel's BTF has an unknown format")
            self._strings = header + str_off
            self._index(header + type_off, header + type_off + type_len)
        except (struct.error, KeyError) as error:
            raise SourceError(f"the kernel's BTF cannot be read ({error})") from error

    @classmethod
    def running(cls, path: Path = VMLINUX) -> Btf:
        """Read the running kernel's BTF.

        Raises:
            SourceError: when there is none.
        """
        try:
            return cls(path.read_bytes())
        except OSError as error:
            raise SourceError(f"no BTF: {path}: {error.strerror}") from error

    def _index(self, position: int, end: int) -> None:
        """Note where each type starts, and the ids of named structs, typedefs, enums, functions."""
        self._at = [0]
        self._named: dict[tuple[int, int], int] = {}
        self._enums: list[int] = []
        add, unpack, raw, named = self._at.append, _RECORD.unpack_from, self._raw, self._named
        while position < end:
            name, info, _ = unpack(raw, position)
            kind = (info >> 24) & 31
            fixed, each = _EXTRA[kind]
            if kind == _ENUM:
                self._enums.append(position)
            if name:
                named.setdefault((kind, name), len(self._at))
            add(position)
            position += 12 + fixed + each * (info & 0xFFFF)

    def _name(self, offset: int) -> str:
        start = self._strings + offset
        return self._raw[start : self._raw.index(b"\0", start)].decode("ascii", "replace")

    def _string(self, text: str) -> int | None:
        found = self._raw.find(b"\0" + text.encode() + b"\0", self._strings)
        return found + 1 - self._strings if found >= 0 else None

    def _find(self, kind: int, name: str) -> int | None:
        offset = self._string(name)
        return None if offset is None else self._named.get((kind, offset))

    def _record(self, type_id: int) -> tuple[int, int, int]:
        """Return (kind, info, size or type) of a type."""
        _, info, value = _RECORD.unpack_from(self._raw, self._at[type_id])
        return (info >> 24) & 31, info, value

    def _plain(self, type_id: int) -> int:
        """Look through typedefs and qualifiers."""
        while True:
            kind, _, target = self._record(type_id)
            if kind not in _TRANSPARENT:
                return type_id
            type_id = target

    def _member(self, type_id: int, field: str) -> tuple[int, int] | None:
        """Return (bit offset, type) of a member, looking through anonymous structs and unions."""
        type_id = self._plain(type_id)
        kind, info, _ = self._record(type_id)
        if kind not in {_STRUCT, _UNION}:
            return None
        position = self._at[type_id] + 12
        for _ in range(info & 0xFFFF):
            name, member, offset = _RECORD.unpack_from(self._raw, position)
            position += 12
            bits = offset & 0xFFFFFF if info >> 31 else offset
            if name and self._name(name) == field:
                return bits, member
            if not name and (inner := self._member(member, field)) is not None:
                return bits + inner[0], inner[1]
        return None

    def offset(self, path: str) -> int | None:
        """Return the byte offset of "struct.member.member", or None when this kernel has none."""
        owner, *fields = path.split(".")
        found = self._find(_STRUCT, owner)
        bits = 0
        for field in fields:
            member = None if found is None else self._member(found, field)
            if member is None:
                return None
            bits += member[0]
            found = member[1]
        return None if found is None else bits // 8

    def function(self, name: str) -> int | None:
        """Return the type id of a kernel function (attach_btf_id), or None."""
        return self._find(_FUNC, name)

    def raw_arguments(self, tracepoint: str) -> int | None:
        """Return the number of arguments of a raw tracepoint, or None when it does not exist.

        Kernels describe them as `typedef void (*btf_trace_NAME)(void *, ...)` since 5.3.
        """
        typedef = self._find(_TYPEDEF, f"btf_trace_{tracepoint}")
        if typedef is None:
            return None
        pointer = self._record(self._plain(typedef))
        if pointer[0] != _PTR:
            return None
        kind, info, _ = self._record(self._plain(pointer[2]))
        return (info & 0xFFFF) - 1 if kind == _FUNC_PROTO else None

    def enum_value(self, name: str) -> int | None:
        """Return the value of an enumerator of a 32-bit enum, or None."""
        wanted = self._string(name)
        if wanted is None:
            return None
        for position in self._enums:
            info = _RECORD.unpack_from(self._raw, position)[1]
            for index in range(info & 0xFFFF):
                entry, value = _PAIR.unpack_from(self._raw, position + 12 + 8 * index)
                if entry == wanted:
                    return int(value)
        return None
