"""Put together what the kernel's maps say into one `Process` per process.

The roster remembers the last raw bytes of everything, so that a process that did nothing costs a
comparison, and is handed out as the very same object.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

import msgspec

from iotop_ng.sample import Process, Thread, Totals
from iotop_ng.sources import wire
from iotop_ng.sources.fsyncs import Waiting, oldest_ns
from iotop_ng.sources.wire import Measured, Pairs
from iotop_ng.units import clean, clean_command

LINGER_NS = 60_000_000_000
"""How long an ended process stays listed after its last change: pages that it dirtied may still be
written by the flusher (the kernel's dirty_expire_centisecs is 30 s)."""

_ROW = wire.TASK_ROW.size
_LONGEST_COMM = 15  # TASK_COMM_LEN less its NUL: longer names are cut
_Row = TypeVar("_Row")


class Describer(Protocol):
    """Reads who a process is: `iotop_ng.sources.identity.Identities`."""

    def command(self, pid: int) -> str:
        """Return the command line."""
        ...

    def long_name(self, pid: int) -> str:
        """Return a kernel thread's whole name."""
        ...

    def cgroup(self, pid: int) -> str | None:
        """Return the cgroup path."""
        ...

    def prio(self, tid: int) -> str | None:
        """Return the I/O priority."""
        ...


class Reading(NamedTuple):
    """Raw bytes of one reading."""

    exits_before: Pairs
    """`exits`, read before `tasks`."""
    tasks: bytes
    """One walk of the task iterator."""
    exits: Pairs
    owners: Pairs
    calls: Pairs
    behalf: Pairs
    fsyncs: Waiting | None = None


class _Inputs(NamedTuple):
    """Everything that a live process is made of; equal inputs give the same object again."""

    rows: list[wire.TaskRow]
    ended: wire.ExitRow | None
    owner: wire.OwnerRow | None
    calls: wire.CallsRow | None
    pairs: tuple[tuple[int, int], ...]
    measured: Measured
    threads: bool
    fsync_age_ns: int | None


class _Cached(Generic[_Row]):
    """Decoded values of one map, decoded again only when their bytes change."""

    def __init__(self, decode: Callable[[bytes], _Row]) -> None:
        self._decode = decode
        self._raw: dict[int, bytes] = {}
        self.rows: dict[int, _Row] = {}

    def update(self, pairs: Pairs) -> None:
        raw_before, rows_before = self._raw, self.rows
        self._raw, self.rows = {}, {}
        for name, raw in pairs:
            key = int.from_bytes(name, "little")
            same = raw_before.get(key) == raw
            self._raw[key] = raw
            self.rows[key] = rows_before[key] if same else self._decode(raw)


class _State:
    """One process as last seen."""

    __slots__ = ("changed_ns", "command", "inputs", "name", "process", "program")

    def __init__(self) -> None:
        self.inputs: object = None
        self.process: Process | None = None
        self.program: tuple[int, bytes] | None = None
        self.name = ""
        self.command = ""
        self.changed_ns = 0


class Roster:
    """Keeps the processes of one source.

    Args:
        describer: reads what the kernel's maps do not hold.
        user_name: uid -> cleaned name.
        container_name: cgroup -> the cleaned name of its container, "" without.
    """

    def __init__(
        self,
        describer: Describer,
        user_name: Callable[[int], str],
        container_name: Callable[[str | None], str] = lambda _: "",
    ) -> None:
        self._describer = describer
        self._user_name = user_name
        self._container_name = container_name
        self._tasks: dict[bytes, tuple[int, wire.TaskRow]] = {}
        self._exits = _Cached(wire.exit_row)
        self._owners = _Cached(wire.owner_row)
        self._calls = _Cached(wire.calls_row)
        self._states: dict[int, _State] = {}
        self._ended: dict[int, _State] = {}
        self._cgroups: dict[int, str | None] = {}
        self._strangers: frozenset[int] = frozenset()
        self.dead: tuple[int, ...] = ()
        """Keys whose entry in `exits` may be removed: seen dead in the reading before this one."""
        self.expired: tuple[int, ...] = ()
        """Keys that are not listed (any more): their entries in every map may be removed."""

    def update(
        self, reading: Reading, measured: Measured, now_ns: int, *, threads: bool
    ) -> tuple[Process, ...]:
        """Return every process, alive or recently ended."""
        groups = self._group(reading.tasks)
        ended_before = dict(reading.exits_before)
        self._exits.update(reading.exits)
        self._owners.update(reading.owners)
        self._calls.update(reading.calls)
        pairs = wire.by_submitter(reading.behalf)
        states, self._states = self._states, {}
        out = []
        for key, rows in groups.items():
            if key in self._ended or self._is_dead(key) or all(row.is_zombie for row in rows):
                continue
            state = self._states[key] = states.get(key) or _State()
            inputs = _Inputs(
                rows=rows,
                ended=self._ended_threads(key, ended_before),
                owner=self._owners.rows.get(key),
                calls=self._calls.rows.get(key),
                pairs=pairs.get(key, ()),
                measured=measured,
                threads=threads,
                fsync_age_ns=oldest_ns(reading.fsyncs, (r.tid for r in rows), rows[0].start_ns),
            )
            if state.process is None or state.inputs != inputs:
                state.process = self._alive(key, inputs, state)
                state.inputs = inputs
                state.changed_ns = now_ns
            out.append(state.process)
        out.extend(self._after_life(states, measured, now_ns))
        self._find_strangers()
        return tuple(out)

    def _find_strangers(self) -> None:
        """Give up entries of processes that two readings in a row have not found.

        One that began after this reading's walk is found by the next. What is left ended without
        any I/O of its own, as most callers of `write` on a pipe do, or had expired before the
        flusher came to its pages.
        """
        rows = self._owners.rows.keys() | self._calls.rows.keys()
        strangers = frozenset(rows - self._states.keys() - self._ended.keys())
        self.expired += tuple(strangers & self._strangers)
        self._strangers = strangers

    def _group(self, walk: bytes) -> dict[int, list[wire.TaskRow]]:
        """Return process key -> its threads' rows, the leader first."""
        before, now = self._tasks, {}
        groups: dict[int, list[wire.TaskRow]] = {}
        for at in range(0, len(walk) - _ROW + 1, _ROW):
            raw = walk[at : at + _ROW]
            known = before.get(raw)
            if known is None:
                row = wire.task_row(raw)
                known = (row.key, row)
            now[raw] = known
            key, row = known
            group = groups.get(key)
            if group is None:
                groups[key] = [row]
            elif row.is_leader:
                group.insert(0, row)
            else:
                group.append(row)
        self._tasks = now
        return groups

    def _is_dead(self, key: int) -> bool:
        row = self._exits.rows.get(key)
        return row is not None and bool(row.is_dead)

    def _ended_threads(self, key: int, before: dict[bytes, bytes]) -> wire.ExitRow | None:
        """Return what threads had done that ended before the walk."""
        if key not in self._exits.rows:
            return None
        raw = before.get(wire.KEY.pack(key))
        return None if raw is None else wire.exit_row(raw)

    def _alive(self, key: int, inputs: _Inputs, state: _State) -> Process:
        rows, measured = inputs.rows, inputs.measured
        leader = rows[0]
        program = (leader.exec_id, leader.comm_bytes)
        if state.program != program:
            # A new process, an exec, or one that changed its name, often with its arguments.
            state.program = program
            state.name = clean(leader.comm)
            if not leader.is_kthread:
                state.command = self._describer.command(leader.pid)
            elif len(leader.comm) == _LONGEST_COMM:
                state.name = self._describer.long_name(leader.pid) or state.name
        return Process(
            key=key,
            pid=leader.pid,
            start_ns=leader.start_ns,
            ppid=leader.ppid,
            uid=leader.uid,
            user=self._user_name(leader.uid),
            comm=state.name,
            command=state.command,
            cgroup=(cgroup := self._cgroup(leader, state.process)),
            prio=self._describer.prio(leader.pid),
            is_kthread=leader.is_kthread,
            is_exited=False,
            totals=_not_less(self._totals(key, inputs), state.process),
            threads=tuple(_thread(row, measured) for row in rows) if inputs.threads else (),
            submits_for=inputs.pairs,
            fsync_age_ns=inputs.fsync_age_ns,
            container=self._container_name(cgroup),
        )

    def _cgroup(self, leader: wire.TaskRow, before: Process | None) -> str | None:
        """Return the cgroup; read again when the kernel's id says that the process moved."""
        number = leader.cgroup_id
        if before is not None and (not number or self._cgroups.get(number) == before.cgroup):
            return before.cgroup
        path = self._describer.cgroup(leader.pid)
        if number:
            self._cgroups[number] = path
        return path

    def _totals(self, key: int, inputs: _Inputs) -> Totals:
        parts: list[wire.TaskRow | wire.ExitRow] = [*inputs.rows]
        if inputs.ended is not None:
            parts.append(inputs.ended)
        return self._totals_of(key, parts, inputs.measured)

    def _totals_of(
        self, key: int, parts: list[wire.TaskRow | wire.ExitRow], measured: Measured
    ) -> Totals:
        calls = self._calls.rows.get(key) or wire.NO_CALLS
        # A task that started before delay accounting was switched on has none: unknown, not 0.
        delays = measured.delays and all(
            part.has_delays for part in parts if isinstance(part, wire.TaskRow)
        )
        return Totals(
            read_bytes=sum(part.read_bytes for part in parts),
            write_bytes=sum(part.write_bytes for part in parts),
            cancelled_write_bytes=sum(part.cancelled_write_bytes for part in parts),
            io_delay_ns=sum(part.io_delay_ns for part in parts) if delays else None,
            swapin_delay_ns=sum(part.swapin_delay_ns for part in parts) if delays else None,
            **self._owned(key, measured),
            **wire.calls_fields(calls, measured),
        )

    def _owned(self, key: int, measured: Measured) -> dict[str, Any]:
        return wire.owner_fields(self._owners.rows.get(key) or wire.NO_OWNER, measured)

    def _after_life(
        self, before: dict[int, _State], measured: Measured, now_ns: int
    ) -> list[Process]:
        """Return ended processes, and note which map entries are not needed any more."""
        dead = []
        for key, row in self._exits.rows.items():
            if not row.is_dead:
                continue
            if key in self._ended:
                dead.append(key)
                continue
            state = self._ended[key] = before.get(key) or _State()
            state.process = self._ended_process(key, row, state, measured)
            state.changed_ns = now_ns
        for key, state in before.items():
            if key in self._states or key in self._ended or state.process is None:
                continue
            if _did_io(state.process.totals):
                self._ended[key] = state
                state.process = _as_exited(state.process)
                state.changed_ns = now_ns
        self.dead = tuple(dead)
        return self._list_ended(measured, now_ns)

    def _ended_process(
        self, key: int, row: wire.ExitRow, state: _State, measured: Measured
    ) -> Process:
        known = state.process
        comm = clean(row.comm)
        command = clean_command(row.args)
        if known is not None and state.program == (row.exec_id, row.comm_bytes) and known.command:
            # Read whole while it lived; it may have run another program since.
            command = known.command
        return Process(
            key=key,
            pid=row.pid,
            start_ns=row.start_ns,
            ppid=known.ppid if known else row.ppid,
            uid=row.uid,
            user=self._user_name(row.uid),
            comm=comm,
            command=command,
            cgroup=(cgroup := known.cgroup if known else self._cgroups.get(row.cgroup_id)),
            prio=known.prio if known else None,
            is_kthread=known.is_kthread if known else False,
            is_exited=True,
            totals=self._totals_of(key, [row], measured),
            container=self._container_name(cgroup),
        )

    def _list_ended(self, measured: Measured, now_ns: int) -> list[Process]:
        out, expired = [], []
        for key, state in self._ended.items():
            owner = self._owners.rows.get(key)
            inputs = (owner, measured)
            process = state.process
            if process is None:
                continue
            if state.inputs != inputs and state.changed_ns != now_ns:
                # What the flusher wrote for it after its end.
                totals = msgspec.structs.replace(process.totals, **self._owned(key, measured))
                state.process = process = msgspec.structs.replace(process, totals=totals)
                state.changed_ns = now_ns
            state.inputs = inputs
            if now_ns - state.changed_ns > LINGER_NS:
                expired.append(key)
            else:
                out.append(process)
        for key in expired:
            del self._ended[key]
        self.expired = tuple(expired)
        return out


def _did_io(totals: Totals) -> bool:
    return any((totals.read_bytes, totals.write_bytes, totals.disk_ios, totals.submitted_bytes))


def _not_less(totals: Totals, before: Process | None) -> Totals:
    """Return totals that did not fall.

    A thread that ends just before the walk is missing from it, and from the exits that were read
    earlier; the next reading has it.
    """
    if before is None:
        return totals
    old = before.totals
    names = ("read_bytes", "write_bytes", "cancelled_write_bytes", "io_delay_ns", "swapin_delay_ns")
    fallen = {}
    for name in names:
        was, now = getattr(old, name), getattr(totals, name)
        if was is not None and now is not None and now < was:
            fallen[name] = was
    return msgspec.structs.replace(totals, **fallen) if fallen else totals


def _as_exited(process: Process) -> Process:
    return msgspec.structs.replace(process, is_exited=True, threads=(), fsync_age_ns=None)


def _thread(row: wire.TaskRow, measured: Measured) -> Thread:
    delays = measured.delays and row.has_delays
    return Thread(
        tid=row.tid,
        comm=clean(row.comm),
        totals=Totals(
            read_bytes=row.read_bytes,
            write_bytes=row.write_bytes,
            cancelled_write_bytes=row.cancelled_write_bytes,
            io_delay_ns=row.io_delay_ns if delays else None,
            swapin_delay_ns=row.swapin_delay_ns if delays else None,
        ),
    )
