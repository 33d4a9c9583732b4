// SPDX-License-Identifier: Apache-2.0
// family KIND DIRECTORY [PROGRAM]: processes and threads that come and go; each write is one block.
//   threads   7 threads write 3 blocks each and end; then the first thread writes 5
//   leader    the first thread writes 5 blocks and ends; then another thread writes 3
//   living    3 threads write 2 blocks each and stay; 4 wrote 3 blocks each and ended
//   churn     211 threads, one after the other, write one block each, 5 ms apart
//   parent    writes 3 blocks; 11 children write 1 block each and are waited for
//   zombie    a child writes 3 blocks and ends; nobody waits for it
//   exec      writes 3 blocks, then runs PROGRAM (a link to this one, else this one) as
//             "PROGRAM second DIRECTORY", which writes 5
//   changed   a thread writes 1 block and ends; then like exec
//   reuse     two processes with one pid, one after the other, write 3 and 5 blocks
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/sched.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "gate.h"

#define BLOCK 65536

static const char *directory;
static char block[BLOCK];
static int stays;

static void write_blocks(int number, int blocks)
{
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "%s/%d", directory, number);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	if (fd < 0)
		fail(path);
	for (int i = 0; i < blocks; i++)
		if (write(fd, block, BLOCK) != BLOCK)
			fail("write");
	close(fd);
}

struct part {
	int number;
	int blocks;
};

static void *work(void *argument)
{
	struct part *part = argument;

	write_blocks(part->number, part->blocks);
	return NULL;
}

static void *work_and_stay(void *argument)
{
	work(argument);
	__atomic_add_fetch(&stays, 1, __ATOMIC_SEQ_CST);
	pause();
	return NULL;
}

static void *work_and_end_all(void *leader)
{
	pthread_join(*(pthread_t *)leader, NULL);
	write_blocks(1, 3);
	gate_done();
	exit(0);
}

static void run_threads(int from, int count, int blocks, int at_once)
{
	pthread_t threads[64];
	struct part parts[64];

	for (int done = 0; done < count; done += at_once) {
		for (int i = 0; i < at_once; i++) {
			parts[i] = (struct part){ from + done + i, blocks };
			if (pthread_create(&threads[i], NULL, work, &parts[i]))
				fail("pthread_create");
		}
		for (int i = 0; i < at_once; i++)
			pthread_join(threads[i], NULL);
	}
}

static void run_churn(void)
{
	for (int i = 0; i < 211; i++) {
		run_threads(1 + i, 1, 1, 1);
		usleep(5000);
	}
}

static void run_living(void)
{
	static struct part parts[3];
	pthread_t thread;

	for (int i = 0; i < 3; i++) {
		parts[i] = (struct part){ i, 2 };
		if (pthread_create(&thread, NULL, work_and_stay, &parts[i]))
			fail("pthread_create");
	}
	while (__atomic_load_n(&stays, __ATOMIC_SEQ_CST) < 3)
		usleep(1000);
	run_threads(3, 4, 3, 4);
}

static void run_leader(void)
{
	static pthread_t leader;
	pthread_t thread;

	write_blocks(0, 5);
	leader = pthread_self();
	if (pthread_create(&thread, NULL, work_and_end_all, &leader))
		fail("pthread_create");
	pthread_exit(NULL);
}

static void run_children(int count, int blocks, int reap)
{
	for (int i = 0; i < count; i++) {
		int pid = fork();

		if (pid < 0)
			fail("fork");
		if (!pid) {
			write_blocks(100 + i, blocks);
			_exit(0);
		}
		if (reap && waitpid(pid, NULL, 0) != pid)
			fail("waitpid");
	}
}

static int child_with_pid(int pid, int number, int blocks)
{
	pid_t wanted = pid;
	struct clone_args how = {
		.exit_signal = SIGCHLD,
		.set_tid = pid ? (__u64)(unsigned long)&wanted : 0,
		.set_tid_size = pid ? 1 : 0,
	};
	long child = syscall(SYS_clone3, &how, sizeof(how));

	if (child < 0)
		fail("clone3");
	if (!child) {
		write_blocks(number, blocks);
		_exit(0);
	}
	if (waitpid(child, NULL, 0) != child)
		fail("waitpid");
	return child;
}

static void run_reuse(void)
{
	int pid = child_with_pid(0, 0, 3);

	usleep(2000); /* two starts of one pid lie more than a millisecond apart */
	child_with_pid(pid, 1, 5);
	printf("%d\n", pid);
	fflush(stdout);
}

static void run_exec(const char *program)
{
	char c;

	write_blocks(0, 3);
	/* The test reads its counts between the first part and the exec. */
	if (read(0, &c, 1) != 1)
		exit(1);
	execl(program, program, "second", directory, NULL);
	fail(program);
}

int main(int argc, char **argv)
{
	if (argc < 3)
		return 2;
	directory = argv[2];
	memset(block, 9, BLOCK);
	gate_begin();
	if (!strcmp(argv[1], "threads")) {
		run_threads(1, 7, 3, 7);
		write_blocks(0, 5);
	} else if (!strcmp(argv[1], "leader")) {
		run_leader();
	} else if (!strcmp(argv[1], "living")) {
		run_living();
	} else if (!strcmp(argv[1], "churn")) {
		run_churn();
	} else if (!strcmp(argv[1], "parent")) {
		write_blocks(0, 3);
		run_children(11, 1, 1);
	} else if (!strcmp(argv[1], "zombie")) {
		run_children(1, 3, 0);
	} else if (!strcmp(argv[1], "reuse")) {
		run_reuse();
	} else if (!strcmp(argv[1], "second")) {
		write_blocks(1, 5);
	} else {
		if (!strcmp(argv[1], "changed"))
			run_threads(2, 1, 1, 1);
		run_exec(argc > 3 ? argv[3] : argv[0]);
	}
	gate_done();
	return 0;
}
