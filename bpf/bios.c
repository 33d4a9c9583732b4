/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Block bytes by owner and by submitter.
 *
 * Hook:    raw tracepoint block_bio_queue, in the submitter (4.18; one more
 *          argument before 5.11).
 * Maps:    owners, behalf; under_stack and has_stack are written by user
 *          space.
 * Not counted: bios below dm or md, whose bytes were counted above.
 */
#include "compat.h"
#include "owner.h"
#include "block.h"

/* (submitter, owner) -> bytes, for kernel threads only; user space removes
 * pairs of ended owners. */
BPF_HASH(behalf, struct behalf_key, u64, 8192);

/* Partitions and disks below dm or md: their bios were counted above. The
 * one-slot array says whether there are any, to save the lookup. */
BPF_HASH(under_stack, u32, u32, 1024);
BPF_ARRAY(has_stack, u32, 1);

static inline u32 dev_of_bio(u64 bio, struct window *copy)
{
	u32 dev = 0;
#ifdef O_bio_bi_bdev
	u64 bdev = 0;

	PICK(bdev, *copy, bio, O_bio_bi_bdev);
	RD(dev, bdev, O_block_device_bd_dev);
#else
	/* 4.14 to 5.11: the disk and a partition number. */
	u64 disk = 0;
	u32 major = 0, minor = 0;
	u8 part = 0;

	RD(disk, bio, O_bio_bi_disk);
	RD(part, bio, O_bio_bi_partno);
	RD(major, disk, O_gendisk_major);
	RD(minor, disk, O_gendisk_first_minor);
	dev = (major << 20) | (minor + part);
#endif
	return dev;
}

static inline void count_behalf(u64 submitter, u64 owner, u64 bytes)
{
	struct behalf_key pair = { .submitter = submitter, .owner = owner };
	u64 *sum = behalf.lookup(&pair), zero = 0;

	if (!sum) {
		behalf.insert(&pair, &zero);
		sum = behalf.lookup(&pair);
		if (!sum) {
			count_lost(LOST_BEHALF);
			return;
		}
	}
	ADD(*sum, bytes);
}

static inline int below_stack(u64 bio, struct window *copy)
{
	int zero = 0;
	u32 dev, *any = has_stack.lookup(&zero);

	if (!any || !*any)
		return 0;
	dev = dev_of_bio(bio, copy);
	return under_stack.lookup(&dev) != 0;
}

int on_bio(struct bpf_raw_tracepoint_args *ctx)
{
	u64 bio = ctx->args[BIO_ARG], owner;
	u32 flags = 0, size = 0, op;
	struct self_cache *me;
	struct owner_row *row;
	struct window copy;

	COPY(copy, bio);
	PICK(size, copy, bio, O_bio_bi_iter_bi_size);
	if (!size || below_stack(bio, &copy))
		return 0;
	me = current_self();
	if (!me)
		return 0;
	PICK(flags, copy, bio, O_bio_bi_opf);
	op = op_of(flags);
	owner = op == OP_WRITE ? page_owner(bio, &copy) : 0;
	if (!owner)
		owner = me->key;
	row = owner_row(owner);
	if (row) {
		if (op == OP_READ)
			ADD(row->disk_read_bytes, (u64)size);
		else if (op == OP_WRITE)
			ADD(row->disk_write_bytes, (u64)size);
		else if (op == OP_DISCARD)
			ADD(row->disk_discard_bytes, (u64)size);
	}
	if (owner != me->key) {
		row = owner_row(me->key);
		if (me->kthread)
			count_behalf(me->key, owner, size);
	}
	if (row)
		ADD(row->submitted_bytes, (u64)size);
	return 0;
}
