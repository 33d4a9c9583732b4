"""An engine that acts on nobody, a feed without a thread, and frames with policies in them."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from msgspec.structs import replace

from iotop_ng.enforcers.orders import (
    Author,
    Failed,
    InForce,
    Kind,
    Mechanism,
    Order,
    Released,
    Rung,
)
from iotop_ng.model.frame import Frame, PolicyEvent, PolicyRow, Row
from iotop_ng.policy.actions import CgroupTarget, Reason
from iotop_ng.policy.rule import Rules
from iotop_ng.view.acting import Errand
from tests.fakes import frames

MIB = 1 << 20
AUTHOR = Author("screen", 77, 0, "root", "/dev/pts/3")
LADDER = (
    Rung(Mechanism.HOLD, True, "", "The writing thread waits; no signal is seen by the program."),
    Rung(
        Mechanism.IO_MAX,
        True,
        "buffered writers escape it for some seconds",
        "The kernel limits the whole cgroup on this disk.",
        others=("nginx[917]", "cron[33]"),
        survives="the limit, until iotop-ng undo",
    ),
    Rung(Mechanism.PAUSE, False, "it has no cgroup of its own", "The process is stopped in turns."),
)
NO_LSM = Rung(
    Mechanism.DROP,
    False,
    "this kernel was started without BPF LSM (lsm=...,bpf)",
    "Refuses writes.",
)
CAN_DROP = Rung(Mechanism.DROP, True, "", "Writes to regular files fail beyond the rate.")


class Asked(NamedTuple):
    """One call."""

    what: str
    order: Order | None = None
    ids: tuple[int, ...] | None = None
    rate: int | None = None
    lease_ns: int = 0
    rules: Rules | None = None
    enforce: bool = False


class FakeEngine:
    """Answers as told, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.rungs: dict[Kind, tuple[Rung, ...] | Failed] = {
            Kind.THROTTLE: LADDER,
            Kind.DROP: (CAN_DROP,),
            Kind.IONICE: (Rung(Mechanism.IONICE, True, "", "The scheduler serves it last."),),
        }
        self.failure: Failed | None = None
        self._orders: dict[int, Order] = {}

    def warm(self) -> Failed | None:
        self.asked.append(Asked("warm"))
        return None

    def ladder(self, order: Order) -> tuple[Rung, ...] | Failed:
        self.asked.append(Asked("ladder", order))
        return self.rungs[order.kind]

    def apply(self, order: Order) -> InForce | Failed:
        self.asked.append(Asked("apply", order))
        if self.failure is not None:
            return self.failure
        number = len(self._orders) + 1
        self._orders[number] = order
        return in_force(number, order)

    def change(
        self, number: int, rate_bytes_per_s: int | None, lease_ns: int, reason: Reason
    ) -> InForce | Failed:
        assert reason.text
        self.asked.append(Asked("change", None, (number,), rate_bytes_per_s, lease_ns))
        if self.failure is not None:
            return self.failure
        order = self._orders.get(number) or order_on(frames.row(4242, "log-flood"))
        return in_force(number, replace(order, rate_bytes_per_s=rate_bytes_per_s))

    def release(self, ids: tuple[int, ...] | None, reason: Reason) -> Released | Failed:
        assert reason.text
        self.asked.append(Asked("release", None, ids))
        if self.failure is not None:
            return self.failure
        return Released(("log-flood[4242]",))

    def rule(self, rules: Rules | None, *, enforce: bool) -> Failed | None:
        self.asked.append(Asked("rule", rules=rules, enforce=enforce))
        return self.failure

    def calls(self, what: str) -> list[Asked]:
        return [call for call in self.asked if call.what == what]


def order_on(row: Row, kind: Kind = Kind.THROTTLE, rate: int | None = 5 * MIB) -> Order:
    from iotop_ng.view.acting import bare_order

    return replace(bare_order(row, kind), rate_bytes_per_s=rate)


def in_force(number: int, order: Order) -> InForce:
    mechanism = order.mechanism or {
        Kind.THROTTLE: Mechanism.HOLD,
        Kind.DROP: Mechanism.DROP,
        Kind.IONICE: Mechanism.IONICE,
    }.get(order.kind, Mechanism.DRY_RUN)
    target = order.target
    name = target.path if isinstance(target, CgroupTarget) else order.reason.name
    start = 10**12
    return InForce(number, order, mechanism, name, AUTHOR, start, start + order.lease_ns)


class FakeFeed:
    """Carries errands to an engine at once, or when `deliver` is called."""

    interval_s = 1.0

    def __init__(self, engine: FakeEngine, *, is_slow: bool = False) -> None:
        self.engine = engine
        self.is_slow = is_slow
        self.stopped = 0
        self._waiting: list[Callable[[], None]] = []

    def start(self) -> None:
        pass

    def stop(self) -> bool:
        self.stopped += 1
        return True

    def need(self, needs: object) -> None:
        pass

    def ask(self, errand: Errand) -> None:
        then = errand.carry_out(self.engine)
        if self.is_slow:
            self._waiting.append(then)
        else:
            then()

    def deliver(self) -> None:
        waiting, self._waiting = self._waiting, []
        for then in waiting:
            then()


# -- frames ---------------------------------------------------------------------------------------


def policy(number: int, row: Row | None, **other: object) -> PolicyRow:
    """Return a throttle to 5M that works; `other` replaces fields."""
    base = PolicyRow(
        id=number,
        key=None if row is None else row.key,
        cgroup=None,
        pid=None if row is None else row.pid,
        name="/system.slice/app.service" if row is None else f"{row.comm}[{row.pid}]",
        kind="throttle",
        mechanism="hold",
        rate_bytes_per_s=5 * MIB,
        by="root on pts/3",
        rule="",
        since_ns=10**9,
        remaining_s=552.0,
        processes=1,
        written_bytes_per_s=5.1 * MIB,
        before_bytes_per_s=198 * MIB,
        held_pct=83.2,
        effect="effective",
        text="throttle 5M",
    )
    return replace(base, **other)


def acting_frame(tick: int = frames.FIRST_TICK) -> Frame:
    """Return the scripted host with two policies in force, one tried dry, and a history."""
    rows = {row.pid: row for row in frames.processes(tick)}
    flood = replace(rows[4242], policy="throttle 5M", write_bytes_per_s=5.1 * MIB)
    server = replace(rows[917], policy="drop")
    backup = replace(rows[2201], policy="would throttle 1M")
    policies = (
        policy(1, flood),
        policy(
            2,
            server,
            kind="drop",
            mechanism="drop",
            rate_bytes_per_s=None,
            held_pct=None,
            refused_calls_per_s=120.4,
            refused_bytes_per_s=1.2 * MIB,
            refused_calls_total=4012,
            refused_bytes_total=31 * MIB,
            written_bytes_per_s=0.0,
            before_bytes_per_s=round(1.2 * MIB),
            effect="partly",
            why="2 of 3 files are open for mmap",
            text="drop",
        ),
        policy(
            3,
            backup,
            mechanism="dry_run",
            is_dry=True,
            held_pct=None,
            effect="",
            by="rule flood",
            rule="flood",
            remaining_s=41.0,
            text="would throttle 1M",
        ),
    )
    shown = {row.pid: row for row in (flood, server, backup)}
    base = frames.frame(tick)
    return replace(
        base,
        rows=tuple(shown.get(row.pid, row) for row in base.rows),
        policies=policies,
        policy_events=EVENTS,
    )


def _event(seq: int, what: str, name: str, text: str, by: str = "root on pts/3") -> PolicyEvent:
    return PolicyEvent(seq, frames.WALL_NS + seq * 10**9, what, name, text, by)


EVENTS = (
    _event(1, "recovered", "", "io.max of /system.slice/app.service put back", ""),
    _event(2, "applied", "log-flood[4242]", "throttle to 20M by hold; it wrote 198M/s"),
    _event(3, "adjusted", "log-flood[4242]", "from 20M to 5.0M"),
    _event(4, "refused", "sshd[1]", "it is protected: a service of the machine"),
    _event(5, "applied", "postgres[917]", "drop by BPF LSM"),
    _event(6, "would", "rsync[2201]", "throttle to 1.0M", "rule flood"),
)
