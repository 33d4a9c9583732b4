"""Throttle by hold: the kernel counts and signals, a holder lets the writing thread wait.

Accurate from the first second, seen by nobody but the thread that writes, and gone with us: the
programs hang on descriptors of the keeper, the threads on the holder, which is killed with it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import signal
import time
from collections.abc import Sequence
from pathlib import Path

from iotop_ng.enforcers import holder
from iotop_ng.enforcers.changes import Helper
from iotop_ng.enforcers.charging import Charging, Limit
from iotop_ng.enforcers.enforcer import Note, Pinned
from iotop_ng.enforcers.holder import MESSAGE, Holder, Kind, Message
from iotop_ng.enforcers.orders import Counts, Mechanism, Order, Rung
from iotop_ng.enforcers.pinned import family
from iotop_ng.enforcers.ring import RingBuffer
from iotop_ng.enforcers.tally import Tally
from iotop_ng.enforcers.threads import threads_of, tracer_of
from iotop_ng.errors import EnforcerError, IotopError, TargetError
from iotop_ng.units import clean

MODE_HOLD = 1
"""As in bpf/hold.c."""
SIGNALS = (signal.SIGURG, signal.SIGWINCH)
"""Ignored unless a program asks for them; the first that none of the target asks for is used, so
that one of ours never swallows one of its own (a pending signal is not sent twice)."""
READY_S = 3.0
ENDING_S = 2.0
HOST_PID_NAMESPACE = 0xEFFFFFFC
"""PROC_PID_INIT_INO, include/linux/proc_ns.h."""
_DOES = "each thread that overdraws waits after its write; nothing else of the program does"
_YAMA = Path("/proc/sys/kernel/yama/ptrace_scope")
_GROUP, _URING = "hold", "uring"


class Bpf:
    """The loaded programs of bpf/hold.c, shared by all policies; attached while there are any."""

    def __init__(self) -> None:
        self.charging = Charging("hold")
        events = self.charging.programs.maps["events"]
        self._ring = RingBuffer(events.fd, events.max_entries)
        self.event_fd = events.fd
        self._effects: dict[int, HoldEffect] = {}

    def join(self, effect: HoldEffect) -> None:
        """Attach for the first policy."""
        programs = self.charging.programs
        programs.demand(_GROUP, wanted=True)
        if not programs.is_attached(_GROUP):
            name, why = next(iter(programs.problems.items()), (_GROUP, "the kernel refuses"))
            raise EnforcerError(f"the program {name} {why}")
        self._effects[effect.slot] = effect

    def watch_submitters(self) -> None:
        """Let threads that submit to io_uring pay for its workers."""
        self.charging.programs.demand(_URING, wanted=True)

    def leave(self, effect: HoldEffect) -> None:
        """Detach after the last one; twice is fine."""
        self.charging.give_back(effect.slot)
        self._effects.pop(effect.slot, None)
        if not self._effects:
            self.charging.programs.demand(_URING, wanted=False)
            self.charging.programs.demand(_GROUP, wanted=False)

    def deliver(self) -> None:
        """Hand what the kernel says to the policies that it is about."""
        for raw in self._ring.read():
            message = Message(*MESSAGE.unpack(raw))
            if message.kind == Kind.WORKER:
                self.watch_submitters()
            effect = self._effects.get(message.slot)
            if effect is not None:
                effect.tell(message)


class HoldEffect:
    """One policy: a slot of the programs and a holder."""

    def __init__(self, bpf: Bpf, pinned: Pinned, order: Order, number: int) -> None:
        self._bpf = bpf
        self._pinned = pinned
        self._limit = Limit(
            order.rate_bytes_per_s or 0, MODE_HOLD, number, with_children=order.with_children
        )
        self.slot = bpf.charging.take(self._limit)
        self._tally = Tally()
        self._pid = 0
        self._pidfd = -1

    def start(self, note: Note) -> None:
        """Trace all threads, and then charge them: nobody is signalled who is not held."""
        pids = family(self._pinned, with_children=self._limit.with_children)
        held = Holder(
            lambda: self._bpf.charging.bucket(self.slot).tat_ns,
            self._limit.signal,
            self._tally,
            with_children=self._limit.with_children,
        )
        self._bpf.join(self)
        self._pid, self._socket = holder.start(held, pids)
        self._pidfd = os.pidfd_open(self._pid)
        note(Helper(self._pid, _start_ns(self._pid)))
        self._socket.settimeout(READY_S)
        try:
            is_ready = self._socket.recv(1) == b"r"
        except TimeoutError:
            is_ready = False
        if not is_ready:
            raise EnforcerError(f"the process that holds {self._pinned.name} did not start")
        self._socket.setblocking(False)
        for pid in pids:
            self._bpf.charging.add(pid, self.slot)
        # Forked between the look at the family and the kernel's following it.
        for pid in family(self._pinned, with_children=self._limit.with_children):
            if pid not in pids:
                self._take_in(pid)
        if any(uses_io_uring(pid) for pid in pids):
            self._bpf.watch_submitters()

    def tell(self, message: Message) -> None:
        """Pass a message on; a holder that is too busy misses it, and the kernel says it again."""
        with contextlib.suppress(BlockingIOError, BrokenPipeError, ConnectionResetError):
            self._socket.send(MESSAGE.pack(*message))

    def adjust(self, order: Order) -> None:
        """Go over to another rate; who waits, waits by the new one."""
        self._limit = self._limit._replace(rate_bytes_per_s=order.rate_bytes_per_s or 0)
        self._bpf.charging.change(self.slot, self._limit)
        self.tell(Message(Kind.RECHECK, self.slot, 0, 0))

    def tick(self, now_ns: int) -> str:
        """Pass on what the kernel says; take in who joined the target."""
        del now_ns
        self._bpf.deliver()
        if select.select([self._pidfd], [], [], 0)[0]:
            raise EnforcerError(f"the process that holds {self._pinned.name} has ended")
        known = set(self._bpf.charging.members(self.slot))
        try:
            self._pinned.check()
            joined = [m.pid for m in self._pinned.members() if m.pid not in known]
        except TargetError:
            # Its children go on, and so does the limit, until the last has ended.
            if not known or not self._limit.with_children:
                raise
            joined = []
        for pid in joined:
            self._take_in(pid)
        return self._problem()

    def _take_in(self, pid: int) -> None:
        self.tell(Message(Kind.ADD, self.slot, pid, 0))
        self._bpf.charging.add(pid, self.slot, is_late=True)

    def _problem(self) -> str:
        held = self._tally.read()
        if held.refused:
            return f"{held.refused} of its threads are traced by another program and not held"
        if lost := self._bpf.charging.bucket(self.slot).lost:
            return f"{lost} writes of threads for which there was no room were charged in part"
        return ""

    def counts(self) -> Counts:
        """Return totals since it was applied."""
        held = self._tally.read()
        return Counts(
            charged_bytes=self._bpf.charging.bucket(self.slot).charged_bytes,
            held_ns=held.held_ns(time.monotonic_ns()),
            holds=held.holds,
            waiting=held.waiting,
            processes=len(self._bpf.charging.members(self.slot)),
        )

    def descriptors(self) -> tuple[int, ...]:
        """Return what the kernel's events and the holder's end can be seen by."""
        return (self._bpf.event_fd, self._pidfd)

    def undo(self) -> tuple[str, ...]:
        """Charge nobody any more, then let the holder let go; kill one that does not end."""
        self._bpf.leave(self)
        if not self._pid:
            return ()
        self._socket.close()
        if self._pidfd >= 0:
            if not select.select([self._pidfd], [], [], ENDING_S)[0]:
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
            os.close(self._pidfd)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self._pid, 0)
        self._pid, self._pidfd = 0, -1
        return ()


class HoldEnforcer:
    """Throttle by hold."""

    mechanism = Mechanism.HOLD

    def __init__(self) -> None:
        self._bpf: Bpf | None = None

    def rung(self, pinned: Pinned, order: Order) -> Rung:
        """Load the programs, and look at who could be traced."""
        del order
        why = _why_not_here() or self._why_no_bpf()
        if why:
            return Rung(self.mechanism, works=False, why=why, does=_DOES)
        members = pinned.members()
        pids = [member.pid for member in members]
        threads = [tid for pid in pids for tid in threads_of(pid)]
        tracers = {tid: tracer for tid in threads if (tracer := tracer_of(tid))}
        if threads and len(tracers) == len(threads):
            tracer = min(tracers.values())
            why = f"it is traced already, by {_name(tracer)}[{tracer}]"
            return Rung(self.mechanism, works=False, why=why, does=_DOES)
        remarks = []
        if tracers:
            remarks.append(f"{len(tracers)} of {len(threads)} threads are traced already")
        if any(uses_io_uring(pid) for pid in pids):
            remarks.append("it uses io_uring: the thread that submits waits for the workers")
        return Rung(self.mechanism, works=True, why="; ".join(remarks), does=_DOES)

    def _why_no_bpf(self) -> str:
        try:
            self._loaded()
        except IotopError as error:
            return str(error)
        except OSError as error:
            return f"BPF does not work here: {error.strerror}"
        return ""

    def _loaded(self) -> Bpf:
        if self._bpf is None:
            self._bpf = Bpf()
        return self._bpf

    def apply(self, pinned: Pinned, order: Order, note: Note) -> HoldEffect:
        """Hold the target from now on.

        Raises:
            EnforcerError: the kernel refuses, or the holder did not start.
        """
        pids = family(pinned, with_children=order.with_children)
        effect = HoldEffect(self._loaded(), pinned, order, choose_signal(pids))
        try:
            effect.start(note)
        except OSError as error:
            effect.undo()
            if error.errno == errno.ESRCH:
                raise TargetError(f"{pinned.name} has ended") from error
            raise EnforcerError(f"{pinned.name} cannot be held: {error.strerror}") from error
        except BaseException:
            effect.undo()
            raise
        return effect


def _why_not_here() -> str:
    """Return why no process can be held on this host, "" when they can."""
    with contextlib.suppress(OSError):
        if Path("/proc/self/ns/pid").stat().st_ino != HOST_PID_NAMESPACE:
            return "iotop-ng runs in a PID namespace of its own, and BPF counts by the host's pids"
    with contextlib.suppress(OSError):
        if _YAMA.read_text("ascii").strip() == "3":
            return "kernel.yama.ptrace_scope is 3: nobody may trace until the next boot"
    return ""


def choose_signal(pids: Sequence[int]) -> int:
    """Return the signal for a target, one that none of its programs waits for."""
    caught = [_caught(pid) for pid in pids]
    for number in SIGNALS:
        if not any(mask >> (number - 1) & 1 for mask in caught):
            return number
    return SIGNALS[0]


def _caught(pid: int) -> int:
    """Return SigCgt of a process, 0 when it is gone."""
    with contextlib.suppress(OSError, ValueError):
        for line in Path(f"/proc/{pid}/status").read_bytes().splitlines():
            if line.startswith(b"SigCgt:"):
                return int(line[7:], 16)
    return 0


def uses_io_uring(pid: int) -> bool:
    """Say whether a process has an io_uring open."""
    with contextlib.suppress(OSError):
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                if str(entry.readlink()) == "anon_inode:[io_uring]":
                    return True
    return False


def _name(pid: int) -> str:
    with contextlib.suppress(OSError):
        return clean(Path(f"/proc/{pid}/comm").read_text("utf-8", "replace").strip(), 15)
    return "?"


def _start_ns(pid: int) -> int:
    """Return when a process started, in nanoseconds since boot, as precise as /proc says."""
    ticks = int(Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[19])
    return ticks * 1_000_000_000 // os.sysconf("SC_CLK_TCK")
