// SPDX-License-Identifier: Apache-2.0
// writer WAY FILE COUNT SIZE [SOURCE]: write COUNT times SIZE bytes to FILE, one way.
// "direct" with a SOURCE writes out of the mapped SOURCE.
#define _GNU_SOURCE
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/uio.h>

#include "gate.h"

#define ALIGN 4096

struct job {
	const char *way;
	const char *path;
	long count;
	long size;
	int fd;
	int source;
	char *data;
};

static int is(const struct job *j, const char *way)
{
	return !strcmp(j->way, way);
}

static void full(ssize_t done, long size, const char *what)
{
	if (done != size)
		fail(what);
}

static void by_calls(struct job *j)
{
	int again = is(j, "rewrite"), datasync = is(j, "fdatasync");
	int sync = is(j, "fsync") || datasync;

	for (long i = 0; i < j->count; i++) {
		full(pwrite(j->fd, j->data, j->size, again ? 0 : i * j->size), j->size, "write");
		if (sync && (datasync ? fdatasync(j->fd) : fsync(j->fd)))
			fail("sync");
	}
}

static void by_stream(struct job *j)
{
	for (long i = 0; i < j->count; i++)
		full(write(j->fd, j->data, j->size), j->size, "write");
}

static void by_vector(struct job *j)
{
	struct iovec parts[2] = {
		{ j->data, j->size / 2 },
		{ j->data + j->size / 2, j->size - j->size / 2 },
	};

	for (long i = 0; i < j->count; i++)
		full(pwritev(j->fd, parts, 2, i * j->size), j->size, "pwritev");
}

static void by_sendfile(struct job *j)
{
	for (long i = 0; i < j->count; i++)
		full(sendfile(j->fd, j->source, NULL, j->size), j->size, "sendfile");
}

static void by_copy(struct job *j)
{
	for (long i = 0; i < j->count; i++)
		full(copy_file_range(j->source, NULL, j->fd, NULL, j->size, 0), j->size,
		     "copy_file_range");
}

static void by_splice(struct job *j)
{
	int ends[2];

	if (pipe(ends) || fcntl(ends[1], F_SETPIPE_SZ, 1 << 20) < 0)
		fail("pipe");
	for (long i = 0; i < j->count; i++) {
		full(splice(j->source, NULL, ends[1], NULL, j->size, 0), j->size, "splice in");
		full(splice(ends[0], NULL, j->fd, NULL, j->size, 0), j->size, "splice out");
	}
}

static void by_mapping(struct job *j)
{
	long all = j->count * j->size;
	char *map;

	if (ftruncate(j->fd, all))
		fail("ftruncate");
	map = mmap(NULL, all, PROT_READ | PROT_WRITE, MAP_SHARED, j->fd, 0);
	if (map == MAP_FAILED)
		fail("mmap");
	memset(map, 7, all);
}

int main(int argc, char **argv)
{
	struct job j = { .source = -1 };
	int flags = O_RDWR | O_CREAT;

	if (argc < 5)
		return 2;
	j.way = argv[1];
	j.path = argv[2];
	j.count = atol(argv[3]);
	j.size = atol(argv[4]);
	if (posix_memalign((void **)&j.data, ALIGN, j.size))
		return 1;
	memset(j.data, 5, j.size);
	gate_begin();
	if (is(&j, "direct"))
		flags |= O_DIRECT;
	j.fd = open(j.path, flags, 0600);
	if (argc > 5)
		j.source = open(argv[5], O_RDONLY);
	if (j.fd < 0 || (argc > 5 && j.source < 0))
		fail("open");

	if (is(&j, "direct") && j.source >= 0) {
		j.data = mmap(NULL, j.size, PROT_READ, MAP_SHARED, j.source, 0);
		if (j.data == MAP_FAILED)
			fail("mmap");
	}

	if (is(&j, "write"))
		by_stream(&j);
	else if (is(&j, "pwritev"))
		by_vector(&j);
	else if (is(&j, "sendfile"))
		by_sendfile(&j);
	else if (is(&j, "copy_file_range"))
		by_copy(&j);
	else if (is(&j, "splice"))
		by_splice(&j);
	else if (is(&j, "mmap"))
		by_mapping(&j);
	else if (is(&j, "fallocate"))
		full(fallocate(j.fd, 0, 0, j.count * j.size), 0, "fallocate");
	else
		by_calls(&j);

	if (is(&j, "truncate") && ftruncate(j.fd, 0))
		fail("ftruncate");
	if (is(&j, "unlink") && unlink(j.path))
		fail("unlink");
	close(j.fd);
	gate_done();
	return 0;
}
