"""The hog and the victim of the tour, as children that end when this process does, however it does.

What they write is theirs to remove, which they do also after a `kill -9` of theirs or ours.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import msgspec

from iotop_ng.cli.demo_child import Child
from iotop_ng.cli.demo_hog_child import Line
from iotop_ng.demo import oplog
from iotop_ng.demo.modes import demo_options
from iotop_ng.demo.own_files import own_directory
from iotop_ng.errors import IotopError
from iotop_ng.units import clean
from iotop_ng.view.tour import Hog
from iotop_ng.view.tour_app import Look

MEMORY = Path("/dev/shm")  # noqa: S108 - a log on the flooded disk would wait for it
PERIOD = "20ms"
"""Of the victim: 50 operations a second, as its step says."""
_STAY = ("--for", "1h", "--until-stdin-ends")
"""Nobody looks at a guide for longer; without an end nothing is flooded."""
_DECODER = msgspec.json.Decoder(Line)


class Part(NamedTuple):
    """What the two are to do."""

    directory: Path
    """Where both write."""
    mode: str
    rate: str
    """Of the hog; "max" or such as 200M."""
    seed: int


class Both:
    """The two programs, as the tour sees them.

    Args:
        part: what they do.
        log: the victim's, in memory.
    """

    def __init__(self, part: Part, log: Path) -> None:
        self._part = part
        self._hog: Child | None = None
        self._hog_pids: frozenset[int] = frozenset()
        self._last: Hog | None = None
        self._victim = Child(
            "victim",
            (
                *("demo", "victim", str(part.directory), "--period", PERIOD),
                *("--log", str(log), "--seed", str(part.seed), "--json", *_STAY),
            ),
        )
        self._operations = oplog.Reader(log)

    def close(self) -> None:
        """End both."""
        self.stop_hog()
        self._victim.end()

    def look(self, now_ns: int) -> Look:
        """Read what they said.

        Raises:
            IotopError: one of them has ended, and why.
        """
        self._victim.check()
        self._victim.lines()
        if self._hog is not None:
            self._hog.check()
            for raw in self._hog.lines():
                self._take(raw)
        found = (oplog.operation(line, now_ns) for line in self._operations.read())
        ended = tuple(one for one in found if one is not None)
        under_way = self._operations.under_way
        waiting_ns = 0 if under_way is None else max(now_ns - under_way.began_ns, 0)
        return Look(ended, waiting_ns, self._last, self._hog_pids)

    def _take(self, raw: bytes) -> None:
        try:
            line = _DECODER.decode(raw)
        except msgspec.MsgspecError as error:
            raise IotopError(f"the hog reported {clean(raw, 80)!r}: {error}") from None
        if line.hog is not None:
            self._hog_pids = frozenset({line.hog.pid, *line.hog.writers})
        else:
            self._last = Hog(line.time_ns, line.written_bytes_total, line.errors_total)

    def start_hog(self) -> None:
        """Begin the flood."""
        part = self._part
        if self._hog is None:
            options = (*demo_options(part.mode), "--rate", part.rate, "--seed", str(part.seed))
            arguments = ("demo", "hog", str(part.directory), *options, "--json", *_STAY)
            self._hog = Child("hog", arguments)

    def stop_hog(self) -> None:
        """End it; twice is fine."""
        hog, self._hog = self._hog, None
        if hog is not None:
            hog.end()


@contextmanager
def playing(part: Part) -> Iterator[Both]:
    """Start the victim, and end both programs in the end.

    Raises:
        IotopError: it cannot be started.
    """
    with own_directory(MEMORY if MEMORY.is_dir() else part.directory, "tour") as own:
        both = Both(part, own / "victim")
        try:
            yield both
        finally:
            both.close()
