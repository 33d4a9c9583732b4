"""Which acting programs are loaded on which kernel."""

from __future__ import annotations

import msgspec
import pytest

from iotop_ng.sources.plan import Layout, Tier
from iotop_ng.sources.plan_acting import (
    ACTING_FIELDS,
    ACTING_TRACEPOINTS,
    SYSCALL_NUMBERS,
    make_hold_plan,
)
from tests.unit.sources.test_plan import ABSENT, hooks, layout

ARM = frozenset(ACTING_FIELDS) - {"pt_regs.orig_ax"}
X86 = frozenset(ACTING_FIELDS) - {"pt_regs.syscallno"}


def acting(version: tuple[int, int], fields: frozenset[str] = X86) -> Layout:
    """Return the facts of a kernel with what acting needs."""
    facts = layout(version)
    return msgspec.structs.replace(
        facts,
        fields={**facts.fields, **{name: 1000 + i for i, name in enumerate(sorted(fields))}},
        raw_tracepoints={**facts.raw_tracepoints, **dict.fromkeys(ACTING_TRACEPOINTS, 2)},
    )


@pytest.mark.parametrize("version", [v for v in sorted(ABSENT) if v >= (5, 8)])
def test_hold_is_loaded_on_every_kernel_since_5_8(version: tuple[int, int]) -> None:
    """Attached while a policy is in force; what io_uring needs, only for who uses it."""
    plan = make_hold_plan(acting(version))

    dirty = "writeback_dirty_folio" if version >= (5, 18) else "writeback_dirty_page"
    assert plan.gaps == ()
    assert hooks(plan) == {
        "on_hold_dirty": dirty,
        "on_hold_bio": "block_bio_queue",
        "on_hold_fork": "sched_process_fork",
        "on_hold_exit": "sched_process_exit",
        "on_hold_submit": "sys_exit",
    }
    assert {program.tier for program in plan.programs} == {Tier.ON_DEMAND}
    assert {p.group for p in plan.programs if p.name == "on_hold_submit"} == {"uring"}


def test_older_kernels_have_no_ring_buffer_and_it_is_said() -> None:
    """5.4 has everything else."""
    plan = make_hold_plan(acting((5, 4)))

    assert plan.programs == ()
    assert plan.gaps == ("it needs Linux 5.8 or newer (BPF ring buffer)",)


def test_a_kernel_without_btf_says_so() -> None:
    """Offsets from headers are for counting only."""
    plan = make_hold_plan(msgspec.structs.replace(acting((6, 1)), has_btf=False))

    assert plan.programs == ()
    assert "CONFIG_DEBUG_INFO_BTF" in plan.gaps[0]


@pytest.mark.parametrize(
    "name", ["task_struct.blocked", "task_struct.ptrace", "task_struct.ioac.write_bytes"]
)
def test_a_missing_field_is_named(name: str) -> None:
    """Nothing is loaded that would read through a wrong place."""
    facts = acting((6, 1))
    fields = {field: at for field, at in facts.fields.items() if field != name}

    plan = make_hold_plan(msgspec.structs.replace(facts, fields=fields))

    assert plan.programs == ()
    assert plan.gaps == (f"this kernel has no {name}",)


@pytest.mark.parametrize(("fields", "at"), [(X86, "pt_regs.orig_ax"), (ARM, "pt_regs.syscallno")])
def test_the_number_of_a_system_call_is_where_the_machine_keeps_it(
    fields: frozenset[str], at: str
) -> None:
    """x86 and arm64; elsewhere submitters are interrupted instead."""
    facts = acting((6, 1), fields)

    assert f"-DSYSCALL_NUMBER={facts.fields[at]}" in make_hold_plan(facts).defines


def test_without_that_number_the_rest_is_loaded() -> None:
    """io_uring's submitters are then interrupted."""
    plan = make_hold_plan(acting((6, 1), frozenset(ACTING_FIELDS) - set(SYSCALL_NUMBERS)))

    assert "on_hold_submit" not in hooks(plan)
    assert "on_hold_dirty" in hooks(plan)
