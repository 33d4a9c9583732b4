"""A command that stays: one line a second on what it has in force, until all of it has ended."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from iotop_ng.cli.course import Course, Disks
from iotop_ng.cli.desk import Desk, Signals
from iotop_ng.cli.meter import Meter
from iotop_ng.cli.policy_lines import SCHEMA, Record, line
from iotop_ng.cli.talk import complain
from iotop_ng.cli.targets import shown
from iotop_ng.clock import NS_PER_S
from iotop_ng.control.link import Keeper
from iotop_ng.enforcers.orders import Counts, Event, InForce, Listing, Order, Rung
from iotop_ng.export.records import rfc3339
from iotop_ng.policy.actions import Reason

INTERRUPTED = 130
_ENDINGS = frozenset({"released", "expired", "ended", "failed"})
_SILENT = frozenset({"applied", "renewed"})
_NUMBER = re.compile(r"[0-9][0-9.]*[KMGT]?")


class Offer(NamedTuple):
    """An order that was looked at, and nothing done."""

    order: Order
    name: str
    meter: Meter
    rungs: tuple[Rung, ...]


class Ended(msgspec.Struct, frozen=True):
    """A policy that is in force no longer."""

    id: int
    target: str
    name: str
    what: str
    """released, expired (its lease), ended (the target) or failed."""
    text: str
    undone: str
    written_bytes_total: int | None
    refused_calls_total: int | None
    refused_bytes_total: int | None


class Second(msgspec.Struct, frozen=True):
    """What --json prints once a second, and a last time when all has ended."""

    schema: int
    time: str
    policies: tuple[Record, ...]
    ended: tuple[Ended, ...]
    """Since the object before."""


def said(event: Event) -> str:
    """Return what happened, as one sentence about its target."""
    text = event.text if event.name in event.text else f"{event.name}: {event.text}"
    return f"{event.what}: {text}" + (f" (undone: {event.undone})" if event.undone else "")


class Foreground:
    """Watches what one command has in force.

    Args:
        desk: where it prints and which clock it has.
        keeper: who holds it.
        signals: what ends it early.
        policies: what was applied, each with the meter of its target.
        is_json: objects, not lines.
    """

    def __init__(
        self,
        desk: Desk,
        keeper: Keeper,
        signals: Signals,
        policies: Sequence[tuple[InForce, Meter]],
        *,
        is_json: bool,
    ) -> None:
        self._desk = desk
        self._keeper = keeper
        self._signals = signals
        self._disks = Disks(desk.clock, desk.root)
        self._mine = {
            policy.id: Course(policy, policy.since_ns, meter, self._disks)
            for policy, meter in policies
        }
        self._told: set[tuple[int, str]] = set()
        self._width = max((len(policy.name) for policy, _ in policies), default=0)
        self._is_json = is_json
        self._seq = 0
        self._has_failed = False

    def run(self) -> int:
        """Stay until nothing of it is in force, and return the exit code.

        Raises:
            EnforcerError: the keeper died; what it had done was put back.
        """
        start_ns = self._desk.clock.mono_ns()
        due_ns = start_ns + NS_PER_S
        while self._mine and not self._signals.is_set:
            self._signals.wait(due_ns, self._keeper.fileno())
            if self._signals.is_set:
                break
            self._look()
            now_ns = self._desk.clock.mono_ns()
            # A look that came late is not made up for.
            due_ns += max((now_ns - due_ns) // NS_PER_S + 1, 0) * NS_PER_S
        if self._signals.is_set:
            return self._release()
        return 1 if self._has_failed else 0

    def _release(self) -> int:
        """Take back what is left, before we end: it is done when we are gone."""
        if self._mine:
            released = self._keeper.release(tuple(self._mine), Reason("", "interrupted"))
            for problem in released.problems:
                complain(problem)
                self._has_failed = True
            self._look()
        return 1 if self._has_failed else INTERRUPTED

    def _look(self) -> None:
        listing = self._keeper.look(self._seq)
        self._disks.read()
        records = tuple(
            self._mine[policy.id].take(policy, listing.now_ns)
            for policy in listing.policies
            if policy.id in self._mine
        )
        ended = self._take_events(listing)
        self._print(records, ended)

    def _take_events(self, listing: Listing) -> tuple[Ended, ...]:
        """Say what happened to ours, and return those that have ended."""
        endings: dict[int, Event] = {}
        for event in listing.events:
            self._seq = max(self._seq, event.seq)
            if event.id not in self._mine or event.what in _SILENT:
                continue
            complain(said(event))
            if event.what in _ENDINGS:
                endings[event.id] = event
        present = {policy.id for policy in listing.policies}
        gone = [number for number in self._mine if number not in present]
        return tuple(self._end(number, endings.get(number)) for number in gone)

    def _end(self, number: int, event: Event | None) -> Ended:
        last = self._mine.pop(number).last
        counts: Counts = last.counts if event is None else event.counts
        what = "released" if event is None else event.what
        self._has_failed |= what == "failed"
        return Ended(
            id=number,
            target=shown(last.order.target),
            name=last.name,
            what=what,
            text="" if event is None else event.text,
            undone="" if event is None else event.undone,
            written_bytes_total=counts.charged_bytes,
            refused_calls_total=counts.refused_calls,
            refused_bytes_total=counts.refused_bytes,
        )

    def _print(self, records: tuple[Record, ...], ended: tuple[Ended, ...]) -> None:
        wall_ns = self._desk.clock.wall_ns()
        for one in records:
            for remark in dict.fromkeys((one.problem, one.why)):
                self._remark(one, remark)
        if self._is_json:
            second = Second(SCHEMA, rfc3339(wall_ns), records, ended)
            self._desk.write(msgspec.json.encode(second) + b"\n")
        else:
            text = "".join(f"{line(one, wall_ns, self._width)}\n" for one in records)
            self._desk.write(text.encode("utf-8", "replace"))

    def _remark(self, one: Record, remark: str) -> None:
        """Say once what is to be known of a policy; its numbers may change every second."""
        kind = (one.id, _NUMBER.sub("", remark))
        if remark and kind not in self._told:
            self._told.add(kind)
            complain(
                f"{one.name}: {one.effect}: {remark}" if one.effect else f"{one.name}: {remark}"
            )
