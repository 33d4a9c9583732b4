// SPDX-License-Identifier: Apache-2.0
// load KIND FILE COUNT: print nanoseconds of this thread's CPU time per operation, COUNT of them
// five times over.
//   write   one byte into a page that is dirty already
//   dirty   4 KiB into a page that is in the cache and clean
//   direct  read 4 KiB around the cache: one block request
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096
#define PASSES 5

static char *page;

static double cpu_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return now.tv_sec * 1e9 + now.tv_nsec;
}

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static void fill(int fd, long count)
{
	if (lseek(fd, 0, SEEK_END) >= count * PAGE)
		return;
	for (long i = 0; i < count; i++)
		if (pwrite(fd, page, PAGE, i * PAGE) != PAGE)
			fail("write");
}

static double pass(const char *kind, int fd, long count)
{
	int direct = !strcmp(kind, "direct"), dirty = !strcmp(kind, "dirty");
	double start = cpu_ns();

	for (long i = 0; i < count; i++) {
		ssize_t done;

		if (direct)
			done = pread(fd, page, PAGE, i * PAGE);
		else if (dirty)
			done = pwrite(fd, page, PAGE, i * PAGE);
		else
			done = pwrite(fd, page, 1, 0);
		if (done < 1)
			fail(kind);
	}
	return cpu_ns() - start;
}

int main(int argc, char **argv)
{
	double least = 0;
	long count;
	int direct, fd;

	if (argc != 4)
		return 2;
	if (posix_memalign((void **)&page, PAGE, PAGE))
		return 1;
	memset(page, 1, PAGE);
	count = atol(argv[3]);
	direct = !strcmp(argv[1], "direct");
	fd = open(argv[2], O_RDWR | O_CREAT, 0600);
	if (fd < 0)
		fail("open");
	fill(fd, strcmp(argv[1], "write") ? count : 1);
	if (fsync(fd))
		fail("fsync");
	if (direct) {
		close(fd);
		fd = open(argv[2], O_RDONLY | O_DIRECT);
		if (fd < 0)
			fail("O_DIRECT");
	} else if (pwrite(fd, page, 1, 0) != 1) {
		fail("write");
	}

	/* The least of a few passes: the one that was disturbed least. */
	for (int i = 0; i < PASSES; i++) {
		double ns = pass(argv[1], fd, count);

		if (!i || ns < least)
			least = ns;
		if (!direct && fsync(fd))
			fail("fsync");
		if (!direct && pwrite(fd, page, 1, 0) != 1)
			fail("write");
	}
	printf("%.1f\n", least / count);
	return 0;
}
