"""What the acting benchmarks share: ways to limit a process, ours and others, behind one face."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from iotop_ng.enforcers.client import KeeperClient, this_author
from iotop_ng.enforcers.orders import Kind, Mechanism, Order
from iotop_ng.errors import IotopError
from iotop_ng.policy.actions import Reason
from iotop_ng.sources.build import compiled_for
from tests.kernel.counts import proc_io
from tests.kernel.disks import leave_mount_namespace, loop_disk, mounted, run
from tests.kernel.hogs import Hog

CGROUPS = Path("/sys/fs/cgroup")
TRACEFS = Path("/sys/kernel/tracing")
_WORKLOADS = Path(__file__).parents[1] / "kernel/workloads"
_DISK_BYTES = 1 << 30
_PERIOD_S = 0.05

Undo = Callable[[], None]


class Limiter(NamedTuple):
    """One way of limiting a hog."""

    apply: Callable[[Hog, int], Undo]
    """(hog, bytes per second) -> how it is taken back. Returns when the limit is in force."""
    prepare: Callable[[Hog, int], None] = lambda *_: None
    """What happens before somebody decides: the dialog asks what would work."""


class Place(NamedTuple):
    """Where the workloads write and count."""

    directory: Path
    disk: str
    """Name in /proc/diskstats."""
    memory: Path
    programs: Path


@contextmanager
def place(directory: Path | None) -> Iterator[Place]:
    """Compile the workloads; give a directory on a disk, on a loop device over memory if None."""
    with ExitStack() as stack:
        memory = Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="iotop-ng-", dir="/dev/shm"))
        )
        for name in ("hog", "victim"):
            subprocess.run(
                ["gcc", "-O2", "-pthread", "-o", memory / name, _WORKLOADS / f"{name}.c"],
                check=True,
            )
        leave_mount_namespace()
        if not (TRACEFS / "events").is_dir():
            run("mount", "-t", "tracefs", "tracefs", TRACEFS)
        if directory is None:
            disk = stack.enter_context(loop_disk(memory, _DISK_BYTES))
            made = stack.enter_context(mounted(disk, "ext4", memory / "ext4"))
            yield Place(made.path, disk.name, memory, memory)
        else:
            made_here = stack.enter_context(tempfile.TemporaryDirectory(dir=directory))
            yield Place(Path(made_here), disk_of(directory), memory, memory)


def disk_of(directory: Path) -> str:
    """Return the name of the disk that a directory is on."""
    number = directory.stat().st_dev
    path = Path(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}").resolve()
    return path.parent.name if (path / "partition").exists() else path.name


def disk_number(name: str) -> str:
    """Return a disk's MAJ:MIN."""
    return Path(f"/sys/class/block/{name}/dev").read_text("ascii").strip()


@contextmanager
def own_cgroup() -> Iterator[Path | None]:
    """Give a cgroup v2 with io for the workload alone; None where there is none."""
    controllers = CGROUPS / "cgroup.controllers"
    if not controllers.exists() or "io" not in controllers.read_text("ascii").split():
        yield None
        return
    made = CGROUPS / f"workload-{os.getpid()}-{time.monotonic_ns()}"
    made.mkdir()
    try:
        yield made
    finally:
        for _ in range(100):
            with contextlib.suppress(OSError):
                made.rmdir()
                break
            time.sleep(0.05)


def started_in(cgroup: Path | None) -> tuple[str, ...]:
    """Return a command that starts another one in a cgroup."""
    if cgroup is None:
        return ()
    return ("sh", "-c", f'echo $$ >{cgroup}/cgroup.procs && exec "$@"', "sh")


def order(hog: Hog, mechanism: Mechanism, rate: int, kind: Kind = Kind.THROTTLE) -> Order:
    """Return what the screen would ask for."""
    return Order(
        kind,
        hog.target,
        Reason("", "bench"),
        rate_bytes_per_s=None if kind is Kind.IONICE else rate,
        mechanism=mechanism,
    )


def by_keeper(client: KeeperClient, mechanism: Mechanism, kind: Kind = Kind.THROTTLE) -> Limiter:
    """Limit by one of our own mechanisms."""

    def prepare(hog: Hog, rate: int) -> None:
        client.ladder(order(hog, mechanism, rate, kind))

    def apply(hog: Hog, rate: int) -> Undo:
        policy = client.apply(order(hog, mechanism, rate, kind))
        if policy.problem:
            print(f"  {hog.way.name}: {policy.problem}")
        return lambda: released(client, policy.id)

    return Limiter(apply, prepare)


def released(client: KeeperClient, number: int) -> None:
    """Release one policy; what could not be undone is printed."""
    for problem in client.release((number,), Reason("", "bench")).problems:
        print(f"  release: {problem}")


def opened(client: str = "command") -> KeeperClient:
    """Return a connection, with a keeper that is started for it; what it needs is compiled."""
    for job in ("count", "hold", "drop"):
        with contextlib.suppress(IotopError):
            compiled_for(job, lambda _: None)
    return KeeperClient.open(this_author(client))


def stop_continue(hog: Hog, rate: int) -> Undo:
    """What cpulimit does, for written bytes: stop and continue on what /proc/PID/io says."""
    over = threading.Event()

    def control() -> None:
        start, first = time.monotonic(), proc_io(hog.pid).write_bytes
        stopped = False
        while not over.wait(_PERIOD_S):
            written = proc_io(hog.pid).write_bytes - first
            is_over = written > rate * (time.monotonic() - start)
            if is_over != stopped:
                os.kill(hog.pid, signal.SIGSTOP if is_over else signal.SIGCONT)
                stopped = is_over

    def control_while_it_lives() -> None:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            control()
        hog.send(signal.SIGCONT)

    thread = threading.Thread(target=control_while_it_lives)
    thread.start()

    def undo() -> None:
        over.set()
        thread.join()

    return undo


def plain_io_max(cgroup: Path, disk: str) -> Limiter:
    """Limit by one line in io.max, by hand."""

    def apply(_: Hog, rate: int) -> Undo:
        number = disk_number(disk)
        (cgroup / "io.max").write_text(f"{number} wbps={rate}", "ascii")

        def undo() -> None:
            (cgroup / "io.max").write_text(f"{number} wbps=max", "ascii")

        return undo

    return Limiter(apply)


def plain_ionice(hog: Hog, _: int) -> Undo:
    """Give every thread the idle class, by hand."""
    threads = [path.name for path in Path(f"/proc/{hog.pid}/task").iterdir()]
    subprocess.run(["ionice", "-c", "3", "-p", *threads], check=True)
    return lambda: None


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
