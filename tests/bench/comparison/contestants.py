"""Who is compared: each way of protecting a victim, set up as its documentation asks for.

A contestant is set up before the hog writes its first byte, as an operator would who expects it;
only a hold needs a process that is there, and is applied as soon as it is.
"""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple, Protocol

from iotop_ng.enforcers.client import KeeperClient
from iotop_ng.enforcers.orders import Kind, Mechanism, Order
from iotop_ng.errors import IotopError
from iotop_ng.policy.actions import ProcessTarget, Reason
from tests.bench.comparison.restoring import Restorer
from tests.kernel.hogs import process_target

SHARES = (25, 50, 75)
"""Percent of the capacity, of what has a fixed rate."""
HOG_WEIGHT, VICTIM_WEIGHT = 100, 1000
COST_PERCENTILE = 95


class Unavailable(Exception):  # noqa: N818  # it is an answer
    """A contestant cannot run here; says why."""


class Cgroups(NamedTuple):
    """Where hog and victim run."""

    root: Path
    hog: Path
    victim: Path


class Stage(NamedTuple):
    """What the contestants find."""

    disk: str
    """MAJ:MIN."""
    queue: Path
    """/sys/block/NAME/queue"""
    cgroups: Cgroups | None
    """None where the io controller of cgroup v2 is not to be had."""
    capacity: int
    """Bytes per second."""
    iops: int | None
    """Most that the disk does per second, where that is known."""
    limit_ms: int
    kernel_config: str
    """Text of the kernel's configuration, "" where it is not to be read."""


class Guard(Protocol):
    """A guard that was started."""

    def writes(self) -> int:
        """Return how often it has set, changed or taken away a limit."""
        ...

    def complaint(self) -> str:
        """Return what went wrong, or ""."""
        ...


class Setup:
    """One run of one contestant: what it has set, and what must know of it.

    Attributes:
        prefix: the command that starts the hog.
        guard: who stands guard.
    """

    def __init__(
        self,
        stage: Stage,
        restorer: Restorer,
        keeper: Callable[[], KeeperClient],
        start_guard: Callable[[], Guard],
    ) -> None:
        self.stage, self.restorer = stage, restorer
        self.keeper, self.start_guard = keeper, start_guard
        self.undo = ExitStack()
        self.prefix: Sequence[str] = ()
        self.guard: Guard | None = None
        self.ready_keeper: KeeperClient | None = None

    @property
    def cgroups(self) -> Cgroups:
        """Return where hog and victim run.

        Raises:
            Unavailable: there is no such place.
        """
        if self.stage.cgroups is None:
            raise Unavailable("the io controller of cgroup v2 is not to be had here")
        return self.stage.cgroups


class Contestant(NamedTuple):
    """One way, with a name for the table."""

    name: str
    prepare: Callable[[Setup], None]
    """Before the hog starts. Raises Unavailable, OSError or IotopError."""
    begun: Callable[[Setup, ProcessTarget], None] = lambda *_: None
    """As soon as the hog's process is there."""


def _nothing(_: Setup) -> None:
    """Let the hog do as it likes."""


def _io_max(share: int) -> Contestant:
    def prepare(setup: Setup) -> None:
        path = _existing(setup.cgroups.hog / "io.max", "BLK_DEV_THROTTLING", setup.stage)
        disk, rate = setup.stage.disk, setup.stage.capacity * share // 100
        setup.restorer.write(path, f"{disk} wbps={rate}", f"{disk} wbps=max")

    return Contestant(f"io.max at {share} %", prepare)


def _bfq(setup: Setup) -> None:
    """Let BFQ schedule, and the hog write with the idle class."""
    scheduler = setup.stage.queue / "scheduler"
    offered, now = schedulers(scheduler.read_text("ascii"))
    if "bfq" not in offered:
        subprocess.run(["modprobe", "-q", "bfq"], check=False, capture_output=True)
        offered, now = schedulers(scheduler.read_text("ascii"))
    if "bfq" not in offered:
        raise Unavailable("this kernel has no BFQ")
    setup.restorer.write(scheduler, "bfq", now)
    setup.prefix = ("ionice", "-c", "3")


def schedulers(text: str) -> tuple[list[str], str]:
    """Return those that a queue/scheduler file offers, and the one at work."""
    words = text.split()
    now = next((word[1:-1] for word in words if word.startswith("[")), "none")
    return [word.strip("[]") for word in words], now


def _io_latency(setup: Setup) -> None:
    """Give the victim's cgroup a target; whoever has none yields to it."""
    path = setup.cgroups.victim / "io.latency"
    _existing(path, "BLK_CGROUP_IOLATENCY", setup.stage)
    disk = setup.stage.disk
    setup.restorer.write(path, f"{disk} target={1000 * setup.stage.limit_ms}", f"{disk} target=0")


def _io_cost(setup: Setup) -> None:
    """Give the device's real speed as the model, the limit as the quality of service."""
    stage, groups = setup.stage, setup.cgroups
    _existing(groups.root / "io.cost.qos", "BLK_CGROUP_IOCOST", stage)
    iops = min(stage.iops or stage.capacity // 4096, stage.capacity // 4096)
    model = " ".join(
        f"{way}{what}={value}"
        for way in "rw"
        for what, value in (("bps", stage.capacity), ("seqiops", iops), ("randiops", iops))
    )
    late = 1000 * stage.limit_ms
    write = setup.restorer.write
    write(groups.root / "io.cost.model", f"{stage.disk} ctrl=user model=linear {model}",
          f"{stage.disk} ctrl=auto")  # fmt: skip
    write(
        groups.root / "io.cost.qos",
        f"{stage.disk} enable=1 ctrl=user rpct={COST_PERCENTILE} rlat={late}"
        f" wpct={COST_PERCENTILE} wlat={late} min=10.00 max=100.00",
        f"{stage.disk} enable=0 ctrl=auto",
    )
    write(groups.hog / "io.weight", f"default {HOG_WEIGHT}", "default 100")
    write(groups.victim / "io.weight", f"default {VICTIM_WEIGHT}", "default 100")


def _existing(path: Path, option: str, stage: Stage) -> Path:
    """Return a file of the kernel's interface.

    Raises:
        Unavailable: there is none; names the option of the kernel that is missing.
    """
    if path.exists():
        return path
    if f"CONFIG_{option}=y" in stage.kernel_config.splitlines():
        raise Unavailable(f"{path.name} is not here, though the kernel has CONFIG_{option}")
    raise Unavailable(f"not in this kernel (CONFIG_{option} is not set)")


def _hold(share: int) -> Contestant:
    def begun(setup: Setup, target: ProcessTarget) -> None:
        keeper = setup.ready_keeper or setup.keeper()
        policy = keeper.apply(_order(target, setup.stage.capacity * share // 100))
        setup.undo.callback(_release, keeper, policy.id)

    return Contestant(f"hold at {share} %", _warm, begun)


def _release(keeper: KeeperClient, number: int) -> None:
    # The keeper takes it back in any case when the connection ends.
    with contextlib.suppress(IotopError):
        keeper.release((number,), Reason("", "bench"))


def _warm(setup: Setup) -> None:
    """Have a keeper at work that has held before: loading its program is not what is measured."""
    keeper = setup.keeper()
    setup.ready_keeper = keeper
    with subprocess.Popen(["sleep", "60"]) as idle:
        try:
            policy = keeper.apply(_order(process_target(idle.pid), setup.stage.capacity))
            _release(keeper, policy.id)
        finally:
            idle.kill()


def _order(target: ProcessTarget, rate: int) -> Order:
    return Order(
        Kind.THROTTLE,
        target,
        Reason("", "bench"),
        rate_bytes_per_s=rate,
        mechanism=Mechanism.HOLD,
    )


def _guard(setup: Setup) -> None:
    setup.guard = setup.start_guard()


CONTESTANTS = (
    Contestant("none", _nothing),
    *(_io_max(share) for share in SHARES),
    Contestant("BFQ, ionice idle", _bfq),
    Contestant("io.latency", _io_latency),
    Contestant("io.cost", _io_cost),
    *(_hold(share) for share in SHARES),
    Contestant("guard", _guard),
)
