"""`iotop-ng demo hog`: its options, read and handed to the hog."""

from __future__ import annotations

from pathlib import Path

from iotop_ng.cli import amounts
from iotop_ng.cli.desk import Desk
from iotop_ng.cli.talk import complain
from iotop_ng.demo import hog, modes, space
from iotop_ng.units import parse_rate

INTERRUPTED = 130
WITHOUT_LIMIT = "max"


def run(
    directory: str,
    *,
    mode: str,
    rate: str,
    span: str | None,
    duration: str,
    writers: int | None,
    queue: str | None,
    calls: int | None,
    seed: int,
    on_error: str,
    engine: str,
    until_stdin_ends: bool,
    json: bool,
    desk: Desk,
) -> int:
    """Be the hog until the time is over; return the exit code.

    Raises:
        IotopError: an option is wrong, there is too little room, or it ended before its time.
    """
    limit = None if rate == WITHOUT_LIMIT else amounts.read(parse_rate, rate, "--rate")
    way = modes.mode_of(mode)
    where = Path(directory)
    size = (
        space.usual_span(space.space(where))
        if span is None
        else amounts.read(amounts.size, span, "--span")
    )
    job = hog.Job(
        directory=where,
        layout=modes.layout(way, size, writers, limit),
        rate=limit,
        behind_bytes=None if queue is None else amounts.read(amounts.size, queue, "--queue"),
        for_ns=amounts.read(amounts.span, duration, "--for"),
        calls=calls,
        seed=seed,
        stops_at_error=on_error == "stop",
        uses_fio=engine == "fio",
        until_stdin_ends=until_stdin_ends,
        is_json=json,
    )
    with desk.signals() as signals:
        hog.run(job, hog.Outside(signals, desk.clock, desk.write, complain))
        return INTERRUPTED if signals.is_set else 0
