/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Who owns an I/O: shared by dirty.c, bios.c, requests.c, pauses.c and
 * syscalls.c.
 *
 * The owner of a page-cache page is the process that last made a page of its
 * address_space dirty, so a flusher's writes are credited to the writer.
 * Everything else is owned by the task that submits it.
 */
#ifndef IOTOP_OWNER_H
#define IOTOP_OWNER_H

/*
 * address_space -> process key. LRU: an evicted owner costs one attribution,
 * and a new dirtier always writes its entry before any writeback of it. Keyed
 * by the pointer: no reads on the hot side and never stale, as above.
 */
BPF_TABLE("lru_hash", u64, u64, owner_of, 65536);

/* Hash, 10,240 processes that did I/O since the start (3.9 MB); user space
 * removes ended ones. */
BPF_HASH(owners, u64, struct owner_row, 10240);

/* A zeroed row to insert: 384 bytes do not fit on the BPF stack with others. */
BPF_PERCPU_ARRAY(owner_zero, struct owner_row, 1);

/* The task that ran last on this CPU: its key costs three reads, this none. */
struct self_cache {
	u64 task;
	u64 tid_pid;
	u64 key;
	u64 mapping;
	u32 seen;
	u32 kthread;
};
BPF_PERCPU_ARRAY(self, struct self_cache, 1);

/* Return this CPU's cache, filled for the current task. */
static inline struct self_cache *current_self(void)
{
	int zero = 0;
	u64 task = bpf_get_current_task();
	u64 tid_pid = bpf_get_current_pid_tgid();
	struct self_cache *s = self.lookup(&zero);

	if (!s)
		return 0;
	if (s->task == task && s->tid_pid == tid_pid)
		return s;
	s->task = task;
	s->tid_pid = tid_pid;
	s->key = make_key(leader_start(task), tid_pid >> 32);
	s->kthread = is_kthread(task);
	s->mapping = 0;
	return s;
}

static inline struct owner_row *owner_row(u64 key)
{
	struct owner_row *row = owners.lookup(&key), *fresh;
	int zero = 0;

	if (row)
		return row;
	fresh = owner_zero.lookup(&zero);
	if (!fresh)
		return 0;
	/* BPF_NOEXIST: the row of a CPU that was quicker must stay. */
	owners.insert(&key, fresh);
	row = owners.lookup(&key);
	if (!row)
		count_lost(LOST_OWNERS);
	return row;
}

#endif
