/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * How large a folio is: shared by dirty.c and charge.h.
 */
#ifndef IOTOP_FOLIO_H
#define IOTOP_FOLIO_H

#include "compat.h"

/* Bytes of a folio: ext4, xfs and others raise one event per large folio. */
static inline u64 folio_bytes(u64 folio)
{
	u64 flags = 0;

#if defined(O_folio__nr_pages) || defined(O_folio__folio_nr_pages)
	RD(flags, folio, 0);
	if (flags & (1ull << PG_HEAD)) {
		u32 pages = 0;

#ifdef O_folio__nr_pages
		RD(pages, folio, O_folio__nr_pages);
#else
		RD(pages, folio, O_folio__folio_nr_pages);
#endif
		if (pages)
			return (u64)pages << PAGE_BITS;
	}
#elif defined(O_folio__flags_1)
	RD(flags, folio, 0);
	if (flags & (1ull << PG_HEAD)) {
		u64 order = 0;

		RD(order, folio, O_folio__flags_1);
		return 1ull << (PAGE_BITS + (order & 0x1f));
	}
#endif
	return 1ull << PAGE_BITS;
}

#endif
