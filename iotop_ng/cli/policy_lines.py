"""What is in force, as JSON records and as lines for a person."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone

import msgspec

from iotop_ng.clock import NS_PER_S
from iotop_ng.enforcers.orders import Kind, Order
from iotop_ng.units import count, human, span

SCHEMA = 1
HEADER = ("TARGET", "NAME", "POLICY", "BY", "WRITTEN", "HELD", "REFUSED", "LEFT", "EFFECT")


class Record(msgspec.Struct, frozen=True):
    """One policy in force, as JSON has it. None is "not measured"."""

    id: int
    target: str
    """As it is written on a command line: "4242", "cgroup:/app"."""
    name: str
    kind: str
    mechanism: str
    rate_bytes_per_s: int | None
    by: str
    rule: str
    remaining_s: float
    processes: int | None
    written_bytes_per_s: float | None
    """Since the look before."""
    before_bytes_per_s: int | None
    """When it was applied."""
    held_pct: float | None
    """Time that its threads were made to wait, summed over them: above 100 when several did."""
    refused_calls_per_s: float | None
    refused_bytes_per_s: float | None
    written_bytes_total: int | None
    """As the mechanism counted them, since it was applied, as all totals."""
    held_s_total: float | None
    refused_calls_total: int | None
    refused_bytes_total: int | None
    effect: str
    why: str
    problem: str


def what(one: Record) -> str:
    """Return what is done: "throttle 5.0M/s by hold"."""
    rate = "" if one.rate_bytes_per_s is None else f" {human(one.rate_bytes_per_s)}/s"
    beyond = " beyond" if one.kind == Kind.DROP.value and rate else ""
    by_what = "" if one.mechanism == one.kind else f" by {one.mechanism}"
    return f"{one.kind}{beyond}{rate}{by_what}"


def deed(order: Order, name: str) -> str:
    """Return what an order does: "throttle dd[4242] to 5.0M/s"."""
    rate = None if order.rate_bytes_per_s is None else f"{human(order.rate_bytes_per_s)}/s"
    if order.kind is not Kind.DROP:
        return f"throttle {name} to {rate}"
    beyond = f" beyond {rate}" if rate else ""
    where = f" to {', '.join(order.paths)}" if order.paths else ""
    most = "" if order.budget_bytes is None else f", at most {human(order.budget_bytes)} an hour"
    return f"refuse writes of {name}{where}{beyond} with {order.errno_name}{most}"


def line(one: Record, wall_ns: int, name_width: int = 0) -> str:
    """Return one second of one policy, for a person."""
    is_drop = one.kind == Kind.DROP.value
    parts = [
        clock_time(wall_ns),
        f"{one.name:<{name_width}}",
        f"written {_rate(one.written_bytes_per_s):>6}",
        f"refused {refused(one):>6}" if is_drop else f"held {_share(one.held_pct):>5}",
        f"left {span(one.remaining_s)}",
        one.effect,
    ]
    return "  ".join(part for part in parts if part)


def refused(one: Record) -> str:
    """Return refused calls per second, and their bytes where they are known: "120/s 12M/s"."""
    calls = "-" if one.refused_calls_per_s is None else f"{count(one.refused_calls_per_s)}/s"
    return f"{calls} {_rate(one.refused_bytes_per_s)}" if one.refused_bytes_per_s else calls


def table(records: Sequence[Record]) -> list[str]:
    """Return what is in force as aligned lines, titles first."""
    rows = [HEADER, *(_cells(one) for one in records)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _cells(one: Record) -> tuple[str, ...]:
    problem = "; ".join(part for part in dict.fromkeys((one.why, one.problem)) if part)
    return (
        one.target,
        one.name,
        what(one),
        one.by,
        _rate(one.written_bytes_per_s),
        _share(one.held_pct),
        refused(one),
        span(one.remaining_s),
        f"{one.effect or '-'} ({problem})" if problem else one.effect or "-",
    )


def _rate(value: float | None) -> str:
    return "-" if value is None else f"{human(value)}/s"


def _share(pct: float | None) -> str:
    return "-" if pct is None else f"{pct:.0f}%"


def clock_time(wall_ns: int) -> str:
    """Return a time of day in this machine's zone: "14:03:07"."""
    return (
        datetime.fromtimestamp(wall_ns // NS_PER_S, timezone.utc).astimezone().strftime("%H:%M:%S")
    )
