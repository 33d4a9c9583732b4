"""Orders that the screen makes, and the words for what came of them."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from iotop_ng.enforcers.orders import Failed, Kind, Mechanism, Released
from iotop_ng.errors import EnforcerError
from iotop_ng.policy.actions import ProcessTarget
from iotop_ng.view.acting import Engine, Wish, applied, bare_order, name_of, released
from tests.fakes import acting, frames

ROW = frames.row(4242, "dd", write=9e6)
MIB = 1 << 20


def test_an_order_is_about_the_very_process_and_what_it_wrote() -> None:
    order = bare_order(ROW, Kind.THROTTLE)

    assert order.target == ProcessTarget(ROW.key, 4242, ROW.start_ns)
    assert order.before_bytes_per_s == int(ROW.write_bytes_per_s or 0)
    assert order.reason.name == name_of(ROW) == "dd[4242]"
    assert order.reason.rule == ""


def test_what_was_not_measured_is_not_said_to_be_0() -> None:
    assert bare_order(replace(ROW, write_bytes_per_s=None), Kind.DROP).before_bytes_per_s is None


def test_a_throttle_is_one_line() -> None:
    policy = acting.in_force(1, acting.order_on(ROW))
    assert applied(policy) == "dd[4242] held to 5.0M/s (hold), 10 min"
    assert applied(policy, si=True) == "dd[4242] held to 5.2M/s (hold), 10 min"
    assert applied(policy, lease_ns=90 * 10**9) == "dd[4242] held to 5.0M/s (hold), 1:30 min"


def test_what_does_not_work_as_asked_is_said() -> None:
    policy = replace(acting.in_force(1, acting.order_on(ROW)), problem="1 of 2 threads is traced")
    assert applied(policy).endswith("10 min: 1 of 2 threads is traced")


@pytest.mark.parametrize(
    ("kind", "rate", "expected"),
    [
        (Kind.DROP, None, "dd[4242] can write nothing (ENOSPC) (drop), 10 min"),
        (Kind.DROP, MIB, "dd[4242] loses what it writes beyond 1.0M/s (ENOSPC) (drop), 10 min"),
        (Kind.IONICE, None, "dd[4242] set to idle (ionice), 10 min"),
    ],
)
def test_other_kinds_say_what_is_lost_or_set(kind: Kind, rate: int | None, expected: str) -> None:
    assert applied(acting.in_force(1, acting.order_on(ROW, kind, rate))) == expected


def test_a_dry_run_says_that_nothing_was_done() -> None:
    order = replace(acting.order_on(ROW), dry_run=True)
    assert applied(acting.in_force(1, order)).startswith("dry run, nothing is done: dd[4242] ")
    policy = replace(acting.in_force(1, acting.order_on(ROW)), mechanism=Mechanism.DRY_RUN)
    assert applied(policy).startswith("dry run, nothing is done: ")


def test_a_release_names_what_it_took_back_and_what_it_could_not() -> None:
    assert released(Released(("a[1]", "b[2]"))) == "released a[1], b[2]"
    assert released(Released(("a[1]",), ("b[2] is gone",))) == "released a[1]; b[2] is gone"
    assert released(Released(())) == "nothing was in force"


class TestWish:
    def test_its_answer_reaches_who_asked(self) -> None:
        answers: list[object] = []
        engine = acting.FakeEngine()
        wish = Wish(lambda e: e.ladder(acting.order_on(ROW)), answers.append)

        then = wish.carry_out(engine)

        assert answers == []
        then()
        assert answers == [acting.LADDER]

    def test_an_exception_is_an_answer_and_one_line(self) -> None:
        answers: list[object] = []

        def broken(_: Engine) -> None:
            raise ValueError("first\nsecond")

        Wish(broken, answers.append).carry_out(acting.FakeEngine())()

        assert answers == [Failed("ValueError first", EnforcerError.exit_code)]

    def test_what_could_not_be_tried_is_answered_too(self) -> None:
        answers: list[object] = []
        Wish(lambda _: None, answers.append).refuse("too late")()
        assert answers == [Failed("too late", 1)]
