"""A held program writes what its cap says and notices nothing else; nothing is left of us."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from iotop_ng.enforcers.orders import Mechanism
from iotop_ng.errors import EnforcerError, IotopError
from tests.kernel.acting import WRITE, Acting, MakeHog, own_keeper, rate_of, rates
from tests.kernel.disks import Mounted
from tests.kernel.gate import wait_until
from tests.kernel.hogs import MB, Hog, Way, state, tracers
from tests.kernel.leftovers import helpers_of, look, wait_until_gone

pytestmark = pytest.mark.kernel

CAP = 2 * MB
FREE = 4 * CAP
"""A hog that writes more than that is not held: free, each writes more than a hundred MB/s."""
WAYS = {
    "calls": (
        Way("write", 4096),
        Way("write", sync=16),
        Way("pwrite", 16384, threads=8),
        Way("direct"),
        Way("mmap"),
    ),
    "asynchronous": (
        Way("aio", 16384),
        Way("uring", 16384),
        Way("uring_direct", 16384),
        Way("uring_sqpoll", 16384),
    ),
    "in the kernel": (Way("splice"), Way("sendfile"), Way("copy_file_range")),
    "with signals": (Way("write", signals="go"), Way("write", signals="block")),
}
MORE_PCT, LESS_PCT = 5, 15
"""Off the cap: nothing may let more pass; a loaded machine may well write less."""


@pytest.fixture
def run_directory(memory_directory: Path, own_cache: None) -> Iterator[Path]:  # noqa: ARG001
    """Give the run directory of the test's own keeper."""
    with own_keeper(memory_directory) as run:
        yield run


@pytest.fixture
def acting(run_directory: Path) -> Iterator[Acting]:
    """Give a client with a keeper of its own."""
    with Acting(run_directory) as made:
        yield made


@pytest.fixture
def make_hog(
    workloads: Callable[[str], Path], ext4: Mounted, memory_directory: Path
) -> Iterator[MakeHog]:
    """Return what starts hogs on the test's disk; all are ended afterwards."""
    with ExitStack() as stack:

        def make(way: Way = WRITE) -> Hog:
            hog = Hog(workloads("hog"), ext4.path, memory_directory, way, span=16 * MB)
            return stack.enter_context(hog)

        yield make


@pytest.mark.parametrize("kind", WAYS)
def test_every_way_of_writing_is_held_to_its_cap(
    kind: str, acting: Acting, make_hog: MakeHog, note: Callable[[str], None]
) -> None:
    """Several at once, each with a policy of its own, over 5 s, and no call fails."""
    hogs = {way.name: make_hog(way) for way in WAYS[kind]}
    policies = {name: acting.apply(hog.pid, CAP) for name, hog in hogs.items()}
    short = set(hogs)

    for _ in range(4):
        measured = rates(hogs, 5)
        off = {name: round(100 * (rate / CAP - 1), 1) for name, rate in measured.items()}
        note(f"hold, {len(hogs)} at once: off by % {off}")
        assert {name: percent for name, percent in off.items() if percent > MORE_PCT} == {}
        short = {name for name in short if off[name] < -LESS_PCT}
        if not short:
            break

    assert short == set()
    counts = {name: hog.counts() for name, hog in hogs.items()}
    assert {n: (c.errors, c.interrupted, c.shorter) for n, c in counts.items()} == dict.fromkeys(
        hogs, (0, 0, 0)
    )
    assert {name: policy.problem for name, policy in policies.items() if policy.problem} == {}
    assert set(acting.in_force()) == {policy.id for policy in policies.values()}


def test_what_is_counted_is_what_proc_says(acting: Acting, make_hog: MakeHog) -> None:
    """The policy's own total is the growth of write_bytes since it was applied."""
    hog = make_hog(Way("write", threads=3))
    policy = acting.apply(hog.pid, CAP)
    before, first = hog.written_bytes(), acting.in_force()[policy.id].counts.charged_bytes

    time.sleep(2)

    counts = acting.in_force()[policy.id].counts
    grown = hog.written_bytes() - before
    assert first is not None
    assert counts.charged_bytes is not None
    # Not at the very same moment: a write of each thread may be in between, twice.
    assert abs(counts.charged_bytes - first - grown) <= 2 * 3 * hog.way.size
    assert counts.processes == 1
    assert counts.holds


def test_another_rate_holds_at_once_and_release_lets_go(acting: Acting, make_hog: MakeHog) -> None:
    """Up and down, then free; a program beside it was never held."""
    hog, beside = make_hog(), make_hog()

    policy = acting.apply(hog.pid, CAP)
    both = rates({"hog": hog, "beside": beside}, 1)
    acting.adjust(policy, 3 * CAP)
    more = rate_of(hog, 2)
    acting.adjust(policy, CAP)
    less = rate_of(hog, 2)
    problems = acting.release(policy)

    assert both["hog"] < 1.2 * CAP
    assert both["beside"] > FREE
    assert 0.9 < more / (3 * CAP) < 1.1
    assert 0.9 < less / CAP < 1.1
    assert problems == ()
    assert rate_of(hog) > FREE
    assert set(tracers(hog.pid).values()) == {0}


def _wait_for_usr1(hog: Hog, number: int) -> None:
    wait_until(lambda: hog.counts().usr1 == number, f"SIGUSR1 number {number} is handled")


def test_signals_of_others_arrive_while_it_is_held(acting: Acting, make_hog: MakeHog) -> None:
    """Queued ones each, and no call is interrupted by what we do."""
    hog = make_hog()
    acting.apply(hog.pid, CAP // 8)
    hog.send(signal.SIGUSR1)
    _wait_for_usr1(hog, 1)

    for number in range(1, 10):
        hog.send(signal.SIGUSR1)
        _wait_for_usr1(hog, number + 1)
    for _ in range(100):
        hog.send(signal.SIGRTMIN)
    wait_until(lambda: hog.counts().realtime >= 100, "100 real-time signals are handled")

    counts = hog.counts()
    assert (counts.usr1, counts.realtime) == (10, 100)
    assert (counts.errors, counts.interrupted, counts.shorter) == (0, 0, 0)


def test_a_thread_that_waits_is_not_woken(acting: Acting, make_hog: MakeHog) -> None:
    """epoll_wait says EINTR when its thread is stopped: neither hold nor release does that."""
    hog = make_hog(Way("write", signals="idle"))

    policy = acting.apply(hog.pid, CAP)
    time.sleep(1)
    acting.adjust(policy, 2 * CAP)
    acting.release(policy)
    wait_until(lambda: set(tracers(hog.pid).values()) == {0}, "it is let go")

    counts = hog.counts()
    assert (counts.errors, counts.interrupted) == (0, 0)


def test_the_signals_that_go_sends_itself_are_neither_lost_nor_added(
    acting: Acting, make_hog: MakeHog
) -> None:
    """Two threads, each preempted hundreds of times a second by SIGURG."""
    hog = make_hog(Way("write", 16384, threads=2, signals="go"))
    acting.apply(hog.pid, CAP)

    time.sleep(3)
    wait_until(
        lambda: hog.counts().urg_sent == hog.counts().urg_handled or hog.counts().urg_lost > 0,
        "all are handled",
    )

    counts = hog.counts()
    assert counts.urg_sent > 30
    assert (counts.urg_lost, counts.urg_foreign) == (0, 0)


def test_a_program_that_stops_itself_stays_stopped(acting: Acting, make_hog: MakeHog) -> None:
    """SIGSTOP and SIGCONT mean what they meant before."""
    hog = make_hog(Way("write", signals="stop"))
    acting.apply(hog.pid, CAP)

    before = hog.counts()
    time.sleep(3)
    counts = hog.counts().since(before)

    assert counts.stops >= 2
    assert abs(counts.stops - counts.continued) <= 1
    assert counts.moved == 0
    assert counts.bytes <= 1.05 * 3 * CAP


def test_children_are_held_if_they_are_meant_to_be(acting: Acting, make_hog: MakeHog) -> None:
    """Those that are there and a new writer each second, once with and once without them."""
    held, free = make_hog(Way("fork")), make_hog(Way("fork"))
    policy = acting.apply(held.pid, CAP, with_children=True)
    acting.apply(free.pid, CAP, with_children=False)

    measured = rates({"held": held, "free": free}, 5)

    assert 0.95 < measured["held"] / CAP < 1.05
    assert measured["free"] > FREE
    assert acting.in_force()[policy.id].problem == ""


@contextmanager
def straced(pid: int) -> Iterator[int]:
    """Let strace watch a process; give its pid."""
    command = ["strace", "-q", "-f", "-e", "trace=none", "-p", str(pid)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as strace:
        try:
            wait_until(lambda: strace.pid in tracers(pid).values(), "strace has attached")
            yield strace.pid
        finally:
            strace.terminate()


def test_a_program_under_strace_is_not_held_but_another_rung_is_offered(
    acting: Acting, make_hog: MakeHog
) -> None:
    """Linux allows one tracer; the dialog says who it is."""
    hog = make_hog()

    with straced(hog.pid) as tracer:
        ladder = acting.ladder(hog.pid)
        with pytest.raises(IotopError, match="strace"):
            acting.apply(hog.pid, CAP, Mechanism.HOLD)
        policy = acting.apply(hog.pid, CAP, None)
        paused = rate_of(hog, 3)
        problems = acting.release(policy)

    assert not ladder[Mechanism.HOLD].works
    assert f"strace[{tracer}]" in ladder[Mechanism.HOLD].why
    assert ladder[Mechanism.PAUSE].works
    assert policy.mechanism is Mechanism.PAUSE
    assert paused < FREE
    assert problems == ()
    assert rate_of(hog) > FREE


@pytest.mark.parametrize("who", ["keeper", "helper"])
def test_kill_9_leaves_nothing(
    who: str, acting: Acting, make_hog: MakeHog, note: Callable[[str], None]
) -> None:
    """The kernel lets go by itself: the writers run on and all is as it was before."""
    hogs = {"one": make_hog(), "many": make_hog(Way("direct", threads=8))}
    pids = [hog.pid for hog in hogs.values()]
    before = look(pids)
    for pid in pids:
        acting.apply(pid, CAP)
    held = rates(hogs, 1)
    objects, keeper = acting.objects(), acting.keeper

    victims = [keeper] if who == "keeper" else helpers_of(keeper)
    for pid in victims:
        os.kill(pid, signal.SIGKILL)
    if who == "keeper":
        with pytest.raises(EnforcerError):
            acting.client.look(0)
    else:
        wait_until(lambda: not acting.in_force(), "the policies are given up")
        acting.client.close()

    gone = wait_until_gone(acting.run_directory, before, objects, 10)
    note(f"kill -9 of the {who}: as before after {gone.effect_s:.2f} s")
    assert max(held.values()) < 1.5 * CAP
    assert objects
    assert gone.left == []
    assert min(rates(hogs, 0.5).values()) > FREE


def test_a_dead_program_takes_its_policy_with_it(acting: Acting, make_hog: MakeHog) -> None:
    """Also one that is killed while it is held."""
    hog = make_hog()
    acting.apply(hog.pid, CAP // 8)
    wait_until(lambda: state(hog.pid) == "t", "it is held")

    hog.send(signal.SIGKILL)

    wait_until(lambda: not hog.runs(), "it has ended")
    wait_until(lambda: not acting.in_force(), "its policy has ended")
