"""A small /proc and /sys in a temporary directory, shaped like the kernel's."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

BOOT_COMMAND = "BOOT_IMAGE=/vmlinuz root=/dev/vda1 ro"


@dataclass
class FakeIo:
    """The counters of /proc/PID/io."""

    read_bytes: int = 0
    write_bytes: int = 0
    cancelled: int = 0
    rchar: int = 0
    wchar: int = 0
    syscr: int = 0
    syscw: int = 0

    def text(self) -> str:
        return (
            f"rchar: {self.rchar}\nwchar: {self.wchar}\nsyscr: {self.syscr}\nsyscw: {self.syscw}\n"
            f"read_bytes: {self.read_bytes}\nwrite_bytes: {self.write_bytes}\n"
            f"cancelled_write_bytes: {self.cancelled}\n"
        )


@dataclass
class FakeDisk:
    """One line of /proc/diskstats, 11 to 17 counters."""

    name: str
    major: int
    minor: int
    counters: Sequence[int] = field(default_factory=lambda: [0] * 17)

    def line(self) -> str:
        return f"{self.major:4} {self.minor:7} {self.name} {' '.join(map(str, self.counters))}\n"


class FakeProc:
    """Builds and changes the tree; readers get `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.proc = root / "proc"
        self.disks: list[FakeDisk] = []
        self.write("proc/self/io", FakeIo().text())
        self.write("proc/cmdline", BOOT_COMMAND)
        self.write("proc/diskstats", "")
        self.set_vmstat(pgpgin=0, pgpgout=0, nr_dirty=0, nr_writeback=0)
        self.write("proc/self/status", "Name:\tself\nCapEff:\t000001ffffffffff\n")

    def write(self, path: str, content: str | bytes) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        # In place, so that a kept descriptor sees it, as it does in /proc.
        file.write_bytes(content.encode() if isinstance(content, str) else content)

    def start(
        self,
        pid: int,
        comm: str = "worker",
        *,
        command: bytes = b"/usr/bin/worker\0--go\0",
        ppid: int = 1,
        start_ticks: int = 1000,
        flags: int = 0x400000,
        cgroup: str = "0::/user.slice\n",
        io: FakeIo | None = None,
        threads: Sequence[int] = (),
    ) -> None:
        """Add a process; its threads are itself and `threads`."""
        self.set_stat(pid, comm, ppid=ppid, start_ticks=start_ticks, flags=flags)
        self.write(f"proc/{pid}/comm", f"{comm}\n")
        self.write(f"proc/{pid}/cmdline", command)
        self.write(f"proc/{pid}/cgroup", cgroup)
        self.set_io(pid, io or FakeIo())
        for tid in (pid, *threads):
            self.start_thread(pid, tid, comm)

    def set_stat(
        self,
        pid: int,
        comm: str,
        *,
        ppid: int = 1,
        start_ticks: int = 1000,
        flags: int = 0x400000,
        child_faults: int = 0,
    ) -> None:
        rest = [
            "S", ppid, pid, pid, 0, -1, flags, 0, child_faults, 0, 0, 5, 7, 0, 0, 20, 0, 1, 0,
            start_ticks,
            8192, 100, 2**64 - 1, *[0] * 15, 0, 0, 0, *[0] * 8,
        ]  # fmt: skip
        self.write(f"proc/{pid}/stat", f"{pid} ({comm}) {' '.join(map(str, rest))}\n")

    def set_io(self, pid: int, io: FakeIo) -> None:
        self.write(f"proc/{pid}/io", io.text())

    def start_thread(self, pid: int, tid: int, comm: str, io: FakeIo | None = None) -> None:
        self.write(f"proc/{pid}/task/{tid}/comm", f"{comm}\n")
        self.write(f"proc/{pid}/task/{tid}/io", (io or FakeIo()).text())

    def end_thread(self, pid: int, tid: int) -> None:
        self._empty(self.proc / str(pid) / "task" / str(tid))

    def end(self, pid: int) -> None:
        """Take a process away; kept descriptors of it read nothing any more."""
        self._empty(self.proc / str(pid))

    def forbid_io(self, pid: int) -> None:
        """Make the counters unreadable, for root too."""
        (self.proc / str(pid) / "io").unlink(missing_ok=True)
        (self.proc / str(pid) / "io").mkdir()

    def add_disk(
        self, disk: FakeDisk, *, partitions: Sequence[FakeDisk] = (), slaves: Sequence[str] = ()
    ) -> None:
        """Add a whole disk with its place in sysfs."""
        directory = f"sys/devices/virtual/block/{disk.name}"
        self._add_block(disk, directory)
        for slave in slaves:
            self.write(f"{directory}/slaves/{slave}", "")
        for number, partition in enumerate(partitions, 1):
            self._add_block(partition, f"{directory}/{partition.name}")
            self.write(f"{directory}/{partition.name}/partition", f"{number}\n")
        self.set_disks([*self.disks, disk, *partitions])

    def set_disks(self, disks: Sequence[FakeDisk]) -> None:
        self.disks = list(disks)
        self.write("proc/diskstats", "".join(disk.line() for disk in disks))

    def set_vmstat(self, **counters: int) -> None:
        text = "".join(f"{name} {value}\n" for name, value in counters.items())
        self.write("proc/vmstat", f"nr_free_pages 12345\n{text}zone_reclaim 0\n")

    def _add_block(self, disk: FakeDisk, directory: str) -> None:
        self.write(f"{directory}/dev", f"{disk.major}:{disk.minor}\n")
        link = self.root / f"sys/dev/block/{disk.major}:{disk.minor}"
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(self.root / directory)

    def _empty(self, directory: Path) -> None:
        for file in directory.rglob("*"):
            if file.is_file():
                file.write_bytes(b"")
        shutil.rmtree(directory)
