// SPDX-License-Identifier: Apache-2.0
// victim FILE COUNTS PERIOD_US: append 4 KiB and fdatasync, once a period, until it is ended.
// COUNTS is a file in memory: operations that ended, when the one under way began (0: none), and
// from byte 4096 on when each one began and ended. The program does nothing else that could wait.
#define _GNU_SOURCE
#include <string.h>

#include "hog_counts.h"

#define BYTES 4096

int main(int argc, char **argv)
{
	uint64_t period, next, *under_way, *ops;
	char *data;
	int fd;

	if (argc != 4)
		return 2;
	counts_open(argv[2]);
	ops = (uint64_t *)counts;
	under_way = ops + 1;
	period = atol(argv[3]) * 1000ull;
	data = calloc(1, BYTES);
	fd = open(argv[1], O_WRONLY | O_CREAT | O_APPEND, 0600);
	if (fd < 0 || !data)
		fail(argv[1]);
	for (next = now_ns();; next += period) {
		uint64_t began = now_ns(), slot = *ops % (RING / 2);

		if (began < next) {
			nap_us((next - began) / 1000);
			began = now_ns();
		} else {
			next = began;
		}
		__atomic_store_n(under_way, began, __ATOMIC_RELAXED);
		if (write(fd, data, BYTES) != BYTES || fdatasync(fd))
			fail("victim");
		ring[2 * slot] = began;
		ring[2 * slot + 1] = now_ns();
		__atomic_store_n(under_way, 0, __ATOMIC_RELAXED);
		__atomic_store_n(ops, *ops + 1, __ATOMIC_RELEASE);
	}
}
