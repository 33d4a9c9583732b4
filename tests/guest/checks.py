"""What the matrix asks of each kernel: run inside a guest, one JSON line per answer.

``python -m tests.guest.checks RESULTS`` asks all; a check that hangs or fails keeps none away.
"""

from __future__ import annotations

import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

import msgspec

from iotop_ng.enforcers.orders import InForce, Mechanism, Order
from iotop_ng.errors import EnforcerError
from iotop_ng.sample import Need
from iotop_ng.sources.build import compiled_for
from iotop_ng.sources.choose import BestSource
from tests.guest.boots import WORKLOADS_VARIABLE
from tests.guest.limited import Writer, cgroup
from tests.guest.limited import order as limit
from tests.kernel.acting import WRITE, Acting, own_keeper, rate_of
from tests.kernel.counts import SECTOR, diskstats
from tests.kernel.driver import order
from tests.kernel.gate import Workload
from tests.kernel.hogs import MB, Hog, Way
from tests.kernel.leftovers import belonging, bpf_of, look, wait_until_gone
from tests.kernel.rows import find, operations

OK, NOT_HERE, FAIL = "ok", "not here", "FAIL"
SIZE = 65536
COUNT = 211  # a prime number of operations: 13 MiB
DISK = "vda"
CAP = MB
PASS = MB // 4
LOOKS = 4
_DATA = Path("/data")
_MEMORY = Path("/dev/shm")
_PATIENCE_S = 90


class Answer(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of one check."""

    check: str
    state: str
    """ok, not here, or FAIL."""
    seconds: float
    text: str = ""
    """What was measured, or why not."""


class Ground(msgspec.Struct, frozen=True):
    """What the guest is."""

    release: str
    file_system: str
    lsm: tuple[str, ...]
    source: str
    """That iotop-ng chose by itself."""
    notes: tuple[str, ...]


class NotHere(Exception):  # noqa: N818 - it is an answer
    """This kernel has not got it, for a reason that iotop-ng says itself."""


class Unexpected(Exception):  # noqa: N818 - likewise
    """It came out wrong."""


def expect(claim: object, what: str) -> None:
    """Make sure of something.

    Raises:
        Unexpected: it is not so.
    """
    if not claim:
        raise Unexpected(what)


def _workload(name: str) -> Path:
    return Path(os.environ[WORKLOADS_VARIABLE]) / name


def probes(source: BestSource) -> str:
    """All programs attach, those on demand too; what was on demand goes again."""
    sample = source.read(frozenset(Need))
    if source.name != "bcc":
        raise NotHere("; ".join(sample.notes))
    problems = [f"{probe.name}: {probe.problem}" for probe in sample.probes if probe.problem]
    expect(not problems, "; ".join(problems))
    missing = [probe.name for probe in sample.probes if not probe.is_attached]
    expect(not missing, f"not attached: {', '.join(missing)}")
    left = [
        probe.name
        for probe in source.read(frozenset()).probes
        if probe.tier == "on demand" and probe.is_attached
    ]
    expect(not left, f"still attached: {', '.join(left)}")
    on_demand = sum(probe.tier == "on demand" for probe in sample.probes)
    text = f"{len(sample.probes) - on_demand} programs, {on_demand} more on demand"
    return "; ".join((text, *sample.notes))


def table(source: BestSource) -> str:
    """A prime number of writes, buffered and direct: the rows hold exactly what /proc counts."""
    said = []
    for way in ("write", "direct"):
        os.sync()
        before, device = diskstats(DISK), _device(source)
        command = (_workload("writer"), way, _DATA / f"table-{way}", COUNT, SIZE)
        with Workload(*command) as writer:
            source.read(frozenset({Need.SYSCALLS}))
            writer.run()
            counted = writer.io().write_bytes
            os.sync()
            totals = find(source.read(frozenset({Need.SYSCALLS})), writer.pid).totals
            writer.end()
        shown = totals.write_bytes
        expect(shown == counted, f"{way}: the row says {shown}, /proc/PID/io {counted}")
        expect(counted >= COUNT * SIZE, f"{way}: {counted} bytes of {COUNT * SIZE}")
        if source.name == "bcc":
            on_disk = diskstats(DISK).since(before).sectors_written * SECTOR
            grown = _device(source) - device
            expect(grown == on_disk, f"the device says {grown}, /proc/diskstats {on_disk}")
            owned = totals.disk_write_bytes or 0
            expect(owned >= COUNT * SIZE, f"{way}: {owned} of {COUNT * SIZE} are its own on disk")
        said.append(f"{way} {shown}")
    return f"bytes of {COUNT} writes: {', '.join(said)}"


def _device(source: BestSource) -> int:
    if source.name != "bcc":
        return 0
    found = operations(source.read(frozenset()), DISK)
    return found["write"].bytes if "write" in found else 0


def throttle(acting: Acting) -> str:
    """A held hog never gets 10 % more than its cap, and gets within 10 % of it."""
    with Hog(_workload("hog"), _DATA, _MEMORY, Way("write", sync=16), span=16 * MB) as hog:
        free = rate_of(hog, 1)
        expect(free > 2 * CAP, f"unlimited it writes no more than {_pace(free)}")
        policy = _apply(acting, order(hog.pid, Mechanism.HOLD, CAP))
        off = _off_cap(lambda: rate_of(hog, 3), CAP)
        problems = acting.release(policy)
        expect(not problems, "; ".join(problems))
        expect(rate_of(hog, 1) > 2 * CAP, "it stays slow after the release")
        counts = hog.counts()
        expect(not counts.errors and not counts.shorter, "the hog noticed it")
    return f"{_pace(free)} to {_pace(CAP)}: {off:+.1%}"


def drop(acting: Acting) -> str:
    """What was refused is what the hog's own count of errors says."""
    with Hog(_workload("hog"), _DATA, _MEMORY, WRITE, rate=2 * MB) as hog:
        policy = _apply(acting, order(hog.pid, Mechanism.DROP, PASS))
        time.sleep(4)
        acting.release(policy)
        last = [e for e in acting.client.look(0).events if e.id == policy.id][-1]
        mine = hog.counts()
        expect(mine.errors, "no write was refused")
        theirs = last.counts.refused_calls
        expect(theirs == mine.errors, f"refused {theirs}, the hog counts {mine.errors}")
        rate = rate_of(hog, 1)
        expect(hog.counts().errors == mine.errors, "writes are refused after the release")
        expect(rate > MB, "it stays slow after the release")
    return f"{mine.errors} refused, as the hog counts"


def io_max(acting: Acting) -> str:
    """A direct writer's cgroup keeps to its cap; the line is as before afterwards."""
    with cgroup("service") as place, Writer(place, _DATA / "limited", "direct") as writer:
        line = (place / "io.max").read_text("ascii")
        policy = _apply(acting, limit(writer.target, Mechanism.IO_MAX, 5 * MB))
        off = _off_cap(lambda: writer.rate(3), 5 * MB)
        problems = acting.release(policy)
        expect(not problems, "; ".join(problems))
        expect((place / "io.max").read_text("ascii") == line, "the line in io.max stays")
    return f"to {_pace(5 * MB)}: {off:+.1%}"


def undo(acting: Acting) -> str:
    """After kill -9 of the keeper nothing is left, and the hog runs free."""
    with Hog(_workload("hog"), _DATA, _MEMORY, Way("direct", threads=4)) as hog:
        before = look([hog.pid])
        _apply(acting, order(hog.pid, Mechanism.HOLD, CAP))
        held = rate_of(hog, 2)
        expect(held < 2 * CAP, f"held, it writes {_pace(held)}")
        objects = bpf_of(belonging(acting.run_directory))
        expect(objects, "the keeper has no programs")
        os.kill(acting.keeper, signal.SIGKILL)
        with suppress(EnforcerError):
            acting.client.look(0)
        gone = wait_until_gone(acting.run_directory, before, objects, 30)
        expect(not gone.left, "; ".join(gone.left))
        free = rate_of(hog, 1)
        expect(free > 2 * CAP, f"afterwards it writes {_pace(free)}")
    return f"{len(objects)} BPF objects gone, free after {1000 * gone.effect_s:.0f} ms"


def _off_cap(measured: Callable[[], float], cap: int) -> float:
    """Return how far from its cap a rate is: never 10 % above, and once not 10 % below.

    A machine that is emulated on a busy one gets to its cap late, or by the second look.
    """
    for _ in range(LOOKS):
        off = measured() / cap - 1
        expect(off <= 0.1, f"{off:+.1%} of its cap")
        if off >= -0.1:
            return off
    raise Unexpected(f"{off:+.1%} of its cap")


def _apply(acting: Acting, asked: Order) -> InForce:
    """Act, where the mechanism works here.

    Raises:
        NotHere: it does not, with what the ladder says of it.
    """
    for rung in acting.client.ladder(asked):
        if rung.mechanism is asked.mechanism and not rung.works:
            raise NotHere(rung.why)
    return acting.client.apply(asked)


def _pace(bytes_per_s: float) -> str:
    return f"{bytes_per_s / MB:.1f} MiB/s"


def _answer(name: str, check: Callable[[], str]) -> Answer:
    """Run one check, and let it end."""
    began = time.monotonic()
    state, text = FAIL, ""
    try:
        with _limited():
            state, text = OK, check()
    except NotHere as reason:
        state, text = NOT_HERE, str(reason)
    except Unexpected as error:
        state, text = FAIL, str(error)
    except Exception as error:  # noqa: BLE001 - a check that breaks is an answer too
        traceback.print_exc()
        state, text = FAIL, f"{type(error).__name__}: {error}"
    return Answer(name, state, round(time.monotonic() - began, 1), text)


@contextmanager
def _limited() -> Iterator[None]:
    def stop(_number: int, _frame: FrameType | None) -> None:
        raise TimeoutError(f"not done after {_PATIENCE_S} s")

    signal.signal(signal.SIGALRM, stop)
    signal.alarm(_PATIENCE_S)
    try:
        yield
    finally:
        signal.alarm(0)


def _acting(check: Callable[[Acting], str]) -> Callable[[], str]:
    """Give it a keeper of its own, which is gone afterwards."""

    def run() -> str:
        # Before anything writes: under load, an emulated machine takes minutes to compile.
        if check is throttle:
            compiled_for("hold", lambda _: None)
        with own_keeper(Path("/run")) as directory, Acting(directory) as acting:
            return check(acting)

    return run


def _ground(source: BestSource) -> Ground:
    mounts = (line.split() for line in Path("/proc/mounts").read_text("utf-8").splitlines())
    lsm = Path("/sys/kernel/security/lsm")
    return Ground(
        release=os.uname().release,
        file_system=next(mount[2] for mount in mounts if mount[1] == str(_DATA)),
        lsm=tuple(lsm.read_text("ascii").strip().split(",")) if lsm.exists() else (),
        source=source.name,
        notes=source.read(frozenset()).notes,
    )


def main() -> None:
    """Ask everything."""
    source = BestSource()
    with Path(sys.argv[1]).open("ab", buffering=0) as results:

        def tell(answer: Answer | Ground) -> None:
            results.write(msgspec.json.encode(answer) + b"\n")

        def opened() -> str:
            source.open()
            return source.name

        tell(_answer("open", opened))
        tell(_ground(source))
        tell(_answer("probes", lambda: probes(source)))
        tell(_answer("table", lambda: table(source)))
        source.close()
        for check in (throttle, drop, io_max, undo):
            tell(_answer(check.__name__, _acting(check)))


if __name__ == "__main__":
    main()
