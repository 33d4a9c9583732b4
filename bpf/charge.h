/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A rate for written bytes: shared by hold.c and drop.c, each with maps of
 * its own.
 *
 * What is charged is the growth of task->ioac.write_bytes of the target's
 * threads, the very quantity of the WRITE column, whatever the way of
 * writing. It is looked at when a thread dirties a page and when it queues a
 * block write; pages that are dirty already cost nothing.
 *
 * The bucket is a time, not a number of tokens (GCRA): `tat` is when the
 * debt is paid. Charging n bytes adds n / rate to it, one atomic add without
 * a read before it, so that writers on several CPUs need no lock.
 *
 *   rate 1 MB/s, burst 100 ms, idle before:  tat = now - 100 ms
 *   300 KB are written at once:              tat = now + 200 ms: wait that
 *
 * Not charged: what reaches no block device (nfs, 9p, fuse directly).
 */
#ifndef IOTOP_CHARGE_H
#define IOTOP_CHARGE_H

#include "compat.h"
#include "folio.h"

#define POLICIES 64
#define NS_PER_S 1000000000ull
/* 8 GiB at once: n * NS_PER_S stays below 2^64. */
#define MAX_CHARGE (1ull << 33)

/* One policy, written by user space; free while its rate is 0 and not all is
 * refused. */
struct limit {
	u64 rate;
	u64 burst_ns;
	/* Debt up to this is let pass: threads wait seldom and longer. */
	u64 quantum_ns;
	/* Boot time when it was applied: younger threads began at 0. */
	u64 since_ns;
	/* When the rate was set: who was asked to wait before is asked anew. */
	u64 changed_ns;
	u32 mode;
	u32 signal;
	u32 with_children;
	u32 error;
};
_Static_assert(sizeof(struct limit) == 56, "bpf.LIMIT");

/* What happened to it; user space maps it and only reads, but for `tat` when
 * the rate changes. */
struct bucket {
	u64 tat;
	u64 charged;
	u64 refused_calls;
	u64 refused_bytes;
	u64 unsized_calls;
	u64 lost;
	/* Bytes that may still be refused; why nothing is refused any more. */
	s64 budget;
	u64 ended;
};
_Static_assert(sizeof(struct bucket) == 64, "bpf.BUCKET");

/* What of a thread was charged already. */
struct seen {
	u64 bytes;
	/* It was asked to wait until then, under the rate of `changed`. */
	u64 asked;
	u64 changed;
};
_Static_assert(sizeof(struct seen) == 24, "bpf.SEEN");

BPF_ARRAY(limits, struct limit, POLICIES);
/* BPF_F_MMAPABLE, 5.5: user space reads it without a system call. */
BPF_F_TABLE("array", u32, struct bucket, buckets, POLICIES, 1 << 10);
/* Process -> policy. */
BPF_HASH(members, u32, u32, 8192);
/* Thread -> charged; user space enters the threads that join late. Plain,
 * not LRU: a thread that was forgotten would be charged its whole past. */
BPF_HASH(seen_of, u32, struct seen, 16384);

struct charged {
	struct limit *limit;
	struct bucket *bucket;
	struct seen *seen;
	u64 now;
	/* Nanoseconds until the debt is paid; 0: none. */
	u64 debt;
	u32 slot;
};

/* Return the entry of the current thread, which is made when it is first
 * seen: what it wrote before the policy was applied is not charged. */
static inline struct seen *seen_entry(u64 task, u32 tid, u64 total,
				      struct limit *limit)
{
	struct seen *seen = seen_of.lookup(&tid), fresh = {};
	u64 start = 0;

	if (seen)
		return seen;
	RD(start, task, O_task_struct_start_boottime);
	if (start < limit->since_ns)
		fresh.bytes = total;
	seen_of.insert(&tid, &fresh);
	return seen_of.lookup(&tid);
}

/* Find the policy of the current process; 0 when there is none. */
static inline int find_policy(struct charged *c)
{
	u32 tgid = bpf_get_current_pid_tgid() >> 32;
	u32 *slot = members.lookup(&tgid);

	if (!slot)
		return 0;
	c->slot = *slot;
	c->limit = limits.lookup(&c->slot);
	c->bucket = buckets.lookup(&c->slot);
	c->now = bpf_ktime_get_ns();
	c->seen = 0;
	c->debt = 0;
	return c->limit && c->bucket;
}

/*
 * Charge what the current thread wrote since it was looked at last, and
 * `coming` bytes that the kernel will count in a moment: the tracepoint of a
 * dirtied folio comes just before its accounting.
 */
static inline int charge(struct charged *c, u64 coming)
{
	u32 tid = bpf_get_current_pid_tgid();
	u64 task = bpf_get_current_task(), total = 0, n, tat, floor;

	if (!find_policy(c))
		return 0;
	RD(total, task, O_task_struct_ioac_write_bytes);
	c->seen = seen_entry(task, tid, total, c->limit);
	if (!c->seen) {
		ADD(c->bucket->lost, 1);
		n = coming;
	} else {
		total += coming;
		/* Less than before: what was announced was not counted. */
		n = total > c->seen->bytes ? total - c->seen->bytes : 0;
		c->seen->bytes = total;
	}
	if (n > MAX_CHARGE)
		n = MAX_CHARGE;
	floor = c->now - c->limit->burst_ns;
	if (c->bucket->tat < floor)
		c->bucket->tat = floor;
	if (c->limit->rate && n) {
		ADD(c->bucket->charged, n);
		ADD(c->bucket->tat, n * NS_PER_S / c->limit->rate);
	}
	tat = c->bucket->tat;
	c->debt = tat > c->now ? tat - c->now : 0;
	return 1;
}

/* sched_process_fork(parent, child), in the parent. */
static inline void follow_fork(struct bpf_raw_tracepoint_args *ctx)
{
	u32 parent = bpf_get_current_pid_tgid() >> 32, child = 0;
	u32 *slot = members.lookup(&parent), policy;
	struct limit *limit;

	if (!slot)
		return;
	policy = *slot;
	limit = limits.lookup(&policy);
	if (!limit || !limit->with_children)
		return;
	RD(child, ctx->args[1], O_task_struct_tgid);
	if (child != parent)
		members.insert(&child, &policy);
}

/* sched_process_exit(task[, group_dead]): a pid that is used again must not
 * be taken for the one that we know. */
static inline void forget_exit(struct bpf_raw_tracepoint_args *ctx)
{
	u64 ids = bpf_get_current_pid_tgid();
	u32 tgid = ids >> 32, tid = ids;

	if (!members.lookup(&tgid))
		return;
	seen_of.delete(&tid);
#ifdef EXIT_SAYS_DEAD
	if (ctx->args[1] & 1)
		members.delete(&tgid);
#else
	u64 signal = 0;
	int live = 0;

	RD(signal, ctx->args[0], O_task_struct_signal);
	RD(live, signal, O_signal_struct_live);
	if (!live)
		members.delete(&tgid);
#endif
}

#endif
