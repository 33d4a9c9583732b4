"""The session thread of the live screen: which sources it tries, and what acts in it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from textual.message import Message

from iotop_ng.clock import SystemClock
from iotop_ng.config import Settings
from iotop_ng.view.feed import Feed, MakeControl, Way

if TYPE_CHECKING:
    from iotop_ng.view.acting import ActingControl

LOADING_PROBES = "loading probes"
READING_PROC = "reading /proc ..."


def live_feed(
    settings: Settings,
    post: Callable[[Message], object],
    make_control: MakeControl | None = None,
) -> Feed:
    """Return the session thread: the best source, and /proc after it fails in mid-run.

    Args:
        settings: what was asked for.
        post: takes messages from any thread.
        make_control: makes what acts, in the thread; None: what a person orders on the screen.
    """
    # Deferred: reading the host's facts is not needed before the first paint.
    from iotop_ng.sources.choose import BestSource  # noqa: PLC0415

    if settings.source is None:
        ways = [
            Way(LOADING_PROBES, lambda say: BestSource(None, say)),
            Way(READING_PROC, lambda say: BestSource("procfs", say)),
        ]
    else:
        doing = READING_PROC if settings.source == "procfs" else LOADING_PROBES
        ways = [Way(doing, lambda say: BestSource(settings.source, say))]
    return Feed(
        tuple(ways),
        post,
        SystemClock(),
        interval_s=settings.interval_s,
        history_ticks=settings.history_ticks,
        count=settings.iterations,
        duration_s=settings.duration_s,
        make_control=make_control or (lambda: _control(settings)),
    )


def _control(settings: Settings) -> ActingControl:
    """Return what acts; it connects to the keeper when something is to be done."""
    # In the session's thread: the screen is painted by now.
    from iotop_ng.control.engine import Engine  # noqa: PLC0415
    from iotop_ng.enforcers.client import this_author  # noqa: PLC0415

    return Engine(None, this_author("screen"), read_only=settings.read_only)
