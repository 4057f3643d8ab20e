/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Records that vouch for themselves, workers that are threads or processes, and
 * what the module says of itself.
 */
#ifndef EVWORK_H
#define EVWORK_H

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/mman.h>

#include "evstest.h"
#include "evstream.h"

/* Seconds after which a test hangs, on the slowest machine there is. */
#define EVW_PATIENCE	240

/**
 * struct evw_head - what a value begins with
 * @sum: CRC32C of all that follows
 * @len: bytes of the whole value
 * @producer: who wrote it
 * @seq: how many it wrote before
 */
struct evw_head {
	uint32_t sum;
	uint32_t len;
	uint32_t producer;
	uint32_t seq;
};

#define EVW_MIN		sizeof(struct evw_head)

static inline void evw_make(void *buf, uint32_t len, uint32_t producer, uint32_t seq)
{
	struct evw_head h = { .len = len, .producer = producer, .seq = seq };

	evt_fill((char *)buf + sizeof(h), len - sizeof(h), producer * 1000003 + seq);
	memcpy(buf, &h, sizeof(h));
	h.sum = evs_crc32c(0, (char *)buf + 4, len - 4);
	memcpy(buf, &h, sizeof(h));
}

/* False: torn, cut, foreign, or none of ours. */
static inline bool evw_check(const void *buf, size_t len, struct evw_head *h)
{
	if (len < sizeof(*h))
		return false;
	memcpy(h, buf, sizeof(*h));
	return h->len == len && h->sum == evs_crc32c(0, (const char *)buf + 4, len - 4);
}

/* The same as a line without its newline: producer, seq, fill, sum. */
static inline size_t evw_make_line(char *buf, size_t fill, uint32_t producer, uint32_t seq)
{
	size_t n = sprintf(buf, "%08x%08x", producer, seq), i;

	for (i = 0; i < fill; i++)
		buf[n++] = 'a' + (seq + i) % 26;
	return n + sprintf(buf + n, "%08x", evs_crc32c(0, buf, n));
}

static inline bool evw_check_line(const char *buf, size_t len, struct evw_head *h)
{
	char sum[9];

	if (len < 24 || sscanf(buf, "%8x%8x", &h->producer, &h->seq) != 2)
		return false;
	sprintf(sum, "%08x", evs_crc32c(0, buf, len - 8));
	return !memcmp(sum, buf + len - 8, 8);
}

/* Numbers that are the same for the same seed. */
static inline uint32_t evw_random(uint64_t *state)
{
	*state = *state * 6364136223846793005ULL + 1442695040888963407ULL;
	return *state >> 33;
}

/* Sizes of which some do not fit a page, a folio, or what is copied at once. */
static inline uint32_t evw_size(uint64_t *state, uint32_t max)
{
	static const uint32_t to[] = { 64, 64, 200, 300, 300, 1000, 5000, 20000, 300000 };
	uint32_t top = to[evw_random(state) % (sizeof(to) / sizeof(to[0]))];

	if (top > max)
		top = max;
	return EVW_MIN + evw_random(state) % (top - EVW_MIN + 1);
}

/* Shared memory: what workers and their parent both see. */
static inline void *evw_shared(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		abort();
	return p;
}

#define EVW_WORKERS	32

/**
 * struct evw_worker - a thread or a process
 * @fn: what it does; returns NULL, or what went wrong
 * @arg: for @fn
 * @index: for @fn
 * @pid: of a process
 * @thread: of a thread
 * @why: what went wrong
 */
struct evw_worker {
	const char *(*fn)(void *arg, int index, struct evw_worker *w);
	void *arg;
	int index;
	pid_t pid;
	pthread_t thread;
	char why[160];
};

struct evw_crew {
	bool processes;
	int count;
	struct evw_worker *w;
};

/* For a worker's end: the reason with numbers in it. */
static inline __attribute__((format(printf, 2, 3)))
const char *evw_why(struct evw_worker *w, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(w->why, sizeof(w->why), fmt, args);
	va_end(args);
	return w->why;
}

static inline void evw_crew_init(struct evw_crew *c, bool processes)
{
	c->processes = processes;
	c->count = 0;
	c->w = evw_shared(EVW_WORKERS * sizeof(*c->w));
}

static inline void *evw_run(void *data)
{
	struct evw_worker *w = data;
	const char *why = w->fn(w->arg, w->index, w);

	if (why && why != w->why)
		snprintf(w->why, sizeof(w->why), "%s", why);
	return NULL;
}

static inline struct evw_worker *evw_start(struct evw_crew *c,
					   const char *(*fn)(void *, int, struct evw_worker *),
					   void *arg, int index)
{
	struct evw_worker *w = &c->w[c->count++];
	pid_t pid;

	if (c->count > EVW_WORKERS)
		abort();
	*w = (struct evw_worker){ .fn = fn, .arg = arg, .index = index };
	if (!c->processes) {
		if (pthread_create(&w->thread, NULL, evw_run, w))
			abort();
		return w;
	}
	/* The memory is shared: the child must not store its own 0. */
	pid = fork();
	if (pid < 0)
		abort();
	if (!pid) {
		evw_run(w);
		_exit(0);
	}
	w->pid = pid;
	return w;
}

/* How many of them failed; says why. */
static inline int evw_join(struct evw_crew *c)
{
	int failed = 0, i;

	for (i = 0; i < c->count; i++) {
		struct evw_worker *w = &c->w[i];

		if (c->processes) {
			int status = evt_wait(w->pid);

			if (status && !w->why[0])
				snprintf(w->why, sizeof(w->why), "ended with %d", status);
		} else {
			pthread_join(w->thread, NULL);
		}
		if (w->why[0]) {
			printf("# worker %d (%d): %s\n", i, w->index, w->why);
			fflush(stdout);
			failed++;
		}
	}
	munmap(c->w, EVW_WORKERS * sizeof(*c->w));
	return failed;
}

/* A number in the first line of @file that has @key in front of it, else -1. */
static inline long long evw_number(const char *file, const char *key)
{
	size_t n = strlen(key);
	long long value = -1;
	char line[256];
	FILE *f = fopen(file, "r");

	if (!f)
		return -1;
	while (fgets(line, sizeof(line), f))
		if (!strncmp(line, key, n) && sscanf(line + n, "%lld", &value) == 1)
			break;
	fclose(f);
	return value;
}

/* What `streamctl topic show` says of a partition: "memory", "segments", ... */
static inline long long evw_counter(const struct evt_topic *t, int partition, const char *name)
{
	char command[256], key[64], *text = NULL, *at;
	long long value = -1;
	size_t size = 0;
	FILE *f;

	snprintf(command, sizeof(command), "exec streamctl -j topic show %s", t->name);
	f = popen(command, "r");
	if (!f)
		return -1;
	if (getdelim(&text, &size, '\0', f) > 0) {
		at = strstr(text, "\"partition\":[");
		snprintf(key, sizeof(key), "\"partition\":%d,", partition);
		at = at ? strstr(at, key) : NULL;
		snprintf(key, sizeof(key), "\"%s\":", name);
		at = at ? strstr(at, key) : NULL;
		if (at)
			value = strtoll(at + strlen(key), NULL, 10);
	}
	pclose(f);
	free(text);
	return value;
}

static inline int evw_write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	int ret;

	if (fd < 0)
		return -errno;
	ret = EVT(write(fd, text, strlen(text)));
	close(fd);
	return ret < 0 ? ret : 0;
}

/**
 * evw_walk() - read a partition's records through FETCH, from the start to the end
 * @fd: open for reading
 * @fn: called with each record; NULL or why the walk ends
 * @arg: for @fn
 *
 * Checks CRCs, and that offsets follow on.
 *
 * Return: NULL, or what is wrong.
 */
static inline
const char *evw_walk(int fd, const char *(*fn)(const struct evs_record *, void *), void *arg)
{
	static _Thread_local char why[128];
	struct evstream_fetch fetch;
	struct evs_batch_iter it;
	struct evs_record rec;
	size_t room = 4 << 20;
	const char *ret = NULL;
	void *buf = malloc(room);
	long long at = evt_start(fd, 0);
	int more;

	while (!ret) {
		fetch = (struct evstream_fetch){ .buf = (uintptr_t)buf, .len = room, .offset = at };
		if (ioctl(fd, EVSTREAM_IOC_FETCH, &fetch)) {
			snprintf(why, sizeof(why), "FETCH at %lld: %s", at, strerror(errno));
			ret = why;
			break;
		}
		if (!fetch.bytes)
			break;
		evs_batch_iter_init(&it, buf, fetch.bytes, EVS_ITER_CRC);
		while ((more = evs_batch_iter_next(&it, &rec)) == 1 && !ret) {
			if (rec.offset < at)
				continue;
			if (rec.offset != at) {
				snprintf(why, sizeof(why), "offset %lld after %lld",
					 (long long)rec.offset, at - 1);
				ret = why;
			} else if (fn) {
				ret = fn(&rec, arg);
			}
			at = rec.offset + 1;
		}
		if (more < 0 || evs_batch_iter_rest(&it)) {
			snprintf(why, sizeof(why),
				 "bad batch after offset %lld: %d, %zu bytes left",
				 at - 1, more, evs_batch_iter_rest(&it));
			ret = ret ?: why;
		}
		if (!ret && fetch.next_offset != at) {
			snprintf(why, sizeof(why), "next_offset %lld, not %lld",
				 (long long)fetch.next_offset, at);
			ret = why;
		}
	}
	free(buf);
	return ret;
}

#endif /* EVWORK_H */
