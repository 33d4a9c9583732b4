"""What clients are told, with the real core over a fake world."""

from __future__ import annotations

from iotop_ng.clock import NS_PER_S
from iotop_ng.enforcers.orders import (
    PROTOCOL,
    Apply,
    Author,
    Hello,
    Kind,
    Listing,
    Look,
    Mechanism,
    Order,
    Release,
    Welcome,
)
from iotop_ng.errors import NotPermittedError
from iotop_ng.policy.actions import Reason
from tests.fakes.enforcers import (
    AUTHOR,
    order,
)
from tests.unit.enforcers.stage import BY_HAND, Stage, failed

# -- what is told ---------------------------------------------------------------------------------


def test_events_come_after_the_last_one_seen(stage: Stage) -> None:
    stage.throttle(42)
    first = stage.look().events
    stage.throttle(43)

    answer = stage.core.handle(1, Look(after_seq=first[-1].seq))

    assert isinstance(answer, Listing)
    assert [event.name for event in answer.events] == ["tar[43]"]


def test_a_release_tells_what_was_measured(stage: Stage) -> None:
    policy = stage.throttle()
    held = stage.core._policies.get(policy.id)
    assert held is not None
    stage.clock.advance(2 * NS_PER_S)
    held.effect.charged_bytes = 8_000_000  # type: ignore[attr-defined]

    stage.core.handle(1, Release(BY_HAND, (policy.id,)))

    assert stage.last().after_bytes_per_s == 4_000_000


def test_a_hostile_rule_and_user_are_cleaned(stage: Stage) -> None:
    stage.core.handle(3, Hello(PROTOCOL, Author("x\x1b[2J", 9, 0, "\u202eroot", "/dev/\x07")))

    stage.apply(
        Order(
            kind=Kind.THROTTLE,
            target=stage.world.target(42),
            reason=Reason(rule="a\nb\x1b]0;", text="line\r\nline" + "x" * 10_000),
            rate_bytes_per_s=5,
        ),
        client=3,
    )

    event = stage.last()
    for text in (event.rule, event.text, *_strings(event.author)):
        assert text.isprintable(), text
    assert len(event.text) <= 400


def _strings(author: Author) -> tuple[str, str, str]:
    return author.client, author.user, author.terminal


def test_before_hello_nothing_is_done(stage: Stage) -> None:
    answer = failed(stage.core.handle(7, Apply(order(stage.world.target(42)))))

    assert answer.exit_code == 2
    assert stage.is_as_before()


def test_another_version_s_client_is_told(stage: Stage) -> None:
    answer = failed(stage.core.handle(8, Hello(PROTOCOL + 1, AUTHOR)))

    assert "another version" in answer.message


def test_what_a_mechanism_may_not_do_names_the_capability(stage: Stage) -> None:
    stage.world.fail("hold.apply.look", NotPermittedError("hold needs CAP_BPF"))

    answer = stage.refused(order(stage.world.target(42)))

    assert answer.exit_code == NotPermittedError.exit_code
    assert "CAP_BPF" in answer.message
    assert stage.last().what == "failed"


def test_what_a_dead_keeper_left_is_put_back_and_told_once(stage: Stage) -> None:
    stage.throttle(mechanism=Mechanism.IO_MAX)
    assert stage.world.state() != stage.before

    after = stage.new_core()
    said = after.recover()
    first = after.handle(1, Hello(PROTOCOL, AUTHOR))
    second = after.handle(2, Hello(PROTOCOL, AUTHOR))

    assert stage.world.state() == stage.before
    assert len(said) == 2
    assert isinstance(first, Welcome)
    assert isinstance(second, Welcome)
    assert (first.recovered, second.recovered) == (said, ())
    assert stage.audit.whats()[-2:] == ["recovered", "recovered"]
