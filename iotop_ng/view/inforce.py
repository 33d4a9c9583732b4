"""Which policy is in force on a row, and what the screen calls it."""

from __future__ import annotations

from collections.abc import Sequence

from iotop_ng.model.frame import Frame, PolicyRow, Row
from iotop_ng.units import count, human, span

MAX_PARENTS = 64
"""Steps up the process tree; deeper ones are loops of a /proc that changed while it was read."""
STEPS = (1.0, 1.5, 2.0, 3.0, 5.0, 7.0)
"""Caps within a decade that + and - go through."""
STEP_UNIT = 1 << 20
LEAST_CAP, MOST_CAP = 10 << 10, 100 << 30


def on_row(row: Row, frame: Frame) -> PolicyRow | None:
    """Return the policy that holds a row: its own, its cgroup's, or that of a process above it."""
    if not frame.policies:
        return None
    own = directly(row, frame.policies)
    return _of_parent(row, frame) if own is None and row.policy else own


def throttle_on(key: int, policies: Sequence[PolicyRow]) -> PolicyRow | None:
    """Return the throttle on a process itself, whose cap can be changed; none that is only dry."""
    found = (p for p in policies if p.key == key and p.kind == "throttle" and not p.is_dry)
    return next(found, None)


def all_on(row: Row, frame: Frame) -> tuple[PolicyRow, ...]:
    """Return every policy that a release of the row ends."""
    own = tuple(policy for policy in frame.policies if policy.key == row.key)
    above = on_row(row, frame)
    return own or (() if above is None else (above,))


def directly(row: Row, policies: Sequence[PolicyRow]) -> PolicyRow | None:
    """Return the policy on the process itself, else on a cgroup that it is in."""
    own = of_key(row.key, policies)
    if own is not None:
        return own
    return next(
        (p for p in policies if p.cgroup is not None and _is_in(row.cgroup, p.cgroup)), None
    )


def of_key(key: int, policies: Sequence[PolicyRow]) -> PolicyRow | None:
    """Return the last policy on a process itself."""
    return next((policy for policy in reversed(policies) if policy.key == key), None)


def _is_in(path: str | None, cgroup: str) -> bool:
    return path is not None and (path == cgroup or path.startswith(cgroup.rstrip("/") + "/"))


def _of_parent(row: Row, frame: Frame) -> PolicyRow | None:
    by_pid = {other.pid: other for other in frame.rows if not other.exited}
    at: Row | None = row
    for _ in range(MAX_PARENTS):
        at = by_pid.get(at.ppid) if at is not None else None
        if at is None:
            return None
        policy = of_key(at.key, frame.policies)
        if policy is not None:
            return policy
    return None


def headline(frame: Frame) -> tuple[str, ...]:
    """Return what the first line must say while anything is in force: "2 POLICIES", "1 DRY RUN"."""
    dry = sum(policy.is_dry for policy in frame.policies)
    real = len(frame.policies) - dry
    parts = []
    if real:
        parts.append(f"{real} {'POLICY' if real == 1 else 'POLICIES'}")
    if dry:
        parts.append(f"{dry} DRY RUN")
    return tuple(parts)


def next_cap(rate: int, step: int) -> int:
    """Return the next higher (1) or lower (-1) cap: 1M 1.5M 2M 3M 5M 7M 10M 15M ...

    From 5M it is 7M or 3M; from 6M, which is none of them, 7M or 5M.
    """
    caps = [int(STEP_UNIT * 10.0**power * number) for power in range(-2, 6) for number in STEPS]
    if step > 0:
        return next((cap for cap in caps if cap > rate * 1.001), max(rate, MOST_CAP))
    below = [cap for cap in caps if cap < rate * 0.999 and cap >= LEAST_CAP]
    return below[-1] if below else min(rate, LEAST_CAP)


def what(policy: PolicyRow, *, si: bool = False) -> str:
    """Return what is done: "throttle to 5.0M/s by hold"."""
    how = policy.mechanism.replace("_", " ")
    rate = policy.rate_bytes_per_s
    limit = "" if rate is None else f" to {human(rate, si=si)}/s"
    if policy.kind == "drop":
        limit = "" if not rate else f" beyond {human(rate, si=si)}/s"
    by = "" if how == policy.kind else f" by {how}"
    return f"{'dry run of ' if policy.is_dry else ''}{policy.kind}{limit}{by}"


def cell(row: Row, policies: Sequence[PolicyRow], *, si: bool = False) -> str:
    """Return the row's policy with what it costs now: "throttle 5M 83%", "drop 120/s"."""
    policy = directly(row, policies) if row.policy else None
    loss = "" if policy is None else lost(policy, si=si).split(" ")[0]
    return f"{row.policy} {loss}" if loss else row.policy


def lost(policy: PolicyRow, *, si: bool = False) -> str:
    """Return what it costs the program: "83%" of the time, "120/s 1.2M/s"; "" when unknown."""
    if policy.kind == "drop":
        if policy.refused_calls_per_s is None:
            return ""
        size = policy.refused_bytes_per_s
        more = "" if size is None else f" {human(size, si=si)}/s"
        return f"{count(policy.refused_calls_per_s)}/s{more}"
    return "" if policy.held_pct is None else f"{policy.held_pct:.0f}%"


def left(policy: PolicyRow) -> str:
    """Return what remains of the lease."""
    return span(policy.remaining_s)
