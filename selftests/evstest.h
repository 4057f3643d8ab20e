/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the test programs share: topics made by streamctl, opened nodes, and
 * children of which it is known that they sleep in a system call.
 */
#ifndef EVSTEST_H
#define EVSTEST_H

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <linux/evstream.h>

#include "kselftest_harness.h"

#define EVT_ANY		(-1)

/* A name that no other test has. */
struct evt_topic {
	char name[64];
};

/* streamctl's exit status, or -1. */
static inline __printf(1, 2) int evt_streamctl(const char *fmt, ...)
{
	char command[1024];
	va_list args;
	size_t n;
	int status;

	n = snprintf(command, sizeof(command), "exec streamctl ");
	va_start(args, fmt);
	vsnprintf(command + n, sizeof(command) - n, fmt, args);
	va_end(args);
	status = system(command);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static inline int evt_create(struct evt_topic *t, const char *options)
{
	static unsigned int count;

	snprintf(t->name, sizeof(t->name), "%s-%d-%u", program_invocation_short_name,
		 (int)getpid(), count++);
	return evt_streamctl("topic create %s %s >/dev/null", t->name, options);
}

static inline int evt_set(const struct evt_topic *t, const char *what)
{
	return evt_streamctl("topic set %s %s >/dev/null", t->name, what);
}

static inline int evt_delete(const struct evt_topic *t)
{
	return evt_streamctl("topic delete %s >/dev/null", t->name);
}

static inline void evt_path(const struct evt_topic *t, int partition, char *path, size_t size)
{
	if (partition == EVT_ANY)
		snprintf(path, size, "/dev/stream/%s/any", t->name);
	else
		snprintf(path, size, "/dev/stream/%s/%d", t->name, partition);
}

static inline int evt_open(const struct evt_topic *t, int partition, int flags)
{
	char path[128];

	evt_path(t, partition, path, sizeof(path));
	return open(path, flags | O_CLOEXEC);
}

/* The result of a call, with -errno in place of -1. */
#define EVT(call) ({						\
	long long __ret = (call);				\
	__ret == -1 ? -(long long)errno : __ret;		\
})

static inline int evt_stat(int fd, unsigned int partition, struct evstream_stat *st)
{
	memset(st, 0, sizeof(*st));
	st->partition = partition;
	return ioctl(fd, EVSTREAM_IOC_STAT, st) ? -errno : 0;
}

static inline long long evt_end(int fd, unsigned int partition)
{
	struct evstream_stat st;
	int ret = evt_stat(fd, partition, &st);

	return ret ? ret : st.end_offset;
}

static inline long long evt_start(int fd, unsigned int partition)
{
	struct evstream_stat st;
	int ret = evt_stat(fd, partition, &st);

	return ret ? ret : st.start_offset;
}

static inline short evt_poll(int fd, short events)
{
	struct pollfd p = { .fd = fd, .events = events };

	return poll(&p, 1, 0) < 0 ? -1 : p.revents;
}

/*
 * Waits until @tid sleeps in system call @nr: it has looked, found nothing, and
 * whatever happens from now on must wake it. False where it ended instead.
 */
static inline bool evt_sleeps_in(pid_t tid, long nr)
{
	const struct timespec pause = { .tv_nsec = 2000000 };
	char path[64], line[512], state;
	char *end;
	FILE *f;

	for (;;) {
		long in = -1;

		snprintf(path, sizeof(path), "/proc/%d/stat", (int)tid);
		f = fopen(path, "r");
		if (!f)
			return false;
		state = 'X';
		if (fgets(line, sizeof(line), f)) {
			end = strrchr(line, ')');
			if (end)
				state = end[2];
		}
		fclose(f);
		if (state == 'Z' || state == 'X')
			return false;
		snprintf(path, sizeof(path), "/proc/%d/syscall", (int)tid);
		f = fopen(path, "r");
		if (f) {
			if (fscanf(f, "%ld", &in) != 1)
				in = -1;
			fclose(f);
		}
		if (state == 'S' && in == nr)
			return true;
		nanosleep(&pause, NULL);
	}
}

/* The exit status of a child, or minus the signal that killed it. */
static inline int evt_wait(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -1000;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/* Bytes whose value depends on where they are, and on @seed. */
static inline void evt_fill(void *buf, size_t len, unsigned int seed)
{
	unsigned char *p = buf;
	size_t i;

	for (i = 0; i < len; i++)
		p[i] = (i + (i >> 8) * 7 + seed * 31) ^ (seed >> 8);
}

static inline bool evt_filled(const void *buf, size_t len, unsigned int seed)
{
	const unsigned char *p = buf;
	size_t i;

	for (i = 0; i < len; i++)
		if (p[i] != (unsigned char)((i + (i >> 8) * 7 + seed * 31) ^ (seed >> 8)))
			return false;
	return true;
}

/* The rest of a page that can be touched up to its end only. */
static inline void *evt_guarded(size_t len)
{
	size_t page = sysconf(_SC_PAGESIZE), room = (len + page - 1) / page * page;
	char *p = mmap(NULL, room + page, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED || mprotect(p + room, page, PROT_NONE))
		abort();
	return p + room - len;
}

#endif /* EVSTEST_H */
