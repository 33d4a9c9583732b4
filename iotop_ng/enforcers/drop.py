"""Drop: writes beyond the rate fail, by a BPF security program (bpf/drop.c).

Data is lost, and most programs end or give the stream up: this is not a pause. The programs hang
on descriptors of the keeper: when it dies, however it dies, all writes go through again.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from iotop_ng.enforcers.drop_ability import Facts, read_facts, why_not
from iotop_ng.enforcers.drop_budget import Window
from iotop_ng.enforcers.drop_kernel import ENDED_UNKNOWN, ERRORS, DropLimit, Kernel, load_kernel
from iotop_ng.enforcers.drop_paths import Look, OpenFiles
from iotop_ng.enforcers.enforcer import BudgetSpent, Note, Pinned
from iotop_ng.enforcers.orders import Counts, Mechanism, Order, Rung
from iotop_ng.enforcers.pinned import family
from iotop_ng.errors import EnforcerError, IotopError, TargetError
from iotop_ng.policy.actions import CgroupTarget
from iotop_ng.units import human


class DropEffect:
    """One policy: a slot of the programs, the processes in it, and the files that are marked."""

    def __init__(self, kernel: Kernel, pinned: Pinned, order: Order) -> None:
        self._kernel = kernel
        self._pinned = pinned
        self._order = order
        self._window = Window()
        self._slot = kernel.take(_limit(order))
        self._files: OpenFiles | None = None
        self._look = Look(0, 0)
        self._last: Counts | None = None

    def start(self) -> None:
        """Enter the processes: from the return on, they are refused."""
        pids = family(self._pinned, with_children=self._order.with_children)
        if self._order.paths:
            self._files = OpenFiles(self._order.paths, self._kernel.marks(self._slot))
            self._look = self._files.look(pids)
        for pid in pids:
            self._kernel.add(pid, self._slot)
        # A pid that was used again meanwhile would be somebody else's.
        self._pinned.check()

    def adjust(self, order: Order) -> None:
        """Go over to another rate."""
        self._order = order
        self._kernel.change(self._slot, _limit(order))

    def tick(self, now_ns: int) -> str:
        """Follow the target's processes and files, and the budget.

        Raises:
            BudgetSpent: nothing is refused any more; the writer should wait instead.
            TargetError: nobody of it is left.
        """
        self._watch_budget(now_ns)
        pids = self._follow()
        if self._files is not None:
            self._look = self._files.look(pids)
        return self._problem()

    def _watch_budget(self, now_ns: int) -> None:
        budget = self._order.budget_bytes
        if budget is None:
            return
        bucket = self._kernel.bucket(self._slot)
        if bucket.ended == ENDED_UNKNOWN:
            raise BudgetSpent(
                f"{self._pinned.name} writes by calls that do not say how much (io_uring): "
                "a budget of bytes cannot be kept"
            )
        if bucket.ended:
            raise BudgetSpent(
                f"{human(bucket.refused_bytes)} were refused, and the budget of {human(budget)} in "
                "an hour has no room for more"
            )
        before = self._window.returned_bytes
        if self._window.note(now_ns, bucket.refused_bytes) != before:
            self._kernel.give_room(self._slot, self._window.returned_bytes)

    def _follow(self) -> tuple[int, ...]:
        """Take in who joined the target, let go of who left it; return who is in it.

        The kernel's list is read first: who is in it and not in the cgroup has left it, and is not
        a child that was forked in between.
        """
        known = set(self._kernel.members(self._slot))
        try:
            self._pinned.check()
            now = {member.pid for member in self._pinned.members()}
        except TargetError:
            # Its children go on, and so does the drop, until the last has ended.
            if not known or not self._order.with_children:
                raise
            return tuple(known)
        for pid in now - known:
            self._kernel.add(pid, self._slot)
        if isinstance(self._order.target, CgroupTarget):
            for pid in known - now:
                self._kernel.remove(pid)
            return tuple(now)
        return tuple(known | now)

    def _problem(self) -> str:
        bucket = self._kernel.bucket(self._slot)
        if self._files is not None and not self._look.matching:
            return "none of its open files matches: nothing is refused"
        if self._look.crowded:
            return f"{self._look.crowded} of its files are refused by four other policies already"
        if bucket.lost:
            return f"{bucket.lost} writes of threads for which there was no room were charged less"
        if bucket.unsized_calls:
            return (
                f"{bucket.unsized_calls} of {bucket.refused_calls} refused calls do not say how "
                f"much they write (io_uring); the others: {human(bucket.refused_bytes)}"
            )
        return ""

    def counts(self) -> Counts:
        """Return totals; the bytes are None once a call did not say its own."""
        if self._last is not None:
            return self._last
        return self._counts(len(self._kernel.members(self._slot)))

    def _counts(self, members: int) -> Counts:
        bucket = self._kernel.bucket(self._slot)
        return Counts(
            charged_bytes=bucket.charged_bytes if self._order.rate_bytes_per_s else None,
            refused_calls=bucket.refused_calls,
            refused_bytes=None if bucket.unsized_calls else bucket.refused_bytes,
            processes=members,
        )

    def descriptors(self) -> tuple[int, ...]:
        """Return nothing: the kernel side stops at the budget by itself."""
        return ()

    def undo(self) -> tuple[str, ...]:
        """Let everybody write again, at once; the counts stay."""
        if self._last is not None:
            return ()
        try:
            members = len(self._kernel.members(self._slot))
            # The last count comes after the last refusal.
            self._kernel.give_back(self._slot)
            self._last = self._counts(members)
        except OSError as error:
            self._last = self._last or Counts()
            return (f"drop of {self._pinned.name}: {error.strerror}",)
        return ()


class DropEnforcer:
    """Refuses writes.

    Args:
        load: loads the programs.
        look: reads what can be known without loading them.
    """

    mechanism = Mechanism.DROP

    def __init__(
        self, load: Callable[[], Kernel] = load_kernel, look: Callable[[], Facts] = read_facts
    ) -> None:
        self._load = load
        self._look = look
        self._kernel: Kernel | None = None
        self._facts: Facts | None = None

    def rung(self, pinned: Pinned, order: Order) -> Rung:
        """Say whether it can work here; loads the programs once, for the kernel's own word."""
        del pinned
        why = why_not(self._known()) or self._why_not_so(order)
        works = not why
        return Rung(self.mechanism, works=works, why=why or _REMARK, does=does(order))

    def _why_not_so(self, order: Order) -> str:
        if order.errno_name not in ERRORS:
            return f"writes cannot fail with {order.errno_name}; {', '.join(ERRORS)} can"
        if order.paths and not self._loaded().knows_paths:
            return "path patterns need Linux 5.10 or newer"
        return ""

    def _known(self) -> Facts:
        """Return the facts; what loading said is kept, because it takes a moment."""
        if self._facts is not None:
            return self._facts
        facts = self._look()
        if why_not(facts):
            return facts
        try:
            facts = facts._replace(is_called=self._loaded().is_called())
        except IotopError as error:
            facts = facts._replace(refusal=str(error))
        except OSError as error:
            facts = facts._replace(refusal=f"BPF does not work here: {error.strerror}")
        self._facts = facts
        return facts

    def _loaded(self) -> Kernel:
        if self._kernel is None:
            self._kernel = self._load()
        return self._kernel

    def apply(self, pinned: Pinned, order: Order, note: Note) -> DropEffect:
        """Refuse from now on. Nothing is noted: nothing of it survives us.

        Raises:
            EnforcerError: the kernel refuses.
            TargetError: the target is gone.
        """
        del note
        if order.errno_name not in ERRORS:
            raise EnforcerError(self._why_not_so(order))
        effect = DropEffect(self._loaded(), pinned, order)
        try:
            effect.start()
        except BaseException:
            effect.undo()
            raise
        return effect


_REMARK = (
    "data is lost; calls of io_uring are refused without their size being known; files on network "
    "and FUSE mounts and in memory are written as before"
)


def does(order: Order) -> str:
    """Say what it does to the process, in one sentence."""
    number = ERRORS.get(order.errno_name)
    words = f" ({os.strerror(number)})" if number is not None else ""
    rate = order.rate_bytes_per_s
    which = "all writes" if rate is None else f"writes beyond {human(rate)}/s"
    where = ", ".join(order.paths) or "files on disks"
    return (
        f"{which} to {where} fail with {order.errno_name}{words}: most programs end or lose that "
        "stream; stores to mapped files, truncate and rename are not refused"
    )


def _limit(order: Order) -> DropLimit:
    return DropLimit(
        order.rate_bytes_per_s,
        ERRORS[order.errno_name],
        order.with_children,
        order.budget_bytes,
        bool(order.paths),
    )
