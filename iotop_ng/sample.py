"""What one reading of the kernel said: totals since some start, never rates.

Rules that hold for every record here:

* ``None`` is "not measured here", 0 is "measured, none".
* Totals only grow. A source that lost its baseline reports a smaller number once; the model then
  says "unknown" for that interval.
* Every string was cleaned by the source (`iotop_ng.units.clean`) and may be drawn as it is.
* An object that a source hands out twice is unchanged: readers may use identity as "nothing new".
"""

from __future__ import annotations

from enum import Enum

import msgspec

HISTOGRAM_SLOTS = 40
"""Slot i counts durations of [2**i, 2**(i+1)) ns; slot 0 also holds 0, the last is open-ended."""

Histogram = tuple[int, ...]
"""HISTOGRAM_SLOTS counters, cumulative."""

PID_BITS = 22
"""pid_max is at most 2**22 (PID_MAX_LIMIT, include/linux/threads.h)."""


def process_key(pid: int, start_ns: int) -> int:
    """Return the identity of a process: its pid and its start time in units of 2**20 ns.

    Two processes with one pid cannot start within a millisecond, so reuse never merges them.
    The same arithmetic is in bpf/record.h.
    """
    return ((start_ns >> 20) << PID_BITS) | pid


class Need(Enum):
    """What a reader asks a source for beyond the default set; attached only while asked for."""

    THREADS = "threads"
    SYSCALLS = "syscalls"
    PROBES = "probes"


class Totals(msgspec.Struct, frozen=True, gc=False):
    """Totals of one process or thread. Bytes, counts or nanoseconds since it started."""

    read_bytes: int | None = None
    """task->ioac.read_bytes: storage reads charged to the task."""
    write_bytes: int | None = None
    """task->ioac.write_bytes ("written"): pages made dirty plus direct I/O, any way of writing."""
    cancelled_write_bytes: int | None = None
    asked_read_bytes: int | None = None
    """Return values of read calls while syscall probes are attached."""
    asked_write_bytes: int | None = None
    read_calls: int | None = None
    write_calls: int | None = None
    dirtied_bytes: int | None = None
    """Page cache that the task made dirty (writeback_dirty_folio, by folio size)."""
    disk_read_bytes: int | None = None
    """Block layer, credited to the owner (who dirtied the page), not to the submitter."""
    disk_write_bytes: int | None = None
    disk_discard_bytes: int | None = None
    disk_ios: int | None = None
    """Completed block requests (read, write, discard) that the owner caused."""
    disk_errors: int | None = None
    submitted_bytes: int | None = None
    """Block bytes that this task submitted, for itself or for another owner."""
    latency: Histogram | None = None
    """Block request issue to completion, ns, of the owner's reads and writes."""
    queued: Histogram | None = None
    """From the making of a block request to its issue, ns: plug list and I/O scheduler."""
    fsync: Histogram | None = None
    """fsync and fdatasync calls, ns, while syscall probes are attached."""
    write_sizes: Histogram | None = None
    """Write calls by returned size, slot i counts [2**i, 2**(i+1)) bytes; with syscall probes."""
    io_delay_ns: int | None = None
    """Time that the task waited for block I/O (delay accounting)."""
    swapin_delay_ns: int | None = None
    kernel_pause_ns: int | None = None
    """Sleep imposed by balance_dirty_pages."""


NO_TOTALS = Totals()


class Thread(msgspec.Struct, frozen=True, gc=False):
    """One live thread. Only what the kernel counts per thread is in its totals."""

    tid: int
    comm: str
    totals: Totals


class Process(msgspec.Struct, frozen=True, gc=False):
    """One process (thread group), alive or recently ended, with its totals."""

    key: int
    """`process_key`; the identity across samples."""
    pid: int
    start_ns: int
    """Start, nanoseconds since boot."""
    ppid: int
    uid: int
    user: str
    comm: str
    command: str
    """Command line, cleaned, cut at 4096 characters; "" for kernel threads."""
    cgroup: str | None
    prio: str | None
    """I/O priority as iotop shows it: "be/4", "rt/0", "id/7"; None when not read."""
    is_kthread: bool
    is_exited: bool
    totals: Totals
    """The whole process: live threads, ended threads, and what is counted per process only."""
    threads: tuple[Thread, ...] = ()
    """Live threads; filled only for Need.THREADS."""
    submits_for: tuple[tuple[int, int], ...] = ()
    """(owner's process key, bytes) that this task, usually a kworker, submitted for others."""
    fsync_age_ns: int | None = None
    """How long the oldest fsync that has not returned has been waiting, now; 0 when there is none.
    A stuck caller finishes no call, so its histogram says nothing."""
    container: str = ""
    """The name of the container that its cgroup is of, or its short id; "" without."""


class OpTotals(msgspec.Struct, frozen=True, gc=False):
    """Requests of one device and operation, from the block tracepoints."""

    op: str
    """read, write, flush, discard or other."""
    ios: int
    bytes: int
    errors: int
    requeues: int
    latency_ns: int
    """Sum of issue-to-completion times."""
    queued_ns: int
    latency: Histogram
    queued: Histogram


class Device(msgspec.Struct, frozen=True, gc=False):
    """One whole block device: /proc/diskstats plus, with BPF, `ops`."""

    name: str
    major: int
    minor: int
    is_stacked: bool
    """It has slaves (dm, md): its bytes are counted again on the devices below it. A loop device is
    not stacked: what its kernel thread writes to the backing file is I/O of its own."""
    read_ios: int
    read_bytes: int
    write_ios: int
    write_bytes: int
    discard_ios: int | None
    discard_bytes: int | None
    flush_ios: int | None
    in_flight: int
    read_ms: int
    write_ms: int
    flush_ms: int | None
    busy_ms: int
    """io_ticks: time with at least one request in flight."""
    weighted_ms: int
    """time_in_queue: sum over requests of the time in flight."""
    ops: tuple[OpTotals, ...] = ()


class Host(msgspec.Struct, frozen=True, gc=False):
    """Counters of the whole machine."""

    page_in_kib: int | None = None
    """/proc/vmstat pgpgin."""
    page_out_kib: int | None = None
    dirty_bytes: int | None = None
    """Now, not a total."""
    writeback_bytes: int | None = None
    kernel_pause_ns: int | None = None
    dirty_limit_bytes: int | None = None
    """/proc/vmstat nr_dirty_threshold, now: from there on writers are made to wait."""
    io_some_us: int | None = None
    """/proc/pressure/io: time in which at least one task waited for I/O; None also with psi=0."""
    io_full_us: int | None = None
    """Time in which every task that was not idle did."""


class Probe(msgspec.Struct, frozen=True, gc=False):
    """One kernel program of ours."""

    name: str
    hook: str
    tier: str
    """always, default or on demand."""
    is_attached: bool
    hits: int | None
    """None until run statistics are on (Need.PROBES)."""
    run_ns: int | None
    problem: str = ""


class MapFill(msgspec.Struct, frozen=True, gc=False):
    """One BPF map."""

    name: str
    kind: str
    entries: int | None
    max_entries: int
    lost: int
    """Inserts that failed since the source opened."""


class Sample(msgspec.Struct, frozen=True, gc=False):
    """One reading."""

    source: str
    """bcc, procfs, replay or sim."""
    wall_ns: int
    mono_ns: int
    processes: tuple[Process, ...]
    """Alive and recently ended processes, any order; keys are unique."""
    devices: tuple[Device, ...] = ()
    host: Host = Host()
    probes: tuple[Probe, ...] = ()
    maps: tuple[MapFill, ...] = ()
    lost: int = 0
    """Events or entries lost since the source opened."""
    self_cpu_ns: int = 0
    """CPU time of this process since it started."""
    notes: tuple[str, ...] = ()
    """What is restricted here, one sentence each, for the banner."""
