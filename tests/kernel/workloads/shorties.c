// SPDX-License-Identifier: Apache-2.0
// shorties DIRECTORY COUNT UID: start COUNT processes, one after the other. Each runs this program
// again as "shorties DIRECTORY/N", as user UID if N is odd, writes 64 KiB to that file and ends.
// Prints "N PID MICROSECONDS" for each, the time from before fork until it was reaped.
#define _GNU_SOURCE
#include <fcntl.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#include "gate.h"

#define PIECE 4096
#define PIECES 16

struct child {
	int pid;
	long us;
};

static int shorty(const char *path)
{
	char data[PIECE];
	int fd = open(path, O_WRONLY | O_CREAT, 0600);

	if (fd < 0)
		fail(path);
	memset(data, 3, sizeof(data));
	for (int i = 0; i < PIECES; i++)
		if (write(fd, data, sizeof(data)) != sizeof(data))
			fail("write");
	return 0;
}

static long now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

int main(int argc, char **argv)
{
	struct child *children;
	int count, uid;

	if (argc == 2)
		return shorty(argv[1]);
	if (argc != 4)
		return 2;
	count = atoi(argv[2]);
	uid = atoi(argv[3]);
	children = calloc(count, sizeof(*children));
	gate_begin();
	for (int i = 0; i < count; i++) {
		long start = now_us();
		char path[256];
		int status;

		snprintf(path, sizeof(path), "%s/%d", argv[1], i);
		children[i].pid = vfork();
		if (children[i].pid < 0)
			fail("vfork");
		if (!children[i].pid) {
			if (i % 2 && (setgid(uid) || setuid(uid)))
				_exit(1);
			execl(argv[0], "shorties", path, NULL);
			_exit(127);
		}
		if (waitpid(children[i].pid, &status, 0) < 0 || status)
			fail("child");
		children[i].us = now_us() - start;
	}
	for (int i = 0; i < count; i++)
		printf("%d %d %ld\n", i, children[i].pid, children[i].us);
	fflush(stdout);
	gate_done();
	return 0;
}
