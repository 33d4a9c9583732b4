// SPDX-License-Identifier: Apache-2.0
// hog WAY FILE COUNTS [NAME=VALUE]...: write as fast as it can (or as it wants) until SIGTERM.
//
// WAY      write pwrite append direct mmap aio uring uring_direct uring_sqpoll splice sendfile
//          copy_file_range fork (a new writing child each second)
// COUNTS   a file in memory that takes what it counts (hog_counts.h)
// size     bytes of one write (65536)        span     bytes of the file, rewritten in place (64 MiB)
// threads  each with a file of its own (1)   sync     fsync after so many writes (0: never)
// rate     bytes per second it wants (0)     signals  plain: count SIGUSR1 and SIGRTMIN
//                                                     block: block every signal
//                                                     go:    send SIGURG to its own threads
//                                                     stop:  stop itself twice a second
//                                                     idle:  have a thread wait in epoll_wait,
//                                                            which no stop may interrupt
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/statvfs.h>
#include <sys/wait.h>

#include "hog_async.h"

#define ALIGN 4096
#define MOST_THREADS 64

static struct job asked = { .size = 65536, .span = 64L << 20 };
static const char *file, *signals = "plain";
static int threads = 1;
static pid_t tids[MOST_THREADS];

static int is(const char *way, const char *name)
{
	return !strcmp(way, name);
}

static void on_signal(int number, siginfo_t *info, void *context)
{
	(void)context;
	if (number == SIGTERM)
		ending = 1;
	else if (number == SIGUSR1)
		add(&counts->usr1, 1);
	else if (number == SIGURG && (info->si_code != SI_TKILL || info->si_pid != getpid()))
		add(&counts->urg_foreign, 1);
	else if (number == SIGURG)
		add(&counts->urg_handled, 1);
	else
		add(&counts->realtime, 1);
}

static void take(int number)
{
	struct sigaction action = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_RESTART };

	if (sigaction(number, &action, NULL))
		fail("sigaction");
}

static void prepare_signals(void)
{
	sigset_t all;

	take(SIGTERM);
	take(SIGUSR1);
	take(SIGRTMIN);
	if (is(signals, "go"))
		take(SIGURG);
	if (is(signals, "block")) {
		sigfillset(&all);
		sigprocmask(SIG_BLOCK, &all, NULL);
	}
}

/* What Go's runtime does to preempt a goroutine; here each one is waited for, so that none may
 * melt into one that is pending. */
static void *preempt(void *unused)
{
	(void)unused;
	for (int i = 0; !ending; i = (i + 1) % threads) {
		uint64_t before = get(&counts->urg_handled), end = now_ns() + 5 * NS;

		add(&counts->urg_sent, 1);
		if (syscall(SYS_tgkill, getpid(), tids[i], SIGURG))
			fail("tgkill");
		while (get(&counts->urg_handled) == before && now_ns() < end && !ending)
			nap_us(50);
		if (get(&counts->urg_handled) == before && !ending)
			add(&counts->urg_lost, 1);
		nap_us(1000);
	}
	return NULL;
}

/* epoll_wait fails with EINTR when its thread is stopped, also without a handler: signal(7). */
static void *wait_idly(void *unused)
{
	struct epoll_event event;
	int fd = epoll_create1(0);

	(void)unused;
	while (!ending)
		if (epoll_wait(fd, &event, 1, -1) < 0)
			add(&counts->interrupted, 1);
	return NULL;
}

/* Continue the parent some time after it has stopped itself, and look that it had. */
static void continue_parent(void)
{
	pid_t parent = getppid();

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (uint64_t seen = 0; getppid() == parent; seen++) {
		uint64_t before;

		while (get(&counts->stops) == seen)
			nap_us(1000);
		nap_us(100000);
		before = get(&counts->bytes);
		nap_us(150000);
		add(&counts->moved, get(&counts->bytes) - before);
		kill(parent, SIGCONT);
		while (get(&counts->continued) == seen && getppid() == parent)
			nap_us(1000);
	}
	_exit(0);
}

static void stop_itself(void)
{
	static uint64_t last;

	if (!is(signals, "stop") || now_ns() - last < NS / 2)
		return;
	add(&counts->stops, 1);
	raise(SIGSTOP);
	add(&counts->continued, 1);
	last = now_ns();
}

static int64_t by_splice(struct job *j, loff_t place, int ends[2])
{
	int64_t in, done = 0, one;
	loff_t from = 0;

	in = splice(j->source, &from, ends[1], NULL, j->size, 0);
	while (in > 0 && done < in) {
		one = splice(ends[0], NULL, j->fd, &place, in - done, 0);
		if (one < 0) {
			char rest[CHUNK];
			int64_t code = -errno;

			/* What was refused must not lie in the pipe for the next time. */
			if (code == -EINTR)
				continue;
			if (read(ends[0], rest, in - done) < 0)
				fail("pipe");
			return code;
		}
		done += one;
	}
	return in < 0 ? result(in) : done;
}

static int64_t one_write(struct job *j, int ends[2])
{
	long place = next_place(j, !is(j->way, "direct") && !is(j->way, "append"));
	loff_t from = 0, to = place;

	if (is(j->way, "append")) {
		if (!place && j->laps && ftruncate(j->fd, 0))
			fail("ftruncate");
		return result(write(j->fd, j->data, j->size));
	}
	if (is(j->way, "mmap")) {
		memset(j->map + place, (int)j->laps, j->size);
		return j->size;
	}
	if (is(j->way, "splice"))
		return by_splice(j, place, ends);
	if (is(j->way, "copy_file_range"))
		return result(copy_file_range(j->source, &from, j->fd, &to, j->size, 0));
	if (is(j->way, "pwrite") || is(j->way, "direct"))
		return result(pwrite(j->fd, j->data, j->size, place));
	if (lseek(j->fd, place, SEEK_SET) < 0)
		fail("lseek");
	if (is(j->way, "sendfile"))
		return result(sendfile(j->fd, j->source, &from, j->size));
	return result(write(j->fd, j->data, j->size));
}

static void by_calls(struct job *j)
{
	int ends[2];

	if (pipe(ends) || fcntl(ends[1], F_SETPIPE_SZ, CHUNK) < 0)
		fail("pipe");
	while (!ending) {
		op_ended(j, one_write(j, ends));
		stop_itself();
	}
}

static int open_source(const struct job *j)
{
	char path[4096];
	int fd;

	snprintf(path, sizeof(path), "%s.source", file);
	fd = open(path, O_RDWR | O_CREAT, 0600);
	if (fd < 0 || pwrite(fd, j->data, j->size, 0) != j->size)
		fail(path);
	return fd;
}

static void open_job(struct job *j, long number)
{
	int direct = is(j->way, "direct") || is(j->way, "aio") || is(j->way, "uring_direct") ||
		     is(j->way, "uring_sqpoll");
	char path[4096];

	snprintf(path, sizeof(path), "%s.%ld", file, number);
	if (posix_memalign((void **)&j->data, ALIGN, j->size))
		exit(1);
	memset(j->data, 5, j->size);
	j->fd = open(path, O_RDWR | O_CREAT | O_TRUNC | (direct ? O_DIRECT : 0) |
			       (is(j->way, "append") ? O_APPEND : 0), 0600);
	if (j->fd < 0)
		fail(path);
	j->source = open_source(j);
	if (is(j->way, "mmap")) {
		if (ftruncate(j->fd, j->span))
			fail("ftruncate");
		j->map = mmap(NULL, j->span, PROT_READ | PROT_WRITE, MAP_SHARED, j->fd, 0);
		if (j->map == MAP_FAILED)
			fail("mmap");
	}
	j->began = now_ns();
}

static void *work(void *number)
{
	struct job j = asked;

	tids[(long)number] = syscall(SYS_gettid);
	open_job(&j, (long)number);
	add(&counts->ready, 1);
	if (is(j.way, "aio"))
		by_aio(&j);
	else if (!strncmp(j.way, "uring", 5))
		by_uring(&j, is(j.way, "uring_sqpoll"), is(j.way, "uring"));
	else
		by_calls(&j);
	return NULL;
}

static void on_alarm(int number)
{
	(void)number;
	ending = 1;
}

static void fork_writers(void)
{
	add(&counts->ready, 1);
	asked.way = "write";
	while (!ending) {
		pid_t child = fork();

		if (child < 0)
			fail("fork");
		if (!child) {
			signal(SIGALRM, on_alarm);
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			alarm(1);
			work((void *)0);
			_exit(0);
		}
		add(&counts->children, 1);
		while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
			;
	}
}

static void refuse_without_room(void)
{
	struct statvfs room;
	char *directory = strdup(file);

	*strrchr(directory, '/') = 0;
	if (statvfs(directory, &room))
		fail(directory);
	if (room.f_bavail * room.f_frsize < 2ull * asked.span * threads + (64 << 20)) {
		fprintf(stderr, "hog: too little room in %s\n", directory);
		exit(3);
	}
	free(directory);
}

static void parse(const char *option)
{
	const char *value = strchr(option, '=');
	long number;

	if (!value)
		exit(2);
	number = atol(++value);
	if (!strncmp(option, "size=", 5))
		asked.size = number;
	else if (!strncmp(option, "span=", 5))
		asked.span = number;
	else if (!strncmp(option, "sync=", 5))
		asked.sync = number;
	else if (!strncmp(option, "rate=", 5))
		asked.rate = number;
	else if (!strncmp(option, "threads=", 8) && number > 0 && number <= MOST_THREADS)
		threads = number;
	else if (!strncmp(option, "signals=", 8))
		signals = value;
	else
		exit(2);
}

int main(int argc, char **argv)
{
	pthread_t others[MOST_THREADS], sender;

	if (argc < 4 || !strchr(argv[2], '/'))
		return 2;
	asked.way = argv[1];
	file = argv[2];
	for (int i = 4; i < argc; i++)
		parse(argv[i]);
	asked.rate /= threads;
	refuse_without_room();
	counts_open(argv[3]);
	prepare_signals();
	if (is(signals, "stop") && !fork())
		continue_parent();
	if (is(asked.way, "fork")) {
		fork_writers();
		return 0;
	}
	for (long i = 1; i < threads; i++)
		if (pthread_create(&others[i], NULL, work, (void *)i))
			fail("pthread_create");
	tids[0] = getpid();
	while ((int)get(&counts->ready) < threads - 1)
		nap_us(1000);
	if (is(signals, "go") && pthread_create(&sender, NULL, preempt, NULL))
		fail("pthread_create");
	if (is(signals, "idle") && pthread_create(&sender, NULL, wait_idly, NULL))
		fail("pthread_create");
	work((void *)0);
	for (int i = 1; i < threads; i++)
		pthread_join(others[i], NULL);
	return 0;
}
