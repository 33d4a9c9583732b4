"""Processes, their threads and their children: whose bytes are whose, through ends and reuse."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from iotop_ng.sample import Need
from iotop_ng.sources.bcc import BccSource
from iotop_ng.sources.roster import LINGER_NS
from tests.kernel.clocks import LaterClock
from tests.kernel.disks import Mounted
from tests.kernel.gate import Workload, wait_until
from tests.kernel.rows import children, find, number

pytestmark = pytest.mark.kernel

BLOCK = 65536
THREADS = frozenset({Need.THREADS})
Start = Callable[..., Workload]


@pytest.fixture
def start(workloads: Callable[[str], Path], ext4: Mounted) -> Iterator[Start]:
    """Return what starts a family: (kind, *more arguments)."""
    started: list[Workload] = []

    def begin(kind: str, *more: str | Path) -> Workload:
        started.append(Workload(workloads("family"), kind, ext4.path, *more))
        return started[-1]

    yield begin
    for workload in started:
        workload.__exit__(None, None, None)


def written(source: BccSource, pid: int) -> int:
    """Return the bytes of a process now."""
    return number(find(source.read(frozenset()), pid).totals.write_bytes)


def test_threads_that_ended_before_their_process_are_counted(
    start: Start, source: BccSource
) -> None:
    """7 threads wrote 3 blocks each and ended, the first one wrote 5: alive and ended, 26."""
    family = start("threads")

    family.run()
    alive = written(source, family.pid)
    family.end()
    ended = written(source, family.pid)

    assert (alive, ended) == (26 * BLOCK, 26 * BLOCK)


def test_living_threads_and_ended_ones_add_up_to_their_process(
    start: Start, source: BccSource
) -> None:
    """3 live threads with 2 blocks each are listed; 4 ended ones with 3 are in the total."""
    family = start("living")

    family.run()
    process = find(source.read(THREADS), family.pid)

    by_thread = sorted(number(thread.totals.write_bytes) for thread in process.threads)
    tids = {int(path.name) for path in Path(f"/proc/{family.pid}/task").iterdir()}
    assert by_thread == [0, 2 * BLOCK, 2 * BLOCK, 2 * BLOCK]
    assert {thread.tid for thread in process.threads} == tids
    assert process.totals.write_bytes == (3 * 2 + 4 * 3) * BLOCK


def test_a_process_whose_first_thread_has_ended_is_counted_once(
    start: Start, source: BccSource
) -> None:
    """The first thread is a zombie as long as others live: its 5 blocks are not counted twice."""
    family = start("leader")

    family.run()
    alive = written(source, family.pid)
    family.end()
    ended = written(source, family.pid)

    assert (alive, ended) == (8 * BLOCK, 8 * BLOCK)


def test_totals_never_exceed_the_truth_while_threads_come_and_go(
    start: Start, source: BccSource
) -> None:
    """211 threads of one block each, read as often as possible: none twice, none forgotten."""
    family = start("churn")
    readings, later = [written(source, family.pid)], [0]

    family.let_through()
    while later[-1] < 211 * BLOCK and len(readings) < 10_000:
        readings.append(written(source, family.pid))
        later.append(family.io().write_bytes)
    family.wait_done()
    last = written(source, family.pid)

    too_many = [(ours, true) for ours, true in zip(readings, later, strict=True) if ours > true]
    assert too_many == []
    assert readings == sorted(readings)
    assert last == 211 * BLOCK


def test_a_parent_is_not_credited_with_children_that_it_waited_for(
    start: Start, source: BccSource
) -> None:
    """/proc/PID/io adds the children's bytes to the parent's; our row does not."""
    family = start("parent")

    family.run()
    sample, io = source.read(frozenset()), family.io()

    own = number(find(sample, family.pid).totals.write_bytes)
    theirs = [number(child.totals.write_bytes) for child in children(sample, family.pid)]
    assert own == 3 * BLOCK
    assert theirs == [BLOCK] * 11
    assert io.write_bytes == own + sum(theirs)


@pytest.mark.usefixtures("own_cache")
def test_a_zombie_is_ended_and_stays_so(start: Start) -> None:
    """A child that nobody waits for is listed as ended, once, and not again as alive later."""
    clock = LaterClock()
    source = BccSource(clock)
    source.open()
    family = start("zombie")
    family.run()

    try:
        wait_until(lambda: len(children(source.read(frozenset()), family.pid)) == 1, "the child")
        first = children(source.read(frozenset()), family.pid)
        clock.moved_ns = LINGER_NS + 1
        later = [source.read(frozenset()) for _ in range(3)]
    finally:
        source.close()

    assert [(p.is_exited, p.totals.write_bytes) for p in first] == [(True, 3 * BLOCK)]
    assert [[p for p in children(s, family.pid) if not p.is_exited] for s in later] == [[]] * 3


def test_exec_changes_name_and_command_line_and_keeps_the_totals(
    start: Start, workloads: Callable[[str], Path], ext4: Mounted, source: BccSource
) -> None:
    """3 blocks before and 5 after belong to one process, which is called what it runs now."""
    other = ext4.path / "another"
    other.write_bytes(workloads("family").read_bytes())
    other.chmod(0o755)
    family = start("exec", other)

    family.let_through()
    wait_until(lambda: written(source, family.pid) == 3 * BLOCK, "the first part")
    before = find(source.read(frozenset()), family.pid)
    family.let_through(2)
    family.wait_done()
    after = find(source.read(frozenset()), family.pid)

    assert (before.comm, after.comm) == ("family", "another")
    assert before.command.endswith(f"family exec {ext4.path} {other}")
    assert after.command == f"{other} second {ext4.path}"
    assert after.key == before.key
    assert after.totals.write_bytes == 8 * BLOCK


def test_exec_of_the_same_program_changes_the_command_line(
    start: Start, ext4: Mounted, source: BccSource
) -> None:
    """The name stays, as with `bash` that runs `bash script`; the arguments are new."""
    family = start("exec")

    family.let_through()
    wait_until(lambda: written(source, family.pid) == 3 * BLOCK, "the first part")
    family.let_through(2)
    family.wait_done()
    after = find(source.read(frozenset()), family.pid)

    assert after.comm == "family"
    assert after.command.endswith(f"family second {ext4.path}")


def test_an_ended_process_is_named_after_the_program_that_it_was_at_its_end(
    start: Start, workloads: Callable[[str], Path], ext4: Mounted, source: BccSource
) -> None:
    """A thread had ended under the old name, and no reading saw the new one."""
    other = ext4.path / "another"
    other.write_bytes(workloads("family").read_bytes())
    other.chmod(0o755)
    family = start("changed", other)

    family.let_through()
    wait_until(lambda: written(source, family.pid) == 4 * BLOCK, "the first part")
    family.let_through(2)
    family.wait_done()
    family.end()
    ended = find(source.read(frozenset()), family.pid)

    assert (ended.is_exited, ended.comm) == (True, "another")
    assert ended.command == f"{other} second {ext4.path}"
    assert ended.totals.write_bytes == 9 * BLOCK


def test_a_reused_pid_makes_another_process(start: Start, source: BccSource) -> None:
    """Two processes had one pid within milliseconds: two rows, with their own bytes."""
    family = start("reuse")

    family.run()
    pid = int(family.output)
    rows = [p for p in source.read(frozenset()).processes if p.pid == pid]

    assert len({process.key for process in rows}) == 2
    assert sorted(number(process.totals.write_bytes) for process in rows) == [3 * BLOCK, 5 * BLOCK]
