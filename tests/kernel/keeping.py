"""A keeper with a mechanism that changes three real things, and a client that never rests.

    python -m tests.kernel.keeping keeper DIRECTORY READY_FD
    python -m tests.kernel.keeping client PID

The mechanism stops the process, sets its I/O priority and writes a file in DIRECTORY, one after the
other with short pauses, so that a kill at a random moment hits every step. Everything else is the
real keeper.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from pathlib import Path

from iotop_ng.enforcers import keeper, processes
from iotop_ng.enforcers.changes import FileValue, IoPriority, Stopped
from iotop_ng.enforcers.client import KeeperClient, KeeperGoneError, this_author
from iotop_ng.enforcers.enforcer import Member, Note, Pinned
from iotop_ng.enforcers.orders import Counts, Kind, Mechanism, Order, Rung
from iotop_ng.policy.actions import NS_PER_S, ProcessTarget, Reason
from iotop_ng.sample import process_key
from iotop_ng.sources.ioprio import IoPriorities

BEFORE = "max"
IDLE = 3 << 13
LONGEST_PAUSE_S = 0.002
REASON = Reason(rule="", text="a test")


def value_file(directory: Path, pid: int) -> Path:
    """Return the file that stands for a process's limit."""
    return directory / str(pid)


def target_of(pid: int) -> ProcessTarget:
    """Return a process as a target."""
    stat = processes.read_stat(pid)
    if stat is None:
        raise SystemExit(f"no process {pid}")
    start_ns = stat.start_ticks * processes.NS_PER_TICK
    return ProcessTarget(process_key(pid, start_ns), pid, start_ns)


class ThreeThings:
    """Stops, sets a priority, and writes a file."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    @property
    def mechanism(self) -> Mechanism:
        return Mechanism.PAUSE

    def preload(self) -> None:
        """Be loaded."""

    def rung(self, pinned: Pinned, order: Order) -> Rung:  # noqa: ARG002 - of the protocol
        return Rung(self.mechanism, works=True, why="", does="three things")

    def apply(self, pinned: Pinned, order: Order, note: Note) -> ThreeChanged:
        return ThreeChanged(self._directory, pinned, order, note)


class ThreeChanged:
    """All three are in force."""

    def __init__(self, directory: Path, pinned: Pinned, order: Order, note: Note) -> None:
        self._directory = directory
        self._pinned = pinned
        self._note = note
        for member in pinned.members():
            self._stop(member)
            self._set_priority(member)
            self._write(member, order)

    def adjust(self, order: Order) -> None:
        for member in self._pinned.members():
            self._write(member, order)

    def tick(self, now_ns: int) -> str:  # noqa: ARG002 - of the protocol
        self._pinned.check()
        return ""

    def counts(self) -> Counts:
        return Counts()

    def descriptors(self) -> tuple[int, ...]:
        return ()

    def undo(self) -> tuple[str, ...]:
        pause()
        return ()

    def _stop(self, member: Member) -> None:
        self._note(Stopped(member.pid, member.start_ns))
        pause()
        os.kill(member.pid, signal.SIGSTOP)
        pause()

    def _set_priority(self, member: Member) -> None:
        priorities = IoPriorities()
        before = priorities.raw(member.pid)
        if before is None:
            raise ProcessLookupError(member.name)
        self._note(IoPriority(member.pid, member.start_ns, member.pid, before, IDLE))
        pause()
        priorities.set_raw(member.pid, IDLE)
        pause()

    def _write(self, member: Member, order: Order) -> None:
        file = value_file(self._directory, member.pid)
        after = str(order.rate_bytes_per_s)
        inode = self._directory.stat().st_ino
        self._note(FileValue(str(file), inode, "", file.read_text().strip(), after))
        pause()
        # In one step, as the kernel takes a value: a file that is cut first is empty for a moment.
        with file.open("r+") as open_file:
            os.pwrite(open_file.fileno(), after.ljust(len(BEFORE)).encode(), 0)
        pause()


def pause() -> None:
    """Give a kill time to come just here."""
    time.sleep(random.uniform(0, LONGEST_PAUSE_S))


def run_client(pid: int) -> None:
    """Apply, adjust and release until one of us is killed."""
    client = KeeperClient.open(this_author("command"))
    order = Order(Kind.THROTTLE, target_of(pid), REASON, 1, mechanism=Mechanism.PAUSE)
    sys.stdout.write("begun\n")
    sys.stdout.flush()
    try:
        while True:
            policy = client.apply(order)
            for rate in range(2, 5):
                client.change(policy.id, REASON, 60 * NS_PER_S, rate)
            client.release((policy.id,), REASON)
    except KeeperGoneError as error:
        sys.stdout.write(f"{error}\n")


def main() -> None:
    """Be one of the two."""
    match sys.argv[1:]:
        case ["keeper", directory, ready_fd]:
            things = {Mechanism.PAUSE: ThreeThings(Path(directory))}
            raise SystemExit(keeper.main(int(ready_fd), lambda: things))
        case ["client", pid]:
            run_client(int(pid))
        case _:
            raise SystemExit(__doc__)


if __name__ == "__main__":
    main()
