/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Drop: a process that overdraws its rate is refused what it asks to write.
 *
 * Hooks:   LSM file_permission, which all ways of writing but stores to
 *          mapped files go through; raw tracepoints writeback_dirty_folio
 *          (5.18; _page before), block_bio_queue (charge.h),
 *          sched_process_fork, sched_process_exit.
 * Since:   Linux 5.7, with "bpf" among the security modules.
 * Maps:    charge.h; terms: the rest of what a policy asks for; marks: files
 *          that may be refused; overlays: those that are on a disk.
 * Effect:  the call ends with the errno of the policy and nothing is written.
 * Not refused: anything but regular files; files of file systems that are not
 *          on a disk of this machine (tmpfs, proc, sysfs, cgroup; nfs, fuse);
 *          stores to mapped files, fallocate, truncate, rename; calls of 0
 *          bytes; what another LSM has refused already.
 */
#include "charge.h"
#include "asked.h"

#define MAY_WRITE 2
#define S_IFMT 0xf000
#define S_IFREG 0x8000

/* Bits of limit.mode. */
#define DROP_ALL 1
#define DROP_MARKED 2
#define DROP_WITHIN_BUDGET 4

/* Values of bucket.ended: nothing is refused any more. */
#define ENDED_SPENT 1
/* A budget of bytes cannot be kept with calls that do not say theirs. */
#define ENDED_UNKNOWN 2

/* Local file systems without a block device of their own; those with one are
 * known by that. statfs(2) lists the numbers. */
#define MAGIC_BTRFS 0x9123683e
#define MAGIC_ZFS 0x2fc12fc1
#define MAGIC_BCACHEFS 0xca451a4e
#define MAGIC_UBIFS 0x24051905
#define MAGIC_OVERLAY 0x794c7630

/* Written by user space only. */
struct terms {
	/* Bytes of the budget that were refused longer ago than its window.
	 * Not added to bucket.budget, which only the programs may write. */
	s64 returned;
	/* What marks carry; never used again. */
	u32 serial;
	u32 unused;
};
_Static_assert(sizeof(struct terms) == 16, "drop_kernel.TERMS");
BPF_ARRAY(terms, struct terms, POLICIES);

/* Device numbers of overlays whose upper directory is on a disk, entered by
 * user space. One that is not there passes here. The kernel asks again for the
 * file below, but since 6.8 not for splice and sendfile, which are under way
 * by then before it as well. */
BPF_HASH(overlays, u32, u32, 1024);

static inline int is_on_disk(u64 inode)
{
	u64 block = 0, device = 0, magic = 0;
	u32 number = 0;

	RD(block, inode, O_inode_i_sb);
	RD(device, block, O_super_block_s_bdev);
	if (device)
		return 1;
	RD(magic, block, O_super_block_s_magic);
	if (magic == MAGIC_OVERLAY) {
		RD(number, block, O_super_block_s_dev);
		return overlays.lookup(&number) != 0;
	}
	return magic == MAGIC_BTRFS || magic == MAGIC_ZFS ||
	       magic == MAGIC_BCACHEFS || magic == MAGIC_UBIFS;
}

#ifdef MARKS_FD
/*
 * Inode -> the policies that may refuse it. Storage at the inode (5.10): user
 * space enters it by descriptor, so what btrfs and overlay call device and
 * inode number does not matter; it goes with the inode. BCC cannot make the
 * map without debug information; iotop_ng/sources/bpf_syscall.py does.
 */
struct marks {
	u32 serials[4];
};
static struct marks *(*inode_storage)(void *map, u64 inode, void *value,
				      u64 flags) = (void *)145;

static inline int is_marked(u64 inode, u32 slot)
{
	struct terms *own = terms.lookup(&slot);
	struct marks *marks;

	marks = inode_storage((void *)bpf_pseudo_fd(1, MARKS_FD), inode, 0, 0);
	return own && marks &&
	       (marks->serials[0] == own->serial ||
		marks->serials[1] == own->serial ||
		marks->serials[2] == own->serial ||
		marks->serials[3] == own->serial);
}
#else
static inline int is_marked(u64 inode, u32 slot)
{
	return 0;
}
#endif

/*
 * Take `size` bytes from the budget; 0 when it has not so much.
 *
 * Subtract, look, and give back: whoever sees that enough is left has its own
 * bytes among what was subtracted, so that writers on several CPUs never take
 * more than there is.
 */
static inline int take(struct charged *c, s64 size)
{
	struct terms *own = terms.lookup(&c->slot);
	struct bucket *bucket = c->bucket;

	if (!own || bucket->ended)
		return 0;
	if (size < 0) {
		bucket->ended = ENDED_UNKNOWN;
		return 0;
	}
	ADD(bucket->budget, -size);
	if (*(volatile s64 *)&bucket->budget + own->returned >= 0)
		return 1;
	ADD(bucket->budget, size);
	bucket->ended = ENDED_SPENT;
	return 0;
}

/* 1: the current thread may not write to this file now; and it is counted. */
static inline int refuse(struct charged *c, u64 inode)
{
	u32 mode = c->limit->mode;
	u16 kind = 0;
	s64 size;

	if (!(mode & DROP_ALL) && c->bucket->tat <= c->now)
		return 0;
	RD(kind, inode, O_inode_i_mode);
	if ((kind & S_IFMT) != S_IFREG)
		return 0;
	if (mode & DROP_MARKED ? !is_marked(inode, c->slot) : !is_on_disk(inode))
		return 0;
	size = asked_bytes();
	if (size == ASKED_NOTHING)
		return 0;
	if (mode & DROP_WITHIN_BUDGET && !take(c, size))
		return 0;
	ADD(c->bucket->refused_calls, 1);
	if (size > 0)
		ADD(c->bucket->refused_bytes, size);
	else
		ADD(c->bucket->unsized_calls, 1);
	return 1;
}

/* file_permission(file, mask), and what was answered before us. */
int on_drop_write(u64 *ctx)
{
	u64 file = ctx[0], inode;
	struct charged c;
	int before = ctx[2];

	/* Nobody is asked after a refusal, so this is for a kernel's sake that
	 * does it otherwise. The verifier of 6.12 wants to see constants. */
	if (before)
		return before;
	if (!(ctx[1] & MAY_WRITE) || !find_policy(&c))
		return 0;
	/* A load and not a probe: the verifier keeps what it points to. */
	inode = *(u64 *)(file + O_file_f_inode);
	if (!refuse(&c, inode))
		return 0;
	switch (c.limit->error) {
	case 1:
		return -1; /* EPERM */
	case 5:
		return -5; /* EIO */
	case 11:
		return -11; /* EAGAIN */
	case 122:
		return -122; /* EDQUOT */
	}
	return -28; /* ENOSPC */
}

int on_drop_dirty(struct bpf_raw_tracepoint_args *ctx)
{
	struct charged c;
	u32 tgid = bpf_get_current_pid_tgid() >> 32;

	if (members.lookup(&tgid))
		charge(&c, folio_bytes(ctx->args[0]));
	return 0;
}

int on_drop_bio(struct bpf_raw_tracepoint_args *ctx)
{
	struct charged c;

	charge(&c, 0);
	return 0;
}

int on_drop_fork(struct bpf_raw_tracepoint_args *ctx)
{
	follow_fork(ctx);
	return 0;
}

int on_drop_exit(struct bpf_raw_tracepoint_args *ctx)
{
	forget_exit(ctx);
	return 0;
}
