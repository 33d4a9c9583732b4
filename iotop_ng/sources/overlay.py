"""What the kernel's maps say, laid over processes that were read from /proc.

For kernels that have the tracepoints but no task iterator (before 5.8, or without BTF). /proc tells
a process's start in clock ticks, the maps in nanoseconds: a map key belongs to a process with the
same pid and a start less than two ticks away.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from iotop_ng.sample import PID_BITS, Process, Totals
from iotop_ng.sources import wire
from iotop_ng.sources.fsyncs import Waiting, oldest_ns
from iotop_ng.sources.roster import LINGER_NS
from iotop_ng.sources.wire import Measured, Pairs
from iotop_ng.units import clean, clean_command

_TOLERANCE_NS = 20_000_000
_PID_MASK = (1 << PID_BITS) - 1


class _Table:
    """One map's contents, found by pid and start."""

    def __init__(self, pairs: Pairs) -> None:
        self.raw = {int.from_bytes(name, "little"): raw for name, raw in pairs}
        self._by_pid: dict[int, list[int]] = {}
        for key in self.raw:
            self._by_pid.setdefault(key & _PID_MASK, []).append(key)

    def key_of(self, process: Process) -> int | None:
        """Return the map's key of a process, None when it has no entry."""
        for key in self._by_pid.get(process.pid, ()):
            if abs(((key >> PID_BITS) << 20) - process.start_ns) <= _TOLERANCE_NS:
                return key
        return None


class Overlay:
    """Joins the two, and remembers what has ended.

    Args:
        user_name: uid -> cleaned name.
    """

    def __init__(self, user_name: Callable[[int], str]) -> None:
        self._user_name = user_name
        self._ended: dict[int, Process] = {}
        """By key of `exits`."""
        self._unclaimed: dict[int, int] = {}
        """Map keys without a live process -> since when, ns."""
        self.dead: tuple[int, ...] = ()
        """Keys whose entry in `exits` may be removed: seen in the reading before this one."""
        self.expired: tuple[int, ...] = ()
        """Keys whose entries in every map may be removed."""

    def update(
        self,
        base: tuple[Process, ...],
        maps: tuple[Pairs, Pairs, Pairs, Pairs],
        measured: Measured,
        now_ns: int,
        fsyncs: Waiting | None = None,
    ) -> tuple[Process, ...]:
        """Return every process, alive or recently ended.

        Args:
            base: what /proc says.
            maps: contents of exits, owners, calls and behalf.
            measured: what counts now.
            now_ns: time of the reading.
            fsyncs: calls that have not returned, by pid; None while they are not watched.
        """
        exits, owners, calls = (_Table(pairs) for pairs in maps[:3])
        self._note_ended(base, exits)
        over = {process.key for process in self._ended.values()}
        alive = [(p, self._keys(p, exits, owners, calls)) for p in base if p.key not in over]
        claimed = {key for _, keys in alive for key in keys if key is not None}
        self._expire(set(exits.raw) | set(owners.raw) | set(calls.raw), claimed, now_ns)
        shown = {key: process.key for key, process in self._ended.items()}
        shown |= {key: p.key for p, keys in alive for key in keys if key is not None}
        pairs = wire.by_submitter(maps[3], shown)
        out = [
            _with(p, owners.raw.get(keys[1] or 0), calls.raw.get(keys[2] or 0), measured)
            for p, keys in alive
        ]
        out.extend(
            _with(process, owners.raw.get(key), calls.raw.get(key), measured)
            for key, process in self._ended.items()
        )
        ages = {p.key: oldest_ns(fsyncs, (p.pid,), p.start_ns) for p, _ in alive} if fsyncs else {}
        return tuple(
            msgspec.structs.replace(
                p,
                submits_for=pairs.get(p.key, p.submits_for),
                fsync_age_ns=ages.get(p.key, None if fsyncs is None or p.is_exited else 0),
            )
            for p in out
        )

    @staticmethod
    def _keys(process: Process, *tables: _Table) -> tuple[int | None, ...]:
        return tuple(table.key_of(process) for table in tables)

    def _note_ended(self, base: tuple[Process, ...], exits: _Table) -> None:
        rows = {key: wire.exit_row(raw) for key, raw in exits.raw.items()}
        dead = {key: row for key, row in rows.items() if row.is_dead}
        self.dead = tuple(key for key in dead if key in self._ended)
        known = {exits.key_of(process): process for process in base}
        for key, row in dead.items():
            if key not in self._ended:
                self._ended[key] = self._process(key, row, known.get(key))

    def _process(self, key: int, row: wire.ExitRow, known: Process | None) -> Process:
        totals = Totals(
            read_bytes=row.read_bytes,
            write_bytes=row.write_bytes,
            cancelled_write_bytes=row.cancelled_write_bytes,
        )
        if known is not None:
            # Threads that ended before the programs were attached are only in /proc's sum.
            return msgspec.structs.replace(
                known, is_exited=True, threads=(), totals=_at_least(known.totals, totals)
            )
        return Process(
            key=key,
            pid=row.pid,
            start_ns=row.start_ns,
            ppid=row.ppid,
            uid=row.uid,
            user=self._user_name(row.uid),
            comm=clean(row.comm),
            command=clean_command(row.args),
            cgroup=None,
            prio=None,
            is_kthread=False,
            is_exited=True,
            totals=totals,
        )

    def _expire(self, present: set[int], claimed: set[int], now_ns: int) -> None:
        loose = (present | set(self._ended)) - claimed
        self._unclaimed = {key: self._unclaimed.get(key, now_ns) for key in loose}
        self.expired = tuple(
            key for key, since in self._unclaimed.items() if now_ns - since > LINGER_NS
        )
        for key in self.expired:
            del self._unclaimed[key]
            self._ended.pop(key, None)


def _at_least(known: Totals, last: Totals) -> Totals:
    return msgspec.structs.replace(
        known,
        read_bytes=max(known.read_bytes or 0, last.read_bytes or 0),
        write_bytes=max(known.write_bytes or 0, last.write_bytes or 0),
        cancelled_write_bytes=max(
            known.cancelled_write_bytes or 0, last.cancelled_write_bytes or 0
        ),
    )


def _with(process: Process, owner: bytes | None, call: bytes | None, measured: Measured) -> Process:
    fields = wire.owner_fields(wire.owner_row(owner) if owner else wire.NO_OWNER, measured)
    fields.update(wire.calls_fields(wire.calls_row(call) if call else wire.NO_CALLS, measured))
    totals = msgspec.structs.replace(process.totals, **fields)
    return msgspec.structs.replace(process, totals=totals)
