"""What a comparison of policies measured, as JSON lines: nothing is computed before it is written.

The first line of a file is a `Setting`; then one `Run` or `Missing` per line, in the order in which
they ran. Every number of the report comes from these lines alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import msgspec

ALONE = "alone"
"""The victim without a hog; its scores are the base of all others."""
SCHEMA = 1
SCENARIOS = {
    "steady": "the device keeps its speed",
    "slow": "the device slows down halfway",
}


class RawError(Exception):
    """A file is not what this module writes."""


class Setting(msgspec.Struct, frozen=True, tag="setting"):
    """What all runs of a file have in common."""

    schema: int
    scenario: str
    """A key of `SCENARIOS`."""
    device: str
    """What kind, in words; no names of this machine."""
    file_system: str
    kernel: str
    date: str
    """UTC, YYYY-MM-DD."""
    command: str
    """What makes this file again."""
    seconds: int
    """Of each run, from the hog's first byte on."""
    rest_s: float
    rounds: int
    hog: str
    """How it writes, in words."""
    hog_bytes_per_s: int
    """What it wants."""
    victim: str
    limit_ms: int
    """An fsync that takes longer is a violation; the target of guard, io.cost and io.latency."""
    capacity_bytes_per_s: int
    """Median second of a hog without a limit."""
    slow_at_s: float | None = None
    """When the device slows down, from the hog's first byte."""
    slow_capacity_bytes_per_s: int | None = None
    """As capacity_bytes_per_s, on the slowed device."""


class Told(NamedTuple):
    """What the hog had counted at a moment."""

    at_us: int
    """From the begin of the run."""
    written_bytes: int
    wanted_bytes: int
    lost_bytes: int
    """What it wanted and could not write, beyond one second of debt."""


class Run(msgspec.Struct, frozen=True, tag="run"):
    """One contestant in one round. Times in microseconds from the hog's first byte."""

    round: int
    contestant: str
    fsyncs: tuple[tuple[int, int], ...]
    """(begin, latency) of each fsync of the victim that ended."""
    hog: tuple[Told, ...]
    """Empty for `ALONE`."""
    device_bytes: tuple[tuple[int, int], ...]
    """(moment, bytes that the device has written since the begin), about once per second."""
    under_way: tuple[int, int] | None = None
    """(begin, age) of the one that had not ended when the run was over."""
    writes: int | None = None
    """How often a limit was set, changed or taken away, where somebody does that meanwhile."""
    note: str = ""
    """What did not go as it should: "the guard ended by itself with 1"."""


class Missing(msgspec.Struct, frozen=True, tag="missing"):
    """A contestant that could not run."""

    round: int
    contestant: str
    why: str
    never_ran: bool = False
    """It cannot run here; else it failed."""


Line = Setting | Run | Missing
_PATH = re.compile(r"(?<![\w.])/(?:[^\s/:'\"()]+/)+([^\s/:'\"()]*)")
_DECODER: msgspec.json.Decoder[Line] = msgspec.json.Decoder(Line)


class Measured(NamedTuple):
    """The content of one file."""

    setting: Setting
    lines: tuple[Run | Missing, ...]

    def contestants(self) -> list[str]:
        """Return the names without `ALONE`, in the order of the first round."""
        names: list[str] = []
        for line in self.lines:
            if line.round == 0 and line.contestant not in {*names, ALONE}:
                names.append(line.contestant)
        return names

    def of(self, contestant: str) -> list[Run]:
        """Return a contestant's runs."""
        return [
            line for line in self.lines if isinstance(line, Run) and line.contestant == contestant
        ]

    def why_missing(self, contestant: str) -> str:
        """Return why a contestant did not run in some round, "" when it always did."""
        missing = (line for line in self.lines if isinstance(line, Missing))
        return next(
            (
                line.why if line.never_ran else f"failed: {line.why}"
                for line in missing
                if line.contestant == contestant
            ),
            "",
        )


def without_paths(text: str) -> str:
    """Return a message without the directories of this machine: only the last part of each path."""
    return _PATH.sub(r"\1", text)


def encode(line: Line) -> bytes:
    """Return one line."""
    return msgspec.json.encode(line) + b"\n"


def parse(lines: Iterable[bytes], name: str) -> Measured:
    """Return the content of a file; an unfinished last line is left out.

    Raises:
        RawError: naming the file and the line.
    """
    found: list[Line] = []
    for number, line in enumerate(lines, 1):
        if not line.endswith(b"\n"):
            break
        try:
            found.append(_DECODER.decode(line))
        except msgspec.DecodeError as error:
            raise RawError(f"{name}:{number}: {error}") from None
    settings = [line for line in found if isinstance(line, Setting)]
    if len(settings) != 1 or found[0] is not settings[0]:
        raise RawError(f"{name}: does not begin with its one setting")
    if settings[0].schema != SCHEMA or settings[0].scenario not in SCENARIOS:
        raise RawError(f"{name}: written by another version")
    return Measured(
        settings[0],
        tuple(line for line in found if not isinstance(line, Setting)),
    )


def read(path: Path) -> Measured:
    """Return the content of a file.

    Raises:
        RawError: as in `parse`.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        return parse(file, path.name)
