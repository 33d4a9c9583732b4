"""Which of the acting programs (bpf/hold.c, bpf/drop.c) this kernel can run: pure, like `plan`."""

from __future__ import annotations

import msgspec

from iotop_ng.sources.plan import MARKS_FD, Kind, Layout, Plan, Program, Tier, field_defines

_START = ("task_struct.start_boottime", "task_struct.real_start_time")
_CHARGE = (
    "task_struct.tgid", "task_struct.ioac.write_bytes", "task_struct.signal", "signal_struct.live",
    "task_struct.group_leader", "task_struct.flags",
)  # fmt: skip
_HOLD = ("task_struct.blocked", "task_struct.ptrace")
SYSCALL_NUMBERS = ("pt_regs.orig_ax", "pt_regs.syscallno")
"""Where x86 and arm64 keep the number of the system call."""
_DROP = (
    "file.f_inode", "inode.i_mode", "inode.i_sb", "super_block.s_bdev", "super_block.s_magic",
    "super_block.s_dev",
)  # fmt: skip
_X86_ARGUMENTS = ("pt_regs.di", "pt_regs.si", "pt_regs.dx", "pt_regs.r10", "pt_regs.r8")
_ARM_ARGUMENTS = ("pt_regs.orig_x0", "pt_regs.regs")
_COMPAT = ("task_struct.thread_info.status", "pt_regs.pstate")
_SPLICING = (
    "pipe_inode_info.mutex.owner", "task_struct.files", "files_struct.fdt", "fdtable.fd",
    "fdtable.max_fds", "file.private_data",
)  # fmt: skip
_OWN_PIPE = ("pipe_inode_info.head", "pipe_inode_info.tail", "task_struct.splice_pipe")
_INODE_STORAGE = "bpf_storage_blob.storage"
"""Linux 5.10 has it together with storage at inodes."""
ACTING_FIELDS = (
    *_HOLD, *SYSCALL_NUMBERS, *_DROP, *_X86_ARGUMENTS, *_ARM_ARGUMENTS, *_COMPAT, *_SPLICING,
    *_OWN_PIPE, _INODE_STORAGE,
)  # fmt: skip
ACTING_TRACEPOINTS = ("sched_process_fork", "sys_exit")


def make_hold_plan(layout: Layout) -> Plan:
    """Decide what to load for throttling; a plan without programs says why in `gaps`."""
    if gaps := _charge_gaps(layout, _HOLD):
        return Plan((), (), gaps)
    programs = [
        Program("on_hold_dirty", "hold", Tier.ON_DEMAND, Kind.RAW, (_dirty_hook(layout),)),
        Program("on_hold_bio", "hold", Tier.ON_DEMAND, Kind.RAW, ("block_bio_queue",)),
        Program("on_hold_fork", "hold", Tier.ON_DEMAND, Kind.RAW, ("sched_process_fork",)),
        Program("on_hold_exit", "hold", Tier.ON_DEMAND, Kind.RAW, ("sched_process_exit",)),
    ]
    defines = charge_defines(layout)
    number = next((name for name in SYSCALL_NUMBERS if name in layout.fields), None)
    if number is not None and "sys_exit" in layout.raw_tracepoints:
        defines.append(f"-DSYSCALL_NUMBER={layout.fields[number]}")
        programs.append(Program("on_hold_submit", "uring", Tier.ON_DEMAND, Kind.RAW, ("sys_exit",)))
    return Plan(tuple(programs), tuple(defines), ())


def make_drop_plan(layout: Layout) -> Plan:
    """Decide what to load for refusing writes; a plan without programs says why in `gaps`."""
    gaps = _charge_gaps(layout, _DROP)
    if layout.has_btf and layout.lsm_btf_id is None:
        gaps += ("this kernel was built without BPF security modules (CONFIG_BPF_LSM)",)
    if gaps:
        return Plan((), (), gaps)
    programs = (
        Program("on_drop_dirty", "drop", Tier.ON_DEMAND, Kind.RAW, (_dirty_hook(layout),)),
        Program("on_drop_bio", "drop", Tier.ON_DEMAND, Kind.RAW, ("block_bio_queue",)),
        Program("on_drop_fork", "drop", Tier.ON_DEMAND, Kind.RAW, ("sched_process_fork",)),
        Program("on_drop_exit", "drop", Tier.ON_DEMAND, Kind.RAW, ("sched_process_exit",)),
        Program("on_drop_write", "drop", Tier.ON_DEMAND, Kind.LSM, ("file_permission",)),
    )
    fields = dict(layout.fields)
    for group in (_SPLICING, _OWN_PIPE):
        # A half-known chain would read through a wrong pointer: all or none.
        if any(name not in fields for name in group):
            fields.pop(group[0], None)
    defines = charge_defines(msgspec.structs.replace(layout, fields=fields))
    has_marks = _INODE_STORAGE in layout.fields
    if has_marks:
        defines.append(f"-DMARKS_FD={MARKS_FD}")
    else:
        gaps += ("path patterns need Linux 5.10 or newer (storage at inodes)",)
    if _says_arguments(layout):
        defines.append("-DHAVE_REGISTERS")
    else:
        gaps += ("refused bytes are not counted: system call arguments need Linux 5.15 or newer",)
    return Plan(programs, tuple(defines), gaps, lsm_btf_id=layout.lsm_btf_id, has_marks=has_marks)


def _says_arguments(layout: Layout) -> bool:
    """Say whether the programs can read what a system call was asked (bpf_task_pt_regs)."""
    places = (("pt_regs.orig_ax", *_X86_ARGUMENTS), ("pt_regs.syscallno", *_ARM_ARGUMENTS))
    known = any(all(name in layout.fields for name in names) for names in places)
    return known and layout.version >= (5, 15)


def charge_defines(layout: Layout) -> list[str]:
    """Return the compiler's flags that bpf/charge.h needs."""
    defines = [*field_defines(layout), f"-DPAGE_BITS={layout.page_bits}"]
    if layout.pg_head is not None:
        defines.append(f"-DPG_HEAD={layout.pg_head}")
    if layout.raw_tracepoints.get("sched_process_exit") == 2:
        defines.append("-DEXIT_SAYS_DEAD")
    return defines


def _dirty_hook(layout: Layout) -> str:
    names = ("writeback_dirty_folio", "writeback_dirty_page")
    return next(name for name in names if name in layout.raw_tracepoints)


def _charge_gaps(layout: Layout, fields: tuple[str, ...]) -> tuple[str, ...]:
    """Return what is missing for a rate of written bytes, one sentence each."""
    if not layout.has_btf:
        return ("this kernel has no BTF (CONFIG_DEBUG_INFO_BTF), which says where its fields are",)
    absent = [name for name in (*_CHARGE, *fields) if name not in layout.fields]
    if not any(name in layout.fields for name in _START):
        absent.append(_START[0])
    hooks = layout.raw_tracepoints
    absent += [
        hook
        for hook in ("block_bio_queue", "sched_process_fork", "sched_process_exit")
        if hook not in hooks
    ]
    if not {"writeback_dirty_folio", "writeback_dirty_page"} & set(hooks):
        absent.append("writeback_dirty_folio")
    gaps = [f"this kernel has no {', '.join(absent)}"] if absent else []
    if layout.version < (5, 8):
        gaps.append("it needs Linux 5.8 or newer (BPF ring buffer)")
    return tuple(gaps)
