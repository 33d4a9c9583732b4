"""The session thread closes what it opened, says what failed, and steps down."""

from __future__ import annotations

import threading
from collections.abc import Callable

from textual.message import Message

from iotop_ng.clock import ManualClock, SystemClock
from iotop_ng.enforcers.orders import Failed
from iotop_ng.errors import NotPermittedError, SourceError
from iotop_ng.model.frame import EMPTY_FRAME, Frame
from iotop_ng.sample import Need, Sample
from iotop_ng.view.acting import Engine, Wish
from iotop_ng.view.feed import Feed, Way, sentence
from iotop_ng.view.messages import Answered, FrameReady, SessionEnded, SourceFailed, SourceStatus
from tests.fakes.acting import FakeEngine
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


class FakeControl(FakeEngine):
    """A control that writes down what becomes of it."""

    interval_s = None
    needs: frozenset[Need] = frozenset()

    def __init__(self, calls: list[str]) -> None:
        super().__init__()
        self.calls_seen = calls

    def tick(self, frame: Frame) -> None:
        raise AssertionError(f"nobody asked for a pace of its own: {frame.tick}")

    def blind(self, why: str) -> None:
        pass

    def mark(self, frame: Frame) -> Frame:
        return frame

    def close(self) -> None:
        self.calls_seen.append("released")


def acting_feed(box: Box, source: ScriptedSource, control: FakeControl) -> Feed:
    return Feed(
        (way(source),),
        box,
        SystemClock(),
        interval_s=3600,
        history_ticks=10,
        make_control=lambda: control,
    )


def done(box: Box, answers: list[object], count: int) -> list[object]:
    """Do what the application does with answers."""
    waited = threading.Event()
    for _ in range(1000):
        found = [m for m in list(box.messages) if isinstance(m, Answered)]
        if len(found) >= count:
            break
        waited.wait(0.01)
    for message in found:
        message.then()
    return answers


def test_what_is_asked_is_done_in_the_thread_in_order_and_out_of_its_sleep() -> None:
    box, answers = Box(), list[object]()
    made = acting_feed(box, ScriptedSource(ManualClock(), [EMPTY]), FakeControl([]))

    def name(number: int) -> Callable[[Engine], str]:
        return lambda _: f"{number} in {threading.current_thread().name}"

    made.ask(Wish(name(1), answers.append))
    made.start()
    assert box.framed.wait(10)
    made.ask(Wish(name(2), answers.append))
    made.ask(Wish(name(3), answers.append))

    expected = [f"{n} in session" for n in (1, 2, 3)]
    assert done(box, answers, 3) == expected
    assert made.stop()


def test_what_is_asked_after_the_end_is_refused() -> None:
    box, answers = Box(), list[object]()
    made = acting_feed(box, ScriptedSource(ManualClock(), [EMPTY]), FakeControl([]))
    made.start()
    assert box.framed.wait(10)
    assert made.stop()

    made.ask(Wish(lambda engine: engine.warm(), answers.append))

    (answer,) = done(box, answers, 1)
    assert isinstance(answer, Failed)
    assert "has ended" in answer.message


def test_everything_is_released_before_the_source_is_closed() -> None:
    """Letting go of probes takes up to a second: nobody stays held for that."""
    box, calls = Box(), list[str]()

    class Closing(ScriptedSource):
        def close(self) -> None:
            super().close()
            calls.append("closed")

    made = acting_feed(box, Closing(ManualClock(), [EMPTY]), FakeControl(calls))
    made.start()
    assert box.framed.wait(10)

    assert made.stop()

    assert calls[:2] == ["released", "closed"]


def test_a_source_that_fails_leaves_what_is_in_force() -> None:
    box, clock, calls = Box(), ManualClock(), list[str]()
    spare = ScriptedSource(clock, [EMPTY])
    spare.before_read = lambda number: calls.append("spare") if number == 1 else None
    made = Feed(
        (way(Unopenable(clock, [EMPTY])), way(spare)),
        box,
        clock,
        interval_s=1.0,
        history_ticks=10,
        count=1,
        make_control=lambda: FakeControl(calls),
    )
    made.start()

    assert box.ended.wait(10)
    assert calls[0] == "spare"
    assert calls[-1] == "released"


def test_errors_are_one_line_with_the_remedy() -> None:
    assert sentence(SourceError("no headers", "apt install x")) == "no headers: apt install x"
    assert sentence(SourceError("no headers")) == "no headers"
    assert sentence(ValueError("a\nb\nc")) == "iotop-ng failed: ValueError a"


def test_a_newer_frame_replaces_one_that_was_not_drawn_and_nothing_else() -> None:
    old, new = FrameReady(EMPTY_FRAME), FrameReady(EMPTY_FRAME)
    assert old.can_replace(new)
    assert not old.can_replace(SessionEnded())
    assert not SessionEnded().can_replace(old)
