"""The journal survives a crash at every byte and at every step, and leads back to the first state.

Random orders go through the real core over a fake world; then the keeper is killed, and the next
one plays the journal back.
"""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from iotop_ng.clock import NS_PER_S, ManualClock
from iotop_ng.enforcers import orders
from iotop_ng.enforcers.changes import (
    Change,
    FileValue,
    Helper,
    IoPriority,
    Stopped,
    UnitProperty,
    same_place,
)
from iotop_ng.enforcers.journal import merged, replay
from iotop_ng.enforcers.orders import Apply, Hello, Kind, Mechanism, Release
from iotop_ng.errors import EnforcerError
from iotop_ng.policy.actions import CgroupTarget, Reason, Target
from tests.fakes.enforcers import (
    AUTHOR,
    Crash,
    FakeAudit,
    FakeWorld,
    fake_core,
    fake_journal,
    order,
)

PIDS = st.integers(1, 2**22)
STARTS = st.integers(0, 2**62)
TEXTS = st.text(max_size=20)
FEW = st.sampled_from(["a", "b"])
CHANGES: st.SearchStrategy[Change] = st.one_of(
    st.builds(
        FileValue, FEW, st.integers(0, 2**64 - 1), FEW, TEXTS, TEXTS,
        st.lists(TEXTS, max_size=4).map(tuple),
    ),
    st.builds(UnitProperty, FEW, FEW, TEXTS, TEXTS, st.lists(TEXTS, max_size=4).map(tuple)),
    st.builds(IoPriority, PIDS, STARTS, PIDS, st.integers(0, 2**16), st.integers(0, 2**16)),
    st.builds(Stopped, PIDS, STARTS),
    st.builds(Helper, PIDS, STARTS),
)  # fmt: skip
NOTES = st.lists(st.tuples(st.integers(1, 3), CHANGES), max_size=12)


@given(NOTES)
def test_what_is_noted_is_read_back(notes: list[tuple[int, Change]]) -> None:
    expected: list[Change] = []
    with tempfile.TemporaryDirectory() as name:
        journal = fake_journal(Path(name))
        for policy, change in notes:
            journal.note(policy, change)
            for number, old in enumerate(expected):
                if same_place(old, change):
                    expected[number] = merged(old, change)
                    break
            else:
                expected.append(change)
        journal.close()
        after = fake_journal(Path(name))

        assert [intent.change for intent in after.entries()] == expected
        after.close()


@given(NOTES, st.data())
def test_a_file_that_ends_anywhere_is_a_shorter_history(
    notes: list[tuple[int, Change]], data: st.DataObject
) -> None:
    """What a power cut leaves is what was true at some moment before it."""
    with tempfile.TemporaryDirectory() as name:
        journal = fake_journal(Path(name))
        moments = [journal.entries()]
        for policy, change in notes:
            journal.note(policy, change)
            moments.append(journal.entries())
            if data.draw(st.booleans()) and journal.entries():
                journal.settle(journal.entries()[0].seq)
                moments.append(journal.entries())
        journal.close()
        raw = (Path(name) / "journal").read_bytes()
    end = data.draw(st.integers(0, len(raw)))

    found, _ = replay(raw[:end])

    assert tuple(found.values()) == moments[min(raw[:end].count(b"\n"), len(moments) - 1)] or (
        # The last line was whole but for its line break.
        tuple(found.values()) == moments[raw[:end].count(b"\n") + 1]
    )


@given(st.binary(max_size=400))
def test_no_bytes_make_it_raise(raw: bytes) -> None:
    replay(raw)


@given(NOTES, st.binary(min_size=1, max_size=8), st.data())
def test_damage_never_makes_it_raise(
    notes: list[tuple[int, Change]], damage: bytes, data: st.DataObject
) -> None:
    with tempfile.TemporaryDirectory() as name:
        journal = fake_journal(Path(name))
        for policy, change in notes:
            journal.note(policy, change)
        journal.close()
        raw = (Path(name) / "journal").read_bytes()
        place = data.draw(st.integers(0, len(raw)))
        (Path(name) / "journal").write_bytes(raw[:place] + damage + raw[place + len(damage) :])

        fake_journal(Path(name)).close()


_OF_EACH = (
    "rung", "apply.look", "apply.noted", "apply.half", "apply.done", "adjust", "adjust.noted",
    "tick", "undo",
)  # fmt: skip
STEPS = (
    *(f"{one.value}.{step}" for one in Mechanism for step in _OF_EACH),
    "put_back", "pin", "check", "protect",
)  # fmt: skip

ACTS = st.one_of(
    st.tuples(
        st.just("apply"), st.sampled_from([42, 43, 0]), st.sampled_from(list(Kind)),
        st.sampled_from([None, Mechanism.HOLD, Mechanism.IO_MAX, Mechanism.PAUSE]),
    ),
    st.tuples(st.just("change"), st.integers(1, 6), st.integers(1, 10**9)),
    st.tuples(st.just("release"), st.one_of(st.none(), st.integers(1, 6))),
    st.tuples(st.just("tick"), st.integers(0, 700)),
    st.tuples(st.just("reuse"), st.sampled_from([42, 43])),
    st.tuples(st.just("gone")),
    st.tuples(st.just("fail"), st.sampled_from(STEPS)),
)  # fmt: skip
Act = tuple[object, ...]


class Life:
    """One keeper after the other, in one world."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.world = FakeWorld()
        self.world.start(42, "dd")
        self.world.start(43, "tar")
        self.before = self.world.state()
        self.clock = ManualClock()
        self.begin()

    def begin(self) -> None:
        self.core = fake_core(self.world, self.directory, clock=self.clock, audit=FakeAudit())
        self.core.recover()
        self.core.handle(1, Hello(orders.PROTOCOL, AUTHOR))

    def act(self, act: Act) -> None:
        reason = Reason(rule="", text="")
        match act:
            case ("apply", int(pid), Kind() as kind, (Mechanism() | None) as mechanism):
                target: Target = self.world.target(pid) if pid else CgroupTarget("/user.slice")
                asked = mechanism if kind is Kind.THROTTLE else None
                self.core.handle(1, Apply(order(target, kind, mechanism=asked)))
            case ("change", int(number), int(rate)):
                self.core.handle(1, orders.Change(number, reason, NS_PER_S, rate))
            case ("release", number):
                ids = (number,) if isinstance(number, int) else None
                self.core.handle(1, Release(reason, ids))
            case ("tick", int(seconds)):
                self.clock.advance(seconds * NS_PER_S)
                self.core.tick()
            case ("reuse", int(pid)):
                self.world.start(pid, "another")
            case ("gone",):
                self.core.gone(1)
                self.core.handle(1, Hello(orders.PROTOCOL, AUTHOR))
            case ("fail", str(step)):
                self.world.fail(step, EnforcerError(f"{step} does not work"))


@settings(max_examples=150)
@given(st.lists(ACTS, max_size=12), st.sampled_from(STEPS), st.integers(0, 3))
def test_a_keeper_killed_at_any_step_is_played_back_to_the_first_state(
    acts: list[Act], step: str, skip: int
) -> None:
    with tempfile.TemporaryDirectory() as name:
        life = Life(Path(name))
        for _ in range(skip):
            life.world.meanwhile(step, lambda: None)
        life.world.meanwhile(step, crash)

        with contextlib.suppress(Crash):
            for act in acts:
                life.act(act)
        life.world.heal()
        life.world.die()
        life.begin()

        assert life.world.state() == life.before
        assert fake_journal(Path(name)).entries() == ()


@settings(max_examples=150)
@given(st.lists(ACTS, max_size=12))
def test_whatever_was_done_is_undone_at_the_end(acts: list[Act]) -> None:
    with tempfile.TemporaryDirectory() as name:
        life = Life(Path(name))
        for act in acts:
            life.act(act)
        life.world.heal()

        life.core.release_all("the end")

        assert life.world.state() == life.before
        assert life.core.is_idle


@given(st.lists(ACTS, max_size=8), st.sampled_from(STEPS))
def test_a_keeper_killed_while_it_recovers_is_recovered_by_the_next(
    acts: list[Act], step: str
) -> None:
    with tempfile.TemporaryDirectory() as name:
        life = Life(Path(name))
        for act in acts:
            life.act(act)
        life.world.heal()
        life.world.die()
        life.world.meanwhile("put_back", lambda: None)
        life.world.meanwhile("put_back", crash)
        life.world.meanwhile(step, crash)

        for _ in range(3):
            with contextlib.suppress(Crash):
                life.begin()
        life.world.heal()
        life.begin()

        assert life.world.state() == life.before


def crash() -> None:
    """Be killed."""
    raise Crash
