"""Run iotop-ng and note how late its event loop wakes up.

python -m tests.bench.loopwatch REPORT [iotop-ng's arguments]: with arguments `--nothing`, an empty
event loop runs for as long as standard input is open: what the machine itself delays.

The report is an array of pairs of doubles: monotonic time and lateness, both in seconds.
"""

from __future__ import annotations

import array
import asyncio
import asyncio.base_events
import sys
import time
from pathlib import Path

TICK_S = 0.005


class Watch:
    """A timer in an event loop that notes by how much it is late."""

    def __init__(self) -> None:
        """Note nothing yet."""
        self.notes = array.array("d")
        self._due = 0.0

    def begin(self, loop: asyncio.AbstractEventLoop) -> None:
        """Set the first timer."""
        self._due = time.monotonic() + TICK_S
        loop.call_later(TICK_S, self._tick, loop)

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        now = time.monotonic()
        self.notes.extend((now, now - self._due))
        self.begin(loop)


def watch_every_loop(watch: Watch) -> None:
    """Make every event loop of this process start the timer when it starts to run."""
    run_forever = asyncio.base_events.BaseEventLoop.run_forever

    def run_watched(self: asyncio.base_events.BaseEventLoop) -> None:
        watch.begin(self)
        run_forever(self)

    # setattr, because a method of a class is replaced on purpose here.
    setattr(asyncio.base_events.BaseEventLoop, "run_forever", run_watched)  # noqa: B010


async def nothing() -> None:
    """Run until standard input is closed."""
    ended = asyncio.Event()
    asyncio.get_running_loop().add_reader(sys.stdin, ended.set)
    await ended.wait()


def main(report: Path, arguments: list[str]) -> None:
    """Run the program; write the report whichever way it ends."""
    watch = Watch()
    watch_every_loop(watch)
    try:
        if arguments == ["--nothing"]:
            asyncio.run(nothing())
            return
        sys.argv = ["iotop-ng", *arguments]
        from iotop_ng.cli.main import main as run

        run()
    finally:
        report.write_bytes(watch.notes.tobytes())


def lateness(report: Path, since: float, until: float) -> list[float]:
    """Return the lateness in seconds that a report notes between two monotonic times."""
    notes = array.array("d")
    notes.frombytes(report.read_bytes())
    return [
        late
        for now, late in zip(notes[::2], notes[1::2], strict=True)
        # A tick that ends after `since` and was due before it belongs to what came before.
        if since <= now - late and now <= until
    ]


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
