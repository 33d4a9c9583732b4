/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Per-task totals: a walk over all tasks, read when user space asks.
 *
 * Hook:    bpf_iter "task" (5.8, needs BTF). Nothing runs per write.
 * Cost:    about 1 us per task and reading.
 * Counts:  task->ioac (CONFIG_TASK_IO_ACCOUNTING): every way of writing,
 *          charged when a page becomes dirty or a direct I/O is submitted.
 * Not counted: pages that were dirty already; ended threads (exits.c has
 *          them: signal->ioac, and so /proc/PID/io, mixes them with the I/O of
 *          children that were waited for, which would be counted twice).
 */
#include "compat.h"

struct seq_file;
struct task_struct;
struct bpf_iter_meta {
	struct seq_file *seq;
	u64 session_id;
	u64 seq_num;
};
struct bpf_iter__task {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
};

/* Slot 0: not 0 while threads without any I/O are wanted too. */
BPF_ARRAY(want_threads, u32, 1);

static inline void read_delays(struct task_row *row, u64 task)
{
#ifdef O_task_struct_delays
	u64 delays = 0;

	RD(delays, task, O_task_struct_delays);
	if (!delays)
		return;
	row->flags |= TASK_HAS_DELAYS;
	RD(row->io_delay_ns, delays, O_task_delay_info_blkio_delay);
	RD(row->swapin_delay_ns, delays, O_task_delay_info_swapin_delay);
#endif
}

static inline void read_leader(struct task_row *row, u64 task)
{
	u64 parent = 0, cred = 0;

	row->flags |= TASK_LEADER;
	RD(parent, task, O_task_struct_real_parent);
	RD(row->ppid, parent, O_task_struct_tgid);
#ifdef O_task_struct_self_exec_id
	RD(row->exec_id, task, O_task_struct_self_exec_id);
#endif
	RD(cred, task, O_task_struct_cred);
	RD(row->uid, cred, O_cred_euid);
#ifdef O_task_struct_cgroups
	u64 css = 0, cgroup = 0, node = 0;

	RD(css, task, O_task_struct_cgroups);
	RD(cgroup, css, O_css_set_dfl_cgrp);
	RD(node, cgroup, O_cgroup_kn);
	RD(row->cgroup_id, node, O_kernfs_node_id);
#endif
}

/*
 * A task that has begun to end is about to be counted by exits.c, or is
 * already, and can stay for long: the first thread as a zombie while others
 * run, or all of a process while nobody waits for it. Read after the bytes,
 * so that no task is counted here and there.
 */
static inline u32 read_ending(struct task_row *row, u64 task)
{
	u32 flags = 0;

	RD(flags, task, O_task_struct_flags);
#ifdef WITH_EXITS
	if (flags & PF_EXITING) {
		row->read_bytes = 0;
		row->write_bytes = 0;
		row->cancelled_write_bytes = 0;
		row->io_delay_ns = 0;
		row->swapin_delay_ns = 0;
	}
#ifdef O_task_struct_exit_state
	u32 state = 0;

	RD(state, task, O_task_struct_exit_state);
	if (state)
		row->flags |= TASK_ZOMBIE;
#endif
#endif
	return flags;
}

int bpf_iter__task(struct bpf_iter__task *ctx)
{
	struct seq_file *seq = ctx->meta->seq;
	struct task_struct *p = ctx->task;
	u64 task = (u64)p, leader = 0;
	struct task_row row = {};
	u32 flags = 0, zero = 0, *all;

	if (!p)
		return 0;
	RD(row.pid, task, O_task_struct_tgid);
	RD(row.tid, task, O_task_struct_pid);
	RD(row.read_bytes, task, O_task_struct_ioac_read_bytes);
	RD(row.write_bytes, task, O_task_struct_ioac_write_bytes);
	RD(row.cancelled_write_bytes, task,
	   O_task_struct_ioac_cancelled_write_bytes);
	read_delays(&row, task);
	flags = read_ending(&row, task);
	if (row.pid == row.tid) {
		read_leader(&row, task);
	} else if (!(row.read_bytes | row.write_bytes | row.io_delay_ns)) {
		all = want_threads.lookup(&zero);
		if (!all || !*all)
			return 0;
	}
	if (flags & PF_KTHREAD)
		row.flags |= TASK_KTHREAD;
	row.start_ns = leader_start(task);
	probe_kernel(&row.comm, COMM_LEN, (void *)(task + O_task_struct_comm));
	bpf_seq_write(seq, &row, sizeof(row));
	return 0;
}
