"""What is loaded to refuse writes, on which kernel."""

from __future__ import annotations

import msgspec
import pytest

from iotop_ng.sources.plan import MARKS_FD, Kind, Layout, Tier
from iotop_ng.sources.plan_acting import ACTING_FIELDS, ACTING_TRACEPOINTS, make_drop_plan
from tests.unit.sources.test_plan import ABSENT, hooks, layout

ARM = frozenset(ACTING_FIELDS) - {"pt_regs.orig_ax", "pt_regs.dx"}
X86 = frozenset(ACTING_FIELDS) - {"pt_regs.syscallno", "pt_regs.regs"}
STORAGE = "bpf_storage_blob.storage"


def acting(
    version: tuple[int, int], fields: frozenset[str] = X86, lsm_btf_id: int | None = 77
) -> Layout:
    """Return the facts of a kernel with what dropping needs."""
    facts = layout(min((v for v in ABSENT if v >= version), default=max(ABSENT)))
    return msgspec.structs.replace(
        facts,
        version=version,
        fields={**facts.fields, **{name: 1000 + i for i, name in enumerate(sorted(fields))}},
        raw_tracepoints={**facts.raw_tracepoints, **dict.fromkeys(ACTING_TRACEPOINTS, 2)},
        lsm_btf_id=lsm_btf_id,
    )


@pytest.mark.parametrize("version", [(6, 1), (6, 12)])
@pytest.mark.parametrize("fields", [X86, ARM], ids=["x86", "arm64"])
def test_all_of_it_is_loaded_where_the_kernel_has_all(
    version: tuple[int, int], fields: frozenset[str]
) -> None:
    """Attached while a policy is in force only: the hook costs every write of the machine."""
    plan = make_drop_plan(acting(version, fields))

    assert plan.gaps == ()
    assert hooks(plan) == {
        "on_drop_write": "file_permission",
        "on_drop_dirty": "writeback_dirty_folio",
        "on_drop_bio": "block_bio_queue",
        "on_drop_fork": "sched_process_fork",
        "on_drop_exit": "sched_process_exit",
    }
    assert {program.tier for program in plan.programs} == {Tier.ON_DEMAND}
    assert [p.kind for p in plan.programs if p.name == "on_drop_write"] == [Kind.LSM]
    assert (plan.lsm_btf_id, plan.has_marks) == (77, True)
    assert {"-DHAVE_REGISTERS", f"-DMARKS_FD={MARKS_FD}"} <= set(plan.defines)


def test_without_bpf_security_modules_nothing_is_loaded_and_the_option_is_named() -> None:
    """CONFIG_BPF_LSM is off, or the kernel is older than 5.7."""
    plan = make_drop_plan(acting((6, 1), lsm_btf_id=None))

    assert plan.programs == ()
    assert plan.gaps == ("this kernel was built without BPF security modules (CONFIG_BPF_LSM)",)


@pytest.mark.parametrize("name", ["file.f_inode", "inode.i_sb", "super_block.s_bdev"])
def test_a_missing_field_is_named(name: str) -> None:
    """Without it a file in memory could not be told from one on a disk."""
    plan = make_drop_plan(acting((6, 1), X86 - {name}))

    assert plan.programs == ()
    assert plan.gaps == (f"this kernel has no {name}",)


def test_5_10_refuses_and_does_not_know_the_bytes() -> None:
    """The registers of a task can be read since 5.15."""
    plan = make_drop_plan(acting((5, 10)))

    assert len(plan.programs) == 5
    assert "-DHAVE_REGISTERS" not in plan.defines
    assert plan.gaps == (
        "refused bytes are not counted: system call arguments need Linux 5.15 or newer",
    )


def test_5_8_has_no_path_patterns() -> None:
    """Storage at inodes came with 5.10."""
    plan = make_drop_plan(acting((5, 8), X86 - {STORAGE}))

    assert len(plan.programs) == 5
    assert not plan.has_marks
    assert not any("MARKS_FD" in define for define in plan.defines)
    assert plan.gaps[0] == "path patterns need Linux 5.10 or newer (storage at inodes)"


def test_registers_of_another_machine_are_not_guessed() -> None:
    """Where neither the x86 nor the arm64 names are."""
    plan = make_drop_plan(acting((6, 1), X86 - {"pt_regs.orig_ax"}))

    assert "-DHAVE_REGISTERS" not in plan.defines
    assert len(plan.programs) == 5


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("fdtable.fd", "pipe_inode_info_mutex_owner"),
        ("pipe_inode_info.tail", "pipe_inode_info_head"),
    ],
)
def test_half_known_chains_of_pointers_are_left_out(name: str, first: str) -> None:
    """They only tell whether a splice has begun; the rest goes without."""
    whole, half = make_drop_plan(acting((6, 1))), make_drop_plan(acting((6, 1), X86 - {name}))

    assert any(define.startswith(f"-DO_{first}=") for define in whole.defines)
    assert not any(define.startswith(f"-DO_{first}=") for define in half.defines)
    assert len(half.programs) == 5
