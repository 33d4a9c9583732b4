"""What is in force, as frames show it: policies with their effect, events, and whom they cover."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from iotop_ng.control.covered import Covered
from iotop_ng.enforcers.orders import Author, Counts, Event, InForce, Kind, Listing, Mechanism
from iotop_ng.model.frame import Frame, PolicyEvent, PolicyRow
from iotop_ng.policy.actions import NS_PER_S, CgroupTarget, Notice, ProcessTarget
from iotop_ng.policy.effect import Seen, judge
from iotop_ng.units import human

KEPT_EVENTS = 256
WINDOW_NS = 3 * NS_PER_S
"""What an effect is judged by."""


class _Look(NamedTuple):
    """One interval of one policy."""

    ns: int
    """Of the frame."""
    written_bytes: int | None
    charged_bytes: int | None
    held_ns: int | None
    refused_calls: int | None


class _Course:
    """One policy from frame to frame."""

    def __init__(self, policy: InForce) -> None:
        self.counts = Counts()
        self.counted_ns = policy.since_ns
        self.rate = policy.order.rate_bytes_per_s
        self.since_ns = policy.since_ns
        """When it was applied, or its rate was changed (the keeper's clock)."""
        self.looks: deque[_Look] = deque()


class Marks:
    """Remembers events, and counts from one frame to the next."""

    def __init__(self) -> None:
        self._courses: dict[int, _Course] = {}
        self._events: deque[PolicyEvent] = deque(maxlen=KEPT_EVENTS)
        self._own_seq = 0
        self.last_seq = 0

    def note(self, listing: Listing) -> None:
        """Take in the events of a listing."""
        for event in listing.events:
            if event.seq > self.last_seq:
                self._events.append(_event(event))
                self.last_seq = event.seq

    def note_notice(self, notice: Notice, wall_ns: int) -> None:
        """Take in what a rule says without doing anything; the keeper knows nothing of it."""
        self._own_seq -= 1
        reason = notice.reason
        text = f"rule {reason.rule}" if reason.rule else ""
        self._events.append(
            PolicyEvent(self._own_seq, wall_ns, "notice", reason.name, reason.text, text)
        )

    def mark(self, frame: Frame, listing: Listing | None, problem: str) -> Frame:
        """Return the frame with everything that is in force in it.

        Args:
            frame: of the readers.
            listing: None when there is no keeper.
            problem: what went wrong last.
        """
        policies = () if listing is None else listing.policies
        if not (policies or self._events or problem):
            return frame
        if listing is None or not policies:
            self._courses.clear()
            events = tuple(self._events)
            return msgspec.structs.replace(frame, policy_events=events, policy_problem=problem)
        covered = Covered(policies, frame, listing.now_ns)
        known, self._courses = self._courses, {}
        rows = []
        for policy in policies:
            course = self._courses[policy.id] = known.get(policy.id) or _Course(policy)
            written = covered.written(policy.id)
            rows.append(_row(policy, course, written, frame, listing.now_ns))
        texts = {row.id: row.text for row in rows}
        return msgspec.structs.replace(
            frame,
            rows=covered.marked(frame.rows, texts),
            threads=covered.marked(frame.threads, texts),
            policies=tuple(rows),
            policy_events=tuple(self._events),
            policy_problem=problem,
        )


def _row(
    policy: InForce, course: _Course, written: float | None, frame: Frame, now_ns: int
) -> PolicyRow:
    order, target, before = policy.order, policy.order.target, course.counts
    counts = policy.counts
    took_ns = now_ns - course.counted_ns
    look = _Look(
        round(frame.interval_s * NS_PER_S),
        None if written is None else round(written * frame.interval_s),
        _delta(before.charged_bytes, counts.charged_bytes),
        _delta(before.held_ns, counts.held_ns),
        _delta(before.refused_calls, counts.refused_calls),
    )
    refused_bytes = _delta(before.refused_bytes, counts.refused_bytes)
    _advance(course, policy, look, now_ns)
    verdict = judge(_seen(course, policy, frame, now_ns))
    is_dry = order.dry_run or policy.mechanism is Mechanism.DRY_RUN
    dry_why = "dry run: nothing is done"
    return PolicyRow(
        id=policy.id,
        key=target.key if isinstance(target, ProcessTarget) else None,
        cgroup=target.path if isinstance(target, CgroupTarget) else None,
        pid=target.pid if isinstance(target, ProcessTarget) else None,
        name=policy.name,
        kind=order.kind.value,
        mechanism=policy.mechanism.value,
        rate_bytes_per_s=order.rate_bytes_per_s,
        by=who(order.reason.rule, policy.author),
        rule=order.reason.rule,
        since_ns=frame.mono_ns - (now_ns - policy.since_ns),
        remaining_s=max(policy.until_ns - now_ns, 0) / NS_PER_S,
        processes=counts.processes,
        written_bytes_per_s=written,
        before_bytes_per_s=order.before_bytes_per_s,
        held_pct=_per(look.held_ns, took_ns, 100),
        refused_calls_per_s=_per(look.refused_calls, took_ns, NS_PER_S),
        refused_bytes_per_s=_per(refused_bytes, took_ns, NS_PER_S),
        refused_calls_total=counts.refused_calls,
        refused_bytes_total=counts.refused_bytes,
        charged_bytes_total=counts.charged_bytes,
        effect="" if is_dry or order.kind is Kind.IONICE else verdict.effect,
        why=dry_why if is_dry else policy.problem if order.kind is Kind.IONICE else verdict.why,
        is_dry=is_dry,
        text=text_of(policy),
    )


def text_of(policy: InForce) -> str:
    """Return what a covered row's policy column says: "throttle 5M", "would drop"."""
    order = policy.order
    match order.kind:
        case Kind.THROTTLE:
            text = f"throttle {human(order.rate_bytes_per_s).replace('.0', '')}"
        case Kind.DROP:
            text = "drop"
        case Kind.IONICE:
            text = f"ionice {order.io_class}"
    is_dry = order.dry_run or policy.mechanism is Mechanism.DRY_RUN
    return f"would {text}" if is_dry else text


def who(rule: str, author: Author) -> str:
    """Return who asked: "rule flood", "root on pts/3"."""
    if rule:
        return f"rule {rule}"
    terminal = author.terminal.removeprefix("/dev/")
    return f"{author.user} on {terminal}" if terminal else author.user or author.client


def _advance(course: _Course, policy: InForce, look: _Look, now_ns: int) -> None:
    """Go on to the next frame; one that began under another rate says nothing about this one."""
    if course.rate != policy.order.rate_bytes_per_s:
        course.rate, course.since_ns = policy.order.rate_bytes_per_s, now_ns
        course.looks.clear()
    elif now_ns - look.ns >= course.since_ns:
        course.looks.append(look)
    looks = course.looks
    while len(looks) > 1 and sum(one.ns for one in looks) - looks[0].ns >= WINDOW_NS:
        looks.popleft()
    course.counts, course.counted_ns = policy.counts, now_ns


def _seen(course: _Course, policy: InForce, frame: Frame, now_ns: int) -> Seen:
    ns = sum(look.ns for look in course.looks)
    held = [look.held_ns for look in course.looks if look.held_ns is not None]
    refused = [look.refused_calls for look in course.looks if look.refused_calls is not None]
    disks = [row.write_bytes_per_s or 0 for row in frame.devices if not row.is_stacked]
    return Seen(
        age_ns=now_ns - course.since_ns,
        rate_bytes_per_s=policy.order.rate_bytes_per_s,
        is_drop=policy.order.kind is Kind.DROP,
        escapes=policy.mechanism is Mechanism.IO_MAX,
        written_bytes_per_s=_mean([look.written_bytes for look in course.looks], ns),
        charged_bytes_per_s=_mean([look.charged_bytes for look in course.looks], ns),
        before_bytes_per_s=policy.order.before_bytes_per_s,
        is_held=any(held) if held else None,
        refused_calls=sum(refused) if refused else None,
        backlog_bytes=(frame.dirty_bytes or 0) + (frame.writeback_bytes or 0),
        disk_bytes_per_s=int(sum(disks)),
        problem=policy.problem,
    )


def _mean(values: Sequence[int | None], ns: int) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) * NS_PER_S // ns if known and ns > 0 else None


def _delta(before: int | None, after: int | None) -> int | None:
    return None if after is None else max(after - (before or 0), 0)


def _per(amount: int | None, took_ns: int, factor: int) -> float | None:
    return None if amount is None or took_ns <= 0 else amount * factor / took_ns


def _event(event: Event) -> PolicyEvent:
    left = "" if event.undone in {"", "completely", "nothing was done"} else f"; {event.undone}"
    by = who(event.rule, event.author)
    return PolicyEvent(event.seq, event.wall_ns, event.what, event.name, event.text + left, by)
