// SPDX-License-Identifier: GPL-2.0
/*
 * All that can be done to a topic, at random and at once. What must be true of a
 * log is checked from outside: each producer's records in its order, none lost
 * but those that were reported, none that nobody wrote, gaps counted exactly.
 *
 * EVSTREAM_SEED chooses what is done (when, the machine chooses), and
 * EVSTREAM_SECONDS for how long.
 */
#include "evwork.h"

#define PARTITIONS	2
#define PRODUCERS	4
#define READERS		5
#define VALUE_MAX	50000

struct torture {
	struct evt_topic topic;
	uint64_t seed;
	atomic_int calm;			/* producers: stop and say how far you got */
	atomic_int over;			/* readers: what is there is all there is */
	atomic_uint written[PRODUCERS];		/* acknowledged */
	atomic_llong records;			/* received by all */
	atomic_llong gaps;
	atomic_llong refused;
};

static uint64_t seed_of(const struct torture *t, int worker)
{
	uint64_t s = t->seed * 1000 + worker;

	evw_random(&s);
	return s;
}

/* Whether it is just that the topic was deleted. */
static bool gone(long long ret)
{
	return ret == -ENODEV;
}

static long long torture_append(struct torture *t, int fd, char *buf, char *bad, int index,
				uint32_t seq, uint64_t *rnd)
{
	struct evstream_record rec[8] = {};
	struct evstream_append a = { .records = (uintptr_t)rec, .record_size = sizeof(rec[0]) };
	uint32_t len = evw_size(rnd, VALUE_MAX), i;
	const void *batch;
	struct evs_builder *b;
	struct iovec iov[2];
	size_t size;
	long long ret;

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
		ret = EVT(ioctl(fd, EVSTREAM_IOC_APPEND, &a));
		if (ret)
			return ret;
		return a.appended == a.nr_records ? (long long)a.appended : -EPROTO;
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
		ret = evs_append_batch(fd, 0, batch, size, NULL);
		evs_builder_free(b);
		return ret ? ret : i;
	default:
		evw_make(buf, len, index, seq);
		ret = EVT(write(fd, buf, len));
		return ret == len ? 1 : ret;
	}
}

static const char *produce(void *arg, int index, struct evw_worker *w)
{
	struct torture *t = arg;
	int fd = evt_open(&t->topic, index % PARTITIONS, O_WRONLY);
	char *buf = malloc(VALUE_MAX + 8 * 4096), *bad;
	uint64_t rnd = seed_of(t, index);
	uint32_t seq = 0;
	long long ret;

	/* 64 KiB of memory, and none behind it. */
	bad = mmap(NULL, 2 * 65536, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	mprotect(bad, 65536, PROT_READ | PROT_WRITE);
	while (!atomic_load(&t->calm)) {
		ret = torture_append(t, fd, buf, bad, index, seq, &rnd);
		if (gone(ret))
			return NULL;
		/* While its record limit is smaller for a moment. */
		if (ret == -EMSGSIZE)
			continue;
		if (ret < 0)
			return evw_why(w, "producer %d, record %u: %s", index, seq, strerror(-ret));
		seq += ret;
		atomic_store(&t->written[index], seq);
	}
	munmap(bad, 2 * 65536);
	free(buf);
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

	if (len < 0 || !evw_check(value, len, &h))
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
	long long ret = EVT(ioctl(fd, EVSTREAM_IOC_GAP, &g));

	if (gone(ret))
		return NULL;
	if (ret)
		return evw_why(w, "GAP: %s", strerror(-ret));
	if (g.from < s->offset || g.to <= g.from || g.lost != *lost + g.to - g.from)
		return evw_why(w, "gap %lld..%lld at %lld: %llu lost, %llu before",
			       (long long)g.from, (long long)g.to, s->offset,
			       (unsigned long long)g.lost, (unsigned long long)*lost);
	*lost = g.lost;
	s->offset = g.to;
	forget(s, false);
	t->gaps++;
	return NULL;
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
		s->offset = rec.offset;
		why = see(t, s, part, rec.value, rec.value_len, w);
		s->offset++;
	}
	if (!why && (more || evs_batch_iter_rest(&it)))
		return evw_why(w, "FETCH at %lld: not whole batches", s->offset);
	if (!why && a.next_offset < s->offset)
		return evw_why(w, "FETCH goes back to %lld", (long long)a.next_offset);
	s->offset = a.next_offset;
	*ret = a.bytes ? 0 : -EAGAIN;
	return why;
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
		if (what < 100) {
			why = fetch_some(t, fd, &s, part, buf, room, &ret, w);
		} else {
			ret = EVT(read(fd, buf, room));
			if (ret >= 0) {
				long long at = lseek(fd, 0, SEEK_CUR);

				why = see(t, &s, part, buf, ret, w);
				if (!why && at < s.offset + 1 && at != -1)
					why = evw_why(w, "position %lld after %lld", at, s.offset);
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

static const char *reader(void *arg, int index, struct evw_worker *w)
{
	struct torture *t = arg;
	uint64_t rnd = seed_of(t, 100 + index);

	if (index == READERS - 1)
		return by_map(t, index % PARTITIONS, rnd, w);
	return by_calls(t, index % PARTITIONS, rnd, w);
}

/* Changes the topic, and takes records away. */
static const char *meddler(void *arg, int index, struct evw_worker *w)
{
	static const char *const sets[] = {
		"ring=128K", "ring=192K", "ring=1M", "ring=4M", "retention=1s", "retention=7d",
		"retention=7d,128K", "retention=7d,0", "max-record=1000", "max-record=60000",
		"mode=0640", "mode=0660",
	};
	struct torture *t = arg;
	uint64_t rnd = seed_of(t, 200 + index);
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
			trim.offset = evw_random(&rnd) % 3 ? start[i] + evw_random(&rnd) % 50 : -1;
			ret = EVT(ioctl(fd[i], EVSTREAM_IOC_TRIM, &trim));
			if (ret && ret != -ERANGE && !gone(ret))
				return evw_why(w, "TRIM: %s", strerror(-ret));
			if (!ret && trim.start_offset < trim.offset)
				return "TRIM kept more than it should";
			break;
		case 1:
			i = evw_random(&rnd) % (sizeof(sets) / sizeof(sets[0]));
			if (evt_streamctl("topic set %s %s 2>/dev/null >&2", t->topic.name,
					  sets[i]) > 2)
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

/* After all was calm: what is left is the end of what each producer wrote. */
static const char *last_look(struct torture *t, int part)
{
	static struct evw_worker w;
	int fd = evt_open(&t->topic, part, O_RDONLY | O_NONBLOCK), i;
	char *buf = malloc(VALUE_MAX + 4096);
	struct sight s = {};
	const char *why = NULL;
	long long ret;

	while (!why && (ret = EVT(read(fd, buf, VALUE_MAX + 4096))) >= 0)
		why = see(t, &s, part, buf, ret, &w);
	if (!why && ret != -EAGAIN)
		why = evw_why(&w, "read: %s", strerror(-ret));
	for (i = part; i < PRODUCERS && !why; i += PARTITIONS)
		if (s.sure[i] && s.next[i] != atomic_load(&t->written[i]))
			why = evw_why(&w, "producer %d's last record is %u, not %u", i,
				      s.next[i] - 1, atomic_load(&t->written[i]) - 1);
	why = why ?: evw_walk(fd, NULL, NULL);
	/* Holes have offsets, and no records. */
	if (why && strstr(why, " after "))
		why = NULL;
	free(buf);
	close(fd);
	return why;
}

static const char *epoch(struct torture *t, bool calm, int milliseconds)
{
	static const char *const kinds[] = {
		"--segment 64K --ring 128K", "--segment 64K --ring 1M", "--segment 1M --ring 8M",
	};
	struct evw_crew crew[2];
	const char *why = NULL;
	char options[128];
	uint64_t rnd = seed_of(t, 300);
	int i, failed;

	snprintf(options, sizeof(options), "-p %d %s --max-record 60000", PARTITIONS,
		 kinds[evw_random(&rnd) % 3]);
	t->calm = 0;
	t->over = 0;
	memset((void *)t->written, 0, sizeof(t->written));
	if (evt_create(&t->topic, options))
		return "topic create";
	evw_crew_init(&crew[0], true);
	evw_crew_init(&crew[1], evw_random(&rnd) % 2);
	for (i = 0; i < READERS; i++)
		evw_start(&crew[1], reader, t, i);
	for (i = 0; i < PRODUCERS; i++)
		evw_start(&crew[0], produce, t, i);
	evw_start(&crew[0], meddler, t, 0);
	usleep(milliseconds * 1000);
	if (calm) {
		atomic_store(&t->calm, 1);
		failed = evw_join(&crew[0]);
		atomic_store(&t->over, 1);
		failed += evw_join(&crew[1]);
		for (i = 0; i < PARTITIONS && !why; i++)
			why = last_look(t, i);
		if (evt_delete(&t->topic))
			why = "topic delete";
	} else {
		if (evt_delete(&t->topic))
			why = "topic delete";
		atomic_store(&t->calm, 1);
		failed = evw_join(&crew[0]) + evw_join(&crew[1]);
	}
	return failed ? "workers failed" : why;
}

static long long setting(const char *name, long long otherwise)
{
	const char *text = getenv(name);

	return text ? strtoll(text, NULL, 0) : otherwise;
}

FIXTURE(torture) {
	struct torture *t;
};

FIXTURE_SETUP(torture)
{
	self->t = evw_shared(sizeof(*self->t));
}

FIXTURE_TEARDOWN(torture) { }

TEST_F_TIMEOUT(torture, all_at_once, 100000)
{
	struct timespec now;
	int seconds, i;

	clock_gettime(CLOCK_REALTIME, &now);
	self->t->seed = setting("EVSTREAM_SEED", now.tv_sec);
	seconds = setting("EVSTREAM_SECONDS", 12);
	for (i = 0; i * 2 < seconds; i++, self->t->seed++) {
		const char *why;

		TH_LOG("EVSTREAM_SEED=%llu", (unsigned long long)self->t->seed);
		why = epoch(self->t, i % 2 == 0, 1700);
		ASSERT_EQ(NULL, why)
			TH_LOG("%s", why);
	}
	TH_LOG("%lld records received, %lld gaps, %lld appends refused", self->t->records,
	       self->t->gaps, self->t->refused);
	/* It did what it is for. */
	EXPECT_LT(1000, self->t->records);
	EXPECT_LT(0, self->t->gaps);
	EXPECT_LT(0, self->t->refused);
}

TEST_HARNESS_MAIN
