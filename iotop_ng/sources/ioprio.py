"""The I/O priority of a task: ioprio_get(2), and what it means when none was set."""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from typing import NamedTuple

_WHO_PROCESS = 1
_CLASS_SHIFT = 13
_LEVEL_MASK = 7
_CLASS_NONE, _CLASS_RT, _CLASS_BE, _CLASS_IDLE = range(4)
_CLASS_NAMES = ("be", "rt", "be", "id")
# include/uapi/linux/sched.h
_SCHED_FIFO, _SCHED_RR, _SCHED_IDLE, _SCHED_DEADLINE = 1, 2, 5, 6

_NUMBERS_64 = {
    "x86_64": 252,
    "aarch64": 31,
    "riscv64": 31,
    "loongarch64": 31,
    "ppc64": 274,
    "ppc64le": 274,
    "s390x": 283,
}
_NUMBERS_32 = {"x86_64": 290, "i686": 290, "i586": 290, "armv7l": 315, "aarch64": 315}


class IoPriority(NamedTuple):
    """Class ("rt", "be" or "id") and level 0..7, as the block layer applies them."""

    io_class: str
    level: int

    def __str__(self) -> str:
        return f"{self.io_class}/{self.level}"


def effective(raw: int, nice: int, policy: int) -> IoPriority:
    """Return the priority that the block layer uses.

    A task that never called ioprio_set has class "none" and gets
    level = (nice + 20) / 5 in a class that follows its scheduling policy
    (include/linux/ioprio.h, task_nice_ioprio and task_nice_ioclass): nice 0 is be/4.
    """
    io_class = raw >> _CLASS_SHIFT
    if io_class in {_CLASS_RT, _CLASS_BE, _CLASS_IDLE}:
        return IoPriority(_CLASS_NAMES[io_class], raw & _LEVEL_MASK)
    level = min(max((nice + 20) // 5, 0), 7)
    if policy == _SCHED_IDLE:
        return IoPriority("id", level)
    if policy in {_SCHED_FIFO, _SCHED_RR, _SCHED_DEADLINE}:
        return IoPriority("rt", level)
    return IoPriority("be", level)


class IoPriorities:
    """Asks the kernel; every answer is None where this machine's call number is not known."""

    def __init__(self, machine: str | None = None) -> None:
        numbers = _NUMBERS_64 if struct.calcsize("P") == 8 else _NUMBERS_32
        self._number = numbers.get(machine or os.uname().machine)
        self._syscall = ctypes.CDLL(None, use_errno=True).syscall
        self._syscall.restype = ctypes.c_long

    def raw(self, tid: int) -> int | None:
        """Return the value of ioprio_get, class in the upper bits; None when it is refused."""
        if self._number is None:
            return None
        value = self._syscall(
            ctypes.c_long(self._number), ctypes.c_int(_WHO_PROCESS), ctypes.c_int(tid)
        )
        return int(value) if value >= 0 else None

    def set_raw(self, tid: int, value: int) -> None:
        """Set what `raw` returns; 0 is "none", as before the first ioprio_set.

        Raises:
            OSError: the kernel says no, or the call's number is not known here.
        """
        if self._number is None:
            raise OSError(errno.ENOSYS, "the number of ioprio_set is not known for this machine")
        # Set is the call before get in every table above.
        arguments = (self._number - 1, _WHO_PROCESS, tid, value)
        if self._syscall(*(ctypes.c_long(one) for one in arguments)) < 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))

    def get(self, tid: int) -> IoPriority | None:
        """Return the effective priority of a thread, None when it is gone."""
        raw = self.raw(tid)
        if raw is None:
            return None
        if raw >> _CLASS_SHIFT:
            return effective(raw, 0, 0)
        try:
            nice = os.getpriority(os.PRIO_PROCESS, tid)
            return effective(raw, nice, os.sched_getscheduler(tid) & ~os.SCHED_RESET_ON_FORK)
        except OSError:
            return None
