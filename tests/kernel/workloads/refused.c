// SPDX-License-Identifier: Apache-2.0
// refused WAY COUNT SIZE FILE [SOURCE]: for each byte on stdin, do COUNT operations of SIZE bytes
// on FILE, whether they are refused or not, and print "DONE REFUSED ERRNO BYTES" to stdout.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/io_uring.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "gate.h"

#define THREADS 4
#define ALIGN 4096
#define PARTS 7

static const char *way;
static long size;
static int fd, source = -1, ends[2] = { -1, -1 };
static char *data;
static _Atomic long place;
static _Atomic long done, refused, last_errno, bytes;

static int is(const char *name)
{
	return !strcmp(way, name);
}

static long all_of(int to)
{
	return write(to, data, size);
}

static long by_vector(void)
{
	struct iovec parts[PARTS];
	long each = size / PARTS;

	for (int i = 0; i < PARTS; i++)
		parts[i] = (struct iovec){ data + i * each,
					   i < PARTS - 1 ? each : size - each * (PARTS - 1) };
	if (is("writev"))
		return writev(fd, parts, PARTS);
	if (is("pwritev"))
		return pwritev(fd, parts, PARTS, atomic_fetch_add(&place, size));
	return pwritev2(fd, parts, PARTS, atomic_fetch_add(&place, size), 0);
}

static long by_splice(void)
{
	long got;

	if (splice(source, NULL, ends[1], NULL, size, 0) != size)
		fail("splice in");
	got = splice(ends[0], NULL, fd, NULL, size, 0);
	if (got < 0) {
		int why = errno;

		if (read(ends[0], data, size) != size)
			fail("read of the pipe");
		errno = why;
	}
	return got;
}

static long by_aio(void)
{
	static aio_context_t context;
	struct iocb block = { .aio_lio_opcode = IOCB_CMD_PWRITE, .aio_fildes = fd,
			      .aio_buf = (uintptr_t)data, .aio_nbytes = size,
			      .aio_offset = atomic_fetch_add(&place, size) };
	struct iocb *one = &block;
	struct io_event event;

	if (!context && syscall(SYS_io_setup, 1, &context))
		fail("io_setup");
	if (syscall(SYS_io_submit, context, 1, &one) != 1)
		return -1;
	if (syscall(SYS_io_getevents, context, 1, 1, &event, NULL) != 1)
		fail("io_getevents");
	return event.res;
}

static void *ring_map(int ring, size_t length, uint64_t at)
{
	void *map = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring, at);

	if (map == MAP_FAILED)
		fail("mmap of a ring");
	return map;
}

static long by_uring(void)
{
	static struct io_uring_params p;
	static int ring = -1;
	static char *sq, *cq;
	static struct io_uring_sqe *sqes;
	unsigned *tail, *head;
	long result;

	if (ring < 0) {
		ring = syscall(SYS_io_uring_setup, 1, &p);
		if (ring < 0)
			fail("io_uring_setup");
		sq = ring_map(ring, p.sq_off.array + p.sq_entries * 4, IORING_OFF_SQ_RING);
		cq = ring_map(ring, p.cq_off.cqes + p.cq_entries * sizeof(struct io_uring_cqe),
			      IORING_OFF_CQ_RING);
		sqes = ring_map(ring, p.sq_entries * sizeof(*sqes), IORING_OFF_SQES);
	}
	tail = (unsigned *)(sq + p.sq_off.tail);
	sqes[0] = (struct io_uring_sqe){ .opcode = IORING_OP_WRITE, .fd = fd,
					 .addr = (uintptr_t)data, .len = size,
					 .off = atomic_fetch_add(&place, size) };
	((unsigned *)(sq + p.sq_off.array))[*tail & (p.sq_entries - 1)] = 0;
	__atomic_store_n(tail, *tail + 1, __ATOMIC_RELEASE);
	if (syscall(SYS_io_uring_enter, ring, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) < 0)
		fail("io_uring_enter");
	head = (unsigned *)(cq + p.cq_off.head);
	result = ((struct io_uring_cqe *)(cq + p.cq_off.cqes))[*head & (p.cq_entries - 1)].res;
	__atomic_store_n(head, *head + 1, __ATOMIC_RELEASE);
	errno = result < 0 ? -result : 0;
	return result;
}

static long by_mapping(void)
{
	static char *map;
	long at = atomic_fetch_add(&place, size);

	if (!map) {
		map = mmap(NULL, 64 << 20, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		if (map == MAP_FAILED)
			fail("mmap");
	}
	memset(map + at, 9, size);
	return size;
}

static long by_child(void)
{
	int status;
	pid_t pid = fork();

	if (!pid)
		_exit(all_of(fd) == size ? 0 : errno);
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		fail("fork");
	errno = WEXITSTATUS(status);
	return errno ? -1 : size;
}

static long to_reader(void)
{
	long got = all_of(ends[1]);

	if (got == size && read(ends[0], data, size) != size)
		fail("read back");
	return got;
}

static long one(void)
{
	if (is("pwrite") || is("direct") || is("sync") || is("threads"))
		return pwrite(fd, data, size, atomic_fetch_add(&place, size));
	if (is("proc"))
		return pwrite(fd, "0", 1, 0) == 1 ? size : -1;
	if (is("writev") || is("pwritev") || is("pwritev2"))
		return by_vector();
	if (is("sendfile"))
		return sendfile(fd, source, NULL, size);
	if (is("copy_file_range"))
		return copy_file_range(source, NULL, fd, NULL, size, 0);
	if (is("splice"))
		return by_splice();
	if (is("aio"))
		return by_aio();
	if (is("uring"))
		return by_uring();
	if (is("mmap"))
		return by_mapping();
	if (is("fallocate"))
		return fallocate(fd, 0, atomic_fetch_add(&place, size), size) ? -1 : size;
	if (is("truncate"))
		return ftruncate(fd, atomic_fetch_add(&place, size)) ? -1 : size;
	if (is("fork"))
		return by_child();
	if (is("pipe") || is("socket"))
		return to_reader();
	if (is("nothing"))
		return write(fd, data, 0) ? -1 : size;
	return all_of(fd); /* write, append */
}

static void *several(void *count)
{
	for (long i = 0; i < (long)count; i++) {
		long got = one();

		if (got < 0) {
			refused++;
			last_errno = errno;
		} else {
			done++;
			bytes += got;
		}
	}
	return NULL;
}

static void phase(long count)
{
	pthread_t threads[THREADS];

	done = refused = last_errno = bytes = 0;
	if (source >= 0)
		lseek(source, 0, SEEK_SET);
	if (!is("threads")) {
		several((void *)count);
		return;
	}
	for (long i = 0; i < THREADS; i++)
		if (pthread_create(&threads[i], NULL, several,
				   (void *)(count / THREADS + (i < count % THREADS))))
			fail("pthread_create");
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
}

int main(int argc, char **argv)
{
	int flags = O_RDWR | O_CREAT;
	long count;
	char c;

	if (argc < 5)
		return 2;
	way = argv[1];
	count = atol(argv[2]);
	size = atol(argv[3]);
	if (posix_memalign((void **)&data, ALIGN, size))
		return 1;
	memset(data, 5, size);
	if (is("direct"))
		flags |= O_DIRECT;
	if (is("sync"))
		flags |= O_SYNC;
	if (is("append"))
		flags |= O_APPEND;
	if (is("proc") || is("tty"))
		flags = O_RDWR;
	fd = open(argv[4], flags | O_NOCTTY, 0600);
	if (argc > 5)
		source = open(argv[5], O_RDONLY);
	if (fd < 0 || (argc > 5 && source < 0))
		fail("open");
	if (is("mmap") && ftruncate(fd, 64 << 20))
		fail("ftruncate");
	if ((is("splice") || is("pipe")) && (pipe(ends) || fcntl(ends[1], F_SETPIPE_SZ, 1 << 20) < 0))
		fail("pipe");
	if (is("socket") && socketpair(AF_UNIX, SOCK_STREAM, 0, ends))
		fail("socketpair");
	while (read(0, &c, 1) == 1) {
		phase(count);
		dprintf(1, "%ld %ld %ld %ld\n", done, refused, last_errno, bytes);
	}
	return 0;
}
