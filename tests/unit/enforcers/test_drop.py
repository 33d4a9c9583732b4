"""The drop enforcer over a kernel that is made of dictionaries."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from typing import cast

import pytest

from iotop_ng.enforcers.charging import LIMIT, U32, Charging
from iotop_ng.enforcers.drop import DropEffect, DropEnforcer, does
from iotop_ng.enforcers.drop_ability import Facts
from iotop_ng.enforcers.drop_budget import WINDOW_NS
from iotop_ng.enforcers.drop_kernel import (
    ENDED_SPENT,
    ENDED_UNKNOWN,
    MODE_ALL,
    MODE_MARKED,
    MODE_WITHIN_BUDGET,
    TERMS,
    DropLimit,
    Kernel,
    load_kernel,
)
from iotop_ng.enforcers.enforcer import BudgetSpent, Member
from iotop_ng.enforcers.orders import Counts, Kind, Order
from iotop_ng.errors import EnforcerError, SourceError, TargetError
from iotop_ng.policy.actions import CgroupTarget, ProcessTarget, Reason, Target
from tests.fakes.charging import FakeCharging

GROUP = CgroupTarget("/hogs")
ONE = ProcessTarget(1, 42, 0)
HOUR_NS = WINDOW_NS


class FakeTarget:
    """A target with these processes; `check` fails when it has ended."""

    def __init__(self, target: Target, *pids: int) -> None:
        self.target = target
        self.name = "hog[42]"
        self.pids = list(pids)
        self.has_ended = False

    def check(self) -> None:
        if self.has_ended:
            raise TargetError("hog[42] has ended")

    def members(self) -> tuple[Member, ...]:
        return tuple(Member(pid, 0, f"hog[{pid}]") for pid in self.pids)


def order(
    target: Target = ONE,
    rate: int | None = None,
    *,
    error: str = "ENOSPC",
    budget: int | None = None,
    paths: tuple[str, ...] = (),
    with_children: bool = True,
) -> Order:
    return Order(
        Kind.DROP, target, Reason("", ""), rate, errno_name=error, budget_bytes=budget, paths=paths,
        with_children=with_children,
    )  # fmt: skip


class Stage:
    """An enforcer and what it stands on."""

    def __init__(self, problem: str = "", facts: Facts = Facts(("bpf",))) -> None:  # noqa: B008 - frozen
        self.charging = FakeCharging(problem)
        # The class is not a protocol; what of it is used is faked whole.
        self.kernel = Kernel(cast("Charging", self.charging))
        self.enforcer = DropEnforcer(lambda: self.kernel, lambda: facts)

    def apply(self, target: FakeTarget, wanted: Order) -> DropEffect:
        def note(change: object) -> None:
            raise AssertionError(f"nothing survives us, and {change} is noted")

        return self.enforcer.apply(target, wanted, note)

    def happened(self, **values: int) -> None:
        self.charging.buckets[0] = self.charging.buckets[0]._replace(**values)


def test_an_order_reaches_the_programs_whole() -> None:
    """Rate, errno, children, budget, patterns."""
    stage = Stage()
    stage.apply(
        FakeTarget(ONE, 42),
        order(rate=5, error="EDQUOT", budget=9, paths=("*",), with_children=False),
    )

    limit = stage.charging.limits[0]
    assert (limit.rate_bytes_per_s, limit.error) == (5, errno.EDQUOT)
    assert (limit.mode, limit.with_children) == (MODE_MARKED | MODE_WITHIN_BUDGET, False)
    assert stage.charging.buckets[0].budget_bytes == 9
    assert len(limit.pack(0)) == LIMIT.size


def test_no_rate_refuses_everything_and_a_rate_can_be_given_later() -> None:
    """And taken away again."""
    stage = Stage()
    effect = stage.apply(FakeTarget(ONE, 42), order())
    modes = [stage.charging.limits[0].mode]
    for rate in (1000, None):
        effect.adjust(order(rate=rate))
        modes.append(stage.charging.limits[0].mode)

    assert modes == [MODE_ALL, 0, MODE_ALL]


def test_programs_are_attached_while_a_drop_is_in_force() -> None:
    """The first attaches, the last detaches; undoing twice is fine."""
    stage = Stage()
    first = stage.apply(FakeTarget(ONE, 42), order())
    second = stage.apply(FakeTarget(ONE, 43), order())
    attached = [stage.charging.programs.attached]
    for effect in (first, first, second, second):
        assert effect.undo() == ()
        attached.append(stage.charging.programs.attached)

    assert attached == [True, True, True, False, False]
    assert stage.charging.in_slot == {}


def test_counts_stay_after_the_end() -> None:
    """The audit's last line is written after the undo."""
    stage = Stage()
    effect = stage.apply(FakeTarget(ONE, 42), order(rate=1000))
    stage.happened(charged_bytes=4096, refused_calls=3, refused_bytes=300)
    expected = Counts(4096, refused_calls=3, refused_bytes=300, processes=1)

    assert effect.counts() == expected
    effect.undo()
    assert effect.counts() == expected


def test_what_is_refused_while_it_is_taken_back_is_counted() -> None:
    """Another CPU may be in the program at that moment."""
    stage = Stage()
    effect = stage.apply(FakeTarget(ONE, 42), order(rate=1000))
    stage.happened(refused_calls=3, refused_bytes=300)
    stage.charging.at_end = lambda: stage.happened(refused_calls=4, refused_bytes=400)

    effect.undo()

    assert effect.counts() == Counts(0, refused_calls=4, refused_bytes=400, processes=1)


def test_bytes_are_unknown_once_a_call_did_not_say_its_own() -> None:
    """A sum without it would be too small; the problem says what is known."""
    stage = Stage()
    effect = stage.apply(FakeTarget(ONE, 42), order())
    stage.happened(refused_calls=5, refused_bytes=2048, unsized_calls=2)

    assert effect.counts().refused_calls == 5
    assert effect.counts().refused_bytes is None
    assert effect.tick(0) == (
        "2 of 5 refused calls do not say how much they write (io_uring); the others: 2.0K"
    )


def test_a_spent_budget_is_news_for_the_keeper() -> None:
    """It throttles from then on."""
    stage = Stage()
    effect = stage.apply(FakeTarget(ONE, 42), order(budget=4096))
    stage.happened(refused_calls=2, refused_bytes=2048, ended=ENDED_SPENT)

    with pytest.raises(BudgetSpent, match=r"2\.0K were refused, and the budget of 4\.0K"):
        effect.tick(0)


def test_a_budget_that_cannot_be_kept_is_too() -> None:
    """Nothing was refused, so that nothing is lost beyond it."""
    stage = Stage()
    effect = stage.apply(FakeTarget(ONE, 42), order(budget=4096))
    stage.happened(ended=ENDED_UNKNOWN)

    with pytest.raises(BudgetSpent, match="do not say how much"):
        effect.tick(0)


def test_the_programs_are_told_what_is_free_again_after_an_hour() -> None:
    """In the field that only user space writes."""
    stage = Stage()
    effect = stage.apply(FakeTarget(ONE, 42), order(budget=4096))
    stage.happened(refused_calls=1, refused_bytes=1024)

    def returned() -> int:
        raw = stage.charging.programs.maps["terms"].pairs[U32.pack(0)]
        return int(TERMS.unpack(raw)[0])

    effect.tick(0)
    before = returned()
    effect.tick(2 * HOUR_NS)
    assert (before, returned()) == (0, 1024)


def test_a_cgroup_is_followed_in_and_out() -> None:
    """Who joined is refused, who left is not."""
    stage, target = Stage(), FakeTarget(GROUP, 10, 11)
    effect = stage.apply(target, order(GROUP))
    target.pids = [11, 12]
    effect.tick(0)

    assert set(stage.charging.in_slot) == {11, 12}


def test_children_of_a_process_go_on_without_it() -> None:
    """Until the last has ended; without them, its own end is the end."""
    for with_children in (True, False):
        stage, target = Stage(), FakeTarget(ONE, 42)
        effect = stage.apply(target, order(with_children=with_children))
        del stage.charging.in_slot[42]  # sched_process_exit
        stage.charging.in_slot[43] = 0  # sched_process_fork
        target.has_ended, target.pids = True, []
        if with_children:
            effect.tick(0)
            stage.charging.in_slot.clear()
        with pytest.raises(TargetError):
            effect.tick(0)


def test_a_target_that_is_gone_when_it_is_entered_is_let_go() -> None:
    """Its pid may be somebody else's."""
    stage, target = Stage(), FakeTarget(ONE, 42)
    target.has_ended = True

    with pytest.raises(TargetError):
        stage.apply(target, order())

    assert (stage.charging.in_slot, stage.charging.limits) == ({}, {})
    assert not stage.charging.programs.attached


def test_patterns_that_match_nothing_are_said() -> None:
    """Nothing is refused then."""
    stage = Stage()
    effect = stage.apply(FakeTarget(ONE, os.getpid()), order(paths=("/no/such/*.log",)))

    assert effect.tick(0) == "none of its open files matches: nothing is refused"


def test_marks_of_ended_policies_make_room_and_mean_nothing() -> None:
    """Four policies may share a file; a slot that is used again does not inherit marks."""
    stage = Stage()
    slots = [stage.kernel.take(_all()) for _ in range(5)]
    marks = [stage.kernel.marks(slot) for slot in slots]

    assert [one.put(7) for one in marks] == [True, True, True, True, False]
    stage.kernel.give_back(slots[0])
    assert marks[4].put(7)
    again = stage.kernel.marks(stage.kernel.take(_all()))
    assert not again.has(7)


def test_an_overlay_that_was_mounted_since_is_known_to_the_next_policy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A namespace is looked at once for each policy; nothing is kept when none is left."""
    looks = iter([frozenset({50}), frozenset({50, 51})])
    monkeypatch.setattr("iotop_ng.enforcers.drop_kernel.overlays_on_disk", lambda _: next(looks))
    stage = Stage()
    overlays = stage.charging.programs.maps["overlays"]
    slots, found = [], []
    for _ in range(2):
        slots.append(stage.kernel.take(_all()))
        for _ in range(3):
            stage.kernel.add(os.getpid(), slots[-1])
        found.append({U32.unpack(number)[0] for number, _ in overlays.read()})
    for slot in slots:
        stage.kernel.give_back(slot)

    assert found == [{50}, {50, 51}]
    assert overlays.read() == []


def _all() -> DropLimit:
    return DropLimit(None, errno.ENOSPC, with_children=True, budget_bytes=None, is_by_path=True)


def test_an_attachment_that_fails_is_one_line() -> None:
    """And nobody is entered."""
    stage = Stage(problem="cannot be attached: Operation not supported")

    with pytest.raises(EnforcerError, match="on_drop_write cannot be attached"):
        stage.apply(FakeTarget(ONE, 42), order())
    assert stage.charging.in_slot == {}


def _never_called() -> Stage:
    stage = Stage(facts=Facts(None))
    stage.charging.programs.is_called = False
    return stage


def _without_marks() -> Stage:
    stage = Stage()
    del stage.charging.programs.maps["marks"]
    return stage


RUNGS: dict[str, tuple[Callable[[], Stage], Order, str]] = {
    "works": (Stage, order(), ""),
    "no module": (lambda: Stage(facts=Facts(("yama",))), order(), "lsm=yama,bpf"),
    "refused": (lambda: Stage(problem="is refused"), order(), "on_drop_write is refused"),
    "errno": (Stage, order(error="EINTR"), "writes cannot fail with EINTR; ENOSPC, EDQUOT"),
    "not asked": (_never_called, order(), "asks no BPF security program"),
    "no marks": (_without_marks, order(paths=("*",)), "Linux 5.10"),
}


@pytest.mark.parametrize("name", RUNGS)
def test_the_rung_says_why_not(name: str) -> None:
    """Before anything is done, and nothing stays attached."""
    make, wanted, why = RUNGS[name]
    stage = make()
    rung = stage.enforcer.rung(FakeTarget(ONE, 42), wanted)

    assert rung.works is not bool(why)
    assert (why or "data is lost") in rung.why
    assert rung.survives == "nothing"
    assert not stage.charging.programs.attached


def test_what_loading_said_is_asked_once() -> None:
    """The dialog asks at each key; compiling takes a moment."""
    calls = []

    def load() -> Kernel:
        calls.append(1)
        raise SourceError("BCC for Python is not installed")

    enforcer = DropEnforcer(load, lambda: Facts(None))
    said = {enforcer.rung(FakeTarget(ONE, 42), order()).why for _ in range(3)}

    assert said == {"BCC for Python is not installed (throttle works without it)"}
    assert len(calls) == 1


def test_a_kernel_that_refuses_security_programs_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """EPERM without a word from the verifier: it is not about this program."""

    def refuse(job: str) -> Charging:
        words = "Operation not permitted: no word from the verifier"
        raise EnforcerError(f"the program on_{job}_write does not run here: {words}")

    monkeypatch.setattr("iotop_ng.enforcers.drop_kernel.Charging", refuse)

    with pytest.raises(EnforcerError, match=r"^this kernel refuses BPF security programs"):
        load_kernel()


def test_the_sentence_names_what_fails_with_what_and_what_does_not() -> None:
    """For the dialog."""
    assert does(order(rate=5 << 20, paths=("*.log", "/srv/**"))) == (
        "writes beyond 5.0M/s to *.log, /srv/** fail with ENOSPC (No space left on device): most "
        "programs end or lose that stream; stores to mapped files, truncate and rename are not "
        "refused"
    )
    assert does(order(error="EIO")).startswith(
        "all writes to files on disks fail with EIO (Input/output error): "
    )
