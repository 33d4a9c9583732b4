"""The process that pauses a target: stops it when it has overdrawn, continues it when that is paid.

Forked by the keeper, one for each policy, and the first of two that let the target run again: when
the keeper ends in any way, the socket to it says so, and this process continues the target and
ends. When this process is killed, the keeper continues the target.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import select
import signal
import socket
import struct
import time
from collections.abc import Callable
from typing import NamedTuple, Protocol

from iotop_ng.clock import NS_PER_S
from iotop_ng.enforcers.helper_process import become_helper, close_all_but
from iotop_ng.enforcers.switches import Switch
from iotop_ng.enforcers.written import Written
from iotop_ng.policy.token_bucket import TokenBucket

ORDER = struct.Struct("<4q")
"""(what, and what belongs to it): see `Word`."""
ADD, WATCH, RATE = 1, 2, 3
_QUANTUM_NS = 50_000_000
"""Debt that is let pass: a stop lasts at least that long, and there are at most 20 in a second."""
_BURST_NS = 100_000_000
_LARGEST_BYTES = 65536
_SHORTEST_NS, _LONGEST_NS = 2_000_000, 10_000_000
"""Between two looks at a process that runs."""
_SHARE = 10
"""Looking takes at most one part in so many of the time."""
_STOPPED_LOOK_NS = 100_000_000
_LEFT_LOOK_NS = 100_000_000
_SHOWN_LEFT = 32


class Meter(Protocol):
    """Says how much is owed."""

    def debt_ns(self, now_ns: int) -> int:
        """Return how long the target has to wait from now on; 0: it owes nothing."""
        ...

    def next_ns(self) -> int:
        """Return how long it may run until it has to be asked again."""
        ...

    def obey(self, what: int, pid: int, *, flag: bool) -> None:
        """Take in a process (ADD, with whether it is charged from birth; WATCH)."""
        ...

    def set_rate(self, now_ns: int, rate_bytes_per_s: int) -> None:
        """Go over to another rate."""
        ...

    @property
    def charged_bytes(self) -> int:
        """What was charged since the beginning."""
        ...

    @property
    def quantum_ns(self) -> int:
        """Debt that is let pass."""
        ...

    @property
    def descriptor(self) -> int:
        """What can be read when it has to be asked at once; -1: nothing."""
        ...


class ProcMeter:
    """Counts with /proc/PID/io."""

    quantum_ns = _QUANTUM_NS
    descriptor = -1

    def __init__(self, rate_bytes_per_s: int, now_ns: int) -> None:
        self._written = Written()
        self._bucket = TokenBucket(rate_bytes_per_s, _BURST_NS, _LARGEST_BYTES, now_ns)
        self._pending = 0
        """Written, and not charged yet, because the bucket was in debt."""
        self._total = 0
        self._looked_ns = now_ns
        self._bytes_per_s = 0
        self._cost_ns = 0

    @property
    def charged_bytes(self) -> int:
        """What was written since the beginning."""
        return self._total

    def debt_ns(self, now_ns: int) -> int:
        """Look, charge, and return how long the target has to wait."""
        grown = self._written.look()
        self._cost_ns = time.monotonic_ns() - now_ns
        elapsed = max(now_ns - self._looked_ns, 1)
        # The faster of now and lately: a look that comes too late costs a long stop.
        self._bytes_per_s = max(grown * NS_PER_S // elapsed, self._bytes_per_s * 3 // 4)
        self._looked_ns = now_ns
        self._total += grown
        self._pending += grown
        answer = self._bucket.ask(now_ns, self._pending)
        if answer.is_admitted:
            self._pending = 0
        return answer.delay_ns

    def next_ns(self) -> int:
        """Return half of the time in which it overdraws at its present speed."""
        room = max(self._bucket.tokens, 0) * NS_PER_S // max(self._bytes_per_s, 1) // 2
        shortest = max(_SHORTEST_NS, self._cost_ns * _SHARE)
        return max(shortest, min(room, _LONGEST_NS))

    def obey(self, what: int, pid: int, *, flag: bool) -> None:
        """Charge a process, or only watch it."""
        if what == ADD:
            self._written.charge(pid, from_birth=flag)
        else:
            self._written.watch((pid,))

    def set_rate(self, now_ns: int, rate_bytes_per_s: int) -> None:
        """Go over to another rate; the debt takes as long as it takes at the new one."""
        self._bucket.set_rate(now_ns, rate_bytes_per_s)


class Told(NamedTuple):
    """What the pauser tells the keeper."""

    charged_bytes: int = 0
    ended_ns: int = 0
    """Stops that are over, in sum."""
    stops: int = 0
    since_ns: int = 0
    """Begin of the present stop, 0 while the target runs."""
    left: tuple[int, ...] = ()

    def held_ns(self, now_ns: int) -> int:
        """Return how long the target was stopped."""
        return self.ended_ns + (max(now_ns - self.since_ns, 0) if self.since_ns else 0)


_TOLD = struct.Struct(f"<5q{_SHOWN_LEFT}q")


class Page:
    """Shared by fork: one side writes, the other reads; half of the old is mended soon."""

    def __init__(self) -> None:
        self._page = mmap.mmap(-1, mmap.PAGESIZE)

    def write(self, told: Told) -> None:
        """Publish."""
        left = told.left[:_SHOWN_LEFT]
        padding = (0,) * (_SHOWN_LEFT - len(left))
        _TOLD.pack_into(self._page, 0, *told[:4], len(left), *left, *padding)

    def read(self) -> Told:
        """Return what was published last."""
        charged, ended, stops, since, count, *left = _TOLD.unpack_from(self._page, 0)
        return Told(charged, ended, stops, since, tuple(left[:count]))


class Pauser:
    """Runs in the forked process."""

    def __init__(self, meter: Meter, switch: Switch, page: Page) -> None:
        self._meter = meter
        self._switch = switch
        self._page = page
        self._told = Told()
        self._left_ns = 0

    @property
    def descriptor(self) -> int:
        """What the meter needs open, -1 for nothing."""
        return self._meter.descriptor

    def run(self, orders: socket.socket, is_orphan: Callable[[], bool]) -> None:
        """Pause until the keeper hangs up; the target runs afterwards."""
        poll = select.poll()
        poll.register(orders.fileno(), select.POLLIN)
        if self._meter.descriptor >= 0:
            poll.register(self._meter.descriptor, select.POLLIN)
        try:
            while not is_orphan():
                wait_ns = self._step(time.monotonic_ns())
                # Rounded up: a debt is not paid before its time.
                ready = dict(poll.poll(-(-wait_ns // 1_000_000)))
                if orders.fileno() in ready and not self._obey(orders):
                    break
        finally:
            self._switch.go()
            self._publish(is_stopped=False)

    def _step(self, now_ns: int) -> int:
        """Stop or continue; return when to look again."""
        debt = self._meter.debt_ns(now_ns)
        is_stopped = bool(self._told.since_ns)
        if debt > (0 if is_stopped else self._meter.quantum_ns):
            # Again while it is stopped: somebody may have continued it.
            self._switch.stop()
            self._publish(is_stopped=True)
            return min(debt, _STOPPED_LOOK_NS)
        if is_stopped:
            self._switch.go()
        self._publish(is_stopped=False)
        return self._meter.next_ns()

    def _publish(self, *, is_stopped: bool) -> None:
        now, told = time.monotonic_ns(), self._told
        if is_stopped and not told.since_ns:
            told = told._replace(since_ns=now, stops=told.stops + 1)
        elif told.since_ns and not is_stopped:
            told = told._replace(since_ns=0, ended_ns=told.held_ns(now))
        if now - self._left_ns >= _LEFT_LOOK_NS:
            self._left_ns = now
            told = told._replace(left=self._switch.left())
        self._told = told._replace(charged_bytes=self._meter.charged_bytes)
        self._page.write(self._told)

    def _obey(self, orders: socket.socket) -> bool:
        """Do one thing; False when the keeper has hung up."""
        message = orders.recv(ORDER.size)
        if len(message) < ORDER.size:
            return False
        what, first, start_ns, flag = ORDER.unpack(message)
        if what == RATE:
            self._meter.set_rate(time.monotonic_ns(), first)
        else:
            if what == ADD:
                self._switch.add(first, start_ns)
            self._meter.obey(what, first, flag=bool(flag))
        return True


def start(pauser: Pauser) -> tuple[int, socket.socket]:
    """Fork the process; return its pid and the socket to it."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    keeper = os.getpid()
    pid = os.fork()
    if pid:
        theirs.close()
        return pid, ours
    status = 1
    try:
        close_all_but(theirs.fileno(), pauser.descriptor)
        become_helper()
        _be_first()
        signal.set_wakeup_fd(-1)
        pauser.run(theirs, lambda: os.getppid() != keeper)
        status = 0
    finally:
        os._exit(status)


def _be_first() -> None:
    """Run as soon as woken: each millisecond later, a fast writer overdraws by a megabyte."""
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(1))
