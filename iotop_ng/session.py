"""The one loop: read, compute, publish. Live, batch and replay differ in what they plug in.

The session's thread owns the source, the model and the control. Other threads may set `needs` and
`interval_s`, and call `ask`, `wake` and `request_stop`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from queue import Empty, SimpleQueue

import msgspec

from iotop_ng.clock import NS_PER_S, Clock
from iotop_ng.model.frame import Frame
from iotop_ng.model.tracker import Tracker
from iotop_ng.ports import Control, Source
from iotop_ng.sample import Need, Process, Sample


class Session:
    """Reads a source again and again, and hands out frames.

    Args:
        source: what is read.
        clock: owns the time.
        interval_s: seconds between frames.
        history_ticks: how many intervals a row remembers.
        control: acts on what is seen, at a pace of its own. Who made it closes it: it may outlive
            a source that failed.

    Attributes:
        needs: what readers want beyond the default set, from the next reading on.
        interval_s: seconds between readings, from the next sleep on; `wake` makes it count now.
    """

    def __init__(
        self,
        source: Source,
        clock: Clock,
        interval_s: float,
        history_ticks: int = 120,
        control: Control | None = None,
    ) -> None:
        self.needs: frozenset[Need] = frozenset()
        self.interval_s = interval_s
        self._source = source
        self._clock = clock
        self._tracker = Tracker(history_ticks)
        self._eye = None if control is None else _Eye(control)
        self._jobs: SimpleQueue[Callable[[], object]] = SimpleQueue()
        self._is_open = False
        self._is_stopping = False
        self._wake = threading.Event()

    def open(self) -> None:
        """Open the source, once.

        Raises:
            SourceError: when it cannot work here.
            NotPermittedError: when a capability is missing.
        """
        if not self._is_open:
            self._source.open()
            self._is_open = True

    def close(self) -> None:
        """Close the source; calling it twice is fine. For the thread that reads."""
        if self._is_open:
            self._is_open = False
            self._source.close()

    def step(self) -> Frame:
        """Read once and return the frame of the interval since the reading before."""
        eye = self._eye
        if eye is None:
            return self._tracker.advance(self._source.read(self.needs))
        now = self._clock.mono_ns()
        sample = eye.read(self._source, self.needs)
        frame = self._tracker.advance(eye.with_ended(sample))
        if eye.is_due(now):
            eye.look(sample, now)
        return eye.control.mark(frame)

    def ask(self, job: Callable[[], object]) -> None:
        """Have the session's thread do something at once, also out of its sleep. From any thread.

        The job must not raise. One that is asked for when `frames` has ended is not done.
        """
        self._jobs.put(job)
        self._wake.set()

    def request_stop(self) -> None:
        """Make `frames` end after the frame at hand, also out of its sleep. From any thread."""
        self._is_stopping = True
        self._wake.set()

    def wake(self) -> None:
        """Make a sleeping session look at `interval_s` again. From any thread."""
        self._wake.set()

    def frames(self, count: int | None = None, duration_s: float | None = None) -> Iterator[Frame]:
        """Yield tick 0 at once, where no rate is known yet, and then one frame per interval.

        Tick k is due at start + k * interval, whatever reading and drawing cost. When a tick is
        late by more than an interval, those that were missed are left out: with 1 s, a reading
        that takes from 3.0 to 5.3 is followed by the one due at 6.0. When the interval changes, the
        last due time is the new start.

        Args:
            count: frames after tick 0; None for no end.
            duration_s: after that time the last frame is read, be its interval shorter or not.
        """
        self.open()
        due = start = self._clock.mono_ns()
        end = None if duration_s is None else start + round(duration_s * NS_PER_S)
        frame = self.step()
        yield frame
        while not (self._is_stopping or frame.tick == count or (end is not None and due >= end)):
            due = self._sleep(due, end)
            if self._is_stopping:
                return
            frame = self.step()
            yield frame

    def _sleep(self, last_due: int, end: int | None) -> int:
        """Sleep until the next tick is due; return when that was. Jobs and the control go on."""
        eye = self._eye
        while True:
            self._wake.clear()
            # Asked after the clearing: a stop or a job from before it would be slept over.
            if self._is_stopping:
                return last_due
            self._do_jobs()
            now = self._clock.mono_ns()
            due = next_due(last_due, now, round(self.interval_s * NS_PER_S))
            due = due if end is None else min(due, end)
            look = None if eye is None else eye.next_ns(now)
            self._clock.sleep_until(due if look is None else min(due, look), self._wake)
            now = self._clock.mono_ns()
            if now >= due:
                self._do_jobs()
                return due
            if eye is not None and look is not None and now >= look:
                eye.look_between(self._source, self.needs, now)

    def _do_jobs(self) -> None:
        while True:
            try:
                job = self._jobs.get_nowait()
            except Empty:
                return
            job()


class _Eye:
    """What a control sees: frames of its own, made of the same samples where both are due.

    With a screen at 1 s and a control at 0.25 s there are readings at 0, 0.25, 0.5, 0.75 and 1.0;
    the one at 1.0 goes to both.
    """

    def __init__(self, control: Control) -> None:
        self.control = control
        # Nothing here looks back.
        self._tracker = Tracker(history_ticks=1)
        self._last_ns: int | None = None
        self._ended: dict[int, Process] = {}

    def next_ns(self, now: int) -> int | None:
        """Return when to look next; None: not by itself. Looks that were missed are left out."""
        step = self._step_ns()
        if step is None:
            return None
        return now if self._last_ns is None else next_due(self._last_ns, now, step)

    def is_due(self, now: int) -> bool:
        """Say whether a look is due since the last one."""
        step = self._step_ns()
        return step is not None and (self._last_ns is None or now >= self._last_ns + step)

    def _step_ns(self) -> int | None:
        interval_s = self.control.interval_s
        return None if interval_s is None else max(round(interval_s * NS_PER_S), 1)

    def read(self, source: Source, needs: frozenset[Need]) -> Sample:
        """Read what readers and the control need; a failure makes the control blind."""
        try:
            return source.read(needs | self.control.needs)
        except Exception as error:
            self.control.blind(str(error))
            raise

    def look(self, sample: Sample, now: int) -> None:
        """Show the control the interval since its last look."""
        step = self._step_ns() or 1
        last = now if self._last_ns is None else self._last_ns
        self._last_ns = last + (now - last) // step * step
        frame = self._tracker.advance(sample)
        if frame.tick:
            self.control.tick(frame)

    def look_between(self, source: Source, needs: frozenset[Need], now: int) -> None:
        """Read for the control alone."""
        sample = self.read(source, needs)
        # Some sources list who has ended only once, and the readers have not seen this one.
        self._ended.update((p.key, p) for p in sample.processes if p.is_exited)
        self.look(sample, now)

    def with_ended(self, sample: Sample) -> Sample:
        """Return a sample with everybody who ended since the readers' last one."""
        ended, self._ended = self._ended, {}
        if ended:
            for process in sample.processes:
                ended.pop(process.key, None)
        if not ended:
            return sample
        return msgspec.structs.replace(sample, processes=(*sample.processes, *ended.values()))


def next_due(last_due: int, now: int, interval_ns: int) -> int:
    """Return the first of last_due + k * interval (k >= 1) that is not past, in ns.

    last_due 0, interval 1000: due 1000 at now 400 and at 1000, but 4000 at now 3500.
    """
    step = max(interval_ns, 1)
    missed = max(now - last_due - 1, 0) // step
    return last_due + (missed + 1) * step
