"""The session thread closes what it opened, says what failed, and steps down."""

from __future__ import annotations

import threading
from collections.abc import Callable

from textual.message import Message

from iotop_ng.clock import ManualClock, SystemClock
from iotop_ng.errors import NotPermittedError, SourceError
from iotop_ng.model.frame import EMPTY_FRAME
from iotop_ng.sample import Need, Sample
from iotop_ng.view.feed import Feed, Way, sentence
from iotop_ng.view.messages import FrameReady, SessionEnded, SourceFailed, SourceStatus
from tests.fakes.scripted import ScriptedSource

EMPTY = Sample(source="sim", wall_ns=0, mono_ns=0, processes=())


class Box:
    """Takes messages from the thread."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.ended = threading.Event()
        self.framed = threading.Event()

    def __call__(self, message: Message) -> None:
        self.messages.append(message)
        if isinstance(message, FrameReady):
            self.framed.set()
        if isinstance(message, SessionEnded):
            self.ended.set()

    def kinds(self) -> list[str]:
        return [type(message).__name__ for message in self.messages]

    def of(self, kind: type[Message]) -> list[Message]:
        return [message for message in self.messages if isinstance(message, kind)]


class Unopenable(ScriptedSource):
    """A source that cannot work here."""

    def open(self) -> None:
        super().open()
        raise NotPermittedError("BPF needs CAP_BPF: sudo iotop-ng")


def way(source: ScriptedSource) -> Way:
    return Way("opening it", lambda _say: source)


def feed(box: Box, *sources: ScriptedSource, clock: ManualClock, count: int | None = 2) -> Feed:
    made = Feed(
        tuple(way(source) for source in sources),
        box,
        clock,
        interval_s=1.0,
        history_ticks=10,
        count=count,
    )
    made.start()
    return made


def test_it_says_what_it_does_then_posts_frames_then_ends() -> None:
    box, clock = Box(), ManualClock()
    source = ScriptedSource(clock, [EMPTY])

    feed(box, source, clock=clock)

    assert box.ended.wait(10)
    expected = ["SourceStatus", "SourceStatus", *["FrameReady"] * 3, "SessionEnded"]
    assert box.kinds() == expected
    first, second = box.of(SourceStatus)
    assert isinstance(first, SourceStatus)
    assert isinstance(second, SourceStatus)
    assert (first.text, second.text) == ("opening it", "")
    assert source.calls == ["open", "close"]


def test_a_source_says_what_takes_long_while_it_opens() -> None:
    box, clock = Box(), ManualClock()

    class Slow(ScriptedSource):
        say: Callable[[str], None]

        def open(self) -> None:
            super().open()
            self.say("compiling probes")

    slow = Slow(clock, [EMPTY])

    def make(say: Callable[[str], None]) -> ScriptedSource:
        slow.say = say
        return slow

    made = Feed((Way("opening", make),), box, clock, interval_s=1.0, history_ticks=10, count=1)
    made.start()

    assert box.ended.wait(10)
    said = [m.text for m in box.of(SourceStatus) if isinstance(m, SourceStatus)]
    assert said == ["opening", "compiling probes", ""]


def test_a_source_that_cannot_be_opened_is_one_sentence() -> None:
    box, clock = Box(), ManualClock()

    feed(box, Unopenable(clock, [EMPTY]), clock=clock)

    assert box.ended.wait(10)
    (failure,) = box.of(SourceFailed)
    assert isinstance(failure, SourceFailed)
    assert failure.text == "BPF needs CAP_BPF: sudo iotop-ng"
    assert failure.is_final
    (end,) = box.of(SessionEnded)
    assert isinstance(end, SessionEnded)
    assert isinstance(end.error, NotPermittedError)


def test_a_source_that_fails_in_mid_run_is_closed_and_the_next_takes_over() -> None:
    box, clock = Box(), ManualClock()
    broken, spare = ScriptedSource(clock, [EMPTY]), ScriptedSource(clock, [EMPTY])

    def break_later(number: int) -> None:
        if number == 2:
            raise OSError(5, "Input/output error")

    broken.before_read = break_later

    feed(box, broken, spare, clock=clock, count=4)

    assert box.ended.wait(10)
    assert broken.calls == ["open", "close"]
    assert spare.calls == ["open", "close"]
    (failure,) = box.of(SourceFailed)
    assert isinstance(failure, SourceFailed)
    assert not failure.is_final
    assert "Input/output error" in failure.text
    assert len(box.of(FrameReady)) == 2 + 5
    (end,) = box.of(SessionEnded)
    assert isinstance(end, SessionEnded)
    assert end.error is None


def test_needs_and_interval_reach_the_source() -> None:
    box, clock = Box(), ManualClock()
    source = ScriptedSource(clock, [EMPTY])
    made = Feed((way(source),), box, clock, interval_s=1.0, history_ticks=10, count=2)
    made.need(frozenset({Need.PROBES}))
    made.interval_s = 4.0

    made.start()

    assert box.ended.wait(10)
    assert source.asked == [frozenset({Need.PROBES})] * 3
    assert [b - a for a, b in zip(source.readings, source.readings[1:], strict=False)] == [
        4_000_000_000
    ] * 2


def test_stopping_ends_a_sleep_and_closes_the_source() -> None:
    box = Box()
    source = ScriptedSource(ManualClock(), [EMPTY])
    made = Feed((way(source),), box, SystemClock(), interval_s=3600, history_ticks=10)
    made.start()
    assert box.framed.wait(10)

    assert made.stop()

    assert source.calls == ["open", "close"]
    assert made.stop()


def test_a_feed_that_never_started_can_be_stopped() -> None:
    assert Feed((), Box(), ManualClock(), interval_s=1, history_ticks=1).stop()


def test_errors_are_one_line_with_the_remedy() -> None:
    assert sentence(SourceError("no headers", "apt install x")) == "no headers: apt install x"
    assert sentence(SourceError("no headers")) == "no headers"
    assert sentence(ValueError("a\nb\nc")) == "iotop-ng failed: ValueError a"


def test_a_newer_frame_replaces_one_that_was_not_drawn_and_nothing_else() -> None:
    old, new = FrameReady(EMPTY_FRAME), FrameReady(EMPTY_FRAME)
    assert old.can_replace(new)
    assert not old.can_replace(SessionEnded())
    assert not SessionEnded().can_replace(old)
