// SPDX-License-Identifier: Apache-2.0
// A workload waits at a gate: the test opens it with one byte on stdin, sees the work done when
// stdout closes, reads its counts while the process is still alive, and closes stdin to end it.
// Not one byte is written to a descriptor for that, so write calls are the workload's own.
#ifndef GATE_H
#define GATE_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static inline void fail(const char *what)
{
	perror(what);
	exit(1);
}

static inline void gate_begin(void)
{
	char c;

	if (read(0, &c, 1) != 1)
		exit(1);
}

static inline void gate_done(void)
{
	char c;

	close(1);
	while (read(0, &c, 1) > 0)
		;
}

#endif
