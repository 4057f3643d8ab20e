// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * A member of a consumer group, with system calls only: prints the records of the
 * partitions that it gets, and commits what it has printed. Start it more than
 * once, and the members share the topic; kill one, and the others go on.
 *
 * usage: consumer_epoll TOPIC GROUP
 *
 * cc consumer_epoll.c
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/evstream.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <unistd.h>

static char record[EVSTREAM_RECORD_MAX + 1];

static void fail(const char *what)
{
	fprintf(stderr, "consumer_epoll: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* Prints up to so many records. */
static void process(int fd, int most)
{
	while (most--) {
		/* One read() is one record, of whichever partition has one. */
		ssize_t n = read(fd, record, sizeof(record) - 1);

		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0 && errno == EPIPE)
			fprintf(stderr, "consumer_epoll: too slow: records were dropped\n");
		else if (n < 0)
			fail("read");
		else
			printf("%.*s\n", (int)n, record);
	}
}

/*
 * After the processing, never before: who dies in between leaves the records to
 * another member, which processes them again. That is "at least once".
 */
static void commit(int fd)
{
	/* No entries: all partitions that are ours, up to where we have read. */
	struct evstream_commit commit = {
		.entry_size = sizeof(struct evstream_commit_entry),
	};

	if (fflush(stdout))
		fail("standard output");
	if (ioctl(fd, EVSTREAM_IOC_COMMIT, &commit) && errno != ESTALE)
		fail("COMMIT");
}

/*
 * What another member waits for goes to it as soon as all that we have read of it is
 * committed. That is so already: there is nothing to do but to take note.
 */
static void rebalance(int fd)
{
	struct evstream_assignment a = {
		.entry_size = sizeof(struct evstream_assigned),
	};

	if (ioctl(fd, EVSTREAM_IOC_ASSIGNMENT, &a))
		fail("ASSIGNMENT");
	fprintf(stderr, "consumer_epoll: I am member %u; we are %u; %u partitions are mine\n",
		a.member, a.members, a.nr);
}

int main(int argc, char **argv)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLPRI };
	struct evstream_join join = {
		.start = EVSTREAM_SEEK_EARLIEST, /* of a group that is new */
		.dead_letter = -1,
	};
	char path[300];
	int fd, epoll;

	if (argc != 3) {
		fprintf(stderr, "usage: consumer_epoll TOPIC GROUP\n");
		return 1;
	}
	snprintf(path, sizeof(path), "/dev/stream/%s/any", argv[1]);
	fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		fail(path);
	/*
	 * From here on this open file is the member. It leaves when it is closed,
	 * which is what happens to it whichever way the process ends.
	 */
	join.name = (unsigned long)argv[2];
	join.name_len = (unsigned int)strlen(argv[2]);
	if (ioctl(fd, EVSTREAM_IOC_JOIN, &join))
		fail("JOIN");

	epoll = epoll_create1(EPOLL_CLOEXEC);
	if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event))
		fail("epoll");
	for (;;) {
		if (epoll_wait(epoll, &event, 1, -1) < 0) {
			if (errno == EINTR)
				continue;
			fail("epoll_wait");
		}
		/* A commit costs a call: make one for many records. */
		process(fd, 1000);
		commit(fd);
		if (event.events & EPOLLPRI)
			rebalance(fd);
	}
}
