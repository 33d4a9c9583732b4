/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Processes that end, so that those which live for milliseconds are counted.
 *
 * Hooks:   raw tracepoint sched_process_exit (per ending thread) and, before
 *          6.16 where the memory map is gone by then, sched_process_exec
 *          (keeps the command line).
 * Maps:    exits: process -> totals of its ended threads; user space removes
 *          a dead process one reading after it has seen it. execs (before
 *          6.16): process -> command line.
 * Not counted: a process without any I/O makes no entry; the command line is
 *          cut at ARGS_LEN bytes.
 *          One that only submits (sync, fstrim) has none in task->ioac, but
 *          an entry in `owners`.
 */
#include "compat.h"
#if defined(WITH_DIRTY) || defined(WITH_BLOCK)
#include "owner.h"
#define HAVE_OWNERS
#endif

/* Hash, 10,240: 14 s of 700 I/O-doing processes ending per second. */
BPF_HASH(exits, u64, struct exit_row, 10240);
BPF_PERCPU_ARRAY(exit_scratch, struct exit_row, 1);

#ifdef KEEP_EXEC_ARGS
struct exec_row {
	u32 len;
	u32 pad;
	char args[ARGS_LEN];
};
/* LRU: an evicted command line is shown as the command's name. */
BPF_TABLE("lru_hash", u64, struct exec_row, execs, 4096);
BPF_PERCPU_ARRAY(exec_scratch, struct exec_row, 1);
#endif

static inline u32 read_args(char *args, u64 task)
{
	u64 mm = 0, from = 0, to = 0;

	RD(mm, task, O_task_struct_mm);
	if (!mm)
		return 0;
	RD(from, mm, O_mm_struct_arg_start);
	RD(to, mm, O_mm_struct_arg_end);
	if (!from || to <= from || probe_user(args, ARGS_LEN, (void *)from))
		return 0;
	return to - from < ARGS_LEN ? to - from : ARGS_LEN;
}

#ifdef KEEP_EXEC_ARGS
int on_exec(struct bpf_raw_tracepoint_args *ctx)
{
	u64 task = ctx->args[0], key = task_key(task);
	int zero = 0;
	struct exec_row *row = exec_scratch.lookup(&zero);

	if (!row)
		return 0;
	row->len = read_args(row->args, task);
	execs.update(&key, row);
	return 0;
}
#endif

static inline void take_args(struct exit_row *row, u64 task, u64 key)
{
#ifdef KEEP_EXEC_ARGS
	struct exec_row *kept = execs.lookup(&key);

	if (kept) {
		row->args_len = kept->len;
		__builtin_memcpy(row->args, kept->args, ARGS_LEN);
	}
#else
	row->args_len = read_args(row->args, task);
#endif
}

static inline u32 user_of(u64 task)
{
#if defined(O_task_struct_cred) && defined(O_cred_euid)
	u64 cred = 0;
	u32 uid = 0;

	RD(cred, task, O_task_struct_cred);
	RD(uid, cred, O_cred_euid);
	return uid;
#else
	return bpf_get_current_uid_gid();
#endif
}

/* Say what the process is now: it may have been another program before. */
static inline void describe(struct exit_row *row, u64 task, u64 key)
{
	u64 leader = 0, parent = 0;

	RD(leader, task, O_task_struct_group_leader);
	probe_kernel(&row->comm, COMM_LEN,
		     (void *)(leader + O_task_struct_comm));
	RD(parent, leader, O_task_struct_real_parent);
	RD(row->ppid, parent, O_task_struct_tgid);
#ifdef O_task_struct_self_exec_id
	RD(row->exec_id, leader, O_task_struct_self_exec_id);
#endif
	row->uid = user_of(task);
#ifdef HAVE_CGROUP_ID
	row->cgroup_id = bpf_get_current_cgroup_id();
#endif
	take_args(row, task, key);
}

static inline struct exit_row *make_row(u64 task, u64 key)
{
	int zero = 0;
	struct exit_row *row = exit_scratch.lookup(&zero);

	if (!row)
		return 0;
	__builtin_memset(row, 0, sizeof(*row));
	row->start_ns = leader_start(task);
	RD(row->pid, task, O_task_struct_tgid);
	describe(row, task, key);
	exits.insert(&key, row);
	row = exits.lookup(&key);
	if (!row)
		count_lost(LOST_EXITS);
	return row;
}

static inline void add_delays(struct exit_row *row, u64 task)
{
#ifdef O_task_struct_delays
	u64 delays = 0, ns = 0;

	RD(delays, task, O_task_struct_delays);
	if (!delays)
		return;
	RD(ns, delays, O_task_delay_info_blkio_delay);
	ADD(row->io_delay_ns, ns);
	RD(ns, delays, O_task_delay_info_swapin_delay);
	ADD(row->swapin_delay_ns, ns);
#endif
}

/* The tracepoint's own word since 6.16, the count of live threads before. */
static inline int group_is_dead(struct bpf_raw_tracepoint_args *ctx, u64 task)
{
#ifdef EXIT_SAYS_DEAD
	return ctx->args[1] & 1;
#else
	u64 signal = 0;
	int live = 0;

	RD(signal, task, O_task_struct_signal);
	RD(live, signal, O_signal_struct_live);
	return live == 0;
#endif
}

static inline int is_owner(u64 key)
{
#ifdef HAVE_OWNERS
	return owners.lookup(&key) != 0;
#else
	return 0;
#endif
}

int on_exit(struct bpf_raw_tracepoint_args *ctx)
{
	u64 task = ctx->args[0], key = task_key(task);
	u64 read = 0, written = 0, cancelled = 0;
	struct exit_row *row = exits.lookup(&key);
	int is_old = row != 0;

	RD(read, task, O_task_struct_ioac_read_bytes);
	RD(written, task, O_task_struct_ioac_write_bytes);
	RD(cancelled, task, O_task_struct_ioac_cancelled_write_bytes);
	if (!row && ((read | written) || is_owner(key)))
		row = make_row(task, key);
	if (!row)
		return 0;
	ADD(row->read_bytes, read);
	ADD(row->write_bytes, written);
	ADD(row->cancelled_write_bytes, cancelled);
	add_delays(row, task);
	if (group_is_dead(ctx, task)) {
		if (is_old)
			describe(row, task, key);
		row->is_dead = 1;
	}
	return 0;
}
