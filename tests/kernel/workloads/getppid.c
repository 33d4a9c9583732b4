// SPDX-License-Identifier: Apache-2.0
// getppid: print the least nanoseconds of CPU time that one getppid() took, of many tries.
#define _GNU_SOURCE
#include <sys/syscall.h>
#include <time.h>

#include "gate.h"

#define CALLS 20000
#define TRIES 50

static long now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return t.tv_sec * 1000000000 + t.tv_nsec;
}

int main(void)
{
	long least = 0;

	gate_begin();
	for (int try = 0; try < TRIES; try++) {
		long start = now_ns(), took;

		for (int i = 0; i < CALLS; i++)
			syscall(SYS_getppid);
		took = now_ns() - start;
		if (!least || took < least)
			least = took;
	}
	printf("%.1f\n", (double)least / CALLS);
	fflush(stdout);
	gate_done();
	return 0;
}
