/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the current system call asks to write: for drop.c, whose hook is told
 * the file but not the bytes.
 *
 * The number and the arguments are in the registers that the thread came in
 * with (bpf_task_pt_regs, 5.15). Without them, in 32-bit programs, in io_uring
 * and for several writes of one io_submit the number of bytes is not known.
 */
#ifndef IOTOP_ASKED_H
#define IOTOP_ASKED_H

#include "compat.h"

/* A write of which it is not known how large it is. */
#define ASKED_UNKNOWN -1
/* Nothing that is written: room is reserved, extents are shared; or the
 * kernel writes for itself (process accounting, a core dump). */
#define ASKED_NOTHING 0

#define PF_IO_WORKER 0x00000010
#define PF_DUMPCORE 0x00000200

/* UIO_MAXIOV: more is refused by the kernel. */
#define MAX_VECTORS 1024
/* MAX_RW_COUNT: more is never written at once. */
#define MAX_ASKED 0x7ffff000ll
#define IOCB_PWRITE 1

#ifdef HAVE_REGISTERS

/* By number, because BCC's own names came with 0.20 and 0.22. */
static u64 (*current_typed)(void) = (void *)158; /* ..._task_btf, 5.11 */
static u64 (*registers_of)(u64 task) = (void *)175; /* bpf_task_pt_regs */

#ifdef O_pt_regs_orig_ax
/* arch/x86/entry/syscalls/syscall_64.tbl */
#define NR_WRITE 1
#define NR_PWRITE64 18
#define NR_WRITEV 20
#define NR_SENDFILE 40
#define NR_IO_SUBMIT 209
#define NR_SPLICE 275
#define NR_PWRITEV 296
#define NR_COPY_FILE_RANGE 326
#define NR_PWRITEV2 328
#define NR_IO_URING_ENTER 426
#define NUMBER O_pt_regs_orig_ax
#define ARGUMENT0 O_pt_regs_di
#define ARGUMENT1 O_pt_regs_si
#define ARGUMENT2 O_pt_regs_dx
#define ARGUMENT3 O_pt_regs_r10
#define ARGUMENT4 O_pt_regs_r8
#else
/* include/uapi/asm-generic/unistd.h, arm64 */
#define NR_IO_SUBMIT 2
#define NR_WRITE 64
#define NR_WRITEV 66
#define NR_PWRITE64 68
#define NR_PWRITEV 70
#define NR_SENDFILE 71
#define NR_SPLICE 76
#define NR_COPY_FILE_RANGE 285
#define NR_PWRITEV2 287
#define NR_IO_URING_ENTER 426
#define NUMBER O_pt_regs_syscallno
#define ARGUMENT0 O_pt_regs_orig_x0
#define ARGUMENT1 (O_pt_regs_regs + 8)
#define ARGUMENT2 (O_pt_regs_regs + 16)
#define ARGUMENT3 (O_pt_regs_regs + 24)
#define ARGUMENT4 (O_pt_regs_regs + 32)
#endif

/* 32-bit programs number their calls otherwise. */
static inline int is_compat(u64 task, u64 registers)
{
#if defined(O_task_struct_thread_info_status)
	u32 status = 0;

	RD(status, task, O_task_struct_thread_info_status);
	return status & 2; /* TS_COMPAT */
#elif defined(O_pt_regs_pstate)
	u64 pstate = 0;

	RD(pstate, registers, O_pt_regs_pstate);
	return pstate & 0x10; /* PSR_MODE32_BIT */
#else
	return 0;
#endif
}

static inline s64 sum_of_vectors(u64 at, u64 count)
{
	struct {
		u64 base, length;
	} vector;
	u64 sum = 0;

	if (count > MAX_VECTORS)
		return ASKED_UNKNOWN;
	for (u32 i = 0; i < MAX_VECTORS; i++) {
		if (i >= count)
			break;
		if (probe_user(&vector, sizeof(vector),
			       (void *)(at + i * sizeof(vector))))
			return ASKED_UNKNOWN;
		sum += vector.length;
	}
	return sum < MAX_ASKED ? sum : MAX_ASKED;
}

/* What io_submit(2) asks, when that is one write: include/uapi/linux/aio_abi.h
 * (struct iocb). Which one of several is refused is not known. */
static inline s64 asked_by_submit(u64 count, u64 at)
{
	struct {
		u64 unused[2];
		u16 opcode, priority;
		u32 file;
		u64 buffer, bytes;
	} block = {};
	u64 first = 0;

	if (count != 1 || probe_user(&first, sizeof(first), (void *)at) ||
	    probe_user(&block, sizeof(block), (void *)first) ||
	    block.opcode != IOCB_PWRITE)
		return ASKED_UNKNOWN;
	return block.bytes < MAX_ASKED ? block.bytes : MAX_ASKED;
}

#ifdef O_pipe_inode_info_mutex_owner
/* The pipe that splice(2) reads, which it holds locked while it writes. */
static inline int is_splicing(u64 task, u64 registers)
{
	u64 in = 0, files = 0, table = 0, file = 0, pipe = 0, owner = 0;
	u32 size = 0;

	RD(in, registers, ARGUMENT0);
	RD(files, task, O_task_struct_files);
	RD(table, files, O_files_struct_fdt);
	RD(size, table, O_fdtable_max_fds);
	if ((u32)in >= size)
		return 0;
	RD(table, table, O_fdtable_fd);
	RD(file, table, (u64)(u32)in * 8);
	RD(pipe, file, O_file_private_data);
	RD(owner, pipe, O_pipe_inode_info_mutex_owner);
	return (owner & ~7ull) == task;
}
#endif

/*
 * Before 6.8 (commit 0f292086c22b) splice and sendfile ask again for every
 * part that goes from a pipe to the file; for sendfile and copy_file_range
 * that is a pipe of the task's own, which is empty before and after the call.
 * What was let begin is not cut short.
 */
static inline int is_under_way(u64 task, u64 registers, u64 number)
{
#ifdef O_pipe_inode_info_mutex_owner
	if (number == NR_SPLICE)
		return is_splicing(task, registers);
#endif
#if defined(O_task_struct_splice_pipe) && defined(O_pipe_inode_info_head)
	u64 pipe = 0;
	u32 head = 0, tail = 0;

	RD(pipe, task, O_task_struct_splice_pipe);
	if (pipe && number != NR_SPLICE) {
		RD(head, pipe, O_pipe_inode_info_head);
		RD(tail, pipe, O_pipe_inode_info_tail);
	}
	return head != tail;
#else
	return 0;
#endif
}

static inline s64 asked_of(u64 task, u64 registers)
{
	u64 number = 0, first = 0, count = 0;

	RD(number, registers, NUMBER);
	number = (u32)number;
	if (number == NR_WRITE || number == NR_PWRITE64) {
		RD(count, registers, ARGUMENT2);
	} else if (number == NR_WRITEV || number == NR_PWRITEV ||
		   number == NR_PWRITEV2) {
		RD(first, registers, ARGUMENT1);
		RD(count, registers, ARGUMENT2);
		return sum_of_vectors(first, count);
	} else if (number == NR_SENDFILE || number == NR_SPLICE ||
		   number == NR_COPY_FILE_RANGE) {
		if (is_under_way(task, registers, number))
			return ASKED_NOTHING;
		if (number == NR_SENDFILE)
			RD(count, registers, ARGUMENT3);
		else
			RD(count, registers, ARGUMENT4);
	} else if (number == NR_IO_SUBMIT) {
		RD(count, registers, ARGUMENT1);
		RD(first, registers, ARGUMENT2);
		return asked_by_submit(count, first);
	} else if (number == NR_IO_URING_ENTER) {
		return ASKED_UNKNOWN;
	} else {
		/* fallocate, FICLONE: no data is written. */
		return ASKED_NOTHING;
	}
	return count < MAX_ASKED ? count : MAX_ASKED;
}

#endif

/* Bytes that the current thread asks to write, or ASKED_UNKNOWN. */
static inline s64 asked_bytes(void)
{
	u64 task = bpf_get_current_task();
	u32 flags = 0;

	RD(flags, task, O_task_struct_flags);
	if (flags & (PF_EXITING | PF_DUMPCORE))
		return ASKED_NOTHING;
#ifdef HAVE_REGISTERS
	/* Workers of io_uring came from no system call. */
	if (!(flags & PF_IO_WORKER)) {
		u64 registers = registers_of(current_typed());

		if (registers && !is_compat(task, registers))
			return asked_of(task, registers);
	}
#endif
	return ASKED_UNKNOWN;
}

#endif
