/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Differences between kernels, each in one place.
 *
 * No kernel header is needed: field offsets arrive as -DO_struct_member=N,
 * read from the running kernel's BTF (iotop_ng/sources/btf.py). A field that
 * a kernel has not is not defined, which is what #ifdef asks about. Where a
 * kernel has no BTF, offsets.h takes them from installed headers instead.
 */
#ifndef IOTOP_COMPAT_H
#define IOTOP_COMPAT_H

#ifdef FROM_HEADERS
#include "offsets.h"
#endif
#include "record.h"

/* bpf_probe_read_kernel: 5.5, commit 6ae08ae3dea2. */
#ifdef OLD_PROBE_READ
#define probe_kernel bpf_probe_read
#define probe_user bpf_probe_read
#else
#define probe_kernel bpf_probe_read_kernel
#define probe_user bpf_probe_read_user
#endif

/* Read the member at byte `offset` of a kernel object into `to`. */
#define RD(to, from, offset) \
	probe_kernel(&(to), sizeof(to), (void *)((u64)(from) + (offset)))

/*
 * Several members of one object: copy its beginning once, then pick. A copy
 * of 128 bytes costs as much as one of 8, and each saves about 15 ns.
 */
#define WINDOW 128
struct window {
	char at[WINDOW];
};
#define COPY(window, from) \
	probe_kernel((window).at, WINDOW, (void *)(u64)(from))
#define PICK(to, window, from, offset)                                      \
	do {                                                                \
		if ((offset) + sizeof(to) <= WINDOW)                        \
			__builtin_memcpy(&(to), (window).at + (offset),     \
					 sizeof(to));                       \
		else                                                        \
			RD(to, from, offset);                               \
	} while (0)

#define PF_EXITING 0x00000004
#define PF_KTHREAD 0x00200000
#define PID_BITS 22

/* Exact: an `update` would replace what another CPU has just counted. */
#define ADD(field, n) __sync_fetch_and_add(&(field), (n))

BPF_ARRAY(lost, u64, LOST_SLOTS);

static inline void count_lost(int slot)
{
	u64 *n = lost.lookup(&slot);

	if (n)
		ADD(*n, 1);
}

/* The same arithmetic as process_key() in iotop_ng/sample.py. */
static inline u64 make_key(u64 start_ns, u32 pid)
{
	return ((start_ns >> 20) << PID_BITS) | pid;
}

static inline u64 leader_start(u64 task)
{
	u64 leader = 0, start = 0;

	RD(leader, task, O_task_struct_group_leader);
	RD(start, leader, O_task_struct_start_boottime);
	return start;
}

static inline u64 task_key(u64 task)
{
	u32 pid = 0;

	RD(pid, task, O_task_struct_tgid);
	return make_key(leader_start(task), pid);
}

static inline u32 is_kthread(u64 task)
{
	u32 flags = 0;

	RD(flags, task, O_task_struct_flags);
	return flags & PF_KTHREAD;
}

/*
 * Slot of the highest set bit, 0 for 0, at most SLOTS - 1.
 *
 * All bits below the highest are set, then counted (Hacker's Delight, 5-1):
 * no branches, because the verifier follows every way through a chain of them
 * and 6.1 gives up on two chains in one program.
 */
static inline u32 slot_of(u64 v)
{
	u64 slot;

	v |= 1;
	v |= v >> 1;
	v |= v >> 2;
	v |= v >> 4;
	v |= v >> 8;
	v |= v >> 16;
	v |= v >> 32;
	v -= (v >> 1) & 0x5555555555555555ull;
	v = (v & 0x3333333333333333ull) + ((v >> 2) & 0x3333333333333333ull);
	v = (v + (v >> 4)) & 0x0f0f0f0f0f0f0f0full;
	slot = ((v * 0x0101010101010101ull) >> 56) - 1;
	slot &= 63;
	return slot < SLOTS ? slot : SLOTS - 1;
}

#endif
