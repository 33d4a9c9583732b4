"""Sums over tasks: thread to process to cgroup, in integers, before anything is divided.

None is "not measured": a sum leaves such parts out, and is None where no part is known.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from msgspec.structs import astuple

from iotop_ng.model.frame import Row
from iotop_ng.model.rates import Interval, add
from iotop_ng.model.rows import Deed, Who, row
from iotop_ng.sample import NO_TOTALS, Process, Totals


def total(parts: Iterable[Totals]) -> Totals:
    """Return the sum of all parts, field by field; `NO_TOTALS` when there is none."""
    result = NO_TOTALS
    for part in parts:
        result = add(result, part)
    return result


def residual(whole: Totals, parts: Totals) -> Totals:
    """Return what of the whole the parts do not explain; with it they sum up to the whole.

    A thread can be read a moment after its process and be ahead of it: then 0, not less. Where no
    part is known (counted per process only) the residual is the whole.
    """
    return Totals(*[_beyond(w, p) for w, p in zip(astuple(whole), astuple(parts), strict=True)])


def _beyond(whole: Any, part: Any) -> Any:
    # One field's values: both int, both Histogram, or None.
    if whole is None or part is None:
        return whole
    if isinstance(whole, tuple):
        return tuple([max(w - p, 0) for w, p in zip(whole, part, strict=True)])
    return max(whole - part, 0)


def is_nothing(totals: Totals) -> bool:
    """Return whether every field is None, 0 or an empty histogram."""
    return not any(any(v) if isinstance(v, tuple) else v for v in astuple(totals))


class Member(NamedTuple):
    """What one process did, and where it belongs."""

    cgroup: str | None
    delta: Totals
    totals: Totals


class Sum(NamedTuple):
    """What the processes of one cgroup did."""

    delta: Totals
    totals: Totals
    members: int


_NOTHING = Sum(NO_TOTALS, NO_TOTALS, 0)
UNKNOWN_CGROUP = "?"
"""Stands for processes whose cgroup was not read, so that the sums stay complete."""


def by_cgroup(members: Iterable[Member]) -> dict[str, Sum]:
    """Return the sum per cgroup path of its own processes, without those of cgroups below it."""
    sums: dict[str, Sum] = {}
    for member in members:
        path = UNKNOWN_CGROUP if member.cgroup is None else member.cgroup
        _put(sums, path, Sum(member.delta, member.totals, 1))
    return sums


def with_ancestors(sums: Mapping[str, Sum]) -> dict[str, Sum]:
    """Return each cgroup's sum with everything below it; "/" then holds all known cgroups."""
    result: dict[str, Sum] = {}
    for path, part in sums.items():
        for ancestor in ancestors(path):
            _put(result, ancestor, part)
    return result


def ancestors(path: str) -> tuple[str, ...]:
    """Return a cgroup path and all above it: "/a/b" gives "/a/b", "/a" and "/"."""
    if not path.startswith("/") or path == "/":
        return (path,)
    result = [path]
    while (cut := path.rstrip("/").rfind("/")) > 0:
        path = path[:cut]
        result.append(path)
    return (*result, "/")


def _put(sums: dict[str, Sum], path: str, part: Sum) -> None:
    old = sums.get(path, _NOTHING)
    sums[path] = Sum(
        add(old.delta, part.delta), add(old.totals, part.totals), old.members + part.members
    )


def cgroup_rows(sums: Mapping[str, Sum], interval: Interval) -> tuple[Row, ...]:
    """Return one row per cgroup; pid 0, a key below 0, the last path component as comm."""
    return tuple([_cgroup_row(path, part, interval) for path, part in sums.items()])


def _cgroup_row(path: str, part: Sum, interval: Interval) -> Row:
    name = path.rstrip("/").rpartition("/")[2] or path
    group = Process(
        # Distinct for distinct paths, and below every process's key.
        key=-1 - int.from_bytes(path.encode("utf-8", "surrogatepass"), "big"),
        pid=0,
        start_ns=0,
        ppid=0,
        uid=0,
        user="",
        comm=name,
        command=f"{part.members} processes",
        cgroup=path,
        prio=None,
        is_kthread=False,
        is_exited=False,
        totals=part.totals,
    )
    deed = Deed(part.delta, part.totals, interval.start_ns, interval.tick)
    return row(Who(group), deed, interval)
