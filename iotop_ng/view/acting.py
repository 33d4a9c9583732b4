"""What the screen asks of the session's thread, the orders it makes, and the words for answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Generic, Protocol, TypeVar

from iotop_ng.enforcers.orders import Failed, InForce, Kind, Mechanism, Order, Released, Rung
from iotop_ng.errors import EnforcerError
from iotop_ng.model.frame import Row
from iotop_ng.policy.actions import NS_PER_S, ProcessTarget, Reason
from iotop_ng.policy.rule import Rules
from iotop_ng.ports import Control
from iotop_ng.units import human, span

T = TypeVar("T")


class Engine(Protocol):
    """What acts, in the session's thread. What cannot be done is an answer, not an exception."""

    def warm(self) -> Failed | None:
        """Be ready to act soon: connect to the keeper."""
        ...

    def ladder(self, order: Order) -> tuple[Rung, ...] | Failed:
        """Return what would work, best first. Nothing is done."""
        ...

    def apply(self, order: Order) -> InForce | Failed:
        """Do it."""
        ...

    def change(
        self, number: int, rate_bytes_per_s: int | None, lease_ns: int, reason: Reason
    ) -> InForce | Failed:
        """Go over to another rate, with a new lease."""
        ...

    def release(self, ids: tuple[int, ...] | None, reason: Reason) -> Released | Failed:
        """Take back these policies, or with None everything in force."""
        ...

    def rule(self, rules: Rules | None, *, enforce: bool) -> Failed | None:
        """Go over to other rules; None: only what a person orders."""
        ...


class ActingControl(Control, Engine, Protocol):
    """The control of a session that a person can ask, too."""


class Errand(Protocol):
    """Something to be done in the session's thread and answered in the widgets' thread."""

    def carry_out(self, engine: Engine) -> Callable[[], None]:
        """Do it; return the answering. Never raises."""
        ...

    def refuse(self, why: str) -> Callable[[], None]:
        """Return the answering of what could not be tried."""
        ...


@dataclass(frozen=True)
class Wish(Generic[T]):
    """One job for the engine and what to do with its result, or with the reason why not."""

    job: Callable[[Engine], T | Failed]
    reply: Callable[[T | Failed], None]

    def carry_out(self, engine: Engine) -> Callable[[], None]:
        """Do the job; return the answering. Never raises."""
        try:
            answer = self.job(engine)
        except Exception as error:  # noqa: BLE001 - the session goes on; the screen says it
            first_line = (str(error).splitlines() or [""])[0]
            return self.refuse(f"{type(error).__name__} {first_line}".rstrip())
        return partial(self.reply, answer)

    def refuse(self, why: str) -> Callable[[], None]:
        """Return the answering of what could not be tried."""
        return partial(self.reply, Failed(why, EnforcerError.exit_code))


# -- orders ---------------------------------------------------------------------------------------


def name_of(row: Row) -> str:
    """Return a process as people call it: "dd[4242]"."""
    return f"{row.comm}[{row.pid}]"


def reason(text: str, row: Row | None = None) -> Reason:
    """Return why: a person wanted it, with what the process wrote then."""
    if row is None:
        return Reason(rule="", text=text)
    return Reason(rule="", text=text, name=name_of(row), written_bytes_per_s=written(row))


def written(row: Row) -> int | None:
    """Return what a row writes now, in whole bytes per second; None when it is not known."""
    rate = row.write_bytes_per_s
    return None if rate is None else int(rate)


def bare_order(row: Row, kind: Kind) -> Order:
    """Return an order on a process that leaves everything else at its default."""
    return Order(
        kind=kind,
        target=ProcessTarget(row.key, row.pid, row.start_ns),
        reason=reason(f"{kind.value} by hand", row),
        before_bytes_per_s=written(row),
    )


# -- answers --------------------------------------------------------------------------------------


def applied(policy: InForce, *, lease_ns: int | None = None, si: bool = False) -> str:
    """Return what is in force now: "dd[4242] held to 5.0M/s (hold), 10 min".

    Args:
        policy: as it is after the order.
        lease_ns: from now on; None for one that was applied just now.
        si: decimal units.
    """
    order = policy.order
    is_dry = order.dry_run or policy.mechanism is Mechanism.DRY_RUN
    what = _what(order, si=si)
    how = policy.mechanism.value.replace("_", " ")
    lease = span((lease_ns or policy.until_ns - policy.since_ns) / NS_PER_S)
    head = f"dry run, nothing is done: {policy.name}" if is_dry else policy.name
    tail = f": {policy.problem}" if policy.problem else ""
    return f"{head} {what} ({how}), {lease}{tail}"


def _what(order: Order, *, si: bool) -> str:
    rate = order.rate_bytes_per_s
    match order.kind:
        case Kind.THROTTLE:
            return f"held to {human(rate, si=si)}/s"
        case Kind.DROP if rate:
            return f"loses what it writes beyond {human(rate, si=si)}/s ({order.errno_name})"
        case Kind.DROP:
            return f"can write nothing ({order.errno_name})"
        case Kind.IONICE:
            level = "" if order.io_class == "idle" else f" {order.io_level}"
            return f"set to {order.io_class}{level}"


def released(answer: Released) -> str:
    """Return what was taken back, and what could not be."""
    if not answer.names and not answer.problems:
        return "nothing was in force"
    parts = [f"released {', '.join(answer.names)}"] if answer.names else []
    return "; ".join([*parts, *answer.problems])
