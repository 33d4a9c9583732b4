/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Latency and queue time by owner, device and operation.
 *
 * Hooks:   raw tracepoints block_rq_insert (the owner is fixed; only where
 *          a scheduler queues), block_rq_issue (handed to the driver),
 *          block_rq_complete (done, possibly in parts). All since 4.18; one
 *          more argument before 5.11.
 * Maps:    owners, devices, inflight.
 * Times:   queue time is from the making of the request (start_time_ns, where
 *          the kernel's own await begins) to issue, latency from issue to
 *          completion.
 * Not counted: pages that a driver copied below the top layer (dm-crypt,
 *          btrfs compression) are owned by the copying kernel thread here;
 *          bytes are taken at the top layer and are right.
 */
#include "compat.h"
#include "owner.h"
#include "block.h"

/* 512 (device, operation) pairs: 5 operations of 100 partitions. */
BPF_HASH(devices, struct device_key, struct device_row, 512);
BPF_PERCPU_ARRAY(device_zero, struct device_row, 1);

/*
 * struct request -> the I/O that it carries now. A driver has a fixed set of
 * requests and uses them over and over, so an entry is made once and then
 * written in place: no insert and delete per I/O. `alloc_ns` tells one use of
 * a request from the next, and a requeue from both. User space sets the size
 * to the machine's number of requests.
 */
struct flight {
	u64 alloc_ns;
	u64 made_ns;
	u64 issue_ns;
	u64 owner;
	u32 dev;
	u32 op;
};
BPF_HASH(inflight, u64, struct flight, 16384);

static inline u32 dev_of_request(u64 rq, struct window *copy)
{
	u64 part = 0, disk = 0;
	u32 dev = 0;

#ifdef O_block_device_bd_dev
	PICK(part, *copy, rq, O_request_part);
	if (part)
		RD(dev, part, O_block_device_bd_dev);
	if (dev)
		return dev;
#endif
	/* A flush has no partition, and before 5.11 that was an hd_struct. */
#ifdef O_request_rq_disk
	PICK(disk, *copy, rq, O_request_rq_disk);
#else
	PICK(disk, *copy, rq, O_request_q);
	RD(disk, disk, O_request_queue_disk);
#endif
	if (disk) {
		u32 major = 0, minor = 0;

		RD(major, disk, O_gendisk_major);
		RD(minor, disk, O_gendisk_first_minor);
		dev = (major << 20) | minor;
	}
	return dev;
}

/* Fill `f` for the I/O that request `rq` carries now. */
static inline void begin(struct flight *f, u64 rq, struct window *copy,
			 u64 alloc_ns, u64 now)
{
	u64 bio = 0, owner = 0;
	u32 flags = 0;
	struct self_cache *me = current_self();

	PICK(flags, *copy, rq, O_request_cmd_flags);
	PICK(bio, *copy, rq, O_request_bio);
	f->alloc_ns = alloc_ns;
	/* 0 where the queue keeps no statistics (queue/iostats). */
	f->made_ns = alloc_ns && alloc_ns < now ? alloc_ns : now;
	f->issue_ns = 0;
	f->dev = dev_of_request(rq, copy);
	f->op = op_of(flags);
	if (f->op == OP_WRITE && bio) {
		COPY(*copy, bio);
		owner = page_owner(bio, copy);
	}
	if (!owner && me)
		owner = me->key;
	f->owner = owner;
}

static inline struct flight *flight_of(u64 rq)
{
	struct flight *f = inflight.lookup(&rq), fresh = {};

	if (f)
		return f;
	inflight.insert(&rq, &fresh);
	f = inflight.lookup(&rq);
	if (!f)
		count_lost(LOST_INFLIGHT);
	return f;
}

int on_insert(struct bpf_raw_tracepoint_args *ctx)
{
	u64 rq = ctx->args[RQ_ARG], alloc_ns = 0;
	struct flight *f = flight_of(rq);
	struct window copy;

	if (!f)
		return 0;
	COPY(copy, rq);
	PICK(alloc_ns, copy, rq, O_request_start_time_ns);
	/* Inserted again after a requeue: owner and first time stay. */
	if (f->made_ns && f->alloc_ns == alloc_ns && alloc_ns)
		return 0;
	begin(f, rq, &copy, alloc_ns, bpf_ktime_get_ns());
	return 0;
}

static inline struct device_row *device_row(u32 dev, u32 op)
{
	struct device_key key = { .dev = dev, .op = op };
	struct device_row *row = devices.lookup(&key), *fresh;
	int zero = 0;

	if (row)
		return row;
	fresh = device_zero.lookup(&zero);
	if (!fresh)
		return 0;
	devices.insert(&key, fresh);
	row = devices.lookup(&key);
	if (!row)
		count_lost(LOST_DEVICES);
	return row;
}

int on_issue(struct bpf_raw_tracepoint_args *ctx)
{
	u64 rq = ctx->args[RQ_ARG], alloc_ns = 0, now = bpf_ktime_get_ns();
	struct flight *f = flight_of(rq);
	struct window copy;

	if (!f)
		return 0;
	COPY(copy, rq);
	PICK(alloc_ns, copy, rq, O_request_start_time_ns);
	if (!f->made_ns || f->alloc_ns != alloc_ns) {
		begin(f, rq, &copy, alloc_ns, now);
	} else if (f->issue_ns) {
		/* The device's queue was full: issued a second time. */
		struct device_row *row = device_row(f->dev, f->op);

		if (row)
			ADD(row->requeues, 1);
		return 0;
	}
	f->issue_ns = now;
	return 0;
}

/*
 * The tracepoint gives a blk_status_t since 5.17 (commit 8a7d267b4a2c), a
 * negative errno before. "Not supported" (a discard that the device lacks) and
 * "again" (NOWAIT) are answers, not failures: the kernel goes on without.
 */
static inline int is_failure(int error)
{
	switch (error) {
	case 0:
	case 1:   /* BLK_STS_NOTSUPP */
	case 12:  /* BLK_STS_AGAIN */
	case -95: /* EOPNOTSUPP */
	case -11: /* EAGAIN */
		return 0;
	}
	return 1;
}

static inline void finish(struct flight *f, struct device_row *device, u64 now,
			  int error)
{
	u64 took = now - f->issue_ns, waited = f->issue_ns - f->made_ns;
	struct owner_row *row;
	u32 fast = slot_of(took), slow = slot_of(waited);

	if (device) {
		ADD(device->ios, 1);
		ADD(device->latency_ns, took);
		ADD(device->queued_ns, waited);
		ADD(device->latency[fast], 1);
		ADD(device->queued[slow], 1);
		if (error)
			ADD(device->errors, 1);
	}
	/* A flush belongs to the device: several fsyncs may share one. */
	if (f->op == OP_FLUSH)
		return;
	row = owner_row(f->owner);
	if (!row)
		return;
	ADD(row->ios, 1);
	ADD(row->latency[fast], 1);
	ADD(row->queued[slow], 1);
	if (error)
		ADD(row->errors, 1);
}

int on_complete(struct bpf_raw_tracepoint_args *ctx)
{
	u64 rq = ctx->args[0], now = bpf_ktime_get_ns();
	int error = is_failure((int)ctx->args[1]);
	u32 done = (u32)ctx->args[2], left = 0;
	struct flight *f = inflight.lookup(&rq);
	struct device_row *device;

	if (!f || !f->issue_ns)
		return 0;
	device = device_row(f->dev, f->op);
	if (device)
		ADD(device->bytes, (u64)done);
	/* __data_len is what was left before this completion. */
	RD(left, rq, O_request___data_len);
	if (done < left)
		return 0;
	finish(f, device, now, error);
	f->issue_ns = 0;
	f->made_ns = 0;
	return 0;
}
