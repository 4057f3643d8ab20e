// SPDX-License-Identifier: GPL-2.0-only
/*
 * How long it takes from the SIGKILL of a group's member until another member, which
 * waits in read(), has the first record of its partition. Nanoseconds, or
 * instructions under scripts/vm --icount.
 *
 * What people have today is a session timeout: librdkafka's session.timeout.ms is
 * 45,000 ms by default (its CONFIGURATION.md; KIP-735 gave Kafka's own clients the
 * same).
 *
 * usage: takeover [ROUNDS [ROUNDS-OF-LARGE-MEMBERS]]
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/evstream.h>

#include "bench.h"

const char *bench_name = "takeover";

#define ANY		"/dev/stream/" TOPIC "/any"
#define SESSION_MS	45000
#define LARGE		(64UL << 20)

static void join(int fd)
{
	static const char name[] = "bench";
	struct evstream_join j = {
		.name = (uintptr_t)name, .name_len = strlen(name), .dead_letter = -1,
		.start = EVSTREAM_SEEK_EARLIEST,
	};

	if (ioctl(fd, EVSTREAM_IOC_JOIN, &j))
		die("JOIN");
}

/* Commits all, and says which of the two partitions the member has: -1: both. */
static int settle(int fd)
{
	struct evstream_commit c = {};
	struct evstream_assigned got[2];
	struct evstream_assignment a = { .assigned = (uintptr_t)got, .room = 2,
					 .entry_size = sizeof(got[0]) };

	if (ioctl(fd, EVSTREAM_IOC_COMMIT, &c))
		die("COMMIT");
	if (ioctl(fd, EVSTREAM_IOC_ASSIGNMENT, &a))
		die("ASSIGNMENT");
	return a.nr == 1 ? (int)got[0].partition : -1;
}

/* A member that does not read, with so much memory to be freed when it dies. */
static pid_t victim(int other, size_t size)
{
	int ready[2];
	pid_t pid;
	char c;

	if (pipe(ready))
		die("pipe");
	pid = fork();
	if (pid < 0)
		die("fork");
	if (!pid) {
		/* Its parent's file is no business of its own. */
		close(other);
		if (size)
			memory(size);
		join(open_or_die(ANY, O_RDONLY));
		write_all(ready[1], "", 1);
		for (;;)
			pause();
	}
	close(ready[1]);
	read_all(ready[0], &c, 1);
	close(ready[0]);
	return pid;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void measure(unsigned int rounds, size_t size)
{
	double *took = malloc(rounds * sizeof(*took));
	int fd, to[2];

	if (!rounds)
		return;
	topic_new("-p 2");
	fd = open_or_die(ANY, O_RDONLY);
	join(fd);
	to[0] = open_or_die(PARTITION, O_WRONLY);
	to[1] = open_or_die("/dev/stream/" TOPIC "/1", O_WRONLY);
	/* The first ones warm up. */
	for (int i = -5; i < (int)rounds; i++) {
		pid_t pid = victim(fd, size);
		int mine = settle(fd);
		double start;
		char record;

		if (mine < 0) {
			errno = EPROTO;
			die("the members have not one partition each");
		}
		write_all(to[!mine], &"01"[!mine], 1);
		start = now();
		if (kill(pid, SIGKILL))
			die("kill");
		read_all(fd, &record, 1);
		if (i >= 0)
			took[i] = now() - start;
		if (record != "01"[!mine]) {
			errno = EPROTO;
			die("another record");
		}
		if (waitpid(pid, NULL, 0) != pid)
			die("waitpid");
		settle(fd);
	}
	qsort(took, rounds, sizeof(*took), compare);
	report("takeover/p50", size, took[rounds / 2], unit());
	report("takeover/p99", size, took[rounds * 99 / 100], unit());
	report("takeover/max", size, took[rounds - 1], unit());
	close(to[0]);
	close(to[1]);
	close(fd);
	topic_delete();
	free(took);
}

int main(int argc, char **argv)
{
	unsigned int rounds = argc > 1 ? strtoul(argv[1], NULL, 10) : 1000;
	unsigned int large = argc > 2 ? strtoul(argv[2], NULL, 10) : rounds / 20;

	measure(rounds, 0);
	measure(large, LARGE);
	report("takeover/session-timeout", 0, SESSION_MS * 1e6, "ns");
	return 0;
}
