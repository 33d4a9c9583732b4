"""The maps and programs of bpf/charge.h, made of dictionaries, for drop."""

from __future__ import annotations

from collections.abc import Callable

from iotop_ng.enforcers.charging import POLICIES, Bucket, Limit
from iotop_ng.sample import Probe


class FakeMap:
    """A hash."""

    def __init__(self) -> None:
        self.pairs: dict[bytes, bytes] = {}

    def get(self, key: bytes) -> bytes | None:
        return self.pairs.get(key)

    def set(self, key: bytes, value: bytes) -> None:
        self.pairs[key] = value

    def delete(self, key: bytes) -> None:
        self.pairs.pop(key, None)

    def read(self) -> list[tuple[bytes, bytes]]:
        return [*self.pairs.items()]


class FakePrograms:
    """Programs that are attached when they are asked for, unless they have a problem."""

    def __init__(self, problem: str = "") -> None:
        self.maps = {name: FakeMap() for name in ("terms", "marks", "overlays")}
        self.problems = {"on_drop_write": problem} if problem else {}
        self.attached = False
        self.hits: int | None = 0
        self.is_called = True

    def demand(self, group: str, *, wanted: bool) -> None:
        assert group == "drop"
        self.attached = wanted and not self.problems

    def is_attached(self, group: str) -> bool:
        return self.attached and group == "drop"

    def count_runs(self, *, wanted: bool) -> None:
        self.hits = 7 if wanted and self.is_called else 0

    def probes(self) -> tuple[Probe, ...]:
        hook = "file_permission"
        return (Probe("on_drop_write", hook, "on demand", self.attached, self.hits, 0),)


class FakeCharging:
    """Slots, members and what happened, which tests write."""

    def __init__(self, problem: str = "") -> None:
        self.programs = FakePrograms(problem)
        self.limits: dict[int, Limit] = {}
        self.buckets: dict[int, Bucket] = {}
        self.in_slot: dict[int, int] = {}
        self.at_end: Callable[[], None] = lambda: None
        """What a program under way still does while a slot is given back."""

    @property
    def is_used(self) -> bool:
        return bool(self.limits)

    def take(self, limit: Limit, budget_bytes: int = 0) -> int:
        slot = next(slot for slot in range(POLICIES) if slot not in self.limits)
        self.limits[slot] = limit
        self.buckets[slot] = Bucket(0, 0, 0, 0, 0, 0, budget_bytes, 0)
        return slot

    def change(self, slot: int, limit: Limit) -> None:
        self.limits[slot] = limit

    def give_back(self, slot: int) -> None:
        if self.limits.pop(slot, None) is not None:
            self.in_slot = {pid: at for pid, at in self.in_slot.items() if at != slot}
        self.at_end()

    def bucket(self, slot: int) -> Bucket:
        return self.buckets[slot]

    def add(self, pid: int, slot: int, *, is_late: bool = False) -> None:
        assert is_late, "a thread's first write would not be charged"
        self.in_slot[pid] = slot

    def remove(self, pid: int) -> None:
        self.in_slot.pop(pid, None)

    def members(self, slot: int) -> tuple[int, ...]:
        return tuple(pid for pid, at in self.in_slot.items() if at == slot)
