"""A target that is paused: its helper, and what the journal has to know of it."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import time
from pathlib import Path
from typing import NamedTuple

from iotop_ng.enforcers import pauser, processes
from iotop_ng.enforcers.cgroupfs import Cgroup
from iotop_ng.enforcers.changes import FileValue, Helper, Stopped
from iotop_ng.enforcers.crowd import Crowd
from iotop_ng.enforcers.enforcer import Member, Note, Pinned
from iotop_ng.enforcers.orders import Counts, Order
from iotop_ng.enforcers.pause_kernel import KernelCount
from iotop_ng.enforcers.pauser import ADD, ORDER, RATE, WATCH, Meter, Page, ProcMeter
from iotop_ng.enforcers.switches import Freezer, Signals, Switch
from iotop_ng.errors import EnforcerError, TargetError

_ENDING_S = 2.0


class ByFreezer(NamedTuple):
    """A cgroup is stopped as a whole."""

    cgroup: Cgroup
    file: str
    on: str
    off: str

    @property
    def path(self) -> Path:
        """The file that is written."""
        return self.cgroup.directory / self.file

    def switch(self) -> Switch:
        """Return what the helper stops with."""
        return Freezer(self.path, self.on, self.off)

    def note_start(self, note: Note) -> None:
        """Note the state of the cgroup."""
        note(FileValue(str(self.path), self.cgroup.inode, "", self.off, self.on))

    def note_member(self, note: Note, member: Member, *, is_others: bool) -> None:
        """Note nothing: nothing is done to a process."""

    def check(self) -> None:
        """Raise TargetError when the cgroup is gone."""
        if not self.cgroup.is_still_there():
            raise TargetError(f"the cgroup {self.cgroup.shown} is gone")

    def go(self, members: list[Member]) -> tuple[str, ...]:
        """Thaw; return what could not be done."""
        del members
        try:
            self.switch().go()
        except OSError as error:
            return (f"writing {self.off} to {self.cgroup.shown}/{self.file}: {error.strerror}",)
        return ()


class BySignals(NamedTuple):
    """Every process is stopped."""

    def switch(self) -> Switch:
        """Return what the helper stops with."""
        return Signals()

    def note_start(self, note: Note) -> None:
        """Note nothing: each process is noted by itself."""

    def note_member(self, note: Note, member: Member, *, is_others: bool) -> None:
        """Note that it may be stopped, or that it is somebody else who stopped it."""
        note(Stopped(member.pid, member.start_ns, is_others=is_others))

    def check(self) -> None:
        """Nothing can be gone but the processes."""

    def go(self, members: list[Member]) -> tuple[str, ...]:
        """Continue all; return what could not be done."""
        problems = []
        for member in members:
            handle = processes.find(member.pid, member.start_ns)
            if handle is None:
                continue
            try:
                handle.send(signal.SIGCONT)
            except ProcessLookupError:
                pass
            except OSError as error:
                problems.append(f"continuing {member.name}: {error.strerror}")
            finally:
                handle.close()
        return tuple(problems)


class PauseEffect:
    """One target that is paused and continued by a `Pauser`."""

    def __init__(
        self,
        pinned: Pinned,
        order: Order,
        note: Note,
        way: ByFreezer | BySignals,
        crowd: Crowd,
        *,
        count: KernelCount | None = None,
    ) -> None:
        """Count with the kernel's programs, or without (None) with /proc."""
        self._name = pinned.name
        self._note = note
        self._way = way
        self._crowd = crowd
        self._count = count
        self._rate = _rate(order)
        self._members: dict[int, Member] = {}
        self._left: frozenset[int] = frozenset()
        self._page = Page()
        self._pid = 0
        self._pidfd = -1
        self._socket: socket.socket | None = None

    def start(self) -> None:
        """Note what will be done, fork the helper, and tell it whom to pause.

        Raises:
            IotopError: it could not be noted, or the target is gone.
            OSError: there are no processes or descriptors left.
        """
        first = self._crowd.look()
        if not first.members:
            raise TargetError(f"{self._name} has ended")
        self._way.note_start(self._note)
        for member in first.members:
            self._way.note_member(self._note, member, is_others=False)
        meter: Meter = ProcMeter(self._rate, time.monotonic_ns())
        if self._count is not None:
            meter = self._count.meter()
        paused = pauser.Pauser(meter, self._way.switch(), self._page)
        self._pid, self._socket = pauser.start(paused)
        self._socket.settimeout(_ENDING_S)
        self._pidfd = os.pidfd_open(self._pid)
        stat = processes.read_stat(self._pid)
        self._note(Helper(self._pid, (stat.start_ticks if stat else 0) * processes.NS_PER_TICK))
        for pid in first.watched:
            self._tell(WATCH, pid)
        for member in first.members:
            self._add(member, from_birth=False)

    def adjust(self, order: Order) -> None:
        """Go over to another rate.

        Raises:
            EnforcerError: the helper has ended.
        """
        self._rate = _rate(order)
        if self._count is not None:
            self._count.set_rate(self._rate)
        self._tell(RATE, self._rate)

    def tick(self, now_ns: int) -> str:
        """Take in who joined; see to it that the helper lives.

        Raises:
            EnforcerError: it does not; the target was continued.
            TargetError: the target and its children have ended.
        """
        del now_ns
        if self._socket is None:
            return ""
        if _is_readable(self._pidfd, 0):
            self._way.go([*self._members.values()])
            raise EnforcerError(f"the process that paused {self._name} has ended")
        self._way.check()
        joined = self._crowd.look()
        for pid in joined.watched:
            self._tell(WATCH, pid)
        for member in joined.members:
            # Written down before it can be stopped.
            self._way.note_member(self._note, member, is_others=False)
            self._add(member, from_birth=self._crowd.is_born_since(member))
        alive = self._crowd.pids()
        self._members = {pid: m for pid, m in self._members.items() if pid in alive}
        return self._see_left()

    def counts(self) -> Counts:
        """Return totals since it was applied; the target waits as a whole."""
        told = self._page.read()
        return Counts(
            charged_bytes=told.charged_bytes,
            held_ns=told.held_ns(time.monotonic_ns()),
            holds=told.stops,
            waiting=int(told.since_ns > 0),
            processes=len(self._crowd.pids()),
        )

    def descriptors(self) -> tuple[int, ...]:
        """Return what the helper's end can be seen by."""
        return (self._pidfd,) if self._pidfd >= 0 else ()

    def undo(self) -> tuple[str, ...]:
        """Let the helper continue the target and end; where it does not, do it here."""
        if self._count is not None:
            # Before the helper lets it run: it is not to be told to stop it again.
            self._count.close()
            self._count = None
        if self._socket is None:
            return ()
        self._socket.close()
        self._socket = None
        has_ended = self._pidfd >= 0 and _is_readable(self._pidfd, _ENDING_S)
        if not has_ended:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            _, status = os.waitpid(self._pid, 0)
            has_ended = has_ended and status == 0
        if self._pidfd >= 0:
            os.close(self._pidfd)
            self._pidfd = -1
        return () if has_ended else self._way.go([*self._members.values()])

    def _add(self, member: Member, *, from_birth: bool) -> None:
        self._members[member.pid] = member
        self._tell(ADD, member.pid, member.start_ns, from_birth=from_birth)
        if self._count is not None:
            self._count.add(member.pid, is_late=from_birth)

    def _see_left(self) -> str:
        """Note who was stopped by somebody else: those are not continued when this ends."""
        left = frozenset(self._page.read().left) & self._members.keys()
        for pid in (left ^ self._left) & self._members.keys():
            self._way.note_member(self._note, self._members[pid], is_others=pid in left)
        self._left = left
        if not left:
            return ""
        names = ", ".join(self._members[pid].name for pid in sorted(left)[:3])
        return f"{names}: stopped by somebody else, and left so"

    def _tell(self, what: int, first: int, start_ns: int = 0, *, from_birth: bool = False) -> None:
        if self._socket is None:
            return
        try:
            self._socket.send(ORDER.pack(what, first, start_ns, from_birth))
        except OSError as error:
            raise EnforcerError(
                f"the process that pauses {self._name} does not listen: {error}"
            ) from None


def _rate(order: Order) -> int:
    if order.rate_bytes_per_s is None:
        raise EnforcerError("pause needs a rate")
    return max(order.rate_bytes_per_s, 1)


def _is_readable(fd: int, seconds: float) -> bool:
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(seconds * 1000))
