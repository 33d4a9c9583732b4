"""The session thread: opens the source, steps, posts frames; owns everything that reads the kernel.

The screen is painted before this thread opens anything, so a slow start (probes that are compiled)
never keeps anybody waiting, and a source that fails is a line on the screen.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from textual.message import Message

from iotop_ng.clock import Clock
from iotop_ng.errors import IotopError, SourceError
from iotop_ng.ports import Source
from iotop_ng.sample import Need
from iotop_ng.session import Session
from iotop_ng.view.messages import Answered, FrameReady, SessionEnded, SourceFailed, SourceStatus

if TYPE_CHECKING:
    from iotop_ng.view.acting import ActingControl, Errand

JOIN_S = 3.0
"""How long leaving waits for the source to be closed; detaching probes takes up to a second."""


class Way(NamedTuple):
    """One source that can be tried."""

    doing: str
    """What is said while it opens."""
    make: Callable[[Callable[[str], None]], Source]
    """Returns it, not open; takes what to tell when opening takes long (a compilation)."""


MakeControl = Callable[[], "ActingControl"]
NOBODY = "nothing acts in this session"
ENDED = "the session has ended: nothing can be done"


class Feed:
    """One thread with one session.

    Args:
        ways: sources in order; a later one takes over when an earlier one fails, at the start or
            in mid-run.
        post: takes messages from any thread (`App.post_message`).
        clock: for the session.
        interval_s: between frames.
        history_ticks: of the session.
        count: frames after the first reading, None for no end.
        duration_s: as for `Session.frames`.
        make_control: makes what acts, in the thread; it outlives a source that failed. None: there
            is nothing that acts.
    """

    def __init__(
        self,
        ways: tuple[Way, ...],
        post: Callable[[Message], object],
        clock: Clock,
        *,
        interval_s: float,
        history_ticks: int,
        count: int | None = None,
        duration_s: float | None = None,
        make_control: MakeControl | None = None,
    ) -> None:
        self._ways = ways
        self._post = post
        self._clock = clock
        self._interval_s = interval_s
        self._history_ticks = history_ticks
        self._count = count
        self._duration_s = duration_s
        self._needs: frozenset[Need] = frozenset()
        self._session: Session | None = None
        self._make_control = make_control
        self._control: ActingControl | None = None
        self._errands: deque[Errand] = deque()
        self._is_over = False
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="session", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> bool:
        """Ask the thread to end and wait for it; return whether the source was closed in time."""
        self._stopping.set()
        session = self._session
        if session is not None:
            session.request_stop()
        if self._thread.ident is not None:
            self._thread.join(JOIN_S)
        return not self._thread.is_alive()

    @property
    def interval_s(self) -> float:
        """Seconds between frames."""
        return self._interval_s

    @interval_s.setter
    def interval_s(self, value: float) -> None:
        self._interval_s = value
        if self._session is not None:
            self._session.interval_s = value
            self._session.wake()

    def need(self, needs: frozenset[Need]) -> None:
        """Say what the screen shows now, so that probes are attached only for that."""
        self._needs = needs
        if self._session is not None:
            self._session.needs = needs

    def ask(self, errand: Errand) -> None:
        """Have something done in the thread, in the order of asking; the answer is a message.

        It waits for a source that is being opened. When the session has ended the answer says so.
        """
        self._errands.append(errand)
        session = self._session
        if self._is_over:
            self._refuse_all()
        elif session is not None:
            session.ask(self._do_errands)

    # -- in the thread -------------------------------------------------------------------------

    def _run(self) -> None:
        if self._make_control is not None:
            self._control = self._make_control()
        try:
            error = self._serve_all()
        finally:
            self._let_go()
        self._is_over = True
        self._refuse_all()
        self._post(SessionEnded(error))

    def _serve_all(self) -> Exception | None:
        """Try one source after the other; return what ended the last one."""
        error: Exception | None = None
        for number, way in enumerate(self._ways):
            is_last = number == len(self._ways) - 1
            try:
                self._serve(way)
            except Exception as problem:  # noqa: BLE001 - whatever it is, the screen must say it
                error = problem
                self._post(SourceFailed(sentence(problem), is_final=is_last))
            else:
                error = None
                break
            if self._stopping.is_set():
                break
        return error

    def _do_errands(self) -> None:
        """Do what was asked, at most once each: a session that ended may have left some."""
        while self._errands:
            errand = self._errands.popleft()
            then = (
                errand.refuse(NOBODY) if self._control is None else errand.carry_out(self._control)
            )
            self._post(Answered(then))

    def _refuse_all(self) -> None:
        while self._errands:
            self._post(Answered(self._errands.popleft().refuse(ENDED)))

    def _let_go(self) -> None:
        """Take back what is in force; twice is fine."""
        if self._control is not None:
            self._control.close()

    def _tell(self, doing: str) -> None:
        self._post(SourceStatus(doing))

    def _serve(self, way: Way) -> None:
        self._tell(way.doing)
        source = way.make(self._tell)
        session = Session(source, self._clock, self._interval_s, self._history_ticks, self._control)
        try:
            session.needs = self._needs
            self._session = session
            session.open()
            session.ask(self._do_errands)
            self._tell("")
            if self._stopping.is_set():
                return
            for frame in session.frames(self._count, self._duration_s):
                self._post(FrameReady(frame))
                if self._stopping.is_set():
                    break
        finally:
            self._session = None
            if self._stopping.is_set():
                # Before the source: letting go of probes takes up to a second.
                self._let_go()
            session.close()


def sentence(error: Exception) -> str:
    """Return an error as one line for a person."""
    if isinstance(error, SourceError) and error.remedy:
        return f"{error}: {error.remedy}"
    if isinstance(error, IotopError):
        return str(error)
    first_line = (str(error).splitlines() or [""])[0]
    return f"iotop-ng failed: {type(error).__name__} {first_line}".rstrip()
