"""One policy from look to look: what its target writes, how it is held, and whether that works.

Two counts say what is written: the mechanism's own, of all that it covers, and the kernel's in
/proc, of the target alone. Neither counts a byte that was not written, so the larger one is said;
the kernel's alone would miss children, the mechanism's alone would not notice what escapes it.
"""

from __future__ import annotations

from collections import deque
from pathlib import Path
from typing import NamedTuple

from iotop_ng.cli.meter import Meter
from iotop_ng.cli.policy_lines import Record
from iotop_ng.cli.targets import shown
from iotop_ng.clock import NS_PER_S, Clock
from iotop_ng.control.marks import who
from iotop_ng.enforcers.orders import Counts, InForce, Kind, Mechanism
from iotop_ng.policy.effect import Seen, Verdict, judge
from iotop_ng.sources.host import HostCounters

WINDOW_NS = 3 * NS_PER_S
"""What an effect is judged by."""
_DECIMALS = 3


class Disks:
    """The whole machine's dirty memory, and what its disks write."""

    def __init__(self, clock: Clock, root: Path = Path("/")) -> None:
        self._clock = clock
        self._counters = HostCounters(root)
        self._last: tuple[int, int] | None = None
        self.backlog_bytes: int | None = None
        self.bytes_per_s: int | None = None
        self.read()

    def read(self) -> None:
        """Take in the counters as they are now."""
        host, now_ns = self._counters.read(), self._clock.mono_ns()
        self.backlog_bytes = (
            None if host.dirty_bytes is None else host.dirty_bytes + (host.writeback_bytes or 0)
        )
        if host.page_out_kib is None:
            return
        written = host.page_out_kib << 10
        if self._last is not None and now_ns > self._last[1]:
            before, before_ns = self._last
            self.bytes_per_s = (written - before) * NS_PER_S // (now_ns - before_ns)
        self._last = (written, now_ns)

    def close(self) -> None:
        """Let go of the descriptor."""
        self._counters.close()


class _Look(NamedTuple):
    """One interval."""

    ns: int
    written_bytes: int | None
    charged_bytes: int | None
    held_ns: int | None
    refused_calls: int | None
    refused_bytes: int | None


class Course:
    """Follows one policy.

    Args:
        policy: as it was when this began.
        now_ns: then, by the keeper's clock.
        meter: of its target, just read.
        disks: read by who looks, once per look.
    """

    def __init__(self, policy: InForce, now_ns: int, meter: Meter, disks: Disks) -> None:
        self.last = policy
        self._last_ns = now_ns
        self._since_ns = policy.since_ns
        """When it was applied, or its rate was changed."""
        self._meter = meter
        self._metered = meter.total_bytes
        self._disks = disks
        self._looks: deque[_Look] = deque()

    def take(self, policy: InForce, now_ns: int) -> Record:
        """Go on to a new look, and return what happened since the one before."""
        look = self._look(policy.counts, now_ns)
        if policy.order.rate_bytes_per_s != self.last.order.rate_bytes_per_s:
            # What was written under another rate says nothing about this one.
            self._since_ns = now_ns
            self._looks.clear()
        elif look.ns > 0:
            self._looks.append(look)
        while len(self._looks) > 1 and self._span_ns() - self._looks[0].ns >= WINDOW_NS:
            self._looks.popleft()
        self.last, self._last_ns = policy, now_ns
        return _record(policy, now_ns, look, self._verdict(now_ns))

    def _look(self, counts: Counts, now_ns: int) -> _Look:
        before = self.last.counts
        self._meter.read()
        metered = self._meter.total_bytes - self._metered
        self._metered = self._meter.total_bytes
        charged = _grown(before.charged_bytes, counts.charged_bytes)
        known = [metered] if self._meter.is_readable else []
        known += [] if charged is None else [charged]
        return _Look(
            now_ns - self._last_ns,
            max(known, default=None),
            charged,
            _grown(before.held_ns, counts.held_ns),
            _grown(before.refused_calls, counts.refused_calls),
            _grown(before.refused_bytes, counts.refused_bytes),
        )

    def _verdict(self, now_ns: int) -> Verdict:
        order, policy = self.last.order, self.last
        if order.dry_run or policy.mechanism is Mechanism.DRY_RUN:
            return Verdict("", "dry run: nothing is done")
        if order.kind is Kind.IONICE:
            return Verdict("", policy.problem)
        held = [look.held_ns for look in self._looks if look.held_ns is not None]
        refused = [look.refused_calls for look in self._looks if look.refused_calls is not None]
        return judge(
            Seen(
                age_ns=now_ns - self._since_ns,
                rate_bytes_per_s=order.rate_bytes_per_s,
                is_drop=order.kind is Kind.DROP,
                escapes=policy.mechanism is Mechanism.IO_MAX,
                written_bytes_per_s=self._mean([look.written_bytes for look in self._looks]),
                charged_bytes_per_s=self._mean([look.charged_bytes for look in self._looks]),
                before_bytes_per_s=order.before_bytes_per_s,
                is_held=any(held) if held else None,
                refused_calls=sum(refused) if refused else None,
                backlog_bytes=self._disks.backlog_bytes,
                disk_bytes_per_s=self._disks.bytes_per_s,
                problem=policy.problem,
            )
        )

    def _span_ns(self) -> int:
        return sum(look.ns for look in self._looks)

    def _mean(self, values: list[int | None]) -> int | None:
        known = [value for value in values if value is not None]
        span_ns = self._span_ns()
        return sum(known) * NS_PER_S // span_ns if known and span_ns > 0 else None


def _record(policy: InForce, now_ns: int, look: _Look, verdict: Verdict) -> Record:
    order, counts = policy.order, policy.counts

    def rate(amount: int | None, factor: int = NS_PER_S) -> float | None:
        if amount is None or look.ns <= 0:
            return None
        return round(amount * factor / look.ns, _DECIMALS)

    def seconds(amount: int | None) -> float | None:
        return None if amount is None else round(amount / NS_PER_S, _DECIMALS)

    return Record(
        id=policy.id,
        target=shown(order.target),
        name=policy.name,
        kind=order.kind.value,
        mechanism=policy.mechanism.value,
        rate_bytes_per_s=order.rate_bytes_per_s,
        by=who(order.reason.rule, policy.author),
        rule=order.reason.rule,
        remaining_s=seconds(max(policy.until_ns - now_ns, 0)) or 0.0,
        processes=counts.processes,
        written_bytes_per_s=rate(look.written_bytes),
        before_bytes_per_s=order.before_bytes_per_s,
        held_pct=rate(look.held_ns, 100),
        refused_calls_per_s=rate(look.refused_calls),
        refused_bytes_per_s=rate(look.refused_bytes),
        written_bytes_total=counts.charged_bytes,
        held_s_total=seconds(counts.held_ns),
        refused_calls_total=counts.refused_calls,
        refused_bytes_total=counts.refused_bytes,
        effect=verdict.effect,
        why=verdict.why,
        problem=policy.problem,
    )


def _grown(before: int | None, after: int | None) -> int | None:
    """Return the growth of a total that counts from the moment a policy was applied."""
    return None if after is None else max(after - (before or 0), 0)
