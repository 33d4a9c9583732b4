/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Operations and owners of block I/O: shared by bios.c and requests.c.
 */
#ifndef IOTOP_BLOCK_H
#define IOTOP_BLOCK_H

/*
 * include/linux/blk_types.h. Two numbers changed their meaning: 7 was
 * WRITE_SAME and is ZONE_APPEND since 5.19, both writes; 13 was ZONE_APPEND
 * and is ZONE_RESET, which carries no bytes.
 */
#define REQ_OP_MASK 0xff
#define REQ_READ 0
#define REQ_WRITE 1
#define REQ_FLUSH 2
#define REQ_DISCARD 3
#define REQ_SECURE_ERASE 5
#define REQ_WRITE_SAME 7
#define REQ_WRITE_ZEROES 9
#define REQ_ZONE_APPEND_OLD 13
#define S_IFMT 0xf000
#define S_IFBLK 0x6000

static inline u32 op_of(u32 flags)
{
	switch (flags & REQ_OP_MASK) {
	case REQ_READ:
		return OP_READ;
	case REQ_WRITE:
	case REQ_WRITE_SAME:
	case REQ_WRITE_ZEROES:
	case REQ_ZONE_APPEND_OLD:
		return OP_WRITE;
	case REQ_FLUSH:
		return OP_FLUSH;
	case REQ_DISCARD:
	case REQ_SECURE_ERASE:
		return OP_DISCARD;
	}
	return OP_OTHER;
}

/*
 * The key of the process that owns a write bio's data, or 0: the owner is
 * whoever submits. One writeback bio carries one inode, so the first page
 * is enough.
 */
static inline u64 page_owner(u64 bio, struct window *copy)
{
	u64 vec = 0, page = 0, head = 0, mapping = 0, host = 0, *key;
	u16 mode = 0;

	PICK(vec, *copy, bio, O_bio_bi_io_vec);
	if (!vec)
		return 0;
	RD(page, vec, O_bio_vec_bv_page);
#ifdef O_page_compound_head
	RD(head, page, O_page_compound_head);
	if (head & 1)
		page = head - 1;
#endif
	RD(mapping, page, O_page_mapping);
	/* Low bits mark anonymous and movable pages: direct I/O buffers. */
	if (!mapping || (mapping & 3))
		return 0;
	key = owner_of.lookup(&mapping);
	if (!key)
		return 0;
	RD(host, mapping, O_address_space_host);
	RD(mode, host, O_inode_i_mode);
	if ((mode & S_IFMT) == S_IFBLK) {
		/*
		 * The device's own page cache: metadata of a mounted file
		 * system, which many share, or a program that writes to the
		 * raw device, which nobody holds.
		 */
#if defined(O_bio_bi_bdev) && defined(O_block_device_bd_holder)
		u64 bdev = 0, holder = 0;

		PICK(bdev, *copy, bio, O_bio_bi_bdev);
		RD(holder, bdev, O_block_device_bd_holder);
		if (holder)
			return 0;
#else
		return 0;
#endif
	}
#ifdef PG_WRITEBACK
	else {
		u64 page_flags = 0;

		/*
		 * Not being written back: direct I/O out of a mapped file, of
		 * which only the pages are another's.
		 */
		RD(page_flags, page, 0);
		if (!(page_flags & (1ull << PG_WRITEBACK)))
			return 0;
	}
#endif
	return *key;
}

#endif
