"""What acts on frames: rules by themselves, and a person through the screen or a command.

Everything is done in the session's thread. The keeper does the work and owns what is in force; when
this process ends in any way, the keeper sees the connection end and takes back what came from here.

A thread that is held waits at the edge of the kernel, on its way back to its program: it has no
inode, page or journal locked that another one's fsync could wait for. So nobody has to be let go
because a victim is blocked behind him; locks between programs (flock, a database's own) cannot be
seen from outside, and a rate is never 0, so whoever holds one goes on.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TypeVar

import msgspec

from iotop_ng.control.link import Keeper, Link
from iotop_ng.control.marks import Marks
from iotop_ng.control.ruling import TICK_NS, Ruling
from iotop_ng.enforcers.orders import Author, Failed, InForce, Listing, Order, Released, Rung
from iotop_ng.enforcers.run_dir import run_dir
from iotop_ng.errors import NotPermittedError
from iotop_ng.model.frame import Frame
from iotop_ng.policy.actions import MANUAL_LEASE_NS, NS_PER_S, Action, Notice, Reason, Target
from iotop_ng.policy.protect import Protection
from iotop_ng.policy.rule import Rules
from iotop_ng.sample import Need
from iotop_ng.units import clean

LOOK_NS = NS_PER_S - TICK_NS // 2
"""How often the rules look whether what they hold is still in force."""
BY_HAND = Reason("", "by hand")


T = TypeVar("T")
_READ_ONLY = Failed("--read-only does nothing to processes", NotPermittedError.exit_code)


class Engine:
    """The control of a session.

    Args:
        rules: what is done without being asked; None: only what a person orders.
        author: who all of it is done for.
        enforce: False lets the rules only say what they would do; a person's orders have their own
            `dry_run`.
        open_keeper: connects to the keeper, and starts one where there is none.
        find_keeper: connects to a keeper that is there already, to show what others have in force.
        protection: who is never touched besides the built-in list; None: this process.
        tell: takes each action of the rules as it is carried out.
        read_only: shows what others have in force; no order leaves this process.
    """

    def __init__(
        self,
        rules: Rules | None,
        author: Author,
        *,
        enforce: bool = False,
        open_keeper: Callable[[], Keeper] | None = None,
        find_keeper: Callable[[], Keeper | None] | None = None,
        protection: Protection | None = None,
        tell: Callable[[Action], None] = lambda _: None,
        read_only: bool = False,
    ) -> None:
        self._read_only = read_only
        self._link = Link(
            open_keeper or (lambda: _open(author)), find_keeper or (lambda: _find(author))
        )
        self._marks = Marks()
        self._tell = tell
        self._protection = protection
        self._rules = rules
        self._ruling = self._made(rules, enforce=enforce)
        self._problem = ""
        self._now_ns = 0
        self._wall_ns = 0
        self._looked_ns: int | None = None

    def _made(self, rules: Rules | None, *, enforce: bool) -> Ruling | None:
        if rules is None or not (rules.rules or rules.guards) or self._read_only:
            return None
        own = ours() if self._protection is None else self._protection
        return Ruling(rules, own, self._link, enforce=enforce, tell=self._told)

    # -- the session's control ------------------------------------------------------------------

    @property
    def interval_s(self) -> float | None:
        """How often the rules look; None without rules."""
        return None if self._ruling is None else TICK_NS / NS_PER_S

    @property
    def needs(self) -> frozenset[Need]:
        """What the rules need measured: system calls only where a latency decides."""
        rules = self._rules
        if rules is None:
            return frozenset()
        asks = any(rule.fsync_over_ns is not None for rule in rules.rules)
        asks = asks or any(guard.target_ns is not None for guard in rules.guards)
        return frozenset({Need.SYSCALLS}) if asks else frozenset()

    def tick(self, frame: Frame) -> None:
        """Let the rules look at a frame. Never raises."""
        self._now_ns, self._wall_ns = frame.mono_ns, frame.wall_ns
        if self._ruling is None:
            return
        self._ruling.tick(frame)
        looked_ns = self._looked_ns
        if self._ruling.ids and (looked_ns is None or self._now_ns - looked_ns >= LOOK_NS):
            try:
                self._look()
            except Exception as error:  # noqa: BLE001 - what is in force is not known
                self._ruling.fail_open(f"the rules failed: {type(error).__name__}: {error}")

    def blind(self, why: str) -> None:
        """Take note of an interval without a frame. Never raises."""
        if self._ruling is not None:
            self._ruling.blind(why)

    def mark(self, frame: Frame) -> Frame:
        """Return the frame with what is in force in it. Never raises."""
        self._now_ns, self._wall_ns = frame.mono_ns, frame.wall_ns
        try:
            return self._marks.mark(frame, self._look(), self.problem)
        except Exception as error:  # noqa: BLE001 - numbers must come, whatever is wrong here
            problem = clean(f"what is in force cannot be shown: {type(error).__name__}: {error}")
            return msgspec.structs.replace(frame, policy_problem=problem)

    def close(self) -> None:
        """Take back everything that came from here; twice is fine."""
        if self._ruling is not None:
            self._ruling.fail_open("iotop-ng ends")
        self._link.close(Reason("", "iotop-ng ends"))

    @property
    def problem(self) -> str:
        """What went wrong last, one sentence; "" when the last thing went well."""
        return self._problem or ("" if self._ruling is None else self._ruling.problem)

    # -- what a person orders: in the session's thread ---------------------------------------------

    def warm(self) -> Failed | None:
        """Connect to the keeper now, so that the next order is carried out at once."""
        return _READ_ONLY if self._read_only else self._kept(self._link.warm())

    def ladder(self, order: Order) -> tuple[Rung, ...] | Failed:
        """Return what each mechanism could do; nothing is done."""
        return _READ_ONLY if self._read_only else self._kept(self._link.ladder(order))

    def apply(self, order: Order) -> InForce | Failed:
        """Put a policy in force. A target that the own rules hold is taken over from them."""
        if self._read_only:
            return _READ_ONLY
        self._take_over(order.target)
        return self._kept(self._link.apply(order))

    def change(
        self,
        number: int,
        rate_bytes_per_s: int | None = None,
        lease_ns: int = MANUAL_LEASE_NS,
        reason: Reason = BY_HAND,
    ) -> InForce | Failed:
        """Set another rate, or only start the lease anew."""
        if self._read_only:
            return _READ_ONLY
        return self._kept(self._link.change(number, reason, lease_ns, rate_bytes_per_s))

    def release(
        self, ids: tuple[int, ...] | None = None, reason: Reason = BY_HAND
    ) -> Released | Failed:
        """Take back these, or everything that is in force, whoever applied it."""
        if self._read_only:
            return _READ_ONLY
        released = self._link.release(ids, reason)
        # The rules hear of it at once, and keep away.
        self._look()
        return self._kept(released)

    def rule(self, rules: Rules | None, *, enforce: bool) -> Failed | None:
        """Go over to other rules: what those before hold is released first. None: no rules."""
        if self._read_only:
            return _READ_ONLY
        if self._ruling is not None:
            self._ruling.fail_open("other rules")
        self._rules = rules
        self._ruling = self._made(rules, enforce=enforce)
        return None

    def _take_over(self, target: Target) -> None:
        if self._ruling is not None and target in self._ruling.ids:
            self._ruling.yield_to_hand(target, self._now_ns)

    # -- inside -----------------------------------------------------------------------------------

    def _look(self) -> Listing | None:
        found = self._link.look(self._marks.last_seq)
        if isinstance(found, Failed):
            self._problem = found.message
            return None
        if found is None:
            return None
        self._looked_ns = self._now_ns
        self._marks.note(found)
        if self._ruling is not None:
            self._ruling.reconcile(found, self._now_ns)
        return found

    def _kept(self, answer: T) -> T:
        """Keep what went wrong for the frames."""
        self._problem = answer.message if isinstance(answer, Failed) else ""
        return answer

    def _told(self, action: Action) -> None:
        if isinstance(action, Notice):
            self._marks.note_notice(action, self._wall_ns)
        self._tell(action)


def ours() -> Protection:
    """Return this process and the leader of its terminal's session as protected."""
    try:
        leaders = frozenset({os.getsid(0)}) - {0}
    except OSError:
        leaders = frozenset()
    return Protection(own_pids=frozenset({os.getpid()}), terminal_pids=leaders)


def _open(author: Author) -> Keeper:
    # It reads /proc and the programs' cache: nobody who only looks pays for that.
    from iotop_ng.enforcers.client import KeeperClient  # noqa: PLC0415 - for who acts

    return KeeperClient.open(author)


def _find(author: Author) -> Keeper | None:
    """Connect to a keeper where one is; costs one look at a file where none is."""
    if not os.access(run_dir().socket, os.W_OK):
        return None
    from iotop_ng.enforcers.client import KeeperClient  # noqa: PLC0415 - for who acts

    return KeeperClient.open(author, spawn=False)
