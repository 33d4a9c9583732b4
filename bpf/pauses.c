/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The kernel's own back-pressure: how long balance_dirty_pages put a writer
 * to sleep.
 *
 * Hook:    tracepoint writeback:balance_dirty_pages (3.1; needs tracefs for
 *          its id and the place of `pause`, which is in ms).
 * Maps:    owners.pause_ns; pauses, the sum over all processes ever.
 * Not counted: waits inside the file system or for the journal.
 */
#include "compat.h"
#include "owner.h"

BPF_ARRAY(pauses, u64, 1);

int on_pause(void *ctx)
{
	long ms = *(long *)(ctx + TP_PAUSE);
	struct self_cache *me = current_self();
	struct owner_row *row;
	int zero = 0;
	u64 *all = pauses.lookup(&zero), ns;

	if (ms <= 0 || !me)
		return 0;
	ns = (u64)ms * 1000000;
	if (all)
		ADD(*all, ns);
	row = owner_row(me->key);
	if (row)
		ADD(row->pause_ns, ns);
	return 0;
}
