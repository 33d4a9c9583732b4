"""Read a kernel's `Layout`: from BTF and tracefs, or from its version where it has no BTF."""

from __future__ import annotations

import os
import re
from pathlib import Path

import msgspec

from iotop_ng.errors import SourceError
from iotop_ng.sources.btf import Btf
from iotop_ng.sources.plan import (
    FIELDS,
    RAW_TRACEPOINTS,
    READ_CALLS,
    SYNC_CALLS,
    WRITE_CALLS,
    Layout,
)
from iotop_ng.sources.plan_acting import ACTING_FIELDS, ACTING_TRACEPOINTS

TRACEFS = (Path("/sys/kernel/tracing"), Path("/sys/kernel/debug/tracing"))
_FIELD = re.compile(r"field:[^;]*?\b(\w+)(?:\[[^\]]*\])?;\s*offset:(\d+);")
RET_OFFSET = 16
"""Where bpf/syscalls.c expects `ret`: after 8 common bytes and the call's number."""


def find_tracefs(candidates: tuple[Path, ...] = TRACEFS) -> Path | None:
    """Return the mounted tracefs that can be read, or None."""
    for path in candidates:
        if (path / "events").is_dir():
            return path
    return None


def field_offsets(format_text: str) -> dict[str, int]:
    """Return name -> byte offset of a tracepoint's `format` file; {} for other text."""
    return {name: int(offset) for name, offset in _FIELD.findall(format_text)}


def read_format(tracefs: Path | None, event: str) -> dict[str, int]:
    """Return the fields of "system/event", {} when it does not exist."""
    if tracefs is None:
        return {}
    try:
        return field_offsets((tracefs / "events" / event / "format").read_text("ascii", "replace"))
    except OSError:
        return {}


def kernel_version(release: str) -> tuple[int, int]:
    """Return (major, minor) of a release such as "6.1.0-56-amd64"."""
    numbers = [int(n) for n in re.findall(r"\d+", release)[:2]]
    return (numbers[0], numbers[1]) if len(numbers) == 2 else (0, 0)


def _syscalls(tracefs: Path | None) -> frozenset[str]:
    """Return the watched calls that have tracepoints here.

    All sys_exit records share one layout, so one format stands for all.
    """
    if tracefs is None or read_format(tracefs, "syscalls/sys_exit_write").get("ret") != RET_OFFSET:
        return frozenset()
    events = tracefs / "events" / "syscalls"
    calls = (*WRITE_CALLS, *READ_CALLS, *SYNC_CALLS)
    return frozenset(call for call in calls if (events / f"sys_exit_{call}").is_dir())


def read_layout(btf: Btf | None, release: str, tracefs: Path | None) -> Layout:
    """Return what the kernel is made of.

    Without BTF the fields are those of `layout_of_version`: their offsets come from headers.
    """
    version = kernel_version(release)
    pause = read_format(tracefs, "writeback/balance_dirty_pages").get("pause")
    page_bits = (os.sysconf("SC_PAGESIZE")).bit_length() - 1
    if btf is None:
        layout = layout_of_version(version, pause, _syscalls(tracefs), page_bits)
        return msgspec.structs.replace(layout, has_tracefs=tracefs is not None)
    offsets = {field: btf.offset(field) for field in (*FIELDS, *ACTING_FIELDS)}
    arguments = {name: btf.raw_arguments(name) for name in (*RAW_TRACEPOINTS, *ACTING_TRACEPOINTS)}
    return Layout(
        version=version,
        fields={name: offset for name, offset in offsets.items() if offset is not None},
        raw_tracepoints={name: count for name, count in arguments.items() if count is not None},
        pause_offset=pause,
        syscalls=_syscalls(tracefs),
        iter_btf_id=btf.function("bpf_iter_task"),
        lsm_btf_id=btf.function("bpf_lsm_file_permission"),
        pg_head=btf.enum_value("PG_head"),
        pg_writeback=btf.enum_value("PG_writeback"),
        page_bits=page_bits,
        has_tracefs=tracefs is not None,
    )


def layout_of_version(
    version: tuple[int, int],
    pause_offset: int | None,
    syscalls: frozenset[str],
    page_bits: int,
) -> Layout:
    """Return the fields and tracepoints that mainline kernels of a version have.

    Offsets are 0: bpf/offsets.h takes them from the headers at compile time.

    Raises:
        SourceError: for kernels before 4.18, which lack raw tracepoints as we use them.
    """
    if version < (4, 18):
        raise SourceError(
            f"Linux {version[0]}.{version[1]} is older than 4.18, the oldest supported"
        )
    absent = {"page.compound_info", "folio._folio_nr_pages", "folio._nr_pages", "folio._flags_1"}
    absent |= {"bio.bi_disk", "bio.bi_partno"} if version >= (5, 12) else {"bio.bi_bdev"}
    if version < (5, 11):
        # block_device carried neither the partition nor its number for requests.
        absent |= {"block_device.bd_dev", "request.part"}
    absent.add("request_queue.disk" if version < (5, 17) else "request.rq_disk")
    absent.add("task_struct.start_boottime" if version < (5, 5) else "task_struct.real_start_time")
    absent |= {"task_struct.cgroups", "task_struct.delays"}
    queue_first = 2 if version < (5, 11) else 1
    dirty = "writeback_dirty_page" if version < (5, 18) else "writeback_dirty_folio"
    return Layout(
        version=version,
        fields={name: 0 for name in FIELDS if name not in absent},
        raw_tracepoints={
            "sched_process_exit": 2 if version >= (6, 16) else 1,
            "sched_process_exec": 3,
            dirty: 2,
            "block_bio_queue": queue_first,
            "block_rq_insert": queue_first,
            "block_rq_issue": queue_first,
            "block_rq_complete": 3,
        },
        pause_offset=pause_offset,
        syscalls=syscalls,
        page_bits=page_bits,
        has_btf=False,
    )
