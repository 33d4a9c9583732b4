/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * System calls per process: calls, bytes, sizes, fsync latency. On demand.
 *
 * Hooks:   tracepoints syscalls:sys_exit_{read,write,...} and
 *          sys_{enter,exit}_{fsync,fdatasync}; one program serves a whole
 *          family. Need tracefs for their ids.
 * Cost:    about 150 ns per watched call and 40 ns on every other system call
 *          of the machine, which is why they are detached when unused.
 * Maps:    calls, fsync_start.
 * Not counted: stores to mapped files, libaio and io_uring (no such call
 *          returns their bytes); splice counts both of its ends.
 */
#include "compat.h"
#include "owner.h"

/* The layout of every syscalls:sys_exit_* record. */
struct exit_args {
	u64 common;
	u64 number;
	s64 ret;
};

/* Hash, 10,240 processes; 3.6 MB. */
BPF_HASH(calls, u64, struct calls_row, 10240);
BPF_PERCPU_ARRAY(calls_zero, struct calls_row, 1);

/* tid -> start; LRU because a thread may end inside the call. */
BPF_TABLE("lru_hash", u32, u64, fsync_start, 10240);

static inline struct calls_row *calls_row(void)
{
	struct self_cache *me = current_self();
	struct calls_row *row, *fresh;
	int zero = 0;

	if (!me)
		return 0;
	row = calls.lookup(&me->key);
	if (row)
		return row;
	fresh = calls_zero.lookup(&zero);
	if (!fresh)
		return 0;
	calls.insert(&me->key, fresh);
	row = calls.lookup(&me->key);
	if (!row)
		count_lost(LOST_CALLS);
	return row;
}

int on_read_exit(struct exit_args *ctx)
{
	struct calls_row *row;

	if (ctx->ret < 0)
		return 0;
	row = calls_row();
	if (row) {
		ADD(row->read_calls, 1);
		ADD(row->read_bytes, (u64)ctx->ret);
	}
	return 0;
}

int on_write_exit(struct exit_args *ctx)
{
	struct calls_row *row;

	if (ctx->ret < 0)
		return 0;
	row = calls_row();
	if (row) {
		ADD(row->write_calls, 1);
		ADD(row->write_bytes, (u64)ctx->ret);
		ADD(row->write_sizes[slot_of(ctx->ret)], 1);
	}
	return 0;
}

int on_fsync_enter(void *ctx)
{
	u32 tid = bpf_get_current_pid_tgid();
	u64 now = bpf_ktime_get_ns(), *start = fsync_start.lookup(&tid);

	if (start)
		*start = now;
	else
		fsync_start.update(&tid, &now);
	return 0;
}

int on_fsync_exit(struct exit_args *ctx)
{
	u32 tid = bpf_get_current_pid_tgid();
	u64 *start = fsync_start.lookup(&tid);
	struct calls_row *row;

	if (!start || !*start)
		return 0;
	row = calls_row();
	if (row)
		ADD(row->fsync[slot_of(bpf_ktime_get_ns() - *start)], 1);
	*start = 0;
	return 0;
}
