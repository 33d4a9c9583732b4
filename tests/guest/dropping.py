"""Writers that are refused, and drops on them, without a keeper: for test_drop.py."""

from __future__ import annotations

import ctypes
import os
import select
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, final

from iotop_ng.enforcers.drop import DropEffect, DropEnforcer
from iotop_ng.enforcers.orders import Kind, Order
from iotop_ng.enforcers.pinned import HostPinner
from iotop_ng.policy.actions import CgroupTarget, ProcessTarget, Reason, Target
from iotop_ng.sample import process_key

PATIENCE_S = 60.0
TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
_BPF = 321  # x86-64
_NEXT_ID = {"program": 11, "map": 12, "link": 31}  # include/uapi/linux/bpf.h: enum bpf_cmd
_libc = ctypes.CDLL(None)


class Phase(NamedTuple):
    """What became of the operations of one phase, as the writer saw it."""

    done: int
    refused: int
    errno: int
    """Of the last refusal, 0 without."""
    bytes: int


@final
class Writer:
    """workloads/refused.c: writes COUNT times for each `phase`, and says what became of it."""

    def __init__(self, *command: str | Path | int, before: tuple[str, ...] = ()) -> None:
        words = [str(part) for part in (*before, *command)]
        self._process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.pid = self._process.pid

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def begin(self) -> None:
        """Let it do its operations."""
        assert self._process.stdin is not None
        self._process.stdin.write(b".")
        self._process.stdin.flush()

    def result(self) -> Phase:
        """Wait for the end of what was begun, and return what became of it."""
        assert self._process.stdout is not None
        out = self._process.stdout.fileno()
        line = b""
        while not line.endswith(b"\n"):
            if not select.select([out], [], [], PATIENCE_S)[0]:
                raise TimeoutError("the writer is not done")
            piece = os.read(out, 4096)
            assert piece, "the writer has ended"
            line += piece
        return Phase(*(int(word) for word in line.split()))

    def phase(self) -> Phase:
        """Do the operations once more."""
        self.begin()
        return self.result()

    def end(self) -> None:
        """Let it end, and wait for that."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        assert self._process.wait(PATIENCE_S) == 0


def process(pid: int) -> ProcessTarget:
    """Return a live process as a target."""
    ticks = int(Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[19])
    start_ns = ticks * TICK_NS
    return ProcessTarget(process_key(pid, start_ns), pid, start_ns)


def order(
    target: Target,
    rate: int | None = None,
    *,
    error: str = "ENOSPC",
    budget: int | None = None,
    paths: tuple[str, ...] = (),
    with_children: bool = True,
) -> Order:
    """Return an order to drop."""
    return Order(
        Kind.DROP,
        target,
        Reason("", "a test asks"),
        rate_bytes_per_s=rate,
        errno_name=error,
        budget_bytes=budget,
        paths=paths,
        with_children=with_children,
    )


@contextmanager
def dropping(enforcer: DropEnforcer, wanted: Order) -> Iterator[DropEffect]:
    """Drop until the block ends."""
    pinner = HostPinner()
    pinned = pinner.pin(wanted.target)
    effect = enforcer.apply(pinned, wanted, lambda _: None)
    try:
        yield effect
    finally:
        problems = effect.undo()
        pinner.unpin(pinned)
        assert problems == ()


@contextmanager
def cgroup(name: str) -> Iterator[tuple[Path, CgroupTarget]]:
    """Make a cgroup, and remove it when the block ends; who is in it then goes to the root."""
    path = Path("/sys/fs/cgroup") / name
    path.mkdir()
    try:
        yield path, CgroupTarget(f"/{name}")
    finally:
        for pid in (path / "cgroup.procs").read_text("ascii").split():
            (path.parent / "cgroup.procs").write_text(pid, "ascii")
        path.rmdir()


def bpf_ids() -> set[tuple[str, int]]:
    """Return every BPF object of this kernel, as bpf(2) enumerates them."""
    found = set()
    for kind, command in _NEXT_ID.items():
        number = 0
        while True:
            attributes = ctypes.create_string_buffer(struct.pack("<III", number, 0, 0), 144)
            if _libc.syscall(_BPF, command, attributes, 144) < 0:
                break
            number = struct.unpack_from("<I", attributes, 4)[0]
            found.add((kind, number))
    return found
