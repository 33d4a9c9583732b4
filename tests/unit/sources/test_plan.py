"""What is loaded on which kernel: the decision over the facts of many."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotop_ng.errors import SourceError
from iotop_ng.sources.layout import field_offsets, kernel_version, layout_of_version
from iotop_ng.sources.plan import (
    FIELDS,
    RAW_TRACEPOINTS,
    READ_CALLS,
    SYNC_CALLS,
    WRITE_CALLS,
    Layout,
    Plan,
    make_plan,
)

CALLS = frozenset((*READ_CALLS, *WRITE_CALLS, *SYNC_CALLS))
_SINCE_5_12 = frozenset({"bio.bi_disk", "bio.bi_partno"})
# Fields that each kernel's BTF does not have.
ABSENT: dict[tuple[int, int], frozenset[str]] = {
    (5, 4): frozenset({
        "bio.bi_bdev", "block_device.bd_dev", "request_queue.disk", "task_struct.start_boottime",
        "page.compound_info", "folio._nr_pages", "folio._folio_nr_pages", "folio._flags_1",
    }),
    (5, 15): _SINCE_5_12 | {
        "task_struct.real_start_time", "page.compound_info", "folio._nr_pages",
        "folio._folio_nr_pages", "folio._flags_1", "request_queue.disk",
    },
    (6, 1): _SINCE_5_12 | {
        "task_struct.real_start_time", "page.compound_info", "folio._nr_pages", "request.rq_disk",
    },
    (6, 8): _SINCE_5_12 | {
        "task_struct.real_start_time", "page.compound_info", "folio._nr_pages", "request.rq_disk",
    },
    (6, 18): _SINCE_5_12 | {
        "task_struct.real_start_time", "page.compound_info", "folio._folio_nr_pages",
        "request.rq_disk",
    },
}  # fmt: skip


def layout(version: tuple[int, int], *, tracefs: bool = True) -> Layout:
    """Return the facts of a distribution's kernel of that version, with BTF."""
    queue_first = 2 if version < (5, 11) else 1
    dirty = "writeback_dirty_folio" if version >= (5, 18) else "writeback_dirty_page"
    counts = dict.fromkeys(RAW_TRACEPOINTS, queue_first) | {
        "sched_process_exit": 2 if version >= (6, 16) else 1,
        "sched_process_exec": 3,
        "block_rq_complete": 3,
        "writeback_dirty_folio": 2,
        "writeback_dirty_page": 2,
    }
    gone = {"writeback_dirty_folio", "writeback_dirty_page"} - {dirty}
    return Layout(
        version=version,
        fields={f: 8 * i for i, f in enumerate(FIELDS) if f not in ABSENT[version]},
        raw_tracepoints={name: n for name, n in counts.items() if name not in gone},
        pause_offset=112 if tracefs else None,
        syscalls=CALLS if tracefs else frozenset(),
        iter_btf_id=77 if version >= (5, 8) else None,
        pg_head=6 if version >= (5, 16) else 16,
        has_tracefs=tracefs,
    )


def hooks(plan: Plan) -> dict[str, str]:
    return {program.name: program.hooks[0] for program in plan.programs}


@pytest.mark.parametrize("version", sorted(ABSENT))
def test_every_kernel_since_5_4_counts_exits_dirtying_and_block_io(
    version: tuple[int, int],
) -> None:
    plan = make_plan(layout(version))

    assert all(plan.has(group) for group in ("exits", "dirty", "block", "pauses", "syscalls"))


def test_5_4_steps_down_to_proc_for_totals_and_says_so() -> None:
    plan = make_plan(layout((5, 4)))

    assert not plan.has("tasks")
    (gap,) = plan.gaps
    assert gap.startswith("per-process totals are read from /proc")
    assert gap.endswith("this kernel has no task iterator (Linux 5.8 with BTF)")


@pytest.mark.parametrize("version", [(5, 15), (6, 1), (6, 8), (6, 18)])
def test_newer_kernels_have_no_gap(version: tuple[int, int]) -> None:
    assert make_plan(layout(version)).gaps == ()


@pytest.mark.parametrize(
    ("version", "bio", "dirty", "exec_args", "old_read"),
    [
        ((5, 4), 1, "writeback_dirty_page", True, True),
        ((5, 15), 0, "writeback_dirty_page", True, False),
        ((6, 1), 0, "writeback_dirty_folio", True, False),
        ((6, 8), 0, "writeback_dirty_folio", True, False),
        ((6, 18), 0, "writeback_dirty_folio", False, False),
    ],
)
def test_what_differs_between_kernels(
    version: tuple[int, int], bio: int, dirty: str, *, exec_args: bool, old_read: bool
) -> None:
    plan = make_plan(layout(version))

    assert f"-DBIO_ARG={bio}" in plan.defines
    assert f"-DRQ_ARG={bio}" in plan.defines
    assert hooks(plan)["on_dirty"] == dirty
    assert ("on_exec" in hooks(plan)) is exec_args
    assert ("-DEXIT_SAYS_DEAD" in plan.defines) is not exec_args
    assert ("-DOLD_PROBE_READ" in plan.defines) is old_read


def test_without_tracefs_only_what_needs_ids_is_missing() -> None:
    plan = make_plan(layout((6, 18), tracefs=False))

    assert not plan.has("pauses")
    assert not plan.has("syscalls")
    assert plan.has("tasks")
    assert plan.has("block")
    assert plan.gaps == ()


def test_a_tracefs_without_the_events_is_a_gap_for_each() -> None:
    """A missing tracefs is told once, by `choose.limits`; this is a kernel built without them."""
    facts = layout((6, 18))
    bare = msgspec.structs.replace(facts, pause_offset=None, syscalls=frozenset())

    assert len(make_plan(bare).gaps) == 2


def test_real_start_time_stands_in_for_start_boottime() -> None:
    fields = layout((5, 4)).fields
    offset = fields["task_struct.real_start_time"]

    assert f"-DO_task_struct_start_boottime={offset}" in make_plan(layout((5, 4))).defines


def test_a_half_known_chain_is_left_out_whole() -> None:
    whole = layout((6, 18))
    fields = {k: v for k, v in whole.fields.items() if k != "task_delay_info.swapin_delay"}

    plan = make_plan(Layout(version=(6, 18), fields=fields, raw_tracepoints=whole.raw_tracepoints))

    assert not any(d.startswith("-DO_task_struct_delays=") for d in plan.defines)


def test_an_unknown_task_struct_means_no_programs_at_all() -> None:
    plan = make_plan(Layout(version=(9, 9)))

    assert plan.programs == ()
    assert plan.gaps


@given(
    st.sets(st.sampled_from(FIELDS)),
    st.dictionaries(st.sampled_from(RAW_TRACEPOINTS), st.integers(min_value=1, max_value=4)),
    st.sets(st.sampled_from(sorted(CALLS))),
    st.booleans(),
)
def test_any_facts_give_a_plan_whose_fields_exist(
    fields: set[str], tracepoints: dict[str, int], calls: set[str], iterates: bool
) -> None:
    plan = make_plan(
        Layout(
            version=(6, 1),
            fields=dict.fromkeys(fields, 8),
            raw_tracepoints=tracepoints,
            syscalls=frozenset(calls),
            iter_btf_id=5 if iterates else None,
        )
    )

    known = set(tracepoints) | {"task"}
    raw = [h for p in plan.programs for h in p.hooks if "/" not in h]
    assert set(raw) <= known
    assert len({p.name for p in plan.programs}) == len(plan.programs)


@pytest.mark.parametrize("version", [(4, 18), (5, 4), (5, 15), (6, 1), (6, 18)])
def test_a_kernel_without_btf_takes_its_fields_from_headers(version: tuple[int, int]) -> None:
    plan = make_plan(layout_of_version(version, 112, CALLS, 12))

    assert "-DFROM_HEADERS" in plan.defines
    assert not any(d.startswith("-DO_") for d in plan.defines)
    assert plan.has("block")
    assert plan.has("exits")
    assert not plan.has("tasks")


def test_kernels_before_4_18_are_refused() -> None:
    with pytest.raises(SourceError, match=r"4\.17 is older than 4\.18"):
        layout_of_version((4, 17), None, frozenset(), 12)


@pytest.mark.parametrize(
    ("release", "expected"),
    [("6.1.0-56-amd64", (6, 1)), ("5.15", (5, 15)), ("6.18.44-x", (6, 18)), ("odd", (0, 0))],
)
def test_releases_are_read(release: str, expected: tuple[int, int]) -> None:
    assert kernel_version(release) == expected


def test_formats_give_offsets() -> None:
    text = (
        "name: balance_dirty_pages\nID: 1\nformat:\n"
        "\tfield:char bdi[32];\toffset:8;\tsize:32;\tsigned:0;\n"
        "\tfield:long pause;\toffset:112;\tsize:8;\tsigned:1;\n"
    )

    assert field_offsets(text) == {"bdi": 8, "pause": 112}


@given(st.text(max_size=200))
def test_any_text_is_a_format_without_fields_or_with(text: str) -> None:
    assert all(isinstance(v, int) for v in field_offsets(text).values())
