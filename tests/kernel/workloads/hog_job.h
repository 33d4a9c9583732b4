// SPDX-License-Identifier: Apache-2.0
// One writing thread: its file, where the next bytes go, and how pages become clean again.
//
// Making a page dirty that is dirty already writes nothing and is charged to nobody. So buffered
// ways start writeback behind themselves, and wait for it before they write a place again.
#ifndef HOG_JOB_H
#define HOG_JOB_H

#include "hog_counts.h"

#define CHUNK (1L << 20)

struct job {
	const char *way;
	long size, span, sync, depth;
	uint64_t rate; /* bytes per second that it would like to write; 0: all it can */
	int fd, source;
	char *data, *map;
	long place, laps, since_sync;
	uint64_t began, mine;
};

static volatile int ending;

static inline int64_t result(int64_t returned)
{
	return returned < 0 ? -errno : returned;
}

/* Keep to the wanted rate. Falling behind makes debt; beyond one second of it, it is lost. */
static inline void pace(struct job *j)
{
	while (j->rate && !ending) {
		int64_t due = (now_ns() - j->began) / 1000 * j->rate / 1000000 - j->mine;

		if (due > (int64_t)j->rate) {
			add(&counts->lost_bytes, due - j->rate);
			j->mine += due - j->rate;
		}
		if (due >= j->size)
			return;
		nap_us(1000);
	}
}

/* Return where the next `size` bytes go. */
static inline long next_place(struct job *j, int cached)
{
	long place = j->place, chunk = j->size > CHUNK ? j->size : CHUNK;

	pace(j);
	if (cached && place % chunk == 0) {
		if (place)
			sync_file_range(j->fd, place - chunk, chunk, SYNC_FILE_RANGE_WRITE);
		if (j->laps)
			sync_file_range(j->fd, place, chunk,
					SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE |
						SYNC_FILE_RANGE_WAIT_AFTER);
	}
	j->place += j->size;
	if (j->place + j->size > j->span) {
		if (cached)
			sync_file_range(j->fd, place, j->span - place, SYNC_FILE_RANGE_WRITE);
		j->place = 0;
		j->laps++;
	}
	return place;
}

static inline void op_ended(struct job *j, int64_t done)
{
	count_op(done, j->size);
	if (done > 0)
		j->mine += done;
	if (j->sync && done > 0 && ++j->since_sync >= j->sync) {
		j->since_sync = 0;
		while (fsync(j->fd) && errno == EINTR)
			add(&counts->interrupted, 1);
	}
}

#endif
