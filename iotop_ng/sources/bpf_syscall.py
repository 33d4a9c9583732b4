"""The bpf(2) and perf_event_open(2) system calls through ctypes: no libbcc, no LLVM.

Structures: include/uapi/linux/bpf.h (union bpf_attr) and perf_event.h (struct perf_event_attr).
Every function raises OSError with the kernel's errno.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import platform
import struct
from typing import Final

# (bpf, perf_event_open, membarrier); the generic table serves arm64 and riscv64.
_GENERIC: Final = (280, 241, 283)
_NUMBERS: Final = {
    "x86_64": (321, 298, 324),
    "ppc64le": (361, 319, 365),
    "s390x": (351, 331, 356),
}

MAP_CREATE, MAP_LOOKUP, MAP_UPDATE, MAP_DELETE, MAP_NEXT = 0, 1, 2, 3, 4
PROG_LOAD, OBJ_INFO, RAW_OPEN, BTF_LOAD = 5, 15, 17, 18
MAP_LOOKUP_BATCH, LINK_CREATE, ENABLE_STATS, ITER_CREATE = 24, 28, 32, 33

PROG_TRACEPOINT, PROG_RAW_TRACEPOINT, PROG_TRACING, PROG_LSM = 5, 17, 26, 29
ATTACH_LSM, ATTACH_ITER = 27, 28
INODE_STORAGE, NO_PREALLOC = 28, 1

_ATTR_SIZE = 144
_PERF_ATTR_SIZE = 112
_PERF_TYPE_TRACEPOINT, _PERF_SAMPLE_RAW = 2, 0x400
_PERF_SET_BPF, _PERF_ENABLE = 0x40042408, 0x2400
_PERF_FD_CLOEXEC = 8
_MEMBARRIER_GLOBAL = 1

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def _numbers() -> tuple[int, int, int]:
    return _NUMBERS.get(platform.machine(), _GENERIC)


def bpf(command: int, attributes: bytes) -> int:
    """Make one system call with a union bpf_attr that begins with `attributes`."""
    buffer = ctypes.create_string_buffer(attributes, _ATTR_SIZE)
    result = int(_libc.syscall(_numbers()[0], command, buffer, _ATTR_SIZE))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def wait_for_programs() -> None:
    """Return when every program has ended that was running at the call: an RCU grace period.

    Not for sleepable ones. Without membarrier(2) (nohz_full) it returns at once.
    """
    _libc.syscall(_numbers()[2], _MEMBARRIER_GLOBAL, 0, 0)


def map_create(name: str, kind: int, sizes: tuple[int, int, int], flags: int) -> int:
    """Create a map and return its descriptor; `sizes` are of a key, of a value, and how many."""
    label = name.encode()[:15]
    attributes = struct.pack("<7I16s", kind, *sizes, flags, 0, 0, label)
    if kind != INODE_STORAGE:
        return bpf(MAP_CREATE, attributes)
    types = _load_integers(sizes[0], sizes[1])
    try:
        return bpf(MAP_CREATE, attributes + struct.pack("<4I", 0, types, 1, 2))
    finally:
        os.close(types)


def _load_integers(*sizes: int) -> int:
    """Load BTF of integers of these sizes (ids 1, 2, ...), without which there is no storage."""
    strings = b"\0n\0"
    types = b"".join(struct.pack("<4I", 1, 1 << 24, size, size * 8) for size in sizes)
    header = struct.pack("<HBB5I", 0xEB9F, 1, 0, 24, 0, len(types), len(types), len(strings))
    blob = ctypes.create_string_buffer(header + types + strings)
    return bpf(BTF_LOAD, struct.pack("<2Q4I", _address(blob), 0, len(blob) - 1, 0, 0, 0))


def _address(buffer: ctypes.Array[ctypes.c_char]) -> int:
    return ctypes.addressof(buffer)


def map_lookup(fd: int, key: bytes, size: int) -> bytes | None:
    """Return the value of a key, or None when it is not there."""
    name, value = ctypes.create_string_buffer(key, len(key)), ctypes.create_string_buffer(size)
    try:
        bpf(MAP_LOOKUP, struct.pack("<II3Q", fd, 0, _address(name), _address(value), 0))
    except FileNotFoundError:
        return None
    return value.raw


def map_update(fd: int, key: bytes, value: bytes) -> None:
    """Set a key."""
    name = ctypes.create_string_buffer(key, len(key))
    data = ctypes.create_string_buffer(value, len(value))
    bpf(MAP_UPDATE, struct.pack("<II3Q", fd, 0, _address(name), _address(data), 0))


def map_delete(fd: int, key: bytes) -> None:
    """Remove a key; one that is gone already is fine."""
    name = ctypes.create_string_buffer(key, len(key))
    try:
        bpf(MAP_DELETE, struct.pack("<II2Q", fd, 0, _address(name), 0))
    except FileNotFoundError:
        return


def map_next(fd: int, key: bytes | None, size: int) -> bytes | None:
    """Return the key after `key` (the first for None), or None at the end."""
    after = ctypes.create_string_buffer(size)
    before = ctypes.create_string_buffer(key, size) if key is not None else None
    pointer = _address(before) if before is not None else 0
    try:
        bpf(MAP_NEXT, struct.pack("<II2Q", fd, 0, pointer, _address(after)))
    except FileNotFoundError:
        return None
    return after.raw


def prog_load(
    kind: int,
    code: bytes,
    name: str,
    *,
    attach_type: int = 0,
    btf_id: int = 0,
    log: ctypes.Array[ctypes.c_char] | None = None,
) -> int:
    """Load a program (licence GPL) and return its descriptor; `log` takes the verifier's words."""
    instructions = ctypes.create_string_buffer(code, len(code))
    licence = ctypes.create_string_buffer(b"GPL")
    level, size, place = (1, len(log), _address(log)) if log is not None else (0, 0, 0)
    attributes = struct.pack(
        "<II2QIIQII16sII IIQIIQII",
        kind, len(code) // 8, _address(instructions), _address(licence),
        level, size, place, 0, 0, name.encode()[:15], 0, attach_type,
        0, 0, 0, 0, 0, 0, 0, btf_id,
    )  # fmt: skip
    return bpf(PROG_LOAD, attributes)


def raw_tracepoint_open(tracepoint: str, program: int) -> int:
    """Attach a program to a raw tracepoint until the returned descriptor is closed."""
    name = ctypes.create_string_buffer(tracepoint.encode())
    return bpf(RAW_OPEN, struct.pack("<QII", _address(name), program, 0))


def lsm_attach(program: int) -> int:
    """Attach an LSM program to the hook that it was loaded for until the descriptor is closed."""
    return bpf(RAW_OPEN, struct.pack("<QII", 0, program, 0))


def iter_link(program: int) -> int:
    """Return a link of an iterator program; `iter_open` reads through it."""
    return bpf(LINK_CREATE, struct.pack("<IIII", program, 0, ATTACH_ITER, 0))


def iter_open(link: int) -> int:
    """Return a descriptor that reads one walk of the iterator."""
    return bpf(ITER_CREATE, struct.pack("<II", link, 0))


def enable_run_stats() -> int:
    """Count runs and run time of all programs until the descriptor is closed (Linux 5.8)."""
    return bpf(ENABLE_STATS, struct.pack("<I", 0))


def program_runs(fd: int) -> tuple[int, int]:
    """Return (runs, nanoseconds) of a program while statistics were on (Linux 5.1)."""
    info = ctypes.create_string_buffer(256)
    bpf(OBJ_INFO, struct.pack("<IIQ", fd, len(info), _address(info)))
    # struct bpf_prog_info: run_time_ns at byte 192, run_cnt at 200.
    run_ns, runs = struct.unpack_from("<QQ", info, 192)
    return int(runs), int(run_ns)


def tracepoint_open(event_id: int, program: int) -> int:
    """Attach a program to a tracepoint (on every CPU) until the descriptor is closed."""
    attributes = struct.pack(
        "<IIQQQ", _PERF_TYPE_TRACEPOINT, _PERF_ATTR_SIZE, event_id, 1, _PERF_SAMPLE_RAW
    )
    buffer = ctypes.create_string_buffer(attributes, _PERF_ATTR_SIZE)
    # Opened on one CPU: the program hangs on the event itself and runs on all of them.
    fd = int(_libc.syscall(_numbers()[1], buffer, -1, 0, -1, _PERF_FD_CLOEXEC))
    if fd < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    try:
        fcntl.ioctl(fd, _PERF_SET_BPF, program)
        fcntl.ioctl(fd, _PERF_ENABLE, 0)
    except OSError:
        os.close(fd)
        raise
    return fd


class BatchReader:
    """Reads a whole hash map, in steps, into one buffer that is kept.

    Args:
        fd: the map.
        key: bytes of a key.
        value: bytes of a value.
    """

    STEP = 512

    def __init__(self, fd: int, key: int, value: int) -> None:
        self._fd, self._key, self._value = fd, key, value
        self._step = self.STEP
        self._has_batch = True
        self._allocate()

    def _allocate(self) -> None:
        self._keys = ctypes.create_string_buffer(self._step * self._key)
        self._values = ctypes.create_string_buffer(self._step * self._value)
        self._token = ctypes.create_string_buffer(max(self._key, 8))

    def read(self) -> list[tuple[bytes, bytes]]:
        """Return all (key, value) pairs."""
        if self._has_batch:
            try:
                return self._read_batches()
            except OSError as error:
                # EINVAL: batch operations came with Linux 5.6.
                if error.errno != 22:
                    raise
                self._has_batch = False
        return self._read_singly()

    def _read_batches(self) -> list[tuple[bytes, bytes]]:
        out: list[tuple[bytes, bytes]] = []
        started = False
        while True:
            token = _address(self._token)
            attributes = ctypes.create_string_buffer(
                struct.pack(
                    "<4QII2Q",
                    token if started else 0, token, _address(self._keys), _address(self._values),
                    self._step, self._fd, 0, 0,
                ),
                _ATTR_SIZE,
            )  # fmt: skip
            result = int(_libc.syscall(_numbers()[0], MAP_LOOKUP_BATCH, attributes, _ATTR_SIZE))
            code = ctypes.get_errno() if result < 0 else 0
            if code == 28:  # ENOSPC: one hash bucket holds more than a step
                self._step *= 2
                self._allocate()
                return self._read_batches()
            if code not in {0, 2}:  # ENOENT: that was the last batch
                raise OSError(code, os.strerror(code))
            count = struct.unpack_from("<I", attributes, 32)[0]
            keys, values = self._keys.raw, self._values.raw
            k, v = self._key, self._value
            out.extend((keys[i * k : i * k + k], values[i * v : i * v + v]) for i in range(count))
            if code == 2:
                return out
            started = True

    def _read_singly(self) -> list[tuple[bytes, bytes]]:
        out: list[tuple[bytes, bytes]] = []
        key: bytes | None = map_next(self._fd, None, self._key)
        while key is not None:
            value = map_lookup(self._fd, key, self._value)
            if value is not None:
                out.append((key, value))
            key = map_next(self._fd, key, self._key)
        return out
