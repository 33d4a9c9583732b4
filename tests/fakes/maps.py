"""Raw records as the kernel's maps would hold them."""

from __future__ import annotations

from dataclasses import dataclass, field

from iotop_ng.sample import process_key
from iotop_ng.sources import wire
from iotop_ng.sources.fsyncs import Waiting
from iotop_ng.sources.roster import Reading
from iotop_ng.sources.wire import Measured

ALL = Measured(dirty=True, block=True, pauses=True, calls=True, delays=True)
NOTHING = Measured(dirty=False, block=False, pauses=False, calls=False, delays=False)
START = 7_000_000_000


def key(pid: int, start_ns: int = START) -> int:
    return process_key(pid, start_ns)


@dataclass
class FakeMaps:
    """A kernel to read from; fill it and call `reading()`."""

    tasks: list[bytes] = field(default_factory=list)
    exits: dict[int, bytes] = field(default_factory=dict)
    exits_before: dict[int, bytes] | None = None
    """What `exits` held before the tasks were walked; None: the same."""
    owners: dict[int, bytes] = field(default_factory=dict)
    calls: dict[int, bytes] = field(default_factory=dict)
    behalf: dict[tuple[int, int], int] = field(default_factory=dict)
    fsyncs: Waiting | None = None

    def task(
        self,
        pid: int,
        written: int = 0,
        *,
        tid: int | None = None,
        comm: bytes = b"dd",
        start_ns: int = START,
        cgroup_id: int = 1,
        kthread: bool = False,
        delay_ns: int | None = 0,
        exec_id: int = 0,
        zombie: bool = False,
    ) -> None:
        """Add a thread; `delay_ns` None: it started before delays were accounted."""
        tid = pid if tid is None else tid
        flags = int(kthread) | (2 if tid == pid else 0) | (0 if delay_ns is None else 4)
        flags |= 8 if zombie else 0
        self.tasks.append(
            wire.TASK_ROW.pack(
                start_ns,
                0,
                written,
                0,
                delay_ns or 0,
                0,
                cgroup_id,
                pid,
                tid,
                1,
                0,
                flags,
                exec_id,
                comm,
            )
        )

    def exit(
        self,
        pid: int,
        written: int,
        *,
        dead: bool = True,
        args: bytes = b"dd\0if=x",
        cgroup: int = 1,
        exec_id: int = 0,
    ) -> None:
        self.exits[key(pid)] = wire.EXIT_ROW.pack(
            START,
            0,
            written,
            0,
            0,
            0,
            cgroup,
            pid,
            1,
            0,
            int(dead),
            len(args),
            exec_id,
            b"dd",
            args,
        )

    def owner(self, pid: int, disk_written: int) -> None:
        self.owners[key(pid)] = wire.OWNER_ROW.pack(
            0, 0, disk_written, 0, 0, 1, 0, 0, *([0] * 17), 1, *([0] * 62)
        )

    def reading(self) -> Reading:
        def pairs(rows: dict[int, bytes]) -> list[tuple[bytes, bytes]]:
            return [(wire.KEY.pack(k), v) for k, v in rows.items()]

        return Reading(
            exits_before=pairs(self.exits if self.exits_before is None else self.exits_before),
            tasks=b"".join(self.tasks),
            exits=pairs(self.exits),
            owners=pairs(self.owners),
            calls=pairs(self.calls),
            behalf=[(wire.BEHALF_KEY.pack(*k), wire.KEY.pack(v)) for k, v in self.behalf.items()],
            fsyncs=self.fsyncs,
        )


class FakeDescriber:
    """Knows every pid; counts what it was asked."""

    def __init__(self) -> None:
        self.commands: list[int] = []
        self.cgroups: list[int] = []
        self.path = "/system.slice/a.service"

    def command(self, pid: int) -> str:
        self.commands.append(pid)
        return f"command of {pid} #{self.commands.count(pid)}"

    def long_name(self, pid: int) -> str:
        return f"long name of {pid}"

    def cgroup(self, pid: int) -> str | None:
        self.cgroups.append(pid)
        return self.path

    def prio(self, tid: int) -> str | None:
        return "be/4" if tid else None
