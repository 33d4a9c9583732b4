"""Whom a pattern means."""

from __future__ import annotations

import pytest

from iotop_ng.policy.rule import ANYONE, Pattern
from tests.unit.policy.scenes import process

ROW = process(100, "log-flood", command="/opt/log-flood --fast", cgroup="/a.slice/b.service/c")


@pytest.mark.parametrize(
    ("pattern", "is_meant"),
    [
        (ANYONE, True),
        (Pattern(comm=("log-*",)), True),
        (Pattern(comm=("dd", "log-*")), True),
        (Pattern(comm=("dd",)), False),
        (Pattern(comm=("log-*",), user=("app",)), False),
        (Pattern(comm=("log-*",), user=("root",), command=("*--fast",)), True),
        (Pattern(command=("log-flood",)), False),
        (Pattern(cgroup=("/a.slice",)), True),
        (Pattern(cgroup=("/a.slice/b",)), False),
        (Pattern(cgroup=("/*/c",)), True),
    ],
)
def test_every_given_part_has_to_match(pattern: Pattern, is_meant: bool) -> None:
    assert pattern.matches(ROW) is is_meant


def test_a_row_without_a_cgroup_is_in_none() -> None:
    assert not Pattern(cgroup=("/a.slice",)).matches(process(100, "dd", cgroup=None))
