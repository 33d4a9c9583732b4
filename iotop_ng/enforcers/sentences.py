"""What the keeper says of policies and of what went wrong."""

from __future__ import annotations

from iotop_ng.enforcers.dry_run import describe, priority
from iotop_ng.enforcers.held import Held
from iotop_ng.enforcers.orders import Author, Kind
from iotop_ng.errors import IotopError, TargetError
from iotop_ng.policy.actions import Reason
from iotop_ng.units import human


def by(author: Author | None) -> str:
    """Return "screen of root on pts/3"."""
    if author is None:
        return "a client without a name"
    terminal = f" on {author.terminal.removeprefix('/dev/')}" if author.terminal else ""
    return f"{author.client} of {author.user or author.uid}{terminal}"


def doing(held: Held) -> str:
    """Return "dd[42] is held to 5.0M/s by hold"."""
    order, how = held.order, held.mechanism.value
    if held.is_dry:
        return describe(order, held.name)
    if order.kind is Kind.IONICE:
        return f"{held.name} has I/O priority {priority(order)}"
    rate = "nothing" if order.rate_bytes_per_s is None else f"{human(order.rate_bytes_per_s)}/s"
    if order.kind is Kind.DROP:
        return f"{held.name} may write {rate}, the rest is refused ({order.errno_name})"
    return f"{held.name} is held to {rate} by {how}"


def because(reason: Reason) -> str:
    """Return the reason as the end of a sentence, "" without one."""
    return f": {reason.text}" if reason.text else ""


def said(error: Exception) -> str:
    """Return what an error says, in one line."""
    if isinstance(error, IotopError):
        return str(error)
    return f"unexpected {type(error).__name__}: {error}"


def ending(error: Exception) -> str:
    """Return which event this error is when it ends a policy."""
    return "ended" if isinstance(error, TargetError) else "failed"
