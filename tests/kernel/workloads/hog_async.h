// SPDX-License-Identifier: Apache-2.0
// Asynchronous ways, by raw system calls: nothing has to be installed.
#ifndef HOG_ASYNC_H
#define HOG_ASYNC_H

#include <linux/aio_abi.h>
#include <linux/io_uring.h>
#include <string.h>
#include <sys/syscall.h>

#include "hog_job.h"

#define DEPTH 8

static inline void by_aio(struct job *j)
{
	struct iocb blocks[DEPTH], *one;
	struct io_event events[DEPTH];
	aio_context_t context = 0;
	int busy = 0, free[DEPTH];

	if (syscall(SYS_io_setup, DEPTH, &context))
		fail("io_setup");
	for (int i = 0; i < DEPTH; i++)
		free[i] = i;
	while (!ending || busy) {
		while (!ending && busy < DEPTH) {
			int slot = free[DEPTH - ++busy];
			long done;

			one = &blocks[slot];
			memset(one, 0, sizeof(*one));
			one->aio_lio_opcode = IOCB_CMD_PWRITE;
			one->aio_fildes = j->fd;
			one->aio_buf = (uintptr_t)j->data;
			one->aio_nbytes = j->size;
			one->aio_offset = next_place(j, 0);
			one->aio_data = slot;
			done = syscall(SYS_io_submit, context, 1, &one);
			if (done != 1) {
				op_ended(j, result(done));
				free[DEPTH - busy--] = slot;
				break;
			}
		}
		long got = syscall(SYS_io_getevents, context, 1, DEPTH, events, NULL);

		if (got < 0)
			add(&counts->interrupted, 1);
		for (long i = 0; i < got; i++) {
			free[DEPTH - busy--] = events[i].data;
			op_ended(j, events[i].res);
		}
	}
}

struct rings {
	int fd;
	unsigned *sq_head, *sq_tail, *sq_mask, *sq_flags, *sq_array;
	unsigned *cq_head, *cq_tail, *cq_mask;
	struct io_uring_sqe *sqes;
	struct io_uring_cqe *cqes;
};

static inline void *ring_map(int fd, size_t size, uint64_t at)
{
	void *map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, at);

	if (map == MAP_FAILED)
		fail("mmap of a ring");
	return map;
}

static inline void rings_open(struct rings *r, unsigned flags)
{
	struct io_uring_params p = { .flags = flags, .sq_thread_idle = 1000 };
	char *sq, *cq;

	r->fd = syscall(SYS_io_uring_setup, DEPTH, &p);
	if (r->fd < 0)
		fail("io_uring_setup");
	sq = ring_map(r->fd, p.sq_off.array + p.sq_entries * 4, IORING_OFF_SQ_RING);
	cq = ring_map(r->fd, p.cq_off.cqes + p.cq_entries * sizeof(struct io_uring_cqe),
		      IORING_OFF_CQ_RING);
	r->sqes = ring_map(r->fd, p.sq_entries * sizeof(struct io_uring_sqe), IORING_OFF_SQES);
	r->sq_head = (unsigned *)(sq + p.sq_off.head);
	r->sq_tail = (unsigned *)(sq + p.sq_off.tail);
	r->sq_mask = (unsigned *)(sq + p.sq_off.ring_mask);
	r->sq_flags = (unsigned *)(sq + p.sq_off.flags);
	r->sq_array = (unsigned *)(sq + p.sq_off.array);
	r->cq_head = (unsigned *)(cq + p.cq_off.head);
	r->cq_tail = (unsigned *)(cq + p.cq_off.tail);
	r->cq_mask = (unsigned *)(cq + p.cq_off.ring_mask);
	r->cqes = (struct io_uring_cqe *)(cq + p.cq_off.cqes);
}

static inline void ring_queue(struct rings *r, struct job *j, int cached)
{
	unsigned tail = *r->sq_tail, slot = tail & *r->sq_mask;
	struct io_uring_sqe *e = &r->sqes[slot];

	memset(e, 0, sizeof(*e));
	e->opcode = IORING_OP_WRITE;
	e->fd = j->fd;
	e->addr = (uintptr_t)j->data;
	e->len = j->size;
	e->off = next_place(j, cached);
	r->sq_array[slot] = slot;
	__atomic_store_n(r->sq_tail, tail + 1, __ATOMIC_RELEASE);
}

static inline int ring_reap(struct rings *r, struct job *j)
{
	unsigned head = *r->cq_head;
	int reaped = 0;

	while (head != __atomic_load_n(r->cq_tail, __ATOMIC_ACQUIRE)) {
		op_ended(j, r->cqes[head++ & *r->cq_mask].res);
		__atomic_store_n(r->cq_head, head, __ATOMIC_RELEASE);
		reaped++;
	}
	return reaped;
}

static inline void by_uring(struct job *j, int polled, int cached)
{
	struct rings r;
	int busy = 0;

	rings_open(&r, polled ? IORING_SETUP_SQPOLL : 0);
	while (!ending || busy) {
		unsigned flags = IORING_ENTER_GETEVENTS;
		int queued = 0;

		for (; !ending && busy + queued < DEPTH; queued++)
			ring_queue(&r, j, cached);
		if (polled) {
			__atomic_thread_fence(__ATOMIC_SEQ_CST);
			if (__atomic_load_n(r.sq_flags, __ATOMIC_RELAXED) & IORING_SQ_NEED_WAKEUP)
				flags |= IORING_ENTER_SQ_WAKEUP;
		}
		if (syscall(SYS_io_uring_enter, r.fd,
			    *r.sq_tail - __atomic_load_n(r.sq_head, __ATOMIC_ACQUIRE), 1, flags, NULL,
			    0) < 0) {
			if (errno != EINTR)
				fail("io_uring_enter");
			add(&counts->interrupted, 1);
		}
		busy += queued;
		busy -= ring_reap(&r, j);
	}
}

#endif
