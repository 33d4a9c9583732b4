"""`iotop-ng demo victim`: its options, read and handed to the victim."""

from __future__ import annotations

from pathlib import Path

from iotop_ng.cli import amounts
from iotop_ng.cli.desk import Desk
from iotop_ng.config.checks import quoted
from iotop_ng.demo import victim
from iotop_ng.errors import UsageError
from iotop_ng.policy import tables

INTERRUPTED = 130
LONGEST_PERIOD_NS = 60_000_000_000


def run(
    directory: str,
    *,
    mode: str,
    period: str,
    size: str,
    span: str,
    duration: str | None,
    log: str | None,
    seed: int,
    json: bool,
    until_stdin_ends: bool,
    desk: Desk,
) -> int:
    """Be the victim until the time is over; return the exit code.

    Raises:
        IotopError: an option is wrong, or the files cannot be made.
    """
    job = victim.Job(
        directory=Path(directory),
        mode=mode,
        period_ns=amounts.read(pause, period, "--period"),
        size=amounts.read(amounts.size, size, "--size"),
        span=amounts.read(amounts.size, span, "--span"),
        for_ns=None if duration is None else amounts.read(amounts.span, duration, "--for"),
        log=None if log is None else Path(log),
        seed=seed,
        is_json=json,
        until_stdin_ends=until_stdin_ends,
    )
    with desk.signals() as signals:
        victim.run(job, signals, desk.clock, desk.write)
        return INTERRUPTED if signals.is_set else 0


def pause(text: str) -> int:
    """Return nanoseconds for "50ms", "1s", "0": at most a minute.

    Raises:
        UsageError: naming the text and what is allowed.
    """
    try:
        value = 0 if text.strip() == "0" else tables.time(text)
    except UsageError:
        value = LONGEST_PERIOD_NS + 1
    if value > LONGEST_PERIOD_NS:
        raise UsageError(f"{quoted(text)}: expected such as 20ms, 1s or 0, at most a minute")
    return value
