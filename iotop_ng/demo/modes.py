"""The ways in which logs break nodes: what is written per call, by how many, how often synced."""

from __future__ import annotations

from typing import NamedTuple

from iotop_ng.clock import NS_PER_S
from iotop_ng.errors import UsageError, nearest
from iotop_ng.units import clean

KIB = 1 << 10
MIB = 1 << 20
DEFAULT_MODE = "lines"
DEMO_MODE, DEMO_WRITERS = "threads", 2
"""What the demo floods a disk with. One writer of short lines may be too slow for a fast disk, and
8 MiB in one call keep a slow one busy for a while whatever the limit; two threads of 64 KiB fill
either, and what a limit lets through comes evenly."""


class Mode(NamedTuple):
    """One way of writing."""

    name: str
    record_bytes: int
    """Of each call."""
    processes: int
    threads: int
    """Of each process."""
    text: str
    """What it does, for people."""
    is_synced: bool = False
    """fsync after each call."""
    is_lines: bool = False
    """Each record ends with a newline."""
    pulse_ns: int = 0
    """Writes this long, is silent this long, and so on; 0: always writes."""


_ALL = (
    Mode("lines", 512, 1, 1, "lines of 512 bytes, one call each, in a tight loop", is_lines=True),
    Mode("big", 8 * MIB, 1, 1, "8 MiB in one call"),
    Mode("bytes", 1, 1, 1, "single bytes, every other one a newline, one call each", is_lines=True),
    Mode("threads", 64 * KIB, 1, 16, "one process of 16 threads, 64 KiB per call"),
    Mode("processes", 4 * KIB, 16, 1, "16 processes, 4 KiB per call"),
    Mode("fsync", 4 * KIB, 4, 1, "4 processes, 4 KiB and an fsync per call", is_synced=True),
    Mode(
        "burst", 64 * KIB, 1, 1, "1 s of writing, twice the rate, and 1 s of silence; 64 KiB",
        pulse_ns=NS_PER_S,
    ),
)  # fmt: skip
MODES: dict[str, Mode] = {mode.name: mode for mode in _ALL}
MOST_WRITERS = 256
_CHUNK_BYTES = 256 * KIB
"""Of all that write at once: a hog that is held hands over so much in one go, whatever its rate."""
_LEAST_CHUNK_BYTES = 64 * KIB
_LEAST_CHUNKS = 4


class Layout(NamedTuple):
    """How a hog is laid out: who writes, and into what."""

    mode: Mode
    processes: int
    threads: int
    """Of each process."""
    chunk_bytes: int
    """What is handed to the disk at once."""
    chunks: int
    """Of each file; every thread has a file of its own."""

    @property
    def streams(self) -> int:
        """Threads of all processes."""
        return self.processes * self.threads

    @property
    def file_bytes(self) -> int:
        """Size of each file."""
        return self.chunk_bytes * self.chunks

    @property
    def span_bytes(self) -> int:
        """Size of all files."""
        return self.file_bytes * self.streams


def mode_of(name: str) -> Mode:
    """Return a mode by its name.

    Raises:
        UsageError: there is none of that name.
    """
    if name not in MODES:
        raise UsageError(
            f"--mode {clean(name, 40)!r}: no such mode{nearest(name, MODES)};"
            f" there are {', '.join(MODES)}"
        )
    return MODES[name]


def demo_options(mode: str) -> tuple[str, ...]:
    """Return the options of a hog that plays in the demo."""
    writers = ("--writers", str(DEMO_WRITERS)) if mode == DEMO_MODE else ()
    return ("--mode", mode, *writers)


def layout(mode: Mode, span: int, writers: int | None, rate: int | None) -> Layout:
    """Divide a span of bytes among writers.

    A chunk is small beside the file (a sixteenth), so that the disk always has work while one is
    waited for, and beside what is written in a tenth of a second, so that a slow hog writes
    steadily, and for all writers together 256 KiB at most; but never less than 64 KiB or a record.

    Args:
        mode: how is written.
        span: bytes of all files together; what does not divide is left out.
        writers: threads of the one process in mode `threads`, else processes; None: the mode's.
        rate: bytes per second of all together; None: no limit.

    Raises:
        UsageError: the span is too small for that.
    """
    processes, threads = mode.processes, mode.threads
    if writers is not None:
        processes, threads = (1, writers) if mode.threads > 1 else (writers, 1)
    streams = processes * threads
    largest = _CHUNK_BYTES // streams
    if rate is not None:
        largest = min(largest, rate // (10 * streams))
    chunk = _power_of_two(min(span // streams // 16, largest))
    chunk = max(chunk, _LEAST_CHUNK_BYTES, mode.record_bytes)
    chunks = span // streams // chunk
    if chunks < _LEAST_CHUNKS:
        least = _LEAST_CHUNKS * streams * max(_LEAST_CHUNK_BYTES, mode.record_bytes)
        raise UsageError(
            f"--span: mode {mode.name} with {streams} writing at once needs"
            f" {-(-least // MIB)}M or more"
        )
    return Layout(mode, processes, threads, chunk, chunks)


def _power_of_two(number: int) -> int:
    """Return the largest power of two that is not above a number; 1 below 1."""
    return 1 << max(number.bit_length() - 1, 0)
