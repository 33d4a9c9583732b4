"""The columns. Which counter sees which way of writing was measured; each help says its part.

The help of a column is read by people who doubt a number: what is counted, then what is not.
"""

from __future__ import annotations

from iotop_ng.model.column import Column
from iotop_ng.model.kinds import (
    bytes_column,
    count_column,
    exited,
    latency_column,
    max_us,
    mean_us,
    name_column,
    p50,
    p99,
    peak,
    time_column,
)
from iotop_ng.sample import Need

IOAC = "task->ioac, by bpf_iter and an exit hook, or /proc/PID/io"
SYSCALLS = "syscalls:sys_exit_*, only while asked for (costs every system call about 40 ns)"
FSYNCS = "syscalls:sys_enter and sys_exit of fsync and fdatasync, only while asked for"
DIRTY = "raw tracepoint writeback_dirty_folio"
BIO = "raw tracepoint block_bio_queue, credited to the task that dirtied the page"
REQUESTS = "raw tracepoints block_rq_issue and block_rq_complete, by owner"
DELAYS = "delay accounting (task->delays or taskstats; sysctl kernel.task_delayacct=1)"
TASK = "the task itself, by bpf_iter or /proc/PID"

COLUMNS: tuple[Column, ...] = (
    name_column("pid", "PID", 7, priority=1, source=TASK, note="Process id.", unit="id"),
    name_column(
        "user",
        "USER",
        9,
        priority=5,
        source=TASK,
        note="Name of the effective user, or the number where it has no name.",
    ),
    bytes_column(
        "write_bytes_per_s",
        "WRITE/s",
        priority=2,
        source=IOAC,
        note="Bytes written: page cache made dirty plus direct I/O, at the moment the task does "
        "it, by write, mmap, sendfile, splice, libaio and io_uring alike. Not counted: pages that "
        "were dirty already (rewriting 1 MB 32 times is 1 MB), fallocate, metadata and journal, "
        "pipes and sockets. Data deleted before it reached a disk stays counted; CANCEL/s tells "
        "how much that is.",
    ),
    bytes_column(
        "read_bytes_per_s",
        "READ/s",
        priority=4,
        source=IOAC,
        note="Bytes fetched from storage for the task, read-ahead included. Not counted: what came "
        "from the page cache, pipes and sockets.",
    ),
    bytes_column(
        "disk_write_bytes_per_s",
        "DISK W/s",
        priority=9,
        source=BIO,
        note="Bytes handed to the block layer for the task whose data it is, whoever submits it "
        "(usually a kworker, later), once even when a request is split or issued again. Not "
        "counted: data deleted before writeback; journal blocks, which are on the row of jbd2 or "
        "of the caller (xfs, btrfs). A file that two tasks write goes to the later one.",
    ),
    bytes_column(
        "disk_read_bytes_per_s",
        "DISK R/s",
        priority=11,
        source=BIO,
        note="Bytes asked of the block layer for the task, read-ahead included. Not counted: what "
        "came from the page cache.",
    ),
    count_column(
        "disk_iops",
        "IOPS",
        priority=10,
        source=REQUESTS,
        note="Block requests (read, write, discard) per second that the task caused and that "
        "completed; a merged request is one. Not counted: flushes, requests still in flight.",
        field="disk_ios",
    ),
    latency_column(
        "latency_p50_us",
        "P50",
        p50,
        priority=12,
        source=REQUESTS,
        note="Half of the task's block requests took no longer, from issue to the device until "
        "completion; from a log2 histogram, right to its bucket. Not counted: time in the queue "
        "before that, file system and page cache.",
    ),
    latency_column(
        "latency_p99_us",
        "P99",
        p99,
        priority=3,
        source=REQUESTS,
        note="99 % of the task's block requests took no longer, from issue to the device until "
        "completion; from a log2 histogram, right to its bucket. Not counted: time in the queue "
        "before that, file system and page cache.",
    ),
    latency_column(
        "fsync_p99_us",
        "FSYNC",
        p99,
        priority=8,
        source=FSYNCS,
        note="99 % of the task's fsync and fdatasync calls took no longer, as the task sees it. "
        "Not counted: sync, syncfs, msync, O_SYNC writes, fsync through io_uring.",
        field="fsync",
        need=Need.SYSCALLS,
    ),
    time_column(
        "io_delay_pct",
        "IO%",
        "pct",
        priority=6,
        source=DELAYS,
        note="Share of the interval in which the task waited for block I/O; the sum of its "
        "threads, 100 at most. Not counted: waiting for locks, the network or the limit of dirty "
        "pages (PAUSE). '-' while delay accounting is off.",
        field="io_delay_ns",
    ),
    Column(
        id="history",
        title="HISTORY",
        unit="bytes/s",
        width=10,
        align="left",
        priority=7,
        source="earlier intervals",
        help="The last intervals, drawn per row; as a number, the busiest of them, read and "
        "written. Not counted: intervals before the row was first seen.",
        rate=peak,
    ),
    name_column(
        "tid",
        "TID",
        7,
        priority=24,
        source=TASK,
        note="Thread id; empty for a process. 0 collects what a process did beyond its live "
        "threads: threads that ended, and what is counted per process only.",
        unit="id",
    ),
    name_column(
        "prio",
        "PRIO",
        5,
        priority=25,
        source=TASK,
        note="I/O priority, class and level as ionice sets them: be is best effort, rt real time. "
        "Only some schedulers (bfq, mq-deadline) heed it.",
    ),
    bytes_column(
        "cancelled_bytes_per_s",
        "CANCEL/s",
        priority=20,
        source=IOAC,
        note="Written bytes that never reached a disk because the file was truncated or deleted "
        "before writeback; charged to the task that deleted, not to the writer. Not counted: data "
        "that was overwritten in the page cache.",
    ),
    bytes_column(
        "dirtied_bytes_per_s",
        "DIRTY/s",
        priority=21,
        source=DIRTY,
        note="Page cache that the task made dirty, by size of the folio. Not counted: direct I/O, "
        "also by libaio and io_uring, and pages that were dirty already.",
    ),
    bytes_column(
        "submitted_bytes_per_s",
        "SUBMIT/s",
        priority=22,
        source=BIO,
        note="Bytes that this task itself handed to the block layer, for itself or for others (a "
        "kworker's writeback). Not counted: what others submitted for it. DISK W/s and DISK R/s "
        "count the same bytes by owner: do not add them up.",
    ),
    bytes_column(
        "asked_write_bytes_per_s",
        "ASK W/s",
        priority=30,
        source=SYSCALLS,
        note="Bytes that write calls returned, also to pipes, sockets and pages that were dirty "
        "already; a splice through a pipe counts at both ends. Not counted: mmap, libaio, "
        "io_uring.",
        need=Need.SYSCALLS,
    ),
    bytes_column(
        "asked_read_bytes_per_s",
        "ASK R/s",
        priority=31,
        source=SYSCALLS,
        note="Bytes that read calls returned, also from the page cache, pipes and sockets. Not "
        "counted: mmap, libaio, io_uring.",
        need=Need.SYSCALLS,
    ),
    count_column(
        "write_calls_per_s",
        "WCALLS",
        priority=32,
        source=SYSCALLS,
        note="Write system calls per second. Not counted: mmap, libaio, io_uring.",
        field="write_calls",
        need=Need.SYSCALLS,
    ),
    count_column(
        "read_calls_per_s",
        "RCALLS",
        priority=33,
        source=SYSCALLS,
        note="Read system calls per second. Not counted: mmap, libaio, io_uring.",
        field="read_calls",
        need=Need.SYSCALLS,
    ),
    latency_column(
        "latency_max_us",
        "MAX",
        max_us,
        priority=13,
        source=REQUESTS,
        note="No block request of the task took longer: the upper edge of the slowest bucket that "
        "was hit, up to twice the true value. Not counted: requests still in flight.",
    ),
    latency_column(
        "latency_mean_us",
        "MEAN",
        mean_us,
        priority=26,
        source=REQUESTS,
        note="Mean time of the task's block requests, each taken at the middle of its log2 bucket: "
        "up to a half off. Not counted: time in the queue.",
    ),
    latency_column(
        "queued_p99_us",
        "QUEUE",
        p99,
        priority=27,
        source="struct request start_time_ns to raw tracepoint block_rq_issue, by owner",
        note="99 % of the task's block requests waited no longer between being made and being "
        "issued, most of it in the I/O scheduler. Not counted: waits for a free request.",
        field="queued",
    ),
    count_column(
        "fsync_per_s",
        "FSYNC/s",
        priority=28,
        source=FSYNCS,
        note="fsync and fdatasync calls per second. Not counted: sync, syncfs, msync, O_SYNC "
        "writes, fsync through io_uring.",
        field="fsync",
        need=Need.SYSCALLS,
    ),
    time_column(
        "swapin_pct",
        "SWAP%",
        "pct",
        priority=34,
        source=DELAYS,
        note="Share of the interval in which the task waited for pages to come back from swap. Not "
        "counted: waiting for pages of files. '-' while delay accounting is off.",
        field="swapin_delay_ns",
    ),
    time_column(
        "kernel_pause_ms_per_s",
        "PAUSE",
        "ms/s",
        priority=23,
        source="tracepoint writeback:balance_dirty_pages",
        note="Milliseconds per second for which the kernel made the task sleep because too many "
        "pages are dirty. Not counted: waiting for the disk itself.",
        field="kernel_pause_ns",
    ),
    name_column(
        "submits_for",
        "FOR",
        20,
        priority=29,
        source=BIO,
        note="For whom this task submitted most of what it submitted for others in the interval, "
        "and the share. Not counted: what it submitted for itself.",
    ),
    name_column(
        "policy",
        "POLICY",
        18,
        priority=3,
        source="our own journal",
        note="The policy in force on the process; on the screen also what it holds back (share of "
        "the time) or loses (calls per second). Empty for none. Not shown: limits that somebody "
        "else has set.",
    ),
    name_column(
        "cgroup",
        "CGROUP",
        24,
        priority=36,
        source=TASK,
        note="Control group, as a path below the mount. Not shown: groups of further hierarchies "
        "of cgroup v1.",
    ),
    name_column("ppid", "PPID", 7, priority=40, source=TASK, note="The parent's id.", unit="id"),
    name_column("uid", "UID", 10, priority=41, source=TASK, note="Effective user id.", unit="id"),
    Column(
        id="exited",
        title="STATE",
        unit="text",
        width=7,
        align="left",
        priority=42,
        source="exit hook, or gone from /proc",
        help="Whether the process has ended; its row stays for the length of the history. Not "
        "shown: waiting, running or stopped.",
        rate=exited,
    ),
    name_column(
        "is_kthread",
        "KTHREAD",
        8,
        priority=43,
        source=TASK,
        note="Whether it is a thread of the kernel.",
    ),
    name_column(
        "comm",
        "COMM",
        16,
        priority=44,
        source=TASK,
        note="Name of the task, at most 15 bytes; a program can set it.",
    ),
    name_column(
        "command",
        "COMMAND",
        0,
        priority=0,
        source=TASK,
        note="Command line, cleaned of what a terminal would interpret; the task's name in "
        "brackets where there is none, as for kernel threads.",
    ),
)
