// SPDX-License-Identifier: Apache-2.0
// crowd IDLE BUSY DIRECTORY: IDLE processes that sleep and BUSY ones that write 64 KiB, twenty
// times a second, each over and over the same 1 MiB of its own file. Prints "ready" when all
// run; ends, with all of them, when its standard input is closed.
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#define BLOCK 65536
#define BLOCKS 16

static void write_forever(const char *directory, int number)
{
	static char block[BLOCK];
	const struct timespec pause = { .tv_nsec = 50 * 1000 * 1000 };
	char path[4096];
	int fd;

	snprintf(path, sizeof(path), "%s/busy.%d", directory, number);
	fd = open(path, O_CREAT | O_WRONLY, 0600);
	if (fd < 0)
		_exit(1);
	for (long turn = 0;; turn++) {
		if (pwrite(fd, block, BLOCK, turn % BLOCKS * BLOCK) < 0)
			_exit(1);
		nanosleep(&pause, NULL);
	}
}

int main(int argc, char **argv)
{
	int idle, busy;
	char nothing;

	if (argc != 4)
		return 2;
	idle = atoi(argv[1]);
	busy = atoi(argv[2]);
	for (int i = 0; i < idle + busy; i++) {
		pid_t child = fork();

		if (child < 0) {
			perror("fork");
			return 1;
		}
		if (child == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			close(STDIN_FILENO);
			if (i < busy)
				write_forever(argv[3], i);
			for (;;)
				pause();
		}
	}
	puts("ready");
	fflush(stdout);
	return read(STDIN_FILENO, &nothing, 1) < 0;
}
