"""I/O priorities."""

from __future__ import annotations

import os

import pytest

from iotop_ng.sources.ioprio import IoPriorities, IoPriority, effective


@pytest.mark.parametrize(
    ("raw", "nice", "policy", "text"),
    [
        (0, 0, 0, "be/4"),
        (4, 0, 0, "be/4"),  # Linux 5.16 and later answer class none with level 4
        (0, -20, 0, "be/0"),
        (0, 19, 0, "be/7"),
        (0, 10, 3, "be/6"),
        (0, 0, 1, "rt/4"),
        (0, 0, 2, "rt/4"),
        (0, 0, 6, "rt/4"),
        (0, 0, 5, "id/4"),
        (1 << 13 | 3, 0, 0, "rt/3"),
        (2 << 13 | 7, -20, 1, "be/7"),
        (3 << 13 | 7, 0, 0, "id/7"),
        (2 << 13 | 1 << 3 | 5, 0, 0, "be/5"),  # a hint above the level, Linux 6.5
    ],
)
def test_the_effective_priority(raw: int, nice: int, policy: int, text: str) -> None:
    assert str(effective(raw, nice, policy)) == text


def test_class_and_level_are_apart() -> None:
    """Batch layouts write the idle class differently: "idle" or "id/7"."""
    assert effective(3 << 13 | 7, 0, 0) == IoPriority("id", 7)


def test_our_own_priority_is_known() -> None:
    assert IoPriorities().get(os.getpid()) is not None


def test_an_unknown_machine_says_nothing() -> None:
    assert IoPriorities("pdp11").get(os.getpid()) is None


def test_a_task_that_is_gone_says_nothing() -> None:
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)

    assert IoPriorities().get(child) is None
