/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Field offsets from installed kernel headers, for kernels without BTF.
 * Versions as in iotop_ng/sources/layout.py: layout_of_version.
 */
#ifndef IOTOP_OFFSETS_H
#define IOTOP_OFFSETS_H

#include <linux/version.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/mm_types.h>
#include <linux/page-flags.h>
#include <linux/fs.h>
#include <linux/bio.h>
#include <linux/blkdev.h>
#if LINUX_VERSION_CODE < KERNEL_VERSION(5, 18, 0)
#include <linux/genhd.h>
#endif
#include <linux/blk-mq.h>

#define O_task_struct_tgid offsetof(struct task_struct, tgid)
#define O_task_struct_pid offsetof(struct task_struct, pid)
#define O_task_struct_flags offsetof(struct task_struct, flags)
#define O_task_struct_group_leader offsetof(struct task_struct, group_leader)
#if LINUX_VERSION_CODE >= KERNEL_VERSION(5, 5, 0)
#define O_task_struct_start_boottime \
	offsetof(struct task_struct, start_boottime)
#else
#define O_task_struct_start_boottime \
	offsetof(struct task_struct, real_start_time)
#endif
#define O_task_struct_comm offsetof(struct task_struct, comm)
#define O_task_struct_mm offsetof(struct task_struct, mm)
#define O_task_struct_signal offsetof(struct task_struct, signal)
#define O_task_struct_real_parent offsetof(struct task_struct, real_parent)
#define O_task_struct_ioac_read_bytes \
	offsetof(struct task_struct, ioac.read_bytes)
#define O_task_struct_ioac_write_bytes \
	offsetof(struct task_struct, ioac.write_bytes)
#define O_task_struct_ioac_cancelled_write_bytes \
	offsetof(struct task_struct, ioac.cancelled_write_bytes)
#define O_signal_struct_live offsetof(struct signal_struct, live)
#define O_mm_struct_arg_start offsetof(struct mm_struct, arg_start)
#define O_mm_struct_arg_end offsetof(struct mm_struct, arg_end)
#define O_bio_bi_opf offsetof(struct bio, bi_opf)
#define O_bio_bi_io_vec offsetof(struct bio, bi_io_vec)
#define O_bio_bi_iter_bi_size offsetof(struct bio, bi_iter.bi_size)
#define O_bio_vec_bv_page offsetof(struct bio_vec, bv_page)
#define O_page_compound_head offsetof(struct page, compound_head)
/* The size of a large folio: a field up to 6.5, bits of the flags since. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(5, 18, 0) && defined(CONFIG_64BIT)
#define PG_HEAD PG_head
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 6, 0)
#define O_folio__folio_nr_pages offsetof(struct folio, _folio_nr_pages)
#else
#define O_folio__flags_1 offsetof(struct folio, _flags_1)
#endif
#endif
#define PG_WRITEBACK PG_writeback
#define O_page_mapping offsetof(struct page, mapping)
#define O_address_space_host offsetof(struct address_space, host)
#define O_inode_i_mode offsetof(struct inode, i_mode)
#define O_gendisk_major offsetof(struct gendisk, major)
#define O_gendisk_first_minor offsetof(struct gendisk, first_minor)
#define O_request_cmd_flags offsetof(struct request, cmd_flags)
#define O_request_bio offsetof(struct request, bio)
#define O_request___data_len offsetof(struct request, __data_len)
#define O_request_start_time_ns offsetof(struct request, start_time_ns)
#define O_request_q offsetof(struct request, q)
#if LINUX_VERSION_CODE >= KERNEL_VERSION(5, 12, 0)
#define O_bio_bi_bdev offsetof(struct bio, bi_bdev)
#define O_block_device_bd_holder offsetof(struct block_device, bd_holder)
#else
#define O_bio_bi_disk offsetof(struct bio, bi_disk)
#define O_bio_bi_partno offsetof(struct bio, bi_partno)
#endif
#if LINUX_VERSION_CODE >= KERNEL_VERSION(5, 11, 0)
#define O_request_part offsetof(struct request, part)
#define O_block_device_bd_dev offsetof(struct block_device, bd_dev)
#endif
#if LINUX_VERSION_CODE >= KERNEL_VERSION(5, 17, 0)
#define O_request_queue_disk offsetof(struct request_queue, disk)
#else
#define O_request_rq_disk offsetof(struct request, rq_disk)
#endif

#endif
