"""On every kernel, a drop refuses what it shall, all of it and nothing else, and counts it."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from iotop_ng.enforcers.drop import DropEnforcer
from iotop_ng.enforcers.enforcer import BudgetSpent
from iotop_ng.enforcers.orders import Mechanism
from iotop_ng.enforcers.pinned import HostPinner
from iotop_ng.errors import TargetError
from iotop_ng.policy.actions import Reason
from tests.guest.boots import CHECKOUT
from tests.guest.dropping import Phase, Writer, bpf_ids, cgroup, dropping, order, process
from tests.guest.limited import keeper, kill_keeper
from tests.kernel.gate import wait_until

pytestmark = pytest.mark.guest
# Emulated time is dear: on every kernel what the verifier, the hook and the counts depend on.
on_every_kernel = pytest.mark.guest(every_kernel=True)

Workloads = Callable[[str], Path]
SIZE = 8192
COUNT = 53  # a prime number of operations
ALL = COUNT * SIZE
WRITTEN = Phase(COUNT, 0, 0, ALL)
REFUSED = Phase(0, COUNT, errno.ENOSPC, 0)
SECOND_NS = 1_000_000_000


@pytest.fixture(scope="module")
def enforcer() -> Iterator[DropEnforcer]:
    """Give the enforcer, with the programs compiled in this guest, and attached all the time.

    QEMU's TCG with a thread for each CPU sometimes runs an instruction that another CPU has
    replaced already. The kernel's own patching of a function that is in use then ends in an Oops
    (int3), which a real CPU excludes; so that is done once here, and not for each test.
    """
    made = DropEnforcer()
    idle = subprocess.Popen(["sleep", "infinity"])
    try:
        with dropping(made, order(process(idle.pid))):
            yield made
    finally:
        idle.kill()
        idle.wait()


@pytest.fixture
def command(workloads: Workloads, directory: Path) -> Callable[..., list[str | Path | int]]:
    """Return a function: way, file -> the command of a writer, with a source where one is read."""
    source = directory / "source"
    source.write_bytes(b"s" * ALL)

    def make(way: str, file: Path | None = None, size: int = SIZE) -> list[str | Path | int]:
        reads = way in {"sendfile", "copy_file_range", "splice"}
        words: list[str | Path | int] = [workloads("refused"), way, COUNT, size]
        return [*words, file or directory / f"{way}.data", *([source] if reads else [])]

    return make


Command = Callable[..., list[str | Path | int]]


@on_every_kernel
def test_the_rung_says_that_it_works_and_what_it_does(
    enforcer: DropEnforcer, command: Command
) -> None:
    """Stores to mapped files are named there: they are not refused."""
    with Writer(*command("write")) as writer:
        pinner = HostPinner()
        pinned = pinner.pin(process(writer.pid))
        rung = enforcer.rung(pinned, order(pinned.target, 1 << 20, error="EDQUOT"))
        impossible = enforcer.rung(pinned, order(pinned.target, error="EINTR"))
        pinner.unpin(pinned)

    assert rung.works, rung.why
    assert "writes beyond 1.0M/s to files on disks fail with EDQUOT (Disk quota" in rung.does
    assert "stores to mapped files, truncate and rename are not refused" in rung.does
    assert (impossible.works, "EINTR" in impossible.why) == (False, True)


WAYS = ("write", "append", "pwrite", "writev", "pwritev", "pwritev2", "sendfile", "copy_file_range",
        "splice", "direct", "sync", "aio", "uring", "threads", "fork")  # fmt: skip


@on_every_kernel
@pytest.mark.parametrize("way", WAYS)
def test_every_call_of_the_target_is_refused_and_counted_and_nobody_elses(
    way: str, command: Command, directory: Path, enforcer: DropEnforcer
) -> None:
    """Before, during and after; what the calls asked is counted but for io_uring's."""
    with (
        Writer(*command(way)) as writer,
        Writer(*command(way, directory / "other")) as other,
    ):
        before = writer.phase()
        with dropping(enforcer, order(process(writer.pid))) as effect:
            other.begin()
            during, beside = writer.phase(), other.result()
            counts = effect.counts()
            problem = effect.tick(time.monotonic_ns())
        after = writer.phase()

    assert (before, during, after) == (WRITTEN, REFUSED, WRITTEN)
    assert beside == WRITTEN
    assert counts.refused_calls == COUNT
    assert counts.refused_bytes == (None if way == "uring" else ALL)
    assert problem.startswith(f"{COUNT} of {COUNT} refused calls do not say" if problem else "")
    assert bool(problem) == (way == "uring")


UNTOUCHED = {
    "mmap": None,
    "fallocate": None,
    "truncate": None,
    "nothing": None,
    "pipe": None,
    "socket": None,
    "tmpfs": Path("/dev/shm/untouched"),
    "run": Path("/run/untouched"),
    "null": Path("/dev/null"),
    "overlay on tmpfs": Path("/var/tmp/untouched"),
    "network": Path("/out/untouched"),
    "proc": Path("/proc/self/oom_score_adj"),
    "tracefs": Path("/sys/kernel/tracing/tracing_on"),
    "cgroup": Path("/sys/fs/cgroup/untouched/cgroup.freeze"),
    "sysfs": Path("/sys/block/vda/queue/nomerges"),
}


@pytest.mark.parametrize("what", UNTOUCHED)
def test_what_is_no_write_to_a_file_on_a_disk_goes_through(
    what: str, command: Command, enforcer: DropEnforcer
) -> None:
    """Although every write of the process is refused."""
    file = UNTOUCHED[what]
    way = what
    if file is not None:
        in_kernel = str(file).startswith(("/proc", "/sys"))
        way = "proc" if in_kernel else "write"
    with cgroup("untouched"), Writer(*command(way, file)) as writer:
        before = writer.phase()
        with dropping(enforcer, order(process(writer.pid))) as effect:
            during = writer.phase()
            counts = effect.counts()

    assert (before, during) == (WRITTEN, WRITTEN)
    assert counts.refused_calls == 0


def test_a_terminal_goes_through(command: Command, enforcer: DropEnforcer) -> None:
    """What the program prints for the operator."""
    ours, theirs = os.openpty()
    os.set_blocking(ours, False)
    with (
        Writer(*command("tty", Path(os.ttyname(theirs)), 8)) as writer,
        dropping(enforcer, order(process(writer.pid))) as effect,
    ):
        during = writer.phase()
        counts = effect.counts()
    os.close(ours)
    os.close(theirs)

    assert during == Phase(COUNT, 0, 0, COUNT * 8)
    assert counts.refused_calls == 0


@on_every_kernel
@pytest.mark.parametrize("name", ["ENOSPC", "EDQUOT", "EIO", "EPERM", "EAGAIN"])
def test_the_errno_is_the_one_that_was_asked_for(
    name: str, command: Command, enforcer: DropEnforcer
) -> None:
    """And the writer sees no other."""
    with Writer(*command("write")) as writer:
        wanted = order(process(writer.pid), error=name)
        with dropping(enforcer, wanted) as effect:
            during = writer.phase()
            counts = effect.counts()

    assert during == Phase(0, COUNT, getattr(errno, name), 0)
    assert (counts.refused_calls, counts.refused_bytes) == (COUNT, ALL)


@pytest.mark.parametrize("way", ["write", "pwritev", "sendfile", "copy_file_range", "threads"])
def test_counts_are_those_of_strace(
    way: str, command: Command, directory: Path, enforcer: DropEnforcer
) -> None:
    """Of a full trace: each call that failed with this errno."""
    trace = directory / "trace"
    tracer = ("strace", "-D", "-f", "-q", "-o", str(trace))
    with Writer(*command(way), before=tracer) as writer:
        before = writer.phase()
        with dropping(enforcer, order(process(writer.pid))) as effect:
            during = writer.phase()
            counts = effect.counts()
        writer.end()
    wait_until(lambda: "exited with 0" in trace.read_text("utf-8", "replace"), "strace ends", 30)
    failed = trace.read_text("utf-8", "replace").count("= -1 ENOSPC (No space left on device)")

    assert (before, during) == (WRITTEN, REFUSED)
    assert counts.refused_calls == failed == COUNT


def test_over_the_rate_all_is_refused_and_under_it_nothing(
    command: Command, directory: Path, enforcer: DropEnforcer
) -> None:
    """53 KiB where a burst of 102 KiB is allowed; then the same at 1 KiB/s.

    The first page that it dirties there is four seconds of debt; what comes within those is refused
    whole.
    """
    rate = 1 << 20
    small = command("write", directory / "shared", 1024)
    with (
        Writer(*small) as writer,
        dropping(enforcer, order(process(writer.pid), rate)) as effect,
    ):
        time.sleep(0.2)  # the burst of 100 ms is 102 KiB
        under = writer.phase()
        after_under = effect.counts()
        effect.adjust(order(process(writer.pid), 1024))
        overdraw = writer.phase()  # a page is 4 KiB: four seconds of debt at once
        over = writer.phase()
        counts = effect.counts()

    assert under == Phase(COUNT, 0, 0, COUNT * 1024)
    assert (after_under.refused_calls, after_under.refused_bytes) == (0, 0)
    assert overdraw.refused > 0
    assert over == Phase(0, COUNT, errno.ENOSPC, 0)
    assert counts.refused_calls == COUNT + overdraw.refused
    assert counts.refused_bytes == (COUNT + overdraw.refused) * 1024
    assert (after_under.charged_bytes or 0) >= under.bytes


def test_what_passes_is_the_rate(command: Command, enforcer: DropEnforcer) -> None:
    """A flood of three seconds: what gets through is rate x time, a burst and a write."""
    rate = 1 << 20
    with Writer(*command("direct")) as writer:
        writer.phase()
        with dropping(enforcer, order(process(writer.pid), rate)) as effect:
            began = time.monotonic()
            passed = refused = 0
            while time.monotonic() - began < 3:
                phase = writer.phase()
                passed, refused = passed + phase.bytes, refused + phase.refused
            lasted = time.monotonic() - began
            counts = effect.counts()

    assert refused > 0
    assert (counts.refused_calls, counts.refused_bytes) == (refused, refused * SIZE)
    assert counts.charged_bytes == passed
    assert 0.9 * rate * lasted <= passed <= rate * (lasted + 0.1) + 2 * SIZE


@pytest.mark.parametrize("way", ["sendfile", "copy_file_range", "splice"])
def test_a_call_that_was_let_begin_is_not_cut_short(
    way: str, command: Command, directory: Path, enforcer: DropEnforcer
) -> None:
    """Splice asks again for each part on kernels before 6.8; a call overdraws as a whole."""
    size = 1 << 20
    (directory / "source").write_bytes(b"s" * size * COUNT)
    with (
        Writer(*command(way, None, size)) as writer,
        dropping(enforcer, order(process(writer.pid), 64 << 10)) as effect,
    ):
        during = writer.phase()
        counts = effect.counts()

    assert during.done >= 1
    assert during.bytes == during.done * size
    assert during.refused == counts.refused_calls == COUNT - during.done
    assert counts.refused_bytes == during.refused * size


def test_children_are_refused_with_it_or_not(command: Command, enforcer: DropEnforcer) -> None:
    """As the order says; those that it forks from then on."""
    found = {}
    for with_children in (True, False):
        with Writer(*command("fork")) as writer:
            wanted = order(process(writer.pid), with_children=with_children)
            with dropping(enforcer, wanted) as effect:
                found[with_children] = (writer.phase(), effect.counts().refused_calls)
                assert effect.counts().processes == 1

    assert found == {True: (REFUSED, COUNT), False: (WRITTEN, 0)}


def test_several_drops_at_once_are_apart(
    command: Command, directory: Path, enforcer: DropEnforcer
) -> None:
    """Each with its own errno, counts and end."""
    files = [directory / name for name in "ab"]
    writers = [Writer(*command("write", file)) for file in files]
    with (
        writers[0] as one,
        writers[1] as other,
        dropping(enforcer, order(process(one.pid), error="EIO")) as first,
    ):
        with dropping(enforcer, order(process(other.pid))) as second:
            both = one.phase(), other.phase()
            counted = second.counts().refused_calls
        alone = one.phase(), other.phase()
        first_counts = first.counts()

    assert both == (Phase(0, COUNT, errno.EIO, 0), REFUSED)
    assert alone == (Phase(0, COUNT, errno.EIO, 0), WRITTEN)
    assert (counted, first_counts.refused_calls) == (COUNT, 2 * COUNT)


def test_only_files_of_the_patterns_are_refused(
    command: Command, directory: Path, enforcer: DropEnforcer
) -> None:
    """Two processes of a cgroup: the log of the one matches, the data of the other do not."""
    files = (directory / "a.log", directory / "a.db")
    with (
        cgroup("patterns") as (group, target),
        Writer(*command("write", files[0])) as logs,
        Writer(*command("write", files[1])) as data,
    ):
        for writer in (logs, data):
            writer.phase()
            (group / "cgroup.procs").write_text(str(writer.pid), "ascii")
        patterns = (f"{directory}/*.log",)
        with dropping(enforcer, order(target, paths=patterns)) as effect:
            found = logs.phase(), data.phase()
            problem = effect.tick(time.monotonic_ns())
            counts = effect.counts()
        with dropping(enforcer, order(target, paths=("*.db",))):
            turned = logs.phase(), data.phase()
        with dropping(enforcer, order(target, paths=("*.none",))) as nothing:
            without = nothing.tick(time.monotonic_ns())
            passed = logs.phase(), data.phase()

    assert found == (REFUSED, WRITTEN)
    assert turned == (WRITTEN, REFUSED)
    assert passed == (WRITTEN, WRITTEN)
    assert (problem, without) == ("", "none of its open files matches: nothing is refused")
    assert (counts.refused_calls, counts.refused_bytes, counts.processes) == (COUNT, ALL, 2)


@contextmanager
def overlay(directory: Path) -> Iterator[Path]:
    """Mount an overlay whose upper directory is on the guest's disk."""
    parts = [directory / name for name in ("lower", "upper", "work", "merged")]
    for part in parts:
        part.mkdir()
    options = "lowerdir={},upperdir={},workdir={}".format(*parts[:3])
    subprocess.run(["mount", "-t", "overlay", "overlay", "-o", options, parts[3]], check=True)
    try:
        yield parts[3]
    finally:
        subprocess.run(["umount", parts[3]], check=True)


@pytest.mark.parametrize("patterns", [(), ("/**/merged/*.data",)], ids=["all", "patterns"])
@pytest.mark.parametrize("way", ["write", "direct", "pwritev", "sendfile", "splice"])
def test_files_of_an_overlay_on_a_disk_are_refused_once(
    way: str, patterns: tuple[str, ...], command: Command, directory: Path, enforcer: DropEnforcer
) -> None:
    """The kernel asks for the file on top and for the one below it."""
    with overlay(directory) as merged, Writer(*command(way, merged / "a.data")) as writer:
        before = writer.phase()
        with dropping(enforcer, order(process(writer.pid), paths=patterns)) as effect:
            during = writer.phase()
            counts = effect.counts()

    assert (before, during) == (WRITTEN, REFUSED)
    assert (counts.refused_calls, counts.refused_bytes) == (COUNT, ALL)


@pytest.mark.parametrize("way", ["write", "threads"])
def test_the_kernel_stops_at_the_budget_and_the_tick_says_so(
    way: str, command: Command, enforcer: DropEnforcer
) -> None:
    """Room for 11 calls and a half: 11 are refused, all others go through."""
    with Writer(*command(way)) as writer:
        wanted = order(process(writer.pid), budget=11 * SIZE + SIZE // 2)
        with dropping(enforcer, wanted) as effect:
            during, after = writer.phase(), writer.phase()
            counts = effect.counts()
            with pytest.raises(BudgetSpent, match="88K were refused, and the budget of 92K"):
                effect.tick(time.monotonic_ns())

    assert during == Phase(COUNT - 11, 11, errno.ENOSPC, (COUNT - 11) * SIZE)
    assert after == WRITTEN
    assert (counts.refused_calls, counts.refused_bytes) == (11, 11 * SIZE)


def test_a_budget_refuses_no_call_of_unknown_size(command: Command, enforcer: DropEnforcer) -> None:
    """It could not be kept; the writer is to be throttled."""
    with (
        Writer(*command("uring")) as writer,
        dropping(enforcer, order(process(writer.pid), budget=1 << 30)) as effect,
    ):
        during = writer.phase()
        counts = effect.counts()
        with pytest.raises(BudgetSpent, match="io_uring"):
            effect.tick(time.monotonic_ns())

    assert during == WRITTEN
    assert (counts.refused_calls, counts.refused_bytes) == (0, 0)


def test_who_joins_a_cgroup_is_refused_and_who_leaves_it_is_not(
    command: Command, enforcer: DropEnforcer
) -> None:
    """From the next tick on; a fork is followed at once."""
    with cgroup("joined") as (group, target), Writer(*command("fork")) as writer:
        (group / "cgroup.procs").write_text(str(writer.pid), "ascii")
        with dropping(enforcer, order(target)) as effect:
            inside = writer.phase()
            (group.parent / "cgroup.procs").write_text(str(writer.pid), "ascii")
            effect.tick(time.monotonic_ns())
            outside = writer.phase()
            (group / "cgroup.procs").write_text(str(writer.pid), "ascii")
            effect.tick(time.monotonic_ns())
            again = writer.phase()

    assert (inside, outside, again) == (REFUSED, WRITTEN, REFUSED)


def test_the_tick_says_that_the_target_has_ended(command: Command, enforcer: DropEnforcer) -> None:
    """And its pid is no longer refused, whoever gets it."""
    with (
        Writer(*command("write")) as writer,
        dropping(enforcer, order(process(writer.pid))) as effect,
    ):
        effect.tick(time.monotonic_ns())
        writer.end()
        with pytest.raises(TargetError, match="has ended"):
            effect.tick(time.monotonic_ns())
        counts = effect.counts()

    assert counts.processes == 0


def test_nothing_is_attached_when_no_drop_is_left(command: Command) -> None:
    """No hook of the machine is slower than before."""
    before = links()
    with (
        Writer(*command("write")) as writer,
        dropping(DropEnforcer(), order(process(writer.pid))),
    ):
        during = links() - before
    wait_until(lambda: not during & links(), "the kernel detaches", 30)

    assert during


def links() -> set[int]:
    """Return the attachments of this kernel."""
    return {number for kind, number in bpf_ids() if kind == "link"}


_HOLDER = """
import sys, time
from iotop_ng.enforcers.drop import DropEnforcer
from tests.guest.dropping import dropping, order, process
with dropping(DropEnforcer(), order(process(int(sys.argv[1])))):
    print("dropping", flush=True)
    time.sleep(600)
"""


@on_every_kernel
def test_kill_9_of_the_keeper_lets_everybody_write_again(command: Command) -> None:
    """At once, and the kernel has no object more than before."""
    with Writer(*command("write")) as writer:
        before = bpf_ids()
        words = [sys.executable, "-c", _HOLDER, str(writer.pid)]
        with subprocess.Popen(words, stdout=subprocess.PIPE, cwd=CHECKOUT) as holder:
            assert holder.stdout is not None
            assert holder.stdout.readline() == b"dropping\n"
            during, ours = writer.phase(), bpf_ids() - before
            holder.send_signal(signal.SIGKILL)
            holder.wait()
            after = writer.phase()
    wait_until(lambda: bpf_ids() <= before, "the kernel frees what was held", 30)

    assert (during, after) == (REFUSED, WRITTEN)
    assert {kind for kind, _ in ours} == {"program", "map", "link"}


@pytest.mark.guest  # what the keeper does is the same on every kernel
def test_the_keeper_lets_wait_who_has_lost_as_much_as_it_may(
    command: Command, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same policy goes on by another mechanism; not one call is refused any more."""
    with keeper(directory, monkeypatch) as client, Writer(*command("direct")) as writer:
        wanted = order(process(writer.pid), 4 << 20, budget=11 * SIZE)
        policy = client.apply(wanted)
        refused = 0
        while client.look().policies[0].mechanism is Mechanism.DROP:
            refused += writer.phase().refused
        refused += writer.phase().refused
        held = client.look().policies
        said = [event.text for event in client.look().events if event.what == "adjusted"]
        client.release((policy.id,), Reason("", "test"))

    assert policy.mechanism is Mechanism.DROP
    assert refused == 11
    assert [(one.id, one.mechanism) for one in held] == [(policy.id, Mechanism.HOLD)]
    assert "88K were refused, and the budget of 88K" in said[0]


@pytest.mark.guest  # what the keeper does is the same on every kernel
def test_kill_9_of_a_real_keeper_ends_the_drop(
    command: Command, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of it is in the journal, because nothing has to be put back."""
    with keeper(directory, monkeypatch) as client, Writer(*command("write")) as writer:
        client.apply(order(process(writer.pid)))
        during = writer.phase()
        recovered = kill_keeper(client)
        after = writer.phase()

    assert (during, after) == (REFUSED, WRITTEN)
    assert recovered == ()
