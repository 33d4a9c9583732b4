"""What this machine can do for the tests, asked of the kernel and not of the program under test."""

from __future__ import annotations

import ctypes
import errno
import os
import platform
from pathlib import Path

from tests.guest.kernels import cached, wanted
from tests.guest.machine import missing_packages

# The number of bpf(2): arch/x86/entry/syscalls/syscall_64.tbl, include/uapi/asm-generic/unistd.h.
_BPF = {"x86_64": 321, "aarch64": 280, "riscv64": 280, "ppc64le": 361, "s390x": 351}
_BPF_MAP_CREATE = 0
_BPF_MAP_TYPE_ARRAY = 2


class _MapCreate(ctypes.Structure):
    """The first members of union bpf_attr for BPF_MAP_CREATE."""

    _fields_ = [
        ("map_type", ctypes.c_uint32),
        ("key_size", ctypes.c_uint32),
        ("value_size", ctypes.c_uint32),
        ("max_entries", ctypes.c_uint32),
        ("map_flags", ctypes.c_uint32),
    ]


def lacking_for_kernel_tests() -> str:
    """Return why tests marked `kernel` cannot run here, "" when they can."""
    if os.geteuid() != 0:
        return "not root"
    number = _BPF.get(platform.machine())
    if number is None:
        return f"bpf(2) has no number here for {platform.machine()}"
    libc = ctypes.CDLL(None, use_errno=True)
    attr = _MapCreate(_BPF_MAP_TYPE_ARRAY, 4, 4, 1, 0)
    fd: int = libc.syscall(number, _BPF_MAP_CREATE, ctypes.byref(attr), ctypes.sizeof(attr))
    if fd < 0:
        return f"bpf(2) says {errno.errorcode.get(ctypes.get_errno(), 'no')}"
    os.close(fd)
    if not _has_bcc():
        return "BCC is not installed (apt install python3-bpfcc)"
    return ""


def lacking_for_guest_tests() -> str:
    """Return why tests marked `guest` cannot run here, "" when they can."""
    if platform.machine() != "x86_64":
        return f"the guests are x86_64, this machine is {platform.machine()}"
    missing = missing_packages()
    if missing:
        return f"not installed: {', '.join(missing)}"
    if not _has_bcc():
        return "BCC is not installed (apt install python3-bpfcc)"
    if not any(cached(kernel) for kernel in wanted()):
        return "no kernel was downloaded (make test-guest does that, through apt)"
    return ""


def _has_bcc() -> bool:
    """Say whether a distribution's BCC for Python lies where distributions put it."""
    return any(
        True
        for directory in ("lib", "lib64")
        for _ in Path("/usr").glob(f"{directory}/python3*/*-packages/bcc/__init__.py")
    )
