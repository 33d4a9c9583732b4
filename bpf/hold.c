/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Throttle: who overdraws its rate is made to wait after the write.
 *
 * Hooks:   raw tracepoints writeback_dirty_folio (5.18; _page before),
 *          block_bio_queue, sched_process_fork, sched_process_exit; on
 *          demand sys_exit, for io_uring, whose workers cannot wait.
 * Since:   Linux 5.8 (ring buffer).
 * Maps:    charge.h; events: what user space has to do.
 * Effect:  MODE_HOLD sends a signal that programs ignore to the writing
 *          thread. It is traced by iotop_ng/enforcers/holder.py, so it stops
 *          on its way back to user space and never sees the signal; untraced
 *          (the holder is gone) nothing is sent. MODE_TELL only wakes
 *          iotop_ng/enforcers/pauser.py. A SIGSTOP from here would stay when
 *          user space is gone, and could hit a child that was forked a moment
 *          ago and that no journal names yet.
 * Not held: a write that is under way, which always ends whole.
 */
#include "charge.h"

#define MODE_HOLD 1
#define MODE_TELL 2
#define PF_IO_WORKER 0x00000010
#define NR_IO_URING_ENTER 426

enum event_kind {
	/* The thread blocks the signal: it has to be interrupted. */
	EVENT_INTERRUPT = 1,
	/* An io_uring worker wrote, which cannot wait itself. */
	EVENT_WORKER,
	/* A member that nobody traces. */
	EVENT_UNTRACED,
	/* Who overdraws is to be stopped by user space. */
	EVENT_OVERDRAWN
};

struct event {
	u32 kind;
	u32 slot;
	u32 pid;
	u32 tid;
};
_Static_assert(sizeof(struct event) == 16, "bpf.EVENT");

/* 64 KiB: 2,700 events; each thread makes at most one per wait. */
BPF_RINGBUF_OUTPUT(events, 16);

static inline void tell(u32 kind, u32 slot)
{
	u64 ids = bpf_get_current_pid_tgid();
	struct event event = {
		.kind = kind, .slot = slot, .pid = ids >> 32, .tid = ids,
	};

	events.ringbuf_output(&event, sizeof(event), 0);
}

static inline int is_blocked(u64 task, u32 signal)
{
	u64 blocked = 0;

	RD(blocked, task, O_task_struct_blocked);
	return (blocked >> ((signal - 1) & 63)) & 1;
}

static inline void hold_thread(struct charged *c)
{
	u64 task = bpf_get_current_task();
	u32 flags = 0, traced = 0;

	RD(flags, task, O_task_struct_flags);
	if (flags & PF_IO_WORKER) {
		tell(EVENT_WORKER, c->slot);
		return;
	}
	RD(traced, task, O_task_struct_ptrace);
	if (!traced)
		tell(EVENT_UNTRACED, c->slot);
	else if (is_blocked(task, c->limit->signal) ||
		 bpf_send_signal_thread(c->limit->signal))
		tell(EVENT_INTERRUPT, c->slot);
}

/* Make the current thread wait, once for all that it charges meanwhile. */
static inline void pay(struct charged *c)
{
	if (c->debt <= c->limit->quantum_ns)
		return;
	if (c->seen) {
		if (c->seen->asked > c->now &&
		    c->seen->changed == c->limit->changed_ns)
			return;
		c->seen->asked = c->now + c->debt;
		c->seen->changed = c->limit->changed_ns;
	}
	if (c->limit->mode == MODE_HOLD)
		hold_thread(c);
	else if (c->limit->mode == MODE_TELL)
		tell(EVENT_OVERDRAWN, c->slot);
}

int on_hold_dirty(struct bpf_raw_tracepoint_args *ctx)
{
	struct charged c;
	u32 tgid = bpf_get_current_pid_tgid() >> 32;

	if (members.lookup(&tgid) && charge(&c, folio_bytes(ctx->args[0])))
		pay(&c);
	return 0;
}

int on_hold_bio(struct bpf_raw_tracepoint_args *ctx)
{
	struct charged c;

	if (charge(&c, 0))
		pay(&c);
	return 0;
}

#ifdef SYSCALL_NUMBER
/* A thread that comes back from io_uring_enter pays what the workers wrote. */
int on_hold_submit(struct bpf_raw_tracepoint_args *ctx)
{
	u32 tgid = bpf_get_current_pid_tgid() >> 32;
	struct charged c;
	long number = 0;

	if (!members.lookup(&tgid))
		return 0;
	RD(number, ctx->args[0], SYSCALL_NUMBER);
	if ((u32)number != NR_IO_URING_ENTER)
		return 0;
	if (charge(&c, 0))
		pay(&c);
	return 0;
}
#endif

int on_hold_fork(struct bpf_raw_tracepoint_args *ctx)
{
	follow_fork(ctx);
	return 0;
}

int on_hold_exit(struct bpf_raw_tracepoint_args *ctx)
{
	forget_exit(ctx);
	return 0;
}
