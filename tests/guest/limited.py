"""Writers in cgroups of their own, and a keeper that acts on them, inside a guest."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import final

import pytest

from iotop_ng.enforcers.client import KeeperClient, KeeperGoneError, this_author
from iotop_ng.enforcers.kin import relative
from iotop_ng.enforcers.orders import Kind, Mechanism, Order, Rung
from iotop_ng.policy.actions import CgroupTarget, ProcessTarget, Reason, Target
from iotop_ng.sample import process_key
from tests.kernel.counts import proc_io

MIB = 1 << 20
ROOT = Path("/sys/fs/cgroup")
PROC = Path("/proc")
DISK = "254:0"
WAYS = {"direct": ("oflag=direct",), "buffered": ()}
LEASE_NS = 600 * 1_000_000_000


@contextmanager
def cgroup(name: str) -> Iterator[Path]:
    """Make a cgroup, and remove it when everybody in it has ended."""
    made = ROOT / name
    made.mkdir()
    try:
        yield made
    finally:
        while (made / "cgroup.procs").read_text("ascii"):
            time.sleep(0.05)
        made.rmdir()


@final
class Writer:
    """A dd that writes until it is ended, in a cgroup."""

    def __init__(self, place: Path, file: Path, way: str) -> None:
        command = ["dd", "if=/dev/zero", f"of={file}", "bs=64k", *WAYS[way]]
        script = 'echo $$ >"$0/cgroup.procs"; exec "$@" 2>/dev/null'
        self._process = subprocess.Popen(
            ["sh", "-c", script, place, *command], start_new_session=True
        )
        self.pid = self._process.pid
        self._file = file
        while self.written() == 0:
            time.sleep(0.01)

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, *_: object) -> None:
        os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()
        self._file.unlink(missing_ok=True)

    @property
    def target(self) -> Target:
        """The process, for an order."""
        who = relative(PROC, self.pid)
        assert who is not None
        return ProcessTarget(process_key(who.pid, who.start_ns), who.pid, who.start_ns)

    def written(self) -> int:
        """Bytes that the kernel charged to it."""
        return proc_io(self.pid).write_bytes

    def rate(self, seconds: float) -> float:
        """Bytes per second over a time from now on."""
        began, before = time.monotonic(), self.written()
        time.sleep(seconds)
        return (self.written() - before) / (time.monotonic() - began)

    def state(self) -> str:
        """R, S, D, T, … as /proc says."""
        return (PROC / str(self.pid) / "stat").read_text("ascii").rpartition(")")[2].split()[0]


def order(target: Target, mechanism: Mechanism, rate: int = 5 * MIB) -> Order:
    """Return a throttle by one mechanism."""
    return Order(
        Kind.THROTTLE,
        target,
        Reason("", "test"),
        rate_bytes_per_s=rate,
        lease_ns=LEASE_NS,
        mechanism=mechanism,
    )


def of_cgroup(place: Path) -> Target:
    """Return a cgroup as target."""
    return CgroupTarget(f"/{place.relative_to(ROOT)}")


def rung_of(rungs: Iterable[Rung], mechanism: Mechanism) -> Rung:
    """Return the rung of one mechanism."""
    return next(rung for rung in rungs if rung.mechanism is mechanism)


def kill_keeper(client: KeeperClient) -> tuple[str, ...]:
    """Kill it, and return what the client put back in its place."""
    os.kill(client.keeper_pid, signal.SIGKILL)
    try:
        while True:
            client.look()
    except KeeperGoneError as gone:
        return gone.recovered


@contextmanager
def keeper(directory: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[KeeperClient]:
    """Connect to a keeper of our own."""
    monkeypatch.setenv("IOTOP_NG_RUN_DIR", str(directory / "run"))
    monkeypatch.setenv("IOTOP_NG_AUDIT", str(directory / "audit.jsonl"))
    with KeeperClient.open(this_author("command")) as client:
        yield client
