"""A keeper of the test's own, and what a test does with it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import final

from iotop_ng.enforcers.client import KeeperClient, this_author
from iotop_ng.enforcers.orders import InForce, Kind, Mechanism, Rung
from iotop_ng.policy.actions import MANUAL_LEASE_NS
from tests.kernel.driver import WHY, order
from tests.kernel.gate import wait_until
from tests.kernel.hogs import MB, Hog, Way
from tests.kernel.leftovers import belonging, bpf_of, keeper_of

PATIENCE_S = 10.0


@contextmanager
def own_keeper(directory: Path) -> Iterator[Path]:
    """Let clients of this process and its children have a keeper of their own.

    Gives its run directory.
    """
    run = directory / "run"
    wanted = {
        "IOTOP_NG_RUN_DIR": str(run),
        "IOTOP_NG_AUDIT": str(directory / "audit.jsonl"),
    }
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield run
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
        wait_until(lambda: not belonging(run), f"nothing of {run} runs any more", PATIENCE_S)


@final
class Acting:
    """A client in this process.

    Args:
        run_directory: of its keeper.
    """

    def __init__(self, run_directory: Path) -> None:
        self.run_directory = run_directory
        self.client = KeeperClient.open(this_author("command"))

    def __enter__(self) -> Acting:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.client.close()

    @property
    def keeper(self) -> int:
        """The keeper's pid."""
        found = keeper_of(self.run_directory)
        assert found is not None, "no keeper runs"
        return found

    def ladder(self, pid: int, rate: int = MB) -> dict[Mechanism, Rung]:
        """Return what would work."""
        return {rung.mechanism: rung for rung in self.client.ladder(order(pid, None, rate))}

    def apply(
        self,
        pid: int,
        rate: int,
        mechanism: Mechanism | None = Mechanism.HOLD,
        *,
        with_children: bool = True,
    ) -> InForce:
        """Limit a process to bytes per second."""
        asked = order(pid, mechanism, rate, with_children=with_children)
        assert asked.kind is not Kind.DROP or rate
        return self.client.apply(asked)

    def adjust(self, policy: InForce, rate: int) -> InForce:
        """Give it another rate."""
        return self.client.change(policy.id, WHY, MANUAL_LEASE_NS, rate)

    def release(self, policy: InForce) -> tuple[str, ...]:
        """Take it back; return what could not be."""
        return self.client.release((policy.id,), WHY).problems

    def in_force(self) -> dict[int, InForce]:
        """Return the policies of all clients."""
        return {policy.id: policy for policy in self.client.look(0).policies}

    def objects(self) -> set[tuple[str, int]]:
        """Return the BPF objects of its keeper and helpers."""
        return bpf_of(belonging(self.run_directory))


MakeHog = Callable[..., Hog]
"""(way, **options of Hog) -> a hog on the test's disk; it runs when it is entered."""


def rates(hogs: dict[str, Hog], seconds: float) -> dict[str, float]:
    """Return name -> bytes per second that the kernel accepts from each, over some seconds."""
    began = {name: (time.monotonic(), hog.counts().bytes) for name, hog in hogs.items()}
    time.sleep(seconds)
    found = {}
    for name, hog in hogs.items():
        at, count = began[name]
        found[name] = (hog.counts().bytes - count) / (time.monotonic() - at)
    return found


def rate_of(hog: Hog, seconds: float = 0.5) -> float:
    """Return the bytes per second that the kernel accepts from a hog."""
    return rates({"it": hog}, seconds)["it"]


WRITE = Way("write")
