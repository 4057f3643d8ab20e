/* SPDX-License-Identifier: GPL-2.0 */
/*
 * All that can be done to a topic, at random and at once. What must be true of a
 * log is checked from outside: each producer's records in its order, none lost
 * but those that were reported, none that nobody wrote, gaps counted exactly, each
 * offset of a record or of a hole, nobody asleep when there is something to read.
 * Of a durable topic: what was flushed is in its files at any time, and all of it
 * when it is attached again.
 */
#ifndef EVLOGTORTURE_H
#define EVLOGTORTURE_H

#include <sys/epoll.h>
#include <sys/uio.h>

#include "evtorture.h"

#define PARTITIONS	2
#define PING		PARTITIONS	/* one more: its only producer waits for its reader */
#define PRODUCERS	4
#define READERS		6
#define VALUE_MAX	50000
#define KEPT		1000		/* records of a durable partition */
#define CANARY		0x6a5cc9171e0b33d7ULL

struct torture {
	struct evt_topic topic;
	char dir[EVD_PATH];			/* of a durable topic, else "" */
	char fs[16];
	uint64_t seed;
	atomic_int calm;			/* producers: stop and say how far you got */
	atomic_int hold;			/* producers: wait a moment */
	atomic_int over;			/* readers: what is there is all there is */
	atomic_uint written[PRODUCERS];		/* acknowledged */
	atomic_uint tried[PRODUCERS];		/* they may be there */
	atomic_uint synced[PRODUCERS];		/* they are on stable storage */
	atomic_llong last[PARTITIONS];		/* the highest offset that was acknowledged */
	atomic_llong pong;			/* the reader of PING is there */
	atomic_int bye;				/* no further record comes to PING */
	atomic_llong commit[PARTITIONS + 1];	/* of the durable topic's group */
	atomic_llong committing[PARTITIONS + 1];
	atomic_llong records;			/* received by all */
	atomic_llong gaps;
	atomic_llong refused;
	atomic_llong holes;			/* passed over */
	atomic_llong pings;
	atomic_llong peeks;
	atomic_llong attached;
	atomic_llong copies;
};

/* Whether it is just that the topic was deleted. */
static bool gone(long long ret)
{
	return ret == -ENODEV;
}

/* What returned has a smaller offset than what begins after that. */
static void told_offset(struct torture *t, int index, long long offset)
{
	atomic_llong *last = &t->last[index % PARTITIONS];
	long long old = atomic_load(last);

	while (old < offset && !atomic_compare_exchange_weak(last, &old, offset))
		;
}

static long long torture_append(struct torture *t, int fd, int lines, char *buf, char *bad,
				int index, uint32_t seq, uint64_t *rnd)
{
	struct evstream_record rec[8] = {};
	struct evstream_append a = { .records = (uintptr_t)rec, .record_size = sizeof(rec[0]) };
	uint32_t len = evw_size(rnd, VALUE_MAX), i;
	const void *batch;
	struct evs_builder *b;
	struct iovec iov[2];
	size_t size;
	long long ret, floor = atomic_load(&t->last[index % PARTITIONS]);
	int64_t offset = -1;

	atomic_store(&t->tried[index], seq + 3);
	switch (evw_random(rnd) % 8) {
	case 0:
		/* Ends where there is no more memory, and is refused. */
		ret = EVT(write(fd, bad + 65536 - len / 2, len));
		if (ret != -EFAULT)
			return gone(ret) || ret == -EMSGSIZE ? ret : -EPROTO;
		t->refused++;
		return 0;
	case 1:
		evw_make(buf, len, index, seq);
		iov[0] = (struct iovec){ buf, len / 2 };
		iov[1] = (struct iovec){ buf + len / 2, len - len / 2 };
		ret = EVT(writev(fd, iov, 2));
		return ret == len ? 1 : ret;
	case 2:
		a.nr_records = 1 + evw_random(rnd) % 8;
		for (i = 0; i < a.nr_records; i++) {
			/* Within any limit: or some would be appended, and some not. */
			len = evw_size(rnd, 900);
			evw_make(buf, len, index, seq + i);
			rec[i].value = (uintptr_t)buf;
			rec[i].value_len = len;
			rec[i].key = (uintptr_t)&rec[i];
			rec[i].key_len = (int)(evw_random(rnd) % 12) - 1;
			rec[i].timestamp = -1;
			buf += len;
		}
		atomic_store(&t->tried[index], seq + a.nr_records);
		ret = EVT(ioctl(fd, EVSTREAM_IOC_APPEND, &a));
		if (ret)
			return ret;
		if (a.appended != a.nr_records || rec[0].offset <= floor)
			return -EPROTO;
		told_offset(t, index, rec[a.nr_records - 1].offset);
		return a.appended;
	case 3:
		b = evs_builder_new(NULL, 0);
		size = 1 + evw_random(rnd) % 8;
		for (i = 0; i < size; i++) {
			struct evs_record r = { .timestamp = -1, .key_len = -1, .value = buf };

			r.value_len = evw_size(rnd, 3000);
			evw_make(buf, r.value_len, index, seq + i);
			evs_builder_add(b, &r);
		}
		i = size;
		evs_builder_finish(b, &batch, &size);
		atomic_store(&t->tried[index], seq + i);
		ret = evs_append_batch(fd, index % PARTITIONS, batch, size, &offset);
		evs_builder_free(b);
		if (!ret && offset <= floor)
			return -EPROTO;
		if (!ret)
			told_offset(t, index, offset + i - 1);
		return ret ? ret : i;
	case 4:
		/* Lines, of which each is a record. */
		for (i = 0, size = 0; i < 3; i++) {
			size += evw_make_line(buf + size, evw_random(rnd) % 100, index, seq + i);
			buf[size++] = '\n';
		}
		ret = EVT(write(lines, buf, size));
		return ret == (long long)size ? 3 : ret < 0 ? ret : -EPROTO;
	default:
		evw_make(buf, len, index, seq);
		ret = EVT(write(fd, buf, len));
		return ret == len ? 1 : ret;
	}
}

static const char *produce(void *arg, int index, struct evw_worker *w)
{
	struct torture *t = arg;
	struct evstream_set_framing framing = { .framing = EVSTREAM_FRAMING_LINE };
	int fd = evt_open(&t->topic, index % PARTITIONS, O_WRONLY);
	int lines = evt_open(&t->topic, index % PARTITIONS, O_WRONLY);
	char *buf = malloc(VALUE_MAX + 8 * 4096), *bad;
	uint64_t rnd = tt_seed(t->seed, index);
	uint32_t seq = atomic_load(&t->written[index]);
	long long ret;

	/* 64 KiB of memory, and none behind it. */
	bad = mmap(NULL, 2 * 65536, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	mprotect(bad, 65536, PROT_READ | PROT_WRITE);
	ret = EVT(ioctl(lines, EVSTREAM_IOC_SET_FRAMING, &framing));
	if (ret)
		return gone(ret) ? NULL : evw_why(w, "SET_FRAMING: %s", strerror(-ret));
	while (!atomic_load(&t->calm)) {
		if (atomic_load(&t->hold)) {
			usleep(1000);
			continue;
		}
		ret = torture_append(t, fd, lines, buf, bad, index, seq, &rnd);
		if (gone(ret))
			return NULL;
		/* While its record limit is smaller for a moment. */
		if (ret == -EMSGSIZE)
			continue;
		if (ret < 0)
			return evw_why(w, "producer %d, record %u: %s", index, seq, strerror(-ret));
		seq += ret;
		atomic_store(&t->written[index], seq);
		/* All of it is copied, and read when it is attached. */
		if (t->dir[0])
			usleep(evw_random(&rnd) % 10000);
		if (evw_random(&rnd) % 32)
			continue;
		ret = EVT(evw_random(&rnd) % 2 ? fsync(fd) : fdatasync(fd));
		if (gone(ret))
			return NULL;
		if (ret)
			return evw_why(w, "fsync: %s", strerror(-ret));
		atomic_store(&t->synced[index], seq);
	}
	atomic_store(&t->tried[index], seq);
	munmap(bad, 2 * 65536);
	free(buf);
	close(lines);
	close(fd);
	return NULL;
}

/**
 * struct sight - what a reader knows of a partition
 * @offset: that comes next
 * @next: each producer's next record
 * @sure: since there was no gap and no seek since, it must be just that
 */
struct sight {
	long long offset;
	uint32_t next[PRODUCERS];
	bool sure[PRODUCERS];
};

static const char *see(struct torture *t, struct sight *s, int part, const void *value, long len,
		       struct evw_worker *w)
{
	struct evw_head h;

	char line[256];

	if (len >= 0 && len < (long)sizeof(line)) {
		memcpy(line, value, len);
		line[len] = '\0';
	}
	if (len < 0 || (!evw_check(value, len, &h) &&
			(len >= (long)sizeof(line) || !evw_check_line(line, len, &h))))
		return evw_why(w, "offset %lld: bytes that nobody wrote", s->offset);
	if (h.producer >= PRODUCERS || h.producer % PARTITIONS != (uint32_t)part)
		return evw_why(w, "offset %lld: of another partition", s->offset);
	if (h.seq < s->next[h.producer] || (s->sure[h.producer] && h.seq != s->next[h.producer]))
		return evw_why(w, "offset %lld: producer %u's %u, not %u", s->offset, h.producer,
			       h.seq, s->next[h.producer]);
	s->next[h.producer] = h.seq + 1;
	s->sure[h.producer] = true;
	t->records++;
	return NULL;
}

static void forget(struct sight *s, bool all)
{
	memset(s->sure, 0, sizeof(s->sure));
	if (all)
		memset(s->next, 0, sizeof(s->next));
}

static const char *seek_somewhere(struct torture *t, int fd, struct sight *s, uint64_t *rnd,
				  struct evw_worker *w)
{
	struct evstream_seek seek = { .whence = evw_random(rnd) % 4 };
	struct timespec now;
	long long ret;

	clock_gettime(CLOCK_REALTIME, &now);
	if (seek.whence == EVSTREAM_SEEK_OFFSET)
		seek.value = evw_random(rnd) % (s->offset + 100);
	if (seek.whence == EVSTREAM_SEEK_TIMESTAMP)
		seek.value = now.tv_sec * 1000LL + now.tv_nsec / 1000000 - evw_random(rnd) % 500;
	(void)t;
	ret = EVT(ioctl(fd, EVSTREAM_IOC_SEEK, &seek));
	if (gone(ret))
		return NULL;
	if (ret)
		return evw_why(w, "SEEK %u: %s", seek.whence, strerror(-ret));
	if (lseek(fd, 0, SEEK_CUR) != seek.offset && errno != ENODEV)
		return evw_why(w, "SEEK %u goes elsewhere", seek.whence);
	forget(s, true);
	s->offset = seek.offset;
	return NULL;
}

/* An EPIPE. Holes before the gap are not lost, so it may begin a bit later. */
static const char *told_gap(struct torture *t, int fd, struct sight *s, uint64_t *lost,
			    struct evw_worker *w)
{
	struct evstream_gap g = {};
	long long ret = EVT(ioctl(fd, EVSTREAM_IOC_GAP, &g)), at;

	if (gone(ret))
		return NULL;
	if (ret)
		return evw_why(w, "GAP: %s", strerror(-ret));
	if (g.from < s->offset || g.to <= g.from || g.lost != *lost + g.to - g.from)
		return evw_why(w, "gap %lld..%lld at %lld: %llu lost, %llu before",
			       (long long)g.from, (long long)g.to, s->offset,
			       (unsigned long long)g.lost, (unsigned long long)*lost);
	at = lseek(fd, 0, SEEK_CUR);
	if (at != g.to && at != -1)
		return evw_why(w, "position %lld behind the gap to %lld", at, (long long)g.to);
	at = evt_start(fd, 0);
	if (at < g.to && !gone(at))
		return evw_why(w, "a gap to %lld, and the log begins at %lld", (long long)g.to, at);
	*lost = g.lost;
	s->offset = g.to;
	forget(s, false);
	t->gaps++;
	return NULL;
}

/* What was passed over without a word is held by batches without records. */
static const char *only_holes(struct torture *t, int fd, long long from, long long to,
			      struct evw_worker *w)
{
	struct evd_bytes b = {};
	const char *why = NULL;

	while (from < to && !why) {
		struct evstream_fetch a = { .buf = (uintptr_t)evd_grow(&b, VALUE_MAX + 65536),
					    .len = VALUE_MAX + 65536, .offset = from };
		long long ret = EVT(ioctl(fd, EVSTREAM_IOC_FETCH, &a));
		int64_t base;

		/* It was dropped since. */
		if (ret == -ERANGE || gone(ret))
			break;
		if (ret)
			return evw_why(w, "FETCH of a hole: %s", strerror(-ret));
		base = evd_be64(b.data);
		if (a.bytes < 61 || base > from || evd_be32(b.data + 57))
			why = evw_why(w, "offset %lld was passed over, a record", from);
		from = base + evd_be32(b.data + 23) + 1;
		t->holes++;
	}
	evd_free(&b);
	return why;
}

static const char *fetch_some(struct torture *t, int fd, struct sight *s, int part, char *buf,
			      size_t room, long long *ret, struct evw_worker *w)
{
	struct evstream_fetch a = { .buf = (uintptr_t)buf, .len = room, .offset = -1 };
	struct evs_batch_iter it;
	struct evs_record rec;
	const char *why = NULL;
	int more = 0;

	*ret = EVT(ioctl(fd, EVSTREAM_IOC_FETCH, &a));
	if (*ret)
		return NULL;
	evs_batch_iter_init(&it, buf, a.bytes, EVS_ITER_CRC);
	while (!why && (more = evs_batch_iter_next(&it, &rec)) == 1) {
		if (rec.offset < s->offset)
			continue;
		why = only_holes(t, fd, s->offset, rec.offset, w);
		if (why)
			break;
		s->offset = rec.offset;
		why = see(t, s, part, rec.value, rec.value_len, w);
		s->offset++;
	}
	if (!why && (more || evs_batch_iter_rest(&it)))
		return evw_why(w, "FETCH at %lld: not whole batches", s->offset);
	if (!why && a.next_offset < s->offset)
		return evw_why(w, "FETCH goes back to %lld", (long long)a.next_offset);
	why = why ?: only_holes(t, fd, s->offset, a.next_offset, w);
	s->offset = a.next_offset;
	*ret = a.bytes ? 0 : -EAGAIN;
	return why;
}

/* A record somewhere in the log, by its offset. */
static const char *read_there(struct torture *t, int fd, int part, char *buf, size_t room,
			      uint64_t *rnd, struct evw_worker *w)
{
	struct evstream_stat st;
	struct sight s = {};
	long long ret;

	if (evt_stat(fd, part, &st) || st.start_offset == st.end_offset)
		return NULL;
	s.offset = st.start_offset + evw_random(rnd) % (st.end_offset - st.start_offset);
	ret = EVT(pread(fd, buf, room, s.offset));
	if (ret == -EPIPE || ret == -EAGAIN || gone(ret))
		return NULL;
	if (ret < 0)
		return evw_why(w, "pread of %lld: %s", s.offset, strerror(-ret));
	return see(t, &s, part, buf, ret, w);
}

static const char *by_calls(struct torture *t, int part, uint64_t rnd, struct evw_worker *w)
{
	int fd = evt_open(&t->topic, part, O_RDONLY | O_NONBLOCK);
	size_t room = VALUE_MAX + 65536;
	char *buf = malloc(room);
	struct sight s = {};
	const char *why = NULL;
	uint64_t lost = 0;
	long long ret = 0;

	s.offset = lseek(fd, 0, SEEK_CUR);
	while (!why && !gone(ret)) {
		uint32_t what = evw_random(&rnd) % 1000;
		struct pollfd p = { .fd = fd, .events = POLLIN };

		if (what < 3) {
			why = seek_somewhere(t, fd, &s, &rnd, w);
			continue;
		}
		if (what < 10) {
			why = read_there(t, fd, part, buf, room, &rnd, w);
			continue;
		}
		if (what < 100) {
			why = fetch_some(t, fd, &s, part, buf, room, &ret, w);
		} else {
			ret = EVT(read(fd, buf, room));
			if (ret >= 0) {
				long long at = lseek(fd, 0, SEEK_CUR);

				why = see(t, &s, part, buf, ret, w);
				if (!why && at < s.offset + 1 && at != -1)
					why = evw_why(w, "position %lld after %lld", at, s.offset);
				if (!why && at != -1)
					why = only_holes(t, fd, s.offset, at - 1, w);
				if (at != -1)
					s.offset = at;
			}
		}
		if (ret == -EPIPE) {
			why = told_gap(t, fd, &s, &lost, w);
		} else if (ret == -EAGAIN) {
			if (atomic_load(&t->over) && evt_end(fd, part) <= s.offset)
				break;
			poll(&p, 1, 20);
		} else if (!why && ret < 0 && !gone(ret)) {
			why = evw_why(w, "offset %lld: %s", s.offset, strerror(-ret));
		}
	}
	free(buf);
	close(fd);
	return why;
}

static const char *by_map(struct torture *t, int part, uint64_t rnd, struct evw_worker *w)
{
	char path[128], *copy = malloc(VALUE_MAX + 4096);
	const char *why = NULL;
	struct sight s = {};
	struct evs_reader *r = NULL;
	struct evs_record rec;
	long long told = 0;
	int ret = 0;

	evt_path(&t->topic, part, path, sizeof(path));
	while (!why && !gone(ret)) {
		int64_t from, to;

		if (!r) {
			r = evs_reader_open(path, evw_random(&rnd) % 2 ? EVS_READER_LATEST : 0);
			if (!r) {
				why = errno == ENODEV || errno == ENOENT || errno == ENXIO ? NULL :
				      evw_why(w, "evs_reader_open: %s", strerror(errno));
				break;
			}
			forget(&s, true);
			s.offset = evs_reader_offset(r);
			told = 0;
		}
		ret = evs_reader_next(r, &rec);
		if (ret == 1) {
			if (rec.value_len < 0 || rec.value_len > VALUE_MAX + 4096) {
				if (evs_reader_valid(r))
					why = evw_why(w, "a value of %d bytes", rec.value_len);
				forget(&s, false);
				continue;
			}
			memcpy(copy, rec.value, rec.value_len);
			if (!evs_reader_valid(r)) {
				forget(&s, false);
				continue;
			}
			if (rec.offset < s.offset)
				why = evw_why(w, "offset %lld after %lld", (long long)rec.offset,
					      s.offset - 1);
			why = why ?: only_holes(t, evs_reader_fd(r), s.offset, rec.offset, w);
			s.offset = rec.offset;
			why = why ?: see(t, &s, part, copy, rec.value_len, w);
			s.offset++;
		} else if (ret == -EPIPE) {
			long long lost = evs_reader_lost(r, &from, &to);

			if (from < s.offset || to <= from || lost != told + to - from)
				why = evw_why(w, "gap %lld..%lld at %lld", (long long)from,
					      (long long)to, s.offset);
			told = lost;
			s.offset = to;
			forget(&s, false);
			t->gaps++;
		} else if (ret == 0) {
			if (atomic_load(&t->over) &&
			    evs_reader_end_offset(r) <= evs_reader_offset(r))
				break;
			ret = evs_reader_wait(r, 20);
			if (ret < 0 && !gone(ret))
				why = evw_why(w, "wait: %s", strerror(-ret));
			/* Now and then another map, or another place in this one. */
			if (evw_random(&rnd) % 50 == 0) {
				evs_reader_close(r);
				r = NULL;
			}
		} else if (!gone(ret)) {
			why = evw_why(w, "offset %lld: %s", s.offset, strerror(-ret));
		}
	}
	evs_reader_close(r);
	free(copy);
	return why;
}

/* All partitions, merged: each producer's order. */
static const char *by_any(struct torture *t, uint64_t rnd, struct evw_worker *w)
{
	int fd = evt_open(&t->topic, EVT_ANY, O_RDONLY | O_NONBLOCK);
	size_t room = VALUE_MAX + 4096;
	char *buf = malloc(room);
	struct sight s = {};
	const char *why = NULL;
	struct evw_head h;
	long long ret = 0;

	while (!why && !gone(ret)) {
		struct pollfd p = { .fd = fd, .events = POLLIN };

		ret = EVT(read(fd, buf, room));
		if (ret == -EAGAIN) {
			if (atomic_load(&t->over))
				break;
			poll(&p, 1, evw_random(&rnd) % 30);
		} else if (ret == -EPIPE) {
			forget(&s, false);
			t->gaps++;
		} else if (ret >= 0) {
			if (evw_check(buf, ret, &h) && h.producer == PRODUCERS)
				continue;
			if (evw_check(buf, ret, &h))
				why = see(t, &s, h.producer % PARTITIONS, buf, ret, w);
			else
				why = see(t, &s, ret > 8 && buf[7] & 1, buf, ret, w);
		} else if (!gone(ret)) {
			why = evw_why(w, "any: %s", strerror(-ret));
		}
	}
	free(buf);
	close(fd);
	return why;
}

/* Sleeps in all ways there are until something comes; nothing else wakes it. */
static const char *ponger(void *arg, int index, struct evw_worker *w)
{
	struct torture *t = arg;
	int fd = evt_open(&t->topic, PING, O_RDONLY), tail = evt_open(&t->topic, PING, O_RDONLY);
	struct epoll_event event = { .events = EPOLLIN | EPOLLET };
	struct evs_reader *r = evs_reader_open_fd(tail, EVS_READER_LATEST);
	uint64_t rnd = tt_seed(t->seed, 400 + index);
	int ep = epoll_create1(EPOLL_CLOEXEC);
	const char *why = NULL;
	size_t room = 1 << 16;
	char *buf = malloc(room);
	struct evs_record rec;
	long long ret = 0;

	epoll_ctl(ep, EPOLL_CTL_ADD, fd, &event);
	if (!r && errno != ENODEV)
		why = evw_why(w, "evs_reader_open_fd: %s", strerror(errno));
	while (r && !why && !gone(ret) && !atomic_load(&t->bye)) {
		struct evstream_fetch fetch = { .buf = (uintptr_t)buf, .len = room, .offset = -1,
						.min_bytes = 1, .timeout_ms = -1 };
		struct pollfd p = { .fd = fd, .events = POLLIN };

		ret = 0;
		switch (evw_random(&rnd) % 5) {
		case 0:
			poll(&p, 1, -1);
			break;
		case 1:
			/* Told of what came while it was not asleep, too. */
			epoll_wait(ep, &event, 1, -1);
			break;
		case 2:
			ret = EVT(ioctl(fd, EVSTREAM_IOC_FETCH, &fetch));
			break;
		case 3:
			while ((ret = evs_reader_next(r, &rec)) == 1 || ret == -EPIPE)
				;
			if (!ret && evs_reader_offset(r) <= lseek(fd, 0, SEEK_CUR))
				ret = evs_reader_wait(r, -1);
			break;
		default:
			ret = EVT(read(fd, buf, room));
		}
		if (ret < 0 && ret != -EPIPE && !gone(ret))
			why = evw_why(w, "PING: %s", strerror(-ret));
		do {
			ret = poll(&p, 1, 0) > 0 ? EVT(read(fd, buf, room)) : -EAGAIN;
		} while (ret >= 0 || ret == -EPIPE);
		atomic_store(&t->pong, lseek(fd, 0, SEEK_CUR));
	}
	/* It waits for nothing any more. */
	atomic_store(&t->pong, LLONG_MAX);
	evs_reader_close(r);
	free(buf);
	close(ep);
	close(fd);
	return why;
}

static const char *pinger(void *arg, int index, struct evw_worker *w)
{
	struct torture *t = arg;
	int fd = evt_open(&t->topic, PING, O_WRONLY);
	uint64_t rnd = tt_seed(t->seed, 500 + index);
	char value[EVW_MIN];
	uint32_t seq = 0;
	bool last;

	do {
		struct evstream_record rec = { .value = (uintptr_t)value, .timestamp = -1,
					       .value_len = sizeof(value), .key_len = -1 };
		struct evstream_append a = { .records = (uintptr_t)&rec, .nr_records = 1,
					     .record_size = sizeof(rec) };
		int64_t end = tt_now_ms() + EVW_PATIENCE * 1000 / 4;
		long long ret;

		last = atomic_load(&t->calm);
		atomic_store(&t->bye, last);
		evw_make(value, sizeof(value), PRODUCERS, seq++);
		ret = EVT(ioctl(fd, EVSTREAM_IOC_APPEND, &a));
		if (gone(ret))
			break;
		if (ret)
			return evw_why(w, "PING: %s", strerror(-ret));
		t->pings++;
		while (atomic_load(&t->pong) <= rec.offset) {
			if (gone(evt_stat(fd, PING, &(struct evstream_stat){})))
				break;
			if (tt_now_ms() > end)
				return evw_why(w, "a wake-up is lost: %lld of %lld",
					       (long long)atomic_load(&t->pong),
					       (long long)rec.offset);
			usleep(200);
		}
		usleep(evw_random(&rnd) % 3000);
	} while (!last);
	close(fd);
	return NULL;
}

/*
 * Leaves memory behind that is full of a pattern, and looks for it in all that a map
 * shows, also where it means nothing.
 */
static const char *peek(struct torture *t, uint64_t rnd, struct evw_worker *w)
{
	const size_t size = 1 << 20, page = 4096;
	uint64_t *copy = malloc(size);
	const char *why = NULL;
	size_t i;

	while (!why && !atomic_load(&t->calm)) {
		int part = evw_random(&rnd) % PARTITIONS;
		int fd = evt_open(&t->topic, part, O_RDONLY);
		struct evstream_stat st = {};
		uint64_t from, *p;
		char *map;

		/* Its nodes are just made anew, or it is gone. */
		if (fd < 0) {
			if (access("/dev/stream", F_OK))
				break;
			usleep(10000);
			continue;
		}
		evt_stat(fd, part, &st);
		p = mmap(NULL, 4 * size, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
		if (p != MAP_FAILED) {
			for (i = 0; i < 4 * size / sizeof(*p); i++)
				p[i] = CANARY;
			munmap(p, 4 * size);
		}
		from = evw_random(&rnd) % 2 ? st.start_position : st.end_position;
		if (from > size / 2 && evw_random(&rnd) % 2)
			from -= size / 2;
		from &= ~(page - 1);
		map = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, EVSTREAM_MMAP_LOG + from);
		for (i = 0; map != MAP_FAILED && i < size && !why; i += page) {
			struct iovec to = { copy, page }, at = { map + i, page };
			size_t n;

			/* Where it would be SIGBUS it says so. */
			if (process_vm_readv(getpid(), &to, 1, &at, 1, 0) != (ssize_t)page)
				continue;
			for (n = 0; n < page / sizeof(*copy); n++)
				if (copy[n] == CANARY)
					why = evw_why(w, "foreign bytes at position %llu",
						      (unsigned long long)(from + i + n * 8));
			t->peeks++;
		}
		if (map != MAP_FAILED)
			munmap(map, size);
		close(fd);
		usleep(evw_random(&rnd) % 20000);
	}
	free(copy);
	return why;
}

static const char *reader(void *arg, int index, struct evw_worker *w)
{
	struct torture *t = arg;
	uint64_t rnd = tt_seed(t->seed, 100 + index);

	if (index == READERS - 1)
		return by_any(t, rnd, w);
	if (index == READERS - 2)
		return by_map(t, index % PARTITIONS, rnd, w);
	return by_calls(t, index % PARTITIONS, rnd, w);
}

static const char *peeker(void *arg, int index, struct evw_worker *w)
{
	struct torture *t = arg;

	return peek(t, tt_seed(t->seed, 600 + index), w);
}

/* Changes the topic, and takes records away. */
static const char *meddler(void *arg, int index, struct evw_worker *w)
{
	static const char *const sets[] = {
		"ring=128K", "ring=192K", "ring=1M", "ring=4M", "retention=1s", "retention=7d",
		"retention=7d,128K", "retention=7d,0", "max-record=1000", "max-record=60000",
		"mode=0640", "mode=0660",
	};
	static const char *const durable[] = {
		"ring=1M", "ring=64M", "max-record=1000", "max-record=60000", "mode=0640",
		"mode=0660", "flush-interval=10ms", "flush-interval=1s", "flush-bytes=64K",
		"flush-bytes=64M",
	};
	struct torture *t = arg;
	uint64_t rnd = tt_seed(t->seed, 200 + index);
	int fd[PARTITIONS], i;
	long long start[PARTITIONS] = {}, ret;

	for (i = 0; i < PARTITIONS; i++)
		fd[i] = evt_open(&t->topic, i, O_RDWR);
	while (!atomic_load(&t->calm)) {
		struct evstream_trim trim = {};
		struct evstream_stat st;
		char *p;

		for (i = 0; i < PARTITIONS; i++) {
			ret = evt_stat(fd[i], i, &st);
			if (gone(ret))
				return NULL;
			if (st.start_offset < start[i] || st.start_offset > st.end_offset ||
			    st.start_position > st.end_position)
				return evw_why(w, "partition %d: %lld..%lld", i,
					       (long long)st.start_offset,
					       (long long)st.end_offset);
			start[i] = st.start_offset;
		}
		i = evw_random(&rnd) % PARTITIONS;
		switch (evw_random(&rnd) % 8) {
		case 0:
			/* Its files are copied meanwhile. */
			if (t->dir[0])
				break;
			trim.offset = evw_random(&rnd) % 3 ? start[i] + evw_random(&rnd) % 50 : -1;
			ret = EVT(ioctl(fd[i], EVSTREAM_IOC_TRIM, &trim));
			if (ret && ret != -ERANGE && !gone(ret))
				return evw_why(w, "TRIM: %s", strerror(-ret));
			if (!ret && trim.start_offset < trim.offset)
				return "TRIM kept more than it should";
			break;
		case 1:
			i = evw_random(&rnd);
			if (evt_streamctl("topic set %s %s 2>/dev/null >&2", t->topic.name,
					  t->dir[0] ? durable[i % 10U] : sets[i % 12U]) > 2)
				return "streamctl topic set";
			break;
		case 2:
			/* A map of anything. */
			p = mmap(NULL, 1 << 20, PROT_READ, MAP_SHARED, fd[i], EVSTREAM_MMAP_LOG +
				 (uint64_t)st.start_position / 4096 * 4096);
			if (p == MAP_FAILED && errno != ENODEV)
				return evw_why(w, "mmap: %s", strerror(errno));
			if (p != MAP_FAILED) {
				madvise(p, 4096, MADV_COLD);
				munmap(p, 1 << 20);
			}
			break;
		default:
			usleep(evw_random(&rnd) % 20000);
		}
	}
	for (i = 0; i < PARTITIONS; i++)
		close(fd[i]);
	return NULL;
}

/**
 * contents() - what is left is the end of what each producer wrote
 * @t: the torture
 * @topic: it, or a copy of it
 * @part: the partition
 * @least: by producer: so many records must be there
 * @most: by producer: so many can be
 * @found: out, by producer: so many are
 */
static const char *contents(struct torture *t, const struct evt_topic *topic, int part,
			    const uint32_t *least, const uint32_t *most, uint32_t *found)
{
	int fd = evt_open(topic, part, O_RDONLY), i, more;
	static struct evw_worker w;
	struct evs_batch_iter it;
	struct evd_bytes b = {}, batches = {};
	struct sight s = {};
	struct evs_record rec;
	const char *why = NULL;
	struct evstream_stat st;
	int64_t next;
	uint32_t largest;
	size_t size;
	int ret;

	ret = fd < 0 ? -errno : evt_stat(fd, part, &st) ?: evd_fetch(fd, part, -1, &b);
	if (ret)
		return evw_why(&w, "partition %d: %s", part, strerror(-ret));
	if (b.len)
		why = evd_check_log(&b, evd_be64(b.data), false, &next, &batches, &size, &largest);
	if (!why && b.len && next != st.end_offset)
		why = evw_why(&w, "partition %d: the log ends at %lld, not %lld", part,
			      (long long)next, (long long)st.end_offset);
	for (i = 0; i < PRODUCERS; i++)
		s.sure[i] = !st.start_offset;
	evs_batch_iter_init(&it, b.data, b.len, EVS_ITER_CRC);
	while (!why && (more = evs_batch_iter_next(&it, &rec)) == 1) {
		if (rec.offset < st.start_offset)
			continue;
		s.offset = rec.offset;
		why = see(t, &s, part, rec.value, rec.value_len, &w);
	}
	for (i = part; i < PRODUCERS && !why; i += PARTITIONS) {
		found[i] = s.sure[i] ? s.next[i] : most[i];
		if (found[i] < least[i] || found[i] > most[i])
			why = evw_why(&w, "partition %d: %u of producer %d's records, not %u to %u",
				      part, found[i], i, least[i], most[i]);
	}
	evd_free(&batches);
	evd_free(&b);
	close(fd);
	return why;
}

static void numbers(const atomic_uint *from, uint32_t *to)
{
	int i;

	for (i = 0; i < PRODUCERS; i++)
		to[i] = atomic_load(&from[i]);
}

/* All offsets are of acknowledged records, or of holes. */
static const char *all_counted(struct torture *t, int part)
{
	int fd = evt_open(&t->topic, part, O_RDONLY), i;
	long long end = evt_end(fd, part), holes = evw_counter(&t->topic, part, "holes");
	static struct evw_worker w;
	long long written = 0;

	close(fd);
	for (i = part; i < PRODUCERS; i += PARTITIONS)
		written += atomic_load(&t->written[i]);
	if (written + holes == end)
		return NULL;
	return evw_why(&w, "partition %d: %lld records and %lld holes, and it ends at %lld",
		       part, written, holes, end);
}

/* A member of the topic's group, that commits what it has read. */
static const char *member(void *arg, int index, struct evw_worker *w)
{
	static const char name[] = "torture";
	struct evstream_join j = { .name = (uintptr_t)name, .name_len = strlen(name),
				   .start = EVSTREAM_SEEK_EARLIEST, .dead_letter = -1 };
	struct torture *t = arg;
	int fd = evt_open(&t->topic, EVT_ANY, O_RDWR | O_NONBLOCK), i;
	uint64_t rnd = tt_seed(t->seed, 700 + index);
	char *buf = malloc(VALUE_MAX + 4096);
	const char *why = NULL;
	long long ret;

	ret = EVT(ioctl(fd, EVSTREAM_IOC_JOIN, &j));
	while (!why && !gone(ret) && !atomic_load(&t->calm)) {
		struct evstream_commit_entry e[PARTITIONS + 1] = {};
		struct evstream_commit c = { .entries = (uintptr_t)e, .entry_size = sizeof(e[0]),
					     .nr_entries = PARTITIONS + 1 };
		struct pollfd p = { .fd = fd, .events = POLLIN };

		for (i = evw_random(&rnd) % 50; i >= 0 && ret >= 0; i--) {
			ret = EVT(read(fd, buf, VALUE_MAX + 4096));
			if (ret == -EPIPE)
				ret = 0;
		}
		if (ret < 0 && ret != -EAGAIN && !gone(ret))
			why = evw_why(w, "read: %s", strerror(-ret));
		for (i = 0; i <= PARTITIONS && !gone(ret) && !why; i++) {
			struct evstream_position pos = { .partition = i };

			ret = EVT(ioctl(fd, EVSTREAM_IOC_POSITION, &pos));
			if (ret && !gone(ret))
				why = evw_why(w, "POSITION: %s", strerror(-ret));
			e[i].partition = i;
			e[i].offset = pos.offset;
		}
		if (gone(ret) || why)
			break;
		for (i = 0; i <= PARTITIONS; i++)
			atomic_store(&t->committing[i], e[i].offset);
		c.flags = evw_random(&rnd) % 8 ? 0 : EVSTREAM_COMMIT_SYNC;
		ret = EVT(ioctl(fd, EVSTREAM_IOC_COMMIT, &c));
		if (gone(ret))
			break;
		if (ret)
			why = evw_why(w, "COMMIT: %s", strerror(-ret));
		for (i = 0; i <= PARTITIONS; i++)
			atomic_store(&t->commit[i], e[i].offset);
		poll(&p, 1, evw_random(&rnd) % 20);
	}
	free(buf);
	close(fd);
	return why;
}

static void begin(struct torture *t, struct evw_crew *crew, uint64_t *rnd)
{
	int i;

	t->calm = 0;
	t->over = 0;
	t->bye = 0;
	t->pong = 0;
	evw_crew_init(&crew[0], true);
	evw_crew_init(&crew[1], evw_random(rnd) % 2);
	for (i = 0; i < READERS; i++)
		evw_start(&crew[1], reader, t, i);
	evw_start(&crew[1], ponger, t, 0);
	for (i = 0; i < PRODUCERS; i++)
		evw_start(&crew[0], produce, t, i);
	evw_start(&crew[0], pinger, t, 0);
	evw_start(&crew[0], peeker, t, 0);
	if (t->dir[0])
		evw_start(&crew[0], member, t, 0);
	/* The last: it takes nodes away for a moment. */
	usleep(50000);
	evw_start(&crew[0], meddler, t, 0);
}

/* How many workers failed. */
static int calm_down(struct torture *t, struct evw_crew *crew)
{
	int failed;

	atomic_store(&t->calm, 1);
	failed = evw_join(&crew[0]);
	atomic_store(&t->over, 1);
	/* Who should have woken the others may have failed. */
	if (failed && evd_attached(&t->topic))
		evt_delete(&t->topic);
	return failed + evw_join(&crew[1]);
}

static const char *epoch(struct torture *t, bool calm, int milliseconds)
{
	static const char *const kinds[] = {
		"--segment 64K --ring 128K", "--segment 64K --ring 1M", "--segment 1M --ring 8M",
	};
	uint32_t written[PRODUCERS], found[PRODUCERS];
	uint64_t rnd = tt_seed(t->seed, 300);
	struct evw_crew crew[2];
	const char *why = NULL;
	char options[128];
	int i, failed;

	snprintf(options, sizeof(options), "-p %d %s --max-record 60000", PARTITIONS + 1,
		 kinds[evw_random(&rnd) % 3]);
	for (i = 0; i < PRODUCERS; i++) {
		t->written[i] = 0;
		t->tried[i] = 0;
		t->synced[i] = 0;
	}
	for (i = 0; i < PARTITIONS; i++)
		t->last[i] = -1;
	if (evt_create(&t->topic, options))
		return "topic create";
	begin(t, crew, &rnd);
	usleep(milliseconds * 1000);
	if (!calm) {
		if (evt_delete(&t->topic))
			why = "topic delete";
		failed = calm_down(t, crew);
		return failed ? "workers failed" : why;
	}
	failed = calm_down(t, crew);
	if (!failed && evt_set(&t->topic, "retention=0"))
		why = "topic set";
	numbers(t->written, written);
	for (i = 0; i < PARTITIONS && !failed && !why; i++)
		why = contents(t, &t->topic, i, written, written, found) ?: all_counted(t, i);
	if (evt_delete(&t->topic))
		why = why ?: "topic delete";
	return failed ? "workers failed" : why;
}

static void log_said(const struct torture *t, const char *what, char *said, size_t size)
{
	snprintf(said, size,
		 "%s: %lld records received, %lld gaps, %lld holes, %lld appends refused, %lld wake-ups, %lld pages, attached %lld times, %lld copies",
		 what, t->records, t->gaps, t->holes, t->refused, t->pings, t->peeks, t->attached,
		 t->copies);
}

/* A scene of the torture: topics that come and go. */
static const char *log_scene(uint64_t seed, int milliseconds, char *said, size_t size)
{
	struct torture *t = evw_shared(sizeof(*t));
	int64_t end = tt_now_ms() + milliseconds;
	const char *why = NULL;
	int i;

	for (i = 0; !why && (i < 2 || tt_now_ms() < end); i++) {
		t->seed = seed + i * 1000003;
		why = epoch(t, (seed + i) % 2, 1700);
	}
	log_said(t, "log", said, size);
	/* It did what it is for. */
	if (!why && (!t->records || !t->pings || !t->peeks))
		why = "nothing was done";
	munmap(t, sizeof(*t));
	return why;
}

/* -------------------------------------------------------------------- durable */

static const char *group_is_back(struct torture *t)
{
	static const char name[] = "torture";
	struct evstream_join j = { .name = (uintptr_t)name, .name_len = strlen(name),
				   .start = EVSTREAM_SEEK_EARLIEST, .dead_letter = -1 };
	int fd = evt_open(&t->topic, EVT_ANY, O_RDWR | O_NONBLOCK), i;
	static struct evw_worker w;
	const char *why = NULL;

	if (ioctl(fd, EVSTREAM_IOC_JOIN, &j))
		why = evw_why(&w, "JOIN: %s", strerror(errno));
	for (i = 0; i <= PARTITIONS && !why; i++) {
		struct evstream_position pos = { .partition = i };

		if (ioctl(fd, EVSTREAM_IOC_POSITION, &pos))
			why = evw_why(&w, "POSITION: %s", strerror(errno));
		else if (pos.committed != t->commit[i] && pos.committed != t->committing[i])
			why = evw_why(&w, "partition %d: %lld is committed, not %lld or %lld", i,
				      (long long)pos.committed, (long long)t->commit[i],
				      (long long)t->committing[i]);
		t->commit[i] = pos.committed;
		t->committing[i] = pos.committed;
	}
	close(fd);
	return why;
}

/* A topic that is detached has all that was acknowledged; producers go on behind it. */
static const char *attach(struct torture *t)
{
	uint32_t least[PRODUCERS], most[PRODUCERS], found[PRODUCERS];
	const char *why = NULL;
	int i;

	if (evd_attach(&t->topic, t->dir))
		return "streamctl cannot bring it back";
	numbers(t->written, least);
	numbers(t->tried, most);
	for (i = 0; i < PARTITIONS && !why; i++)
		why = contents(t, &t->topic, i, least, most, found);
	for (i = 0; i < PRODUCERS && !why; i++) {
		t->written[i] = found[i];
		t->tried[i] = found[i];
		t->synced[i] = found[i];
	}
	t->attached++;
	return why ?: group_is_back(t);
}

/* Some old records go. */
static const char *thin_out(struct torture *t)
{
	const char *why = NULL;
	int i;

	for (i = 0; i <= PARTITIONS && !why; i++) {
		int fd = evt_open(&t->topic, i, O_RDWR);
		struct evstream_trim trim = { .offset = evt_end(fd, i) - KEPT };

		if (trim.offset > 0 && ioctl(fd, EVSTREAM_IOC_TRIM, &trim))
			why = "TRIM";
		close(fd);
	}
	return why;
}

/*
 * Its files as a crash could leave them: copied while it is written to. The checkpoint
 * goes first, since all it speaks of is in the other files then.
 */
static const char *copy_is_good(struct torture *t, bool hold)
{
	uint32_t least[PRODUCERS], most[PRODUCERS], found[PRODUCERS];
	struct evt_topic copy;
	const char *why = NULL;
	char dir[EVD_PATH + 8];
	int i;

	snprintf(dir, sizeof(dir), "%s.copy", t->dir);
	snprintf(copy.name, sizeof(copy.name), "copy-%.50s", t->topic.name);
	numbers(t->synced, least);
	if (hold) {
		/* What was flushed last is the end of the files then. */
		int fd = evt_open(&t->topic, EVT_ANY, O_RDWR);

		atomic_store(&t->hold, 1);
		usleep(20000);
		numbers(t->written, least);
		if (fsync(fd))
			return "fsync";
		close(fd);
	}
	if (evd_sh("set -e; mkdir %s; cd %s; cp %s.evstream %s/%s.evstream\n"
		   "for n in 0 1 2; do\n"
		   "	from=%s-$n; to=%s/%s-$n; mkdir $to\n"
		   "	[ ! -e $from/evstream.checkpoint ] || cp $from/evstream.checkpoint $to\n"
		   "	cp $from/[0-9]* $from/[lp]* $to\n"
		   "done", dir, t->dir, t->topic.name, dir, copy.name, t->topic.name, dir,
		   copy.name))
		return "files cannot be copied";
	numbers(t->tried, most);
	atomic_store(&t->hold, 0);
	if (evd_attach(&copy, dir))
		return "topic attach of a copy";
	for (i = 0; i < PARTITIONS && !why; i++)
		why = contents(t, &copy, i, least, most, found);
	if (evt_delete(&copy))
		why = why ?: "topic delete of a copy";
	t->copies++;
	return evd_sh("rm -rf %s", dir) ? "rm" : why;
}

static const char *phase(struct torture *t, uint64_t *rnd)
{
	bool calm = evw_random(rnd) % 2;
	struct evw_crew crew[2];
	const char *why;
	int failed;

	if (t->topic.name[0]) {
		why = attach(t) ?: thin_out(t);
	} else {
		memset((void *)t->written, 0, sizeof(t->written));
		memset((void *)t->tried, 0, sizeof(t->tried));
		memset((void *)t->synced, 0, sizeof(t->synced));
		memset((void *)t->commit, 0, sizeof(t->commit));
		memset((void *)t->committing, 0, sizeof(t->committing));
		for (failed = 0; failed < PARTITIONS; failed++)
			t->last[failed] = -1;
		why = evd_create(&t->topic, t->dir, evw_random(rnd) % 2 ?
				 "-p 3 --segment 64K --max-record 60000 --retention 0" :
				 "-p 3 --segment 1M --max-record 60000 --retention 0") ?
			"topic create" : NULL;
	}
	if (why)
		return why;
	begin(t, crew, rnd);
	usleep((400 + evw_random(rnd) % 800) * 1000);
	if (evw_random(rnd) % 4)
		why = copy_is_good(t, evw_random(rnd) % 2);
	failed = calm ? calm_down(t, crew) : 0;
	if (evw_random(rnd) % 8 == 0) {
		if (evt_delete(&t->topic))
			why = why ?: "topic delete";
		t->topic.name[0] = '\0';
	} else if (evd_detach(&t->topic)) {
		why = why ?: "topic detach";
	}
	failed += calm ? 0 : calm_down(t, crew);
	return failed ? "workers failed" : why;
}

/*
 * A scene of the torture: a topic that is detached and attached, again and again, and
 * lies in its directory between the scenes.
 */
static const char *durable_scene(struct torture *t, uint64_t seed, int milliseconds, char *said,
				 size_t size)
{
	int64_t end = tt_now_ms() + milliseconds;
	uint64_t rnd = tt_seed(seed, 0);
	const char *why = NULL;
	int i;

	for (i = 0; !why && (i < 3 || tt_now_ms() < end); i++) {
		t->seed = seed + i * 1000003;
		why = phase(t, &rnd);
	}
	log_said(t, t->fs, said, size);
	return why;
}

#endif /* EVLOGTORTURE_H */
