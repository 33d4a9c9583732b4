/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What crosses from the kernel to iotop_ng/sources/wire.py: fixed width,
 * explicit padding, sizes asserted here and compared there by a test.
 *
 * "pid" is the process (thread group) and "tid" the thread, as users know
 * them; the kernel's own words are tgid and pid.
 */
#ifndef IOTOP_RECORD_H
#define IOTOP_RECORD_H

/* log2(ns) slots: 2^39 ns is 9 minutes, longer ones go to the last. */
#define SLOTS 40
#define ARGS_LEN 128
#define COMM_LEN 16

/* Operations as iotop-ng names them. */
enum op { OP_READ, OP_WRITE, OP_FLUSH, OP_DISCARD, OP_OTHER };

/* Slots of the `lost` array, one per map that can be full. */
enum lost_slot {
	LOST_OWNERS,
	LOST_DEVICES,
	LOST_INFLIGHT,
	LOST_BEHALF,
	LOST_EXITS,
	LOST_CALLS,
	LOST_SLOTS
};

#define TASK_KTHREAD 1u
#define TASK_LEADER 2u
/* Delay accounting was on when the task started; else its delays are 0. */
#define TASK_HAS_DELAYS 4u
/* It has ended, and waits for its parent or for its process's other threads. */
#define TASK_ZOMBIE 8u

/* One thread, written by the task iterator. */
struct task_row {
	u64 start_ns;
	u64 read_bytes;
	u64 write_bytes;
	u64 cancelled_write_bytes;
	u64 io_delay_ns;
	u64 swapin_delay_ns;
	u64 cgroup_id;
	u32 pid;
	u32 tid;
	u32 ppid;
	u32 uid;
	u32 flags;
	/* Counts the programs that it has run, of which only changes matter. */
	u32 exec_id;
	char comm[COMM_LEN];
};
_Static_assert(sizeof(struct task_row) == 96, "wire.TASK_ROW");

/* One process of which at least one thread ended. */
struct exit_row {
	u64 start_ns;
	u64 read_bytes;
	u64 write_bytes;
	u64 cancelled_write_bytes;
	u64 io_delay_ns;
	u64 swapin_delay_ns;
	u64 cgroup_id;
	u32 pid;
	u32 ppid;
	u32 uid;
	u32 is_dead;
	u32 args_len;
	u32 exec_id;
	char comm[COMM_LEN];
	char args[ARGS_LEN];
};
_Static_assert(sizeof(struct exit_row) == 224, "wire.EXIT_ROW");

/* What the block layer and the page cache count per owner process. */
struct owner_row {
	u64 dirtied_bytes;
	u64 disk_read_bytes;
	u64 disk_write_bytes;
	u64 disk_discard_bytes;
	u64 submitted_bytes;
	u64 ios;
	u64 errors;
	u64 pause_ns;
	u32 latency[SLOTS];
	u32 queued[SLOTS];
};
_Static_assert(sizeof(struct owner_row) == 384, "wire.OWNER_ROW");

struct device_key {
	u32 dev;
	u32 op;
};

struct device_row {
	u64 ios;
	u64 bytes;
	u64 errors;
	u64 requeues;
	u64 latency_ns;
	u64 queued_ns;
	u64 latency[SLOTS];
	u64 queued[SLOTS];
};
_Static_assert(sizeof(struct device_row) == 688, "wire.DEVICE_ROW");

/* Bytes that one task (usually a kworker) submitted for another. */
struct behalf_key {
	u64 submitter;
	u64 owner;
};

/* System calls of one process, while they are watched. */
struct calls_row {
	u64 read_calls;
	u64 read_bytes;
	u64 write_calls;
	u64 write_bytes;
	u32 write_sizes[SLOTS];
	u32 fsync[SLOTS];
};
_Static_assert(sizeof(struct calls_row) == 352, "wire.CALLS_ROW");

#endif
