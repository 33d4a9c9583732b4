"""What was changed outside of ourselves, as the journal keeps it: enough to put it back.

A change is written to the journal and synced before it is made. Undoing is the same whether the
keeper does it in good order or another process after a crash (`iotop_ng.enforcers.undo`): newest
first, and only where the value is still one of ours.
"""

from __future__ import annotations

import msgspec


class FileValue(msgspec.Struct, frozen=True, tag="file"):
    """A line written to a kernel file (cgroupfs)."""

    path: str
    inode: int
    """Of the cgroup's directory: one that was made again under the same name is not the same."""
    key: str
    """"8:0" for one device's line of io.max; "" for a file of one value."""
    before: str
    """As it has to be written to restore it: "8:0 rbps=max wbps=max", "0"."""
    after: str
    earlier: tuple[str, ...] = ()
    """Other values of ours that may still be there (the rate before an adjustment)."""


class UnitProperty(msgspec.Struct, frozen=True, tag="unit"):
    """A runtime property of a systemd unit."""

    unit: str
    name: str
    before: str
    after: str
    earlier: tuple[str, ...] = ()


class IoPriority(msgspec.Struct, frozen=True, tag="ioprio"):
    """ioprio_set(2) of one thread."""

    pid: int
    start_ns: int
    tid: int
    before: int
    after: int


class Stopped(msgspec.Struct, frozen=True, tag="stopped"):
    """SIGSTOP may have been sent: undone by SIGCONT, whatever the state is."""

    pid: int
    start_ns: int
    is_others: bool = False
    """Somebody else has stopped it since (^Z): it is left stopped, nothing is ours to undo."""


class Helper(msgspec.Struct, frozen=True, tag="helper"):
    """A process of ours that holds threads: undone by ending it."""

    pid: int
    start_ns: int


Change = FileValue | UnitProperty | IoPriority | Stopped | Helper


def same_place(one: Change, other: Change) -> bool:
    """Say whether two changes are of the same value: the later one replaces the earlier."""
    return _place(one) == _place(other)


def _place(change: Change) -> tuple[object, ...]:
    match change:
        case FileValue():
            return (FileValue, change.path, change.key)
        case UnitProperty():
            return (UnitProperty, change.unit, change.name)
        case IoPriority():
            return (IoPriority, change.tid, change.start_ns)
        case Stopped() | Helper():
            return (type(change), change.pid, change.start_ns)
