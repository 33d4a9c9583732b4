"""fsync calls that have not returned: what the map `fsync_start` says about processes.

A caller that is stuck finishes no call, so no histogram shows it; its age does.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from iotop_ng.sources.kept_file import read_small
from iotop_ng.sources.wire import KEY, U32, Pairs


class Call(NamedTuple):
    """One call that somebody waits in."""

    start_ns: int
    """Nanoseconds since boot, as the starts of processes."""
    age_ns: int


Waiting = dict[int, Call]
"""tid -> the call that it is in."""


def waiting(pairs: Pairs, ktime_ns: int, boot_ns: int) -> Waiting:
    """Decode the map; calls that have returned stay in it with a start of 0.

    Args:
        pairs: what the map holds.
        ktime_ns: CLOCK_MONOTONIC now, the programs' clock.
        boot_ns: CLOCK_BOOTTIME now; ahead of the other by the time that the machine slept.
    """
    found = {}
    for name, raw in pairs:
        start_ns = KEY.unpack(raw)[0]
        if start_ns:
            age_ns = max(ktime_ns - start_ns, 0)
            found[U32.unpack(name)[0]] = Call(boot_ns - age_ns, age_ns)
    return found


def oldest_ns(calls: Waiting | None, tids: Iterable[int], began_ns: int) -> int | None:
    """Return how long the oldest call of a process has been waiting; 0: it is in none.

    A thread that was killed inside the call left its start behind, and its number may be another
    one's by now: a process that began later than the call did not make it.

    Args:
        calls: None while they are not watched, and then nothing is known.
        tids: the threads of the process.
        began_ns: start of the process, since boot.
    """
    if not calls:
        return None if calls is None else 0
    found = (calls.get(tid) for tid in tids)
    return max((call.age_ns for call in found if call and call.start_ns >= began_ns), default=0)


def by_process(calls: Waiting | None, root: Path = Path("/")) -> Waiting | None:
    """Return pid -> its oldest call, asking /proc whose threads these are."""
    if calls is None:
        return None
    found: Waiting = {}
    for tid, call in calls.items():
        pid = _process_of(tid, root)
        if pid is not None and (pid not in found or found[pid].age_ns < call.age_ns):
            found[pid] = call
    return found


def _process_of(tid: int, root: Path) -> int | None:
    raw = read_small(root / f"proc/{tid}/status", 4096) or b""
    for line in raw.splitlines():
        if line.startswith(b"Tgid:"):
            return int(line.split()[1])
    return None
