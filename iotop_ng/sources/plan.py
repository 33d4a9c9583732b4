"""Which programs this kernel can run: a pure decision over a table of facts.

`Layout` says what the kernel has (fields, tracepoints, argument counts); `make_plan` answers with
the programs to load, the -D flags to compile them with, and a sentence for everything that is
missing. Nothing here asks for a kernel version where the kernel itself can be asked; versions are
used only for kernels without BTF, whose fields come from headers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum

import msgspec


class Tier(Enum):
    """When a program is attached, by what it costs."""

    ALWAYS = "always"
    DEFAULT = "default"
    ON_DEMAND = "on demand"


class Kind(Enum):
    """How a program is attached."""

    ITER = "iter"
    LSM = "LSM"
    RAW = "raw tracepoint"
    TRACEPOINT = "tracepoint"


class Layout(msgspec.Struct, frozen=True):
    """What one kernel is made of."""

    version: tuple[int, int]
    fields: Mapping[str, int] = {}
    """ "struct.member" -> byte offset; a field that the kernel lacks is absent."""
    raw_tracepoints: Mapping[str, int] = {}
    """Name -> number of arguments."""
    pause_offset: int | None = None
    """Place of `pause` in the record of writeback:balance_dirty_pages; None without tracefs."""
    syscalls: frozenset[str] = frozenset()
    """Names N for which syscalls:sys_enter_N exists with `ret` of sys_exit_N at byte 16."""
    iter_btf_id: int | None = None
    """BTF id of bpf_iter_task."""
    lsm_btf_id: int | None = None
    """BTF id of bpf_lsm_file_permission."""
    pg_head: int | None = None
    pg_writeback: int | None = None
    """Bits of page flags; they move between kernels."""
    page_bits: int = 12
    has_btf: bool = True
    has_tracefs: bool = True
    """Where it is missing, `choose.limits` says what is lost and how to mount it, and no gap here
    says so again."""


class Program(msgspec.Struct, frozen=True):
    """One function of bpf/ and where it is attached."""

    name: str
    group: str
    tier: Tier
    kind: Kind
    hooks: tuple[str, ...]


class Plan(msgspec.Struct, frozen=True):
    """What to compile and attach, and what is missing."""

    programs: tuple[Program, ...]
    defines: tuple[str, ...]
    """Compiler flags, "-DNAME=VALUE"."""
    gaps: tuple[str, ...]
    """One sentence per missing part: what is lost and why."""
    iter_btf_id: int | None = None
    has_btf: bool = True
    lsm_btf_id: int | None = None
    has_marks: bool = False
    """The code uses an inode storage under `MARKS_FD`, which BCC cannot make."""

    def has(self, group: str) -> bool:
        """Say whether any program of a group is in the plan."""
        return any(program.group == group for program in self.programs)


WRITE_CALLS = (
    "write", "pwrite64", "writev", "pwritev", "pwritev2",
    "sendfile64", "copy_file_range", "splice", "vmsplice",
)  # fmt: skip
READ_CALLS = ("read", "pread64", "readv", "preadv", "preadv2")
SYNC_CALLS = ("fsync", "fdatasync")

MARKS_FD = 1_000_000
"""Stands for the map `marks` in compiled code; no real descriptor is that high."""

_START = ("task_struct.start_boottime", "task_struct.real_start_time")
_IOAC = ("read_bytes", "write_bytes", "cancelled_write_bytes")
_COMMON = ("task_struct.tgid", "task_struct.group_leader", "task_struct.flags")
_TOTALS = (
    *(f"task_struct.ioac.{name}" for name in _IOAC),
    "task_struct.pid", "task_struct.signal", "task_struct.comm", "task_struct.real_parent",
)  # fmt: skip
_DELAYS = (
    "task_struct.delays", "task_delay_info.blkio_delay", "task_delay_info.swapin_delay",
)  # fmt: skip
_CGROUP = ("task_struct.cgroups", "css_set.dfl_cgrp", "cgroup.kn", "kernfs_node.id")
_MM = ("task_struct.mm", "mm_struct.arg_start", "mm_struct.arg_end")
_PAGE = ("bio.bi_io_vec", "bio_vec.bv_page", "page.mapping", "address_space.host", "inode.i_mode")
_BIO = ("bio.bi_opf", "bio.bi_iter.bi_size")
_REQUEST = (
    "request.cmd_flags", "request.bio", "request.__data_len", "request.start_time_ns",
    "gendisk.major", "gendisk.first_minor",
)  # fmt: skip
_OPTIONAL = (
    "page.compound_head", "page.compound_info", "folio._nr_pages", "folio._folio_nr_pages",
    "folio._flags_1", "block_device.bd_dev", "block_device.bd_holder", "bio.bi_bdev", "bio.bi_disk",
    "bio.bi_partno", "request.part", "request.rq_disk", "request.q", "request_queue.disk",
    "signal_struct.live", "task_struct.cred", "cred.euid", "task_struct.exit_state",
    "task_struct.self_exec_id",
)  # fmt: skip

FIELDS = tuple(
    dict.fromkeys(
        (
            *_START,
            *_COMMON,
            *_TOTALS,
            *_DELAYS,
            *_CGROUP,
            *_MM,
            *_PAGE,
            *_BIO,
            *_REQUEST,
            *_OPTIONAL,
        )
    )
)
"""Every field that a plan may ask for."""
RAW_TRACEPOINTS = (
    "sched_process_exit", "sched_process_exec", "writeback_dirty_folio", "writeback_dirty_page",
    "block_bio_queue", "block_rq_insert", "block_rq_issue", "block_rq_complete",
)  # fmt: skip


class _Builder:
    """Collects a plan for one layout."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.programs: list[Program] = []
        self.defines: list[str] = []
        self.gaps: list[str] = []

    def missing(self, fields: tuple[str, ...]) -> list[str]:
        return [field for field in fields if field not in self.layout.fields]

    def has(self, *fields: str) -> bool:
        return not self.missing(fields)

    def arguments(self, tracepoint: str) -> int | None:
        return self.layout.raw_tracepoints.get(tracepoint)

    def add(self, name: str, group: str, tier: Tier, kind: Kind, *hooks: str) -> None:
        self.programs.append(Program(name, group, tier, kind, hooks))

    def lacks(self, lost: str, fields: tuple[str, ...], *tracepoints: str) -> bool:
        """Note a gap when a field or tracepoint is missing."""
        absent = self.missing(fields) + [t for t in tracepoints if self.arguments(t) is None]
        if absent:
            self.gaps.append(f"{lost}: this kernel has no {', '.join(absent)}")
        return bool(absent)


def _plan_tasks(b: _Builder) -> None:
    lost = "per-process totals are read from /proc instead of one pass in the kernel"
    if b.layout.iter_btf_id is None:
        b.gaps.append(f"{lost}: this kernel has no task iterator (Linux 5.8 with BTF)")
    elif not b.lacks(lost, (*_TOTALS, "task_struct.cred", "cred.euid")):
        b.add("bpf_iter__task", "tasks", Tier.ALWAYS, Kind.ITER, "task")


def _plan_exits(b: _Builder) -> None:
    lost = "processes that end between two readings are not counted"
    if b.lacks(lost, (*_TOTALS, *_MM), "sched_process_exit"):
        return
    # 6.16 added `group_dead` and moved the event before the memory map is dropped.
    if b.arguments("sched_process_exit") == 2:
        b.defines.append("-DEXIT_SAYS_DEAD")
    elif b.lacks(lost, ("signal_struct.live",)):
        return
    elif b.arguments("sched_process_exec") is None:
        b.gaps.append("ended processes have no command line: no tracepoint sched_process_exec")
        b.defines.append("-DKEEP_EXEC_ARGS")
    else:
        b.defines.append("-DKEEP_EXEC_ARGS")
        b.add("on_exec", "exits", Tier.ALWAYS, Kind.RAW, "sched_process_exec")
    if b.layout.version >= (4, 18):
        b.defines.append("-DHAVE_CGROUP_ID")
    b.add("on_exit", "exits", Tier.ALWAYS, Kind.RAW, "sched_process_exit")


def _plan_dirty(b: _Builder) -> None:
    hooks = [t for t in ("writeback_dirty_folio", "writeback_dirty_page") if b.arguments(t) == 2]
    if not hooks:
        b.gaps.append(
            "buffered writes are credited to the kernel thread that flushes them: "
            "this kernel has neither writeback_dirty_folio nor writeback_dirty_page"
        )
        return
    b.add("on_dirty", "dirty", Tier.DEFAULT, Kind.RAW, hooks[0])


def _plan_block(b: _Builder) -> None:
    lost = "no block layer columns (DISK, IOPS, latency)"
    hooks = ("block_bio_queue", "block_rq_insert", "block_rq_issue", "block_rq_complete")
    if b.lacks(lost, (*_PAGE, *_BIO, *_REQUEST), *hooks):
        return
    knows_device = b.has("bio.bi_bdev", "block_device.bd_dev") or b.has(
        "bio.bi_disk", "bio.bi_partno"
    )
    knows_disk = b.has("request.rq_disk") or b.has("request.q", "request_queue.disk")
    if not (knows_device and knows_disk):
        b.gaps.append(f"{lost}: the device of a request is not where any known kernel has it")
        return
    # Up to 5.10 the queue came first: (q, bio) and (q, rq).
    b.defines.append(f"-DBIO_ARG={(b.arguments('block_bio_queue') or 1) - 1}")
    b.defines.append(f"-DRQ_ARG={(b.arguments('block_rq_issue') or 1) - 1}")
    for name, hook in zip(("on_bio", "on_insert", "on_issue", "on_complete"), hooks, strict=True):
        b.add(name, "block", Tier.DEFAULT, Kind.RAW, hook)


def _plan_pauses(b: _Builder) -> None:
    if b.layout.pause_offset is None:
        if b.layout.has_tracefs:
            b.gaps.append("no kernel-pause column: writeback:balance_dirty_pages is not in tracefs")
        return
    b.defines.append(f"-DTP_PAUSE={b.layout.pause_offset}")
    b.add("on_pause", "pauses", Tier.DEFAULT, Kind.TRACEPOINT, "writeback/balance_dirty_pages")


def _plan_syscalls(b: _Builder) -> None:
    present = b.layout.syscalls
    if not present & {"write", "fsync"}:
        if b.layout.has_tracefs:
            b.gaps.append("no system call columns (ASKED, FSYNC): tracefs has no syscalls events")
        return

    def exits(calls: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(f"syscalls/sys_exit_{call}" for call in calls if call in present)

    entries = tuple(f"syscalls/sys_enter_{call}" for call in SYNC_CALLS if call in present)
    for name, hooks in (
        ("on_read_exit", exits(READ_CALLS)),
        ("on_write_exit", exits(WRITE_CALLS)),
        ("on_fsync_enter", entries),
        ("on_fsync_exit", exits(SYNC_CALLS)),
    ):
        b.add(name, "syscalls", Tier.ON_DEMAND, Kind.TRACEPOINT, *hooks)


_PARTS: tuple[Callable[[_Builder], None], ...] = (
    _plan_tasks, _plan_exits, _plan_dirty, _plan_block, _plan_pauses, _plan_syscalls,
)  # fmt: skip


def field_defines(layout: Layout) -> list[str]:
    """Return -DO_struct_member=offset for every field, with the alternatives folded."""
    fields = dict(layout.fields)
    if "task_struct.start_boottime" not in fields and "task_struct.real_start_time" in fields:
        fields["task_struct.start_boottime"] = fields["task_struct.real_start_time"]
    if "page.compound_head" not in fields and "page.compound_info" in fields:
        fields["page.compound_head"] = fields["page.compound_info"]
    for group in (_DELAYS, _CGROUP):
        # A half-known chain would read through a wrong pointer: all or none.
        if any(name not in fields for name in group):
            fields.pop(group[0], None)
    if layout.pg_head is None:
        for name in ("folio._nr_pages", "folio._folio_nr_pages", "folio._flags_1"):
            fields.pop(name, None)
    return [f"-DO_{name.replace('.', '_')}={offset}" for name, offset in sorted(fields.items())]


def make_plan(layout: Layout) -> Plan:
    """Decide what to load on this kernel. Pure: the same facts give the same plan."""
    b = _Builder(layout)
    if not b.has(*_COMMON) or not (b.has(_START[0]) or b.has(_START[1])):
        b.gaps.append(
            "no BPF source: the kernel's task_struct is not where any known kernel has it"
        )
        return Plan((), (), tuple(b.gaps))
    for part in _PARTS:
        part(b)
    b.defines.extend(
        f"-DWITH_{group.upper()}" for group in dict.fromkeys(p.group for p in b.programs)
    )
    b.defines.append(f"-DPAGE_BITS={layout.page_bits}")
    if layout.pg_head is not None:
        b.defines.append(f"-DPG_HEAD={layout.pg_head}")
    if layout.pg_writeback is not None:
        b.defines.append(f"-DPG_WRITEBACK={layout.pg_writeback}")
    if layout.version < (5, 5):
        b.defines.append("-DOLD_PROBE_READ")
    if layout.has_btf:
        b.defines.extend(field_defines(layout))
    else:
        b.defines.append("-DFROM_HEADERS")
    return Plan(
        programs=tuple(b.programs),
        defines=tuple(b.defines),
        gaps=tuple(b.gaps),
        iter_btf_id=layout.iter_btf_id,
        has_btf=layout.has_btf,
    )
