"""The process that holds threads: it has ptrace-seized them, and lets each wait out its debt.

Forked by the keeper, one per policy. It does nothing else, so nothing else delays it. When it ends,
in whatever way, the kernel lets all its threads run; when the keeper ends, it is killed.

A thread that overdraws is sent a signal by bpf/hold.c. In the stop before the delivery it waits
here until `tat`, when the debt of its policy is paid, and goes on without the signal.
"""

from __future__ import annotations

import contextlib
import heapq
import os
import select
import socket
import struct
import time
from collections.abc import Callable
from enum import IntEnum
from typing import NamedTuple

from iotop_ng.enforcers import ptrace
from iotop_ng.enforcers.helper_process import (
    become_helper,
    child_signals,
    close_all_but,
    die_with,
)
from iotop_ng.enforcers.ptrace import Report, Stop
from iotop_ng.enforcers.tally import Held, Tally
from iotop_ng.enforcers.threads import (
    blocks,
    is_told_to_end,
    is_worker,
    threads_of,
    tracer_of,
    written_by,
)

MESSAGE = struct.Struct("<4I")
"""(kind, policy, pid, tid), as struct event in bpf/hold.c."""
IDLE_S = 1.0
SETTLING_S = 0.1
WORKER_GRACE_NS = 5_000_000
"""io_uring: time in which a submitter comes to wait by itself; then it is interrupted."""
LOOK_NS = 100_000_000
"""Between two looks whether who waits was told to end."""


class Kind(IntEnum):
    """What the holder is told: the first four come from the kernel."""

    INTERRUPT = 1
    WORKER = 2
    UNTRACED = 3
    OVERDRAWN = 4
    ADD = 16
    """A process joins."""
    RECHECK = 17
    """The rate has changed."""


class Message(NamedTuple):
    """One thing to do."""

    kind: int
    slot: int
    pid: int
    tid: int


class Holder:
    """The threads of one policy.

    Args:
        due_ns: returns when the debt is paid, on the monotonic clock; not after now when there is
            none.
        number: the signal that bpf/hold.c sends.
        with_children: forked processes are held too.
        tally: where to count.
    """

    def __init__(
        self, due_ns: Callable[[], int], number: int, tally: Tally, *, with_children: bool
    ) -> None:
        self._due_ns = due_ns
        self._signal = number
        self._options = ptrace.TRACE_CALLS | ptrace.TRACE_THREADS
        if with_children:
            self._options |= ptrace.TRACE_FORKS
        self._tally = tally
        self._threads: set[int] = set()
        self._refused: set[int] = set()
        self._interrupted: set[int] = set()
        self._deaf: dict[int, bool] = {}
        """Thread that blocks the signal -> it has been at a system call since it last overdrew."""
        self._held: dict[int, int] = {}
        """Thread -> since when."""
        self._queue: list[tuple[int, int]] = []
        """(due, thread), a heap; entries of threads that are gone stay until they are due."""
        self._working: dict[int, int] = {}
        """Process whose io_uring workers overdrew -> when to look whether it waits."""
        self._looked_ns = 0
        self._sum = Held()

    # -- tracing -------------------------------------------------------------------------------

    def add(self, pid: int) -> None:
        """Trace all threads of a process; those that are made meanwhile too."""
        before = -1
        while len(self._threads) != before:
            before = len(self._threads)
            for tid in threads_of(pid):
                self._seize(tid)
        self._publish()

    def _seize(self, tid: int) -> None:
        if tid in self._threads or is_worker(tid):
            return
        try:
            ptrace.seize(tid, self._options)
        except ProcessLookupError:
            return
        except PermissionError:
            # Seized by us already: a thread that its maker's tracing brought with it.
            if tracer_of(tid) == os.getpid():
                self._threads.add(tid)
            else:
                self._refused.add(tid)
            return
        self._threads.add(tid)
        # Those that have written nothing are left alone: who is interrupted in epoll_wait sees it.
        if blocks(tid, self._signal) and written_by(tid):
            self._catch(tid)

    def settle(self) -> None:
        """Wait until those that were interrupted have stopped, but not for one that is stuck."""
        end = time.monotonic() + SETTLING_S
        while self._interrupted and time.monotonic() < end:
            self.take_reports()
            time.sleep(0.0005)

    def take_reports(self) -> None:
        """Answer all stops that have happened."""
        while (report := ptrace.next_report()) is not None:
            with contextlib.suppress(ProcessLookupError):
                self._answer(report)
        self._publish()

    def _answer(self, report: Report) -> None:
        tid, stop, number = report
        match stop:
            case Stop.GONE:
                self._forget(tid)
                return
            case Stop.SIGNAL if number == self._signal and self._is_ours(tid):
                self._deaf.pop(tid, None)
                self._hold(tid)
            case Stop.SIGNAL:
                self._go_on(tid, number)
            case Stop.CALL:
                self._deaf[tid] = True
                self._hold(tid)
            case Stop.GROUP:
                ptrace.listen(tid)
            case Stop.TRAP if tid in self._interrupted:
                self._interrupted.discard(tid)
                self._hold(tid)
            case Stop.TRAP | Stop.EVENT:
                self._go_on(tid)
        self._threads.add(tid)

    def _go_on(self, tid: int, number: int = 0) -> None:
        ptrace.resume(tid, number, to_call=tid in self._deaf)

    def _is_ours(self, tid: int) -> bool:
        """Tell our signal from the program's own (Go sends itself SIGURG all day)."""
        return ptrace.signal_code(tid) == ptrace.SI_KERNEL

    def _forget(self, tid: int) -> None:
        self._threads.discard(tid)
        self._interrupted.discard(tid)
        self._deaf.pop(tid, None)
        if (since := self._held.pop(tid, None)) is not None:
            self._count(since, time.monotonic_ns())

    # -- waiting -------------------------------------------------------------------------------

    def _hold(self, tid: int) -> None:
        now, due = time.monotonic_ns(), self._due_ns()
        if due <= now:
            self._go_on(tid)
            return
        self._held[tid] = now
        heapq.heappush(self._queue, (due, tid))
        held = self._sum
        self._sum = held._replace(waiting=held.waiting + 1, starts_ns=held.starts_ns + now)

    def _count(self, since: int, now: int) -> None:
        held = self._sum
        self._sum = held._replace(
            ended_ns=held.ended_ns + now - since,
            holds=held.holds + 1,
            waiting=held.waiting - 1,
            starts_ns=held.starts_ns - since,
        )

    def let_go_due(self) -> float:
        """Resume whose time has come; return the seconds until the next one's."""
        now = time.monotonic_ns()
        self._stop_submitters(now)
        while self._queue and self._queue[0][0] <= now:
            self._let_go(heapq.heappop(self._queue)[1], now)
        self._let_go_of_the_ending(now)
        self._publish()
        dues = [*self._working.values(), *(due for due, _ in self._queue[:1])]
        if self._held:
            dues.append(now + LOOK_NS)
        return max(0.0, min([(due - now) / 1e9 for due in dues] + [IDLE_S]))

    def _let_go(self, tid: int, now: int) -> None:
        since = self._held.pop(tid, None)
        if since is None:
            return
        self._count(since, now)
        with contextlib.suppress(ProcessLookupError):
            self._go_on(tid)

    def _let_go_of_the_ending(self, now: int) -> None:
        """Let who waits long see its SIGTERM or ^C; one that goes on waits after its next write."""
        if now - self._looked_ns < LOOK_NS:
            return
        self._looked_ns = now
        waiting = [tid for tid, since in self._held.items() if now - since >= LOOK_NS]
        for tid in filter(is_told_to_end, waiting):
            self._queue = [entry for entry in self._queue if entry[1] != tid]
            heapq.heapify(self._queue)
            self._let_go(tid, now)

    def _recheck(self) -> None:
        """Take the time that holds since the rate was changed."""
        due = self._due_ns()
        self._queue = [(due, tid) for tid in self._held]

    def _publish(self) -> None:
        self._sum = self._sum._replace(refused=len(self._refused))
        self._tally.write(self._sum)

    # -- what it is told -----------------------------------------------------------------------

    def do(self, message: Message) -> None:
        """Carry out one message."""
        match message.kind:
            case Kind.ADD:
                self.add(message.pid)
            case Kind.INTERRUPT:
                self._catch(message.tid)
            case Kind.UNTRACED:
                self._seize(message.tid)
            case Kind.RECHECK:
                self._recheck()
            case Kind.WORKER:
                due = time.monotonic_ns() + WORKER_GRACE_NS
                self._working.setdefault(message.pid, due)

    def _catch(self, tid: int) -> None:
        """Hold a thread that blocks the signal.

        To be told of each overdraft is late: who writes gigabytes a second has written many more
        megabytes by then. So it stops at its system calls, which is in time, if slow; what writes
        without them (mmap) is interrupted each time.
        """
        if not self._deaf.get(tid):
            self._interrupt(tid)
        self._deaf[tid] = False

    def _stop_submitters(self, now: int) -> None:
        """Interrupt programs whose workers write on while none of their threads waits."""
        for pid in [pid for pid, due in self._working.items() if due <= now]:
            del self._working[pid]
            threads = threads_of(pid)
            if self._due_ns() > now and not any(tid in self._held for tid in threads):
                for tid in threads:
                    self._interrupt(tid)

    def _interrupt(self, tid: int) -> None:
        if tid not in self._threads or tid in self._held or tid in self._interrupted:
            return
        with contextlib.suppress(ProcessLookupError):
            ptrace.interrupt(tid)
            self._interrupted.add(tid)
            self._sum = self._sum._replace(interrupts=self._sum.interrupts + 1)

    # -- the end -------------------------------------------------------------------------------

    def let_all_go(self) -> None:
        """Detach from the threads that are in a stop; our end detaches the others as they run.

        Stopping one to detach from it would end its epoll_wait and the like with EINTR: signal(7).
        """
        for tid in tuple(self._held):
            with contextlib.suppress(ProcessLookupError):
                ptrace.detach(tid)
            self._forget(tid)
        while (report := ptrace.next_report()) is not None:
            with contextlib.suppress(ProcessLookupError):
                self._part(report)
        self._publish()

    def _part(self, report: Report) -> None:
        """Detach from a thread that has stopped, with the signal that it was to get."""
        tid, stop, number = report
        if stop is not Stop.GONE:
            is_ours = number == self._signal and self._is_ours(tid)
            ptrace.detach(tid, number if stop is Stop.SIGNAL and not is_ours else 0)
        self._forget(tid)


def serve(holder: Holder, orders: socket.socket, pids: tuple[int, ...]) -> None:
    """Hold until the keeper hangs up, then let go. Sends one byte when all threads are traced."""
    become_helper()
    children = child_signals()
    poll = select.epoll()
    poll.register(orders.fileno(), select.EPOLLIN)
    poll.register(children, select.EPOLLIN)
    for pid in pids:
        holder.add(pid)
    holder.settle()
    orders.send(b"r")
    timeout = IDLE_S
    while True:
        ready = dict(poll.poll(timeout))
        if children in ready:
            with contextlib.suppress(BlockingIOError):
                os.read(children, 128 * 64)
            holder.take_reports()
        if orders.fileno() in ready:
            message = orders.recv(MESSAGE.size)
            if len(message) < MESSAGE.size:
                holder.let_all_go()
                return
            holder.do(Message(*MESSAGE.unpack(message)))
        timeout = holder.let_go_due()


def start(holder: Holder, pids: tuple[int, ...]) -> tuple[int, socket.socket]:
    """Fork the process; return its pid and the socket to it. It says when it is ready."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    parent = os.getpid()
    pid = os.fork()
    if pid:
        theirs.close()
        return pid, ours
    try:
        die_with(parent)
        close_all_but(theirs.fileno())
        serve(holder, theirs, pids)
    finally:
        os._exit(0)
