"""On other kernels too, a held program writes what its cap says, and kill -9 leaves nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from iotop_ng.enforcers.orders import Mechanism
from iotop_ng.errors import EnforcerError
from iotop_ng.sources.build import compiled_for
from tests.kernel.acting import WRITE, Acting, MakeHog, own_keeper, rate_of, rates
from tests.kernel.hogs import MB, Hog, Way, tracers
from tests.kernel.leftovers import belonging, bpf_of, look, wait_until_gone

pytestmark = pytest.mark.guest(every_kernel=True)

CAP = MB
FREE = 4 * CAP
WAYS = (
    Way("write", sync=16),
    Way("direct", 16384, threads=4),
    Way("mmap"),
    Way("aio", 16384),
    Way("uring", 16384),
    Way("uring_direct", 16384),
    Way("write", signals="go"),
    Way("write", signals="block"),
)
MEMORY = Path("/dev/shm")


@pytest.fixture(scope="module")
def compiled() -> None:
    """Compile before anything writes: under load, an emulated machine takes minutes for it."""
    compiled_for("hold", lambda _: None)


@pytest.fixture
def run_directory(compiled: None) -> Iterator[Path]:  # noqa: ARG001 - it is done
    """Give the run directory of the test's own keeper."""
    with own_keeper(Path("/run")) as run:
        yield run


@pytest.fixture
def acting(run_directory: Path) -> Iterator[Acting]:
    """Give a client with a keeper of its own."""
    with Acting(run_directory) as made:
        yield made


@pytest.fixture
def make_hog(workloads: Callable[[str], Path], directory: Path) -> Iterator[MakeHog]:
    """Return what starts hogs on the guest's disk; all are ended afterwards."""
    with ExitStack() as stack:

        def make(way: Way = WRITE) -> Hog:
            return stack.enter_context(Hog(workloads("hog"), directory, MEMORY, way, span=16 * MB))

        yield make


def test_every_way_of_writing_is_held_to_its_cap(acting: Acting, make_hog: MakeHog) -> None:
    """All at once: never 10 % more, once within 10 %; an emulated machine is slow."""
    hogs = {way.name: make_hog(way) for way in WAYS}
    for hog in hogs.values():
        acting.apply(hog.pid, CAP)
    short = set(hogs)

    for _ in range(4):
        measured = rates(hogs, 6)
        off = {name: round(100 * (rate / CAP - 1), 1) for name, rate in measured.items()}
        assert {name: percent for name, percent in off.items() if percent > 10} == {}
        short = {name for name in short if off[name] < -10}
        if not short:
            break

    assert short == set()
    counts = {name: hog.counts() for name, hog in hogs.items()}
    assert {n: (c.errors, c.interrupted, c.shorter) for n, c in counts.items()} == dict.fromkeys(
        hogs, (0, 0, 0)
    )
    go = counts["write 64K go"]
    assert (go.urg_lost, go.urg_foreign) == (0, 0)


def test_hold_is_the_first_rung_and_release_lets_go(acting: Acting, make_hog: MakeHog) -> None:
    """The order without a mechanism takes it; another rate holds; then all is as before."""
    hog = make_hog(Way("write", sync=16))
    before = look([hog.pid])

    policy = acting.apply(hog.pid, CAP, None)
    held = rate_of(hog, 3)
    acting.adjust(policy, 2 * CAP)
    more = rate_of(hog, 3)
    problems = acting.release(policy)
    gone = wait_until_gone(acting.run_directory.parent / "no such", before, (), 10)

    assert policy.mechanism is Mechanism.HOLD
    assert 0.85 < held / CAP < 1.15
    assert 0.85 < more / (2 * CAP) < 1.15
    assert (problems, gone.left) == ((), [])
    assert rate_of(hog, 1) > FREE


def test_kill_9_of_the_keeper_leaves_nothing(acting: Acting, make_hog: MakeHog) -> None:
    """The kernel lets go by itself."""
    hog = make_hog(Way("direct", threads=4))
    before = look([hog.pid])
    acting.apply(hog.pid, CAP)
    held = rate_of(hog, 2)
    objects = bpf_of(belonging(acting.run_directory))

    os.kill(acting.keeper, signal.SIGKILL)
    with pytest.raises(EnforcerError):
        acting.client.look(0)

    gone = wait_until_gone(acting.run_directory, before, objects, 20)
    assert held < 2 * CAP
    assert objects
    assert gone.left == []
    assert rate_of(hog, 1) > FREE


@pytest.mark.parametrize("mechanism", ["hold", "pause", "ionice"])
def test_kill_9_of_a_client_leaves_nothing(
    mechanism: str, run_directory: Path, make_hog: MakeHog
) -> None:
    """The keeper takes back what its client applied."""
    hog = make_hog(Way("direct", threads=2))
    before = look([hog.pid])
    with subprocess.Popen(
        [sys.executable, "-m", "tests.kernel.driver", mechanism, str(CAP), str(hog.pid)],
        stdout=subprocess.PIPE,
        text=True,
    ) as client:
        assert client.stdout is not None
        said = [client.stdout.readline() for _ in range(3)]
        objects = bpf_of(belonging(run_directory))
        client.kill()

    gone = wait_until_gone(run_directory, before, objects, 20)
    assert said[:2] == ["open\n", "apply\n"]
    assert gone.left == []
    assert set(tracers(hog.pid).values()) == {0}
    assert rate_of(hog, 1) > FREE
