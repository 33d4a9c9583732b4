// SPDX-License-Identifier: Apache-2.0
// What a hog counts lies in a file that is mapped shared: its forked children add to it, and who
// measures reads it at any moment, also while the hog is stopped. tests/kernel/hogs.py knows the
// same order.
#ifndef HOG_COUNTS_H
#define HOG_COUNTS_H

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/mman.h>
#include <time.h>

#include "gate.h"

#define RING (1u << 20)
#define RING_AT 4096
#define NS 1000000000ull

struct counts {
	uint64_t bytes; /* accepted by the kernel, whatever the way */
	uint64_t ops;
	uint64_t errors; /* any errno but EINTR */
	uint64_t last_errno;
	uint64_t interrupted; /* EINTR */
	uint64_t shorter; /* fewer bytes than asked */
	uint64_t usr1;
	uint64_t realtime; /* SIGRTMIN: the kernel queues each one */
	uint64_t urg_sent; /* SIGURG to its own threads, one at a time */
	uint64_t urg_handled;
	uint64_t urg_foreign; /* SIGURG that came from nobody in this process */
	uint64_t urg_lost; /* sent and not handled within 5 s */
	uint64_t stops; /* SIGSTOP to itself */
	uint64_t continued;
	uint64_t moved; /* bytes written while it should have been stopped */
	uint64_t children;
	uint64_t lost_bytes; /* what its own target rate would have written beyond 1 s of debt */
	uint64_t ready; /* threads that have begun */
	uint64_t refused_bytes; /* asked by calls that failed */
};

static struct counts *counts;
static uint64_t *ring; /* when each operation ended, CLOCK_MONOTONIC ns */

static inline void add(uint64_t *count, uint64_t more)
{
	__atomic_fetch_add(count, more, __ATOMIC_RELAXED);
}

static inline uint64_t get(const uint64_t *count)
{
	return __atomic_load_n(count, __ATOMIC_RELAXED);
}

static inline uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * NS + now.tv_nsec;
}

static inline void nap_us(long us)
{
	struct timespec wait = { us / 1000000, us % 1000000 * 1000 };

	while (clock_nanosleep(CLOCK_MONOTONIC, 0, &wait, &wait) == EINTR)
		;
}

static inline void counts_open(const char *path)
{
	size_t all = RING_AT + RING * sizeof(uint64_t);
	int fd = open(path, O_RDWR | O_CREAT, 0666);
	char *map;

	if (fd < 0 || ftruncate(fd, all))
		fail(path);
	map = mmap(NULL, all, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		fail("mmap");
	close(fd);
	counts = (struct counts *)map;
	ring = (uint64_t *)(map + RING_AT);
}

/* One operation has ended: `done` is its result, negative for an errno. */
static inline void count_op(int64_t done, int64_t asked)
{
	if (done == -EINTR) {
		add(&counts->interrupted, 1);
	} else if (done < 0) {
		add(&counts->errors, 1);
		add(&counts->refused_bytes, asked);
		counts->last_errno = -done;
		nap_us(2000);
	} else {
		if (done < asked)
			add(&counts->shorter, 1);
		add(&counts->bytes, done);
		ring[__atomic_fetch_add(&counts->ops, 1, __ATOMIC_RELAXED) % RING] = now_ns();
	}
}

#endif
