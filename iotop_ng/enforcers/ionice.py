"""I/O priority: only where a scheduler looks at it, and only for what the target issues itself."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from iotop_ng.enforcers import processes
from iotop_ng.enforcers.block_stack import BlockStack, Disk
from iotop_ng.enforcers.changes import IoPriority
from iotop_ng.enforcers.enforcer import Effect, Member, Note, Pinned
from iotop_ng.enforcers.kin import Kin
from iotop_ng.enforcers.orders import Counts, Mechanism, Order, Rung
from iotop_ng.enforcers.places import Places
from iotop_ng.errors import EnforcerError, IotopError, NotPermittedError, TargetError
from iotop_ng.policy.actions import ProcessTarget
from iotop_ng.sources.ioprio import IoPriorities

_CLASSES = {"realtime": 1, "best-effort": 2, "idle": 3}
_CLASS_SHIFT = 13
_LEVELS = 8
_BUFFERED = "buffered writes are issued by kernel threads, which do not carry it"
_DOES = "the scheduler of its disks serves what it issues {}; nothing waits that need not"
_WHEN = {
    "realtime": "before everybody else's",
    "best-effort": "by its level",
    "idle": "after everybody else's",
}


class IoniceEnforcer:
    """Sets the priority of every thread that the target has and gets."""

    def __init__(self, root: Path = Path("/"), priorities: IoPriorities | None = None) -> None:
        """Look below another root, and ask another kernel for priorities, in tests."""
        self._proc = root / "proc"
        self._stack = BlockStack(root)
        self._places = Places(root, self._stack)
        self._priorities = priorities or IoPriorities()

    @property
    def mechanism(self) -> Mechanism:
        """Its name."""
        return Mechanism.IONICE

    def rung(self, pinned: Pinned, order: Order) -> Rung:
        """Say whether a scheduler of its disks would look at the priority."""
        does = _DOES.format(_WHEN.get(order.io_class, ""))
        try:
            priority_of(order)
        except IotopError as error:
            return Rung(Mechanism.IONICE, works=False, why=str(error), does=does)
        members = pinned.members()
        disks = sorted(self._places.at_first(member.pid for member in members))
        problems = [problem for d in disks if (problem := why_ignored(self._stack, d, order))]
        works = len(problems) < len(disks)
        if not disks:
            problems = ["no disk is under the files that it writes"]
        return Rung(
            Mechanism.IONICE,
            works=works,
            why="; ".join([*problems, _BUFFERED] if works else problems),
            does=does,
            others=()
            if isinstance(pinned.target, ProcessTarget)
            else tuple(m.name for m in members),
            survives="the priority, until the process ends or 'iotop-ng undo'",
        )

    def apply(self, pinned: Pinned, order: Order, note: Note) -> Effect:
        """Set it.

        Raises:
            EnforcerError: the kernel refuses.
            TargetError: the target is gone.
            NotPermittedError: realtime needs CAP_SYS_NICE.
        """
        pinned.check()
        effect = IoniceEffect(pinned, note, priority_of(order), self._priorities, self._proc)
        effect.start()
        return effect


def priority_of(order: Order) -> int:
    """Return the value for ioprio_set(2).

    Raises:
        EnforcerError: there is no such class or level.
    """
    number = _CLASSES.get(order.io_class)
    if number is None:
        raise EnforcerError(f"ionice: no class {order.io_class!r}: {', '.join(_CLASSES)}")
    if not 0 <= order.io_level < _LEVELS:
        raise EnforcerError(f"ionice: level {order.io_level}: 0 (first) to {_LEVELS - 1}")
    return number << _CLASS_SHIFT | order.io_level


def why_ignored(stack: BlockStack, disk: Disk, order: Order) -> str:
    """Return why a disk's scheduler does not look at this priority, "" when it does.

    bfq looks at class and level. mq-deadline looks at the class alone, since 5.14; only since 5.18
    does it have prio_aging_expire, which is what is asked for here.
    """
    words = stack.queue_file(disk, "scheduler").split()
    chosen = next((word[1:-1] for word in words if word.startswith("[")), "none")
    if chosen == "bfq":
        return ""
    if chosen == "mq-deadline" and stack.has_queue_file(disk, "iosched/prio_aging_expire"):
        if order.io_class != "best-effort":
            return ""
        return f"mq-deadline on {disk.name} knows classes only, and best-effort is everybody's"
    way_out = "" if "bfq" not in words else f" (echo bfq >/sys/block/{disk.name}/queue/scheduler)"
    if chosen == "none":
        return f"{disk.name} has no scheduler that could look at priorities{way_out}"
    return f"{chosen} on {disk.name} does not look at priorities{way_out}"


class IoniceEffect:
    """The priorities of one target."""

    def __init__(
        self, pinned: Pinned, note: Note, value: int, priorities: IoPriorities, proc: Path
    ) -> None:
        self._pinned = pinned
        self._note = note
        self._priorities = priorities
        self._proc = proc
        self._value = value
        self._set: dict[tuple[int, int], IoPriority] = {}
        """(thread, start of its process) -> what was noted."""
        self._processes = 0
        self._kin: Kin | None = None
        if isinstance(pinned.target, ProcessTarget):
            self._kin = Kin(pinned.target.pid, proc)
        self._is_started = False
        self._is_over = False

    def start(self) -> None:
        """Set the priority of every thread that there is.

        Raises:
            IotopError: the kernel refuses.
        """
        for member in self._members():
            self._cover(member)
        if not self._set:
            raise TargetError(f"{self._pinned.name} has ended")
        self._is_started = True

    def adjust(self, order: Order) -> None:
        """Stay as it is: a priority has no rate.

        Raises:
            EnforcerError: another priority is asked for.
        """
        if priority_of(order) != self._value:
            raise EnforcerError("ionice: release it first, then set another priority")

    def tick(self, now_ns: int) -> str:
        """Note who has inherited it; set it where it was not inherited.

        Raises:
            EnforcerError: the kernel refuses.
            TargetError: the target has ended.
        """
        del now_ns
        if self._is_over:
            return ""
        self._pinned.check()
        for member in self._members():
            self._cover(member)
        return ""

    def counts(self) -> Counts:
        """Return how many processes it covers."""
        return Counts(processes=self._processes)

    def descriptors(self) -> tuple[int, ...]:
        """Nothing to wait on."""
        return ()

    def undo(self) -> tuple[str, ...]:
        """Set nothing any more: the journal has what was there before."""
        self._is_over = True
        return ()

    def _members(self) -> list[Member]:
        members = {member.pid: member for member in self._pinned.members()}
        if self._kin is not None:
            self._kin.look()
            for child in self._kin.family.values():
                members.setdefault(child.pid, Member(*child))
        self._processes = len(members)
        return [*members.values()]

    def _cover(self, member: Member) -> None:
        try:
            names = os.listdir(self._proc / str(member.pid) / "task")  # noqa: PTH208 (speed)
        except OSError:
            return
        handle = processes.find(member.pid, member.start_ns)
        if handle is None:
            return
        try:
            for tid in sorted(int(name) for name in names):
                if (tid, member.start_ns) not in self._set:
                    self._cover_thread(member, tid)
        finally:
            handle.close()

    def _cover_thread(self, member: Member, tid: int) -> None:
        now = self._priorities.raw(tid)
        if now is None:
            return
        before = now
        if self._is_started and now == self._value:
            # Born with it (fork and clone hand it on): without us it would have been born with
            # what the first thread had.
            before = next(iter(self._set.values())).before
        change = IoPriority(member.pid, member.start_ns, tid, before, self._value)
        self._note(change)
        self._set[tid, member.start_ns] = change
        if now != self._value:
            self._write(member, tid)

    def _write(self, member: Member, tid: int) -> None:
        try:
            self._priorities.set_raw(tid, self._value)
        except ProcessLookupError:
            return
        except OSError as error:
            what = f"ioprio_set of thread {tid} of {member.name}"
            if error.errno in {errno.EPERM, errno.EACCES}:
                raise NotPermittedError(f"{what}: it needs CAP_SYS_NICE") from None
            raise EnforcerError(f"{what}: {os.strerror(error.errno or 0)}") from None
