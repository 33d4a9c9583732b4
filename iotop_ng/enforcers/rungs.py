"""Which mechanism carries an order out here: look at each, and take the best that works."""

from __future__ import annotations

import errno
from collections.abc import Mapping

from iotop_ng.enforcers.enforcer import Enforcer, Pinned
from iotop_ng.enforcers.orders import LADDER, Kind, Mechanism, Order, Rung
from iotop_ng.errors import EnforcerError, IotopError, UsageError
from iotop_ng.policy.actions import NS_PER_S, ProcessTarget
from iotop_ng.sample import process_key
from iotop_ng.units import MAX_SIZE

MAX_LEASE_NS = 7 * 24 * 3600 * NS_PER_S
MAX_PATHS = 16
MAX_PATH = 256
IO_CLASSES = frozenset({"idle", "best-effort", "realtime"})

_RUNGS = {
    Kind.THROTTLE: LADDER,
    Kind.DROP: (Mechanism.DROP,),
    Kind.IONICE: (Mechanism.IONICE,),
}


class NoRungError(EnforcerError):
    """No mechanism can do it here; says what each one said.

    Attributes:
        rungs: all that were looked at.
    """

    def __init__(self, message: str, rungs: tuple[Rung, ...]) -> None:
        super().__init__(message)
        self.rungs = rungs


def check(order: Order) -> None:
    """Look at an order alone.

    Raises:
        UsageError: it asks for something that does not exist.
    """
    target, rate = order.target, order.rate_bytes_per_s
    if isinstance(target, ProcessTarget) and target.key != process_key(target.pid, target.start_ns):
        raise UsageError("the target's key is not of its pid and start time")
    if order.kind is Kind.THROTTLE and rate is None:
        raise UsageError("throttle needs a rate")
    if rate is not None:
        check_rate(rate)
    check_lease(order.lease_ns)
    if order.errno_name not in errno.errorcode.values():
        raise UsageError(f"there is no error {order.errno_name[:20]!r}")
    if order.budget_bytes is not None and order.budget_bytes <= 0:
        raise UsageError("a budget has to be more than nothing")
    if len(order.paths) > MAX_PATHS or any(not 0 < len(p) <= MAX_PATH for p in order.paths):
        raise UsageError(f"at most {MAX_PATHS} patterns of 1 to {MAX_PATH} characters")
    if order.io_class not in IO_CLASSES or not 0 <= order.io_level <= 7:
        raise UsageError("an I/O priority is idle, best-effort or realtime, level 0 to 7")
    known = {*_RUNGS[order.kind], Mechanism.DRY_RUN}
    if order.mechanism is not None and order.mechanism not in known:
        raise UsageError(f"{order.mechanism.value} does not {order.kind.value}")


def check_rate(rate: int) -> None:
    """Refuse what is no rate.

    Raises:
        UsageError: saying which rates there are.
    """
    if not 0 < rate <= MAX_SIZE:
        raise UsageError("a rate is at least 1 byte and at most 1 EiB per second")


def check_lease(lease_ns: int) -> None:
    """Refuse what is no lease.

    Raises:
        UsageError: saying how long a lease may be.
    """
    if not 0 < lease_ns <= MAX_LEASE_NS:
        raise UsageError("a lease is more than nothing and at most 7 days")


def ladder(
    enforcers: Mapping[Mechanism, Enforcer], pinned: Pinned, order: Order
) -> tuple[Rung, ...]:
    """Return all mechanisms for this kind of order, best first. Changes nothing."""
    return tuple(_look(enforcers, one, pinned, order) for one in _RUNGS[order.kind])


def choose(enforcers: Mapping[Mechanism, Enforcer], pinned: Pinned, order: Order) -> Mechanism:
    """Return the mechanism that was asked for, or the first one that works.

    Raises:
        NoRungError: it does not work here.
    """
    asked = order.mechanism if order.mechanism is not Mechanism.DRY_RUN else None
    seen = []
    for mechanism in (asked,) if asked else _RUNGS[order.kind]:
        rung = _look(enforcers, mechanism, pinned, order)
        if rung.works:
            return mechanism
        seen.append(rung)
    said = "; ".join(f"{rung.mechanism.value}: {rung.why}" for rung in seen)
    message = f"{pinned.name}: cannot {order.kind.value} here: {said}"
    raise NoRungError(message, ladder(enforcers, pinned, order) if asked else tuple(seen))


def _look(
    enforcers: Mapping[Mechanism, Enforcer], mechanism: Mechanism, pinned: Pinned, order: Order
) -> Rung:
    enforcer = enforcers.get(mechanism)
    if enforcer is None:
        return Rung(mechanism, works=False, why="not part of this installation", does="")
    try:
        return enforcer.rung(pinned, order)
    except IotopError as error:
        return Rung(mechanism, works=False, why=str(error), does="")
    except Exception as error:  # noqa: BLE001 - the other rungs are looked at all the same
        why = f"unexpected {type(error).__name__}: {error}"
        return Rung(mechanism, works=False, why=why, does="")
