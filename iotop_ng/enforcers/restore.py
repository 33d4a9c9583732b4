"""Put back one change: only where the value is still ours, and looked at again afterwards.

Nothing here raises: whoever undoes has more changes to undo.
"""

from __future__ import annotations

import errno
import os
import signal
from typing import assert_never

from iotop_ng.enforcers import processes
from iotop_ng.enforcers.changes import (
    Change,
    FileValue,
    Helper,
    IoPriority,
    Stopped,
    UnitProperty,
)
from iotop_ng.enforcers.outcome import NOTHING_TO_DO, Outcome, failed, left_alone
from iotop_ng.errors import IotopError
from iotop_ng.sources.ioprio import IoPriorities
from iotop_ng.units import clean

_HELPER_WAIT_S = 1.0
_FILE_BYTES = 65536
_UNSET = frozenset({"", "0", "max", "default"})
"""A limit that is not set has no line at all, or one of these."""
_SAME = {"FREEZING": "FROZEN"}
"""A v1 cgroup that is being frozen is frozen soon, and must be thawed all the same."""


def restore(change: Change) -> Outcome:  # noqa: PLR0911 - one per kind
    """Put it back as far as it is ours. Never raises."""
    try:
        match change:
            case FileValue():
                return _file(change)
            case UnitProperty():
                return _unit(change)
            case IoPriority():
                return _priority(change)
            case Stopped():
                return _continue(change)
            case Helper():
                return _end(change)
            case _:
                assert_never(change)
    except OSError as error:
        return failed(f"{_what(change)}: {error.strerror or error}")
    except IotopError as error:
        return failed(f"{_what(change)}: {error}")
    except Exception as error:  # noqa: BLE001 - the others have to be undone all the same
        return failed(f"{_what(change)}: unexpected {type(error).__name__}: {error}")


def _what(change: Change) -> str:
    match change:
        case FileValue():
            return clean(change.path)
        case UnitProperty():
            return f"{clean(change.name)} of {clean(change.unit)}"
        case IoPriority():
            return f"I/O priority of thread {change.tid}"
        case Stopped():
            return f"continue process {change.pid}"
        case Helper():
            return f"end helper {change.pid}"


# -- kernel files ---------------------------------------------------------------------------------


def _file(change: FileValue) -> Outcome:
    place, name = os.path.split(change.path)
    try:
        directory = os.open(place, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return NOTHING_TO_DO  # the limit went with its cgroup
    try:
        if os.fstat(directory).st_ino != change.inode:
            return NOTHING_TO_DO  # made again under the same name: not the one that we limited
        return _file_in(directory, name, change)
    finally:
        os.close(directory)


def _file_in(directory: int, name: str, change: FileValue) -> Outcome:
    try:
        now = _line(_read(directory, name), change.key)
    except OSError as error:
        if error.errno in {errno.ENOENT, errno.ENODEV}:
            return NOTHING_TO_DO  # the controller was taken away from the cgroup, or it is gone
        raise
    before = _values(change.before, change.key)
    ours = (change.after, *change.earlier)
    if not any(_agrees(now, _values(value, change.key)) for value in ours):
        if _agrees(now, before):
            return NOTHING_TO_DO
        return left_alone(
            f"{clean(change.path)} says {_shown(now)!r} now, which is not what was set"
            f" ({clean(change.after)!r}): left as it is"
        )
    _write(directory, name, change.before)
    now = _line(_read(directory, name), change.key)
    if not _agrees(now, before):
        return failed(
            f"{clean(change.path)} still says {_shown(now)!r} after {clean(change.before)!r}"
            " was written"
        )
    return Outcome(
        is_settled=True, text=f"put back {clean(change.before)!r} in {clean(change.path)}"
    )


def _read(directory: int, name: str) -> str:
    fd = os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=directory)
    try:
        return os.read(fd, _FILE_BYTES).decode("utf-8", "replace")
    finally:
        os.close(fd)


def _write(directory: int, name: str, value: str) -> None:
    # Cut afterwards, if at all: killed in between, we would leave a value that nobody set.
    fd = os.open(name, os.O_WRONLY | os.O_CLOEXEC, dir_fd=directory)
    try:
        raw = value.encode()
        if os.write(fd, raw) != len(raw):
            raise OSError(errno.EIO, "the kernel took only a part of the line")
        if os.fstat(fd).st_size > len(raw):
            os.ftruncate(fd, len(raw))
    finally:
        os.close(fd)


Values = dict[str, str]
"""Of one line: "rbps" -> "max"; a value without a name has the name ""."""


def _line(content: str, key: str) -> Values:
    """Return what a file says of a key; nothing when it has no such line."""
    if not key:
        return _values(content.strip(), "")
    for line in content.splitlines():
        if line.split(" ", 1)[0] == key:
            return _values(line, key)
    return {}


def _values(line: str, key: str) -> Values:
    if not key:
        text = line.strip()
        return {"": _SAME.get(text, text)}
    found = {}
    for word in line.split()[1:]:
        name, equals, value = word.partition("=")
        found.update({name: value} if equals else {"": name})
    return found


def _agrees(now: Values, wanted: Values) -> bool:
    """Say whether the fields that were written are there; others are none of our business."""
    return all(
        now.get(name, "") == value or (value in _UNSET and now.get(name, "") in _UNSET)
        for name, value in wanted.items()
    )


def _shown(values: Values) -> str:
    words = (f"{name}={value}" if name else value for name, value in values.items())
    return clean(" ".join(words))


# -- systemd --------------------------------------------------------------------------------------


def _unit(change: UnitProperty) -> Outcome:
    from iotop_ng.enforcers import systemd  # noqa: PLC0415 - rarely needed at the keeper's start

    now = systemd.get_property(change.unit, change.name)
    if now not in {change.after, *change.earlier}:
        if now in {change.before, ""}:
            return NOTHING_TO_DO  # a runtime property goes with its unit
        return left_alone(
            f"{_what(change)} is {clean(now)!r} now, which is not what was set"
            f" ({clean(change.after)!r}): left as it is"
        )
    systemd.set_property(change.unit, change.name, change.before)
    if systemd.get_property(change.unit, change.name) != change.before:
        return failed(f"{_what(change)}: systemd took {clean(change.before)!r} and did not keep it")
    return Outcome(is_settled=True, text=f"put back {_what(change)} to {clean(change.before)!r}")


# -- processes ------------------------------------------------------------------------------------


def _priority(change: IoPriority) -> Outcome:
    handle = processes.find(change.pid, change.start_ns)
    if handle is None:
        return NOTHING_TO_DO
    try:
        if not (processes.PROC / str(change.pid) / "task" / str(change.tid)).is_dir():
            return NOTHING_TO_DO
        priorities = IoPriorities()
        now = priorities.raw(change.tid)
        if now is None or now == change.before:
            return NOTHING_TO_DO
        if now != change.after:
            return left_alone(f"{_what(change)} was changed by somebody else: left as it is")
        priorities.set_raw(change.tid, change.before)
        return Outcome(is_settled=True, text=f"put back the I/O priority of thread {change.tid}")
    except ProcessLookupError:
        return NOTHING_TO_DO
    finally:
        handle.close()


def _continue(change: Stopped) -> Outcome:
    if change.is_others:
        return NOTHING_TO_DO
    handle = processes.find(change.pid, change.start_ns)
    if handle is None:
        return NOTHING_TO_DO
    try:
        handle.send(signal.SIGCONT)
    except ProcessLookupError:
        return NOTHING_TO_DO
    finally:
        handle.close()
    return Outcome(is_settled=True, text=f"continued process {change.pid}")


def _end(change: Helper) -> Outcome:
    handle = processes.find(change.pid, change.start_ns)
    if handle is None:
        return NOTHING_TO_DO
    try:
        handle.send(signal.SIGKILL)
        if not handle.wait(_HELPER_WAIT_S):
            return failed(f"helper {change.pid} does not end: it waits in the kernel")
    except ProcessLookupError:
        return NOTHING_TO_DO
    finally:
        handle.close()
    return Outcome(is_settled=True, text=f"ended helper {change.pid}, which held threads")
