"""The raw results: JSON lines, the first one says what they are of."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from pathlib import Path

import msgspec


class About(msgspec.Struct, frozen=True, tag="about", tag_field="is"):
    """Of which machine the lines after it are."""

    machine: str
    """What the tables call it."""
    kernel: str
    file_system: str
    memory_bytes: int
    seconds: float
    """Length of a phase."""
    metrics: tuple[str, ...]
    """What the values of each tick are, in this order."""


class Tick(msgspec.Struct, frozen=True, tag="tick", tag_field="is"):
    """One look in a phase."""

    load: str
    round: int
    at_s: float
    """Since the load began."""
    values: tuple[float | None, ...]


class Alarm(msgspec.Struct, frozen=True, tag="alarm", tag_field="is"):
    """The default rules would take hold of somebody."""

    load: str
    round: int
    at_s: float
    name: str
    text: str


class Result(msgspec.Struct, frozen=True, tag="result", tag_field="is"):
    """What a phase was, by the victim's own log."""

    load: str
    round: int
    is_flood: bool
    calls: int = 0
    p50_ms: float | None = None
    """Of the victim's fsyncs that began in the phase; None: no victim."""
    p95_ms: float | None = None
    p99_ms: float | None = None
    max_ms: float | None = None
    top_bytes_per_s: float | None = None
    """What the one wrote who wrote most, mean over the phase."""


class Problem(msgspec.Struct, frozen=True, tag="problem", tag_field="is"):
    """A phase that could not be measured."""

    load: str
    round: int
    text: str


Record = About | Tick | Alarm | Result | Problem

_decoder = msgspec.json.Decoder(Record)


class Results:
    """The records of one machine.

    Raises:
        ValueError: the first record does not say what they are of.
    """

    def __init__(self, records: Iterable[Record]) -> None:
        found = list(records)
        if not found or not isinstance(found[0], About):
            raise ValueError("the first line does not say of which machine these are")
        self.about = found[0]
        self.ticks = [one for one in found if isinstance(one, Tick)]
        self.alarms = [one for one in found if isinstance(one, Alarm)]
        self.results = [one for one in found if isinstance(one, Result)]
        self.problems = [one for one in found if isinstance(one, Problem)]

    def values(self, metric: str, load: str, number: int) -> list[tuple[float, float]]:
        """Return (time, value) of a metric in a phase; what was not measured is left out."""
        index = self.about.metrics.index(metric)
        return [
            (tick.at_s, value)
            for tick in self.ticks
            if (tick.load, tick.round) == (load, number)
            and (value := tick.values[index]) is not None
        ]


def read(path: Path) -> Results:
    """Return what a file holds."""
    with path.open("rb") as file:
        return Results(_decoder.decode(line) for line in file)


class Sink:
    """Writes a file from several threads; what is over is there, whatever comes after it.

    Ticks are kept in memory until their phase has a result: writing is I/O too.
    """

    def __init__(self, path: Path, first: About) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._kept: list[Record] = [first]
        path.write_bytes(b"")

    def add(self, record: Record) -> None:
        """Take one more record."""
        with self._lock:
            self._kept.append(record)
            if isinstance(record, Result | Problem):
                self._flush()

    def close(self) -> None:
        """Write what is left."""
        with self._lock:
            self._flush()

    def _flush(self) -> None:
        with self._path.open("ab") as file:
            file.write(b"".join(msgspec.json.encode(one) + b"\n" for one in self._kept))
        self._kept.clear()
