"""Files of tasks: kept open while the budget lasts."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from iotop_ng.sources.own_io import IoCounters
from iotop_ng.sources.task_file import DescriptorBudget, TaskFile, totals_of
from iotop_ng.sources.taskstats import Delays

LIMITS = """
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 256))
from iotop_ng.sources.task_file import DescriptorBudget
print(DescriptorBudget.of_this_process().limit, *resource.getrlimit(resource.RLIMIT_NOFILE))
"""


def test_the_soft_limit_is_raised_and_a_share_is_left() -> None:
    output = subprocess.run(
        [sys.executable, "-c", LIMITS],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[3],
    ).stdout

    assert output.split() == ["204", "256", "256"]


@pytest.mark.parametrize(("limit", "is_kept"), [(1, True), (0, False)])
def test_a_file_is_kept_while_the_budget_lasts(tmp_path: Path, limit: int, is_kept: bool) -> None:
    path = tmp_path / "io"
    path.write_bytes(b"one")
    budget = DescriptorBudget(limit)
    file = TaskFile(str(path), budget)
    first = file.read()
    path.write_bytes(b"two")
    second = file.read()
    used = budget.used
    was_kept = file.is_kept
    file.close()
    file.close()

    assert (first, second) == (b"one", b"two")
    assert (was_kept, used) == (is_kept, limit)
    assert budget.used == 0


def test_a_task_that_is_gone_is_told_from_one_that_is_closed_to_us(tmp_path: Path) -> None:
    budget = DescriptorBudget(5)
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "closed").mkdir()

    for name, error in (
        ("absent", ProcessLookupError),
        ("empty", ProcessLookupError),
        ("closed", PermissionError),
    ):
        with pytest.raises(error):
            TaskFile(str(tmp_path / name), budget).read()

    assert budget.used == 0


def test_a_real_task_that_ended_says_so() -> None:
    """Also when its number is given to another: the descriptor is the task's."""
    budget = DescriptorBudget(1)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        file = TaskFile(f"/proc/{child.pid}/io", budget)
        alive = file.read()
        child.communicate(b"\n")

    assert alive.startswith(b"rchar: ")
    with pytest.raises(ProcessLookupError):
        file.read()
    assert not file.is_kept


def test_totals_of_nothing_are_not_zero() -> None:
    assert totals_of(None).write_bytes is None
    assert totals_of(None, Delays(1, 2, 3, 4)).io_delay_ns is None


def test_counters_become_totals() -> None:
    totals = totals_of(IoCounters(1, 2, 3, 4, 5, 6, 7), Delays(10, 20, 30, 40))

    assert (totals.asked_read_bytes, totals.asked_write_bytes) == (1, 2)
    assert (totals.read_calls, totals.write_calls) == (3, 4)
    assert (totals.read_bytes, totals.write_bytes, totals.cancelled_write_bytes) == (5, 6, 7)
    assert (totals.io_delay_ns, totals.swapin_delay_ns) == (20, 40)
