"""The records of bpf/record.h and their Python counterparts."""

from __future__ import annotations

import re
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotop_ng.resources import directory
from iotop_ng.sample import HISTOGRAM_SLOTS, process_key
from iotop_ng.sources import wire
from iotop_ng.sources.programs import LOST_SLOTS

HEADER = (directory("bpf") / "record.h").read_text()


@pytest.mark.parametrize(
    ("name", "python"),
    [
        ("task_row", wire.TASK_ROW), ("exit_row", wire.EXIT_ROW), ("owner_row", wire.OWNER_ROW),
        ("device_row", wire.DEVICE_ROW), ("calls_row", wire.CALLS_ROW),
    ],
)  # fmt: skip
def test_sizes_are_those_that_the_compiler_asserts(name: str, python: struct.Struct) -> None:
    match = re.search(rf"sizeof\(struct {name}\) == (\d+)", HEADER)

    assert match is not None
    assert int(match.group(1)) == python.size


def test_slots_and_operations_are_those_of_the_header() -> None:
    operations = re.search(r"enum op \{([^}]*)\}", HEADER)
    lost = re.search(r"enum lost_slot \{([^}]*)\}", HEADER)

    assert f"#define SLOTS {HISTOGRAM_SLOTS}" in HEADER
    assert operations is not None
    assert lost is not None
    assert tuple(n.strip()[3:].lower() for n in operations.group(1).split(",")) == wire.OPS
    names = [n.strip()[5:].lower() for n in lost.group(1).split(",")]
    assert tuple(names) == (*LOST_SLOTS, "slots")


@given(
    st.lists(st.integers(0, 2**64 - 1), min_size=8, max_size=8),
    st.lists(st.integers(0, 2**32 - 1), min_size=80, max_size=80),
)
def test_an_owner_row_comes_back_as_it_was(scalars: list[int], slots: list[int]) -> None:
    row = wire.owner_row(wire.OWNER_ROW.pack(*scalars, *slots))

    assert list(row[:8]) == scalars
    assert list(row.latency) == slots[:40]
    assert list(row.queued) == slots[40:]


def test_a_task_row_names_the_process_pid_and_the_thread_tid() -> None:
    raw = wire.TASK_ROW.pack(
        5_000_000_000, 1, 2, 3, 4, 5, 6, 4242, 4243, 1, 1000, 1, 0, b"dd\0junk"
    )
    row = wire.task_row(raw)

    assert (row.pid, row.tid, row.uid, row.comm) == (4242, 4243, 1000, b"dd")
    assert row.key == process_key(4242, 5_000_000_000)
    assert row.is_kthread
    assert not row.is_leader


@given(st.integers(0, 4095), st.integers(0, 2**20 - 1), st.sampled_from(range(len(wire.OPS))))
def test_device_keys_hold_major_minor_and_operation(major: int, minor: int, op: int) -> None:
    number = wire.device_number(major, minor)

    assert wire.device_key(number + wire.U32.pack(op)) == (major, minor, wire.OPS[op])
