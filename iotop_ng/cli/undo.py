"""`iotop-ng undo`: put back what a dead instance left behind."""

from __future__ import annotations

from typing import assert_never

import msgspec

from iotop_ng.cli.desk import Desk
from iotop_ng.cli.policy_lines import SCHEMA
from iotop_ng.cli.talk import complain
from iotop_ng.enforcers.changes import (
    Change,
    FileValue,
    Helper,
    IoPriority,
    Stopped,
    UnitProperty,
)
from iotop_ng.units import clean

NOTHING = "nothing was left behind"


class Undone(msgspec.Struct, frozen=True):
    """What `undo --json` prints."""

    schema: int
    dry_run: bool
    undone: tuple[str, ...]
    """One sentence each; with --dry-run what would be undone."""


def run(*, json: bool, dry_run: bool, desk: Desk) -> int:
    """Undo and print what was done; return the exit code.

    Raises:
        IotopError: the journal cannot be read, or not all of it could be put back.
    """
    desk.need_root("undo")
    keeper = desk.keeper(spawn=False)
    if keeper is not None:
        # It has put back what was left when it started; what is in force now is not left behind.
        keeper.close()
        said: tuple[str, ...] = ()
        complain("iotop-ng is running: `iotop-ng policies` says what it has in force")
    elif dry_run:
        said = tuple(described(change) for change in desk.left_behind())
    else:
        said = desk.recover()
    # What could be put back is not in the journal any more.
    left = () if keeper is not None or dry_run else desk.left_behind()
    for change in left:
        complain(still_left(change))
    if not said and not left:
        complain(NOTHING)
    if json:
        desk.write(msgspec.json.encode(Undone(SCHEMA, dry_run, said)) + b"\n")
    else:
        desk.write("".join(f"{one}\n" for one in said).encode("utf-8", "replace"))
    return 1 if left else 0


def still_left(change: Change) -> str:
    """Return that a change could not be undone, and the journal keeps it for the next time."""
    return f"still to do: {described(change).removeprefix('would ')}"


def described(change: Change) -> str:
    """Return what undoing would do with a change, where the value is still ours."""
    match change:
        case FileValue():
            text = f"would put back {change.before!r} in {change.path}"
        case UnitProperty():
            text = f"would put back {change.name} of {change.unit} to {change.before!r}"
        case IoPriority():
            text = f"would put back the I/O priority of thread {change.tid}"
        case Stopped():
            text = f"would continue process {change.pid}"
        case Helper():
            text = f"would end helper {change.pid}"
        case _:
            assert_never(change)
    return clean(text)
