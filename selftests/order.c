// SPDX-License-Identifier: GPL-2.0
/*
 * Many producers and readers on one partition: every reader sees each producer's
 * records in that producer's order, offsets without holes, the same bytes by
 * read(), pread(), FETCH and mmap().
 */
#include "evwork.h"

#define PRODUCERS	8
#define EACH		800
#define TOTAL		(PRODUCERS * EACH)
#define VALUE_MAX	40000

struct order_shared {
	struct evt_topic topic;
	uint32_t digest[4];
};

FIXTURE(order) {
	struct order_shared *s;
	int fd;
};

FIXTURE_VARIANT(order) {
	bool processes;
};

FIXTURE_VARIANT_ADD(order, threads) { .processes = false, };
FIXTURE_VARIANT_ADD(order, processes) { .processes = true, };

FIXTURE_SETUP(order)
{
	self->s = evw_shared(sizeof(*self->s));
	ASSERT_EQ(0, evt_create(&self->s->topic, "--segment 1M --ring 128M --max-record 100000"));
	self->fd = evt_open(&self->s->topic, 0, O_RDWR);
	ASSERT_LE(0, self->fd);
}

FIXTURE_TEARDOWN(order)
{
	close(self->fd);
	EXPECT_EQ(0, evt_delete(&self->s->topic));
}

/* Some records by APPEND: returns how many, 0 where it failed. */
static int append_some(int fd, char *buf, uint32_t producer, uint32_t seq, uint32_t n,
		       uint64_t *rnd)
{
	struct evstream_record rec[16] = {};
	struct evstream_append a = { .records = (uintptr_t)rec, .nr_records = n,
				     .record_size = sizeof(rec[0]) };
	uint32_t i;

	for (i = 0; i < n; i++) {
		uint32_t len = evw_size(rnd, 2000);

		evw_make(buf, len, producer, seq + i);
		rec[i].value = (uintptr_t)buf;
		rec[i].value_len = len;
		rec[i].key_len = -1;
		rec[i].timestamp = -1;
		buf += len;
	}
	if (ioctl(fd, EVSTREAM_IOC_APPEND, &a) || a.appended != n)
		return 0;
	for (i = 1; i < n; i++)
		if (rec[i].offset != rec[0].offset + i)
			return 0;
	return n;
}

static int append_built(int fd, char *buf, uint32_t producer, uint32_t seq, uint32_t n,
			uint64_t *rnd)
{
	struct evs_builder *b = evs_builder_new(NULL, 0);
	const void *batch;
	size_t size;
	uint32_t i;
	int ret;

	for (i = 0; i < n; i++) {
		struct evs_record rec = { .timestamp = -1, .key_len = -1, .value = buf };

		rec.value_len = evw_size(rnd, 2000);
		evw_make(buf, rec.value_len, producer, seq + i);
		if (evs_builder_add(b, &rec))
			return 0;
	}
	if (evs_builder_finish(b, &batch, &size))
		return 0;
	ret = evs_append_batch(fd, 0, batch, size, NULL);
	evs_builder_free(b);
	return ret ? 0 : n;
}

static const char *produce(void *arg, int index, struct evw_worker *w)
{
	struct order_shared *s = arg;
	int fd = evt_open(&s->topic, 0, O_WRONLY);
	char *buf = malloc(VALUE_MAX);
	uint64_t rnd = index;
	uint32_t seq = 0;

	if (fd < 0)
		return "open";
	while (seq < EACH) {
		uint32_t n = 1 + evw_random(&rnd) % 16, len;
		struct iovec iov[2];
		int done;

		if (n > EACH - seq)
			n = EACH - seq;
		switch (index % 4) {
		case 0:
			len = evw_size(&rnd, VALUE_MAX);
			evw_make(buf, len, index, seq);
			done = write(fd, buf, len) == (ssize_t)len;
			break;
		case 1:
			len = evw_size(&rnd, VALUE_MAX);
			evw_make(buf, len, index, seq);
			iov[0] = (struct iovec){ buf, len / 3 };
			iov[1] = (struct iovec){ buf + len / 3, len - len / 3 };
			done = writev(fd, iov, 2) == (ssize_t)len;
			break;
		case 2:
			done = append_some(fd, buf, index, seq, n, &rnd);
			break;
		default:
			done = append_built(fd, buf, index, seq, n, &rnd);
		}
		if (!done)
			return evw_why(w, "producer failed at %u: %s", seq, strerror(errno));
		seq += done;
	}
	free(buf);
	close(fd);
	return NULL;
}

/* One record: is it the next one of its producer? */
struct follow {
	uint32_t next[PRODUCERS];
	uint32_t digest;
	long long offset;
};

static const char *follow(struct follow *f, const void *value, long len, struct evw_worker *w)
{
	struct evw_head h;

	if (len < 0 || !evw_check(value, len, &h))
		return evw_why(w, "offset %lld: not a record that was written", f->offset);
	if (h.producer >= PRODUCERS || h.seq != f->next[h.producer])
		return evw_why(w, "offset %lld: producer %u's %u, not %u", f->offset, h.producer,
			       h.seq, f->next[h.producer]);
	f->next[h.producer]++;
	f->offset++;
	f->digest = evs_crc32c(f->digest, value, len);
	return NULL;
}

static const char *by_read(struct order_shared *s, struct follow *f, bool positioned,
			   struct evw_worker *w)
{
	int fd = evt_open(&s->topic, 0, O_RDONLY);
	char *buf = malloc(VALUE_MAX);
	const char *why = NULL;

	while (!why && f->offset < TOTAL) {
		ssize_t n = positioned ? pread(fd, buf, VALUE_MAX, f->offset) :
			    read(fd, buf, VALUE_MAX);

		if (n < 0)
			return evw_why(w, "offset %lld: %s", f->offset, strerror(errno));
		why = follow(f, buf, n, w);
		if (!why && lseek(fd, 0, SEEK_CUR) != (positioned ? 0 : f->offset))
			why = evw_why(w, "position is not %lld", f->offset);
	}
	free(buf);
	close(fd);
	return why;
}

static const char *by_fetch(struct order_shared *s, struct follow *f, struct evw_worker *w)
{
	int fd = evt_open(&s->topic, 0, O_RDONLY);
	size_t room = 256 << 10;
	char *buf = malloc(room);
	const char *why = NULL;

	while (!why && f->offset < TOTAL) {
		struct evstream_fetch a = { .buf = (uintptr_t)buf, .len = room, .offset = -1,
					    .min_bytes = 1, .timeout_ms = -1 };
		struct evs_batch_iter it;
		struct evs_record rec;
		int ret;

		if (ioctl(fd, EVSTREAM_IOC_FETCH, &a))
			return evw_why(w, "offset %lld: FETCH: %s", f->offset, strerror(errno));
		evs_batch_iter_init(&it, buf, a.bytes, EVS_ITER_CRC);
		while (!why && (ret = evs_batch_iter_next(&it, &rec)) == 1) {
			if (rec.offset != f->offset)
				why = evw_why(w, "offset %lld, not %lld", (long long)rec.offset,
					      f->offset);
			else
				why = follow(f, rec.value, rec.value_len, w);
		}
		if (!why && (ret || evs_batch_iter_rest(&it)))
			why = evw_why(w, "offset %lld: not whole batches: %d", f->offset, ret);
	}
	free(buf);
	close(fd);
	return why;
}

static const char *by_mmap(struct order_shared *s, struct follow *f, struct evw_worker *w)
{
	struct evs_reader *r;
	struct evs_record rec;
	const char *why = NULL;
	char path[128];
	int ret;

	evt_path(&s->topic, 0, path, sizeof(path));
	r = evs_reader_open(path, 0);
	if (!r)
		return evw_why(w, "evs_reader_open: %s", strerror(errno));
	while (!why && f->offset < TOTAL) {
		struct evs_batch batch;

		ret = evs_reader_next(r, &rec);
		if (!ret) {
			ret = evs_reader_wait(r, -1);
			if (ret < 0)
				return evw_why(w, "wait: %s", strerror(-ret));
			continue;
		}
		if (ret < 0)
			return evw_why(w, "offset %lld: %s", f->offset, strerror(-ret));
		if (rec.offset != f->offset)
			return evw_why(w, "offset %lld, not %lld", (long long)rec.offset,
				       f->offset);
		ret = evs_reader_batch(r, &batch);
		if (!ret && batch.base_offset == rec.offset)
			ret = evs_batch_verify(batch.data, batch.size, 100000);
		if (ret)
			return evw_why(w, "batch at offset %lld: %s", f->offset, strerror(-ret));
		why = follow(f, rec.value, rec.value_len, w);
		if (!why && !evs_reader_valid(r))
			why = "overrun, with a ring that holds all";
	}
	evs_reader_close(r);
	return why;
}

static const char *consume(void *arg, int index, struct evw_worker *w)
{
	struct order_shared *s = arg;
	struct follow f = {};
	const char *why;

	if (index < 2)
		why = by_read(s, &f, index == 1, w);
	else if (index == 2)
		why = by_fetch(s, &f, w);
	else
		why = by_mmap(s, &f, w);
	s->digest[index] = f.digest;
	return why;
}

TEST_F_TIMEOUT(order, eight_producers_four_readers, EVW_PATIENCE)
{
	struct evw_crew crew;
	int i;

	evw_crew_init(&crew, variant->processes);
	for (i = 0; i < 4; i++)
		evw_start(&crew, consume, self->s, i);
	for (i = 0; i < PRODUCERS; i++)
		evw_start(&crew, produce, self->s, i);
	EXPECT_EQ(0, evw_join(&crew));
	EXPECT_EQ(TOTAL, evt_end(self->fd, 0));
	EXPECT_EQ(0, evt_start(self->fd, 0));
	for (i = 1; i < 4; i++)
		EXPECT_EQ(self->s->digest[0], self->s->digest[i]);
	EXPECT_EQ(0, evw_counter(&self->s->topic, 0, "holes"));
}

/* The log's own bytes: FETCH returns what is mapped, at the position it tells. */
TEST_F_TIMEOUT(order, fetch_is_the_log, EVW_PATIENCE)
{
	struct evw_crew crew;
	struct evstream_stat st;
	size_t room = 1 << 20;
	long long offset = 0, batches = 0;
	char *buf = malloc(room), *map;
	int i;

	evw_crew_init(&crew, variant->processes);
	for (i = 0; i < 4; i++)
		evw_start(&crew, produce, self->s, i);
	ASSERT_EQ(0, evw_join(&crew));
	ASSERT_EQ(0, evt_stat(self->fd, 0, &st));
	map = mmap(NULL, st.end_position, PROT_READ, MAP_SHARED, self->fd, EVSTREAM_MMAP_LOG);
	ASSERT_NE(MAP_FAILED, map);
	while (offset < st.end_offset) {
		struct evstream_fetch a = { .buf = (uintptr_t)buf, .len = room, .offset = offset };
		uint64_t pos;
		size_t done = 0;

		ASSERT_EQ(0, ioctl(self->fd, EVSTREAM_IOC_FETCH, &a));
		ASSERT_LT(0, a.bytes);
		pos = a.position;
		while (done < a.bytes) {
			uint32_t size = __builtin_bswap32(*(uint32_t *)(buf + done + 8)) + 12;

			/* The next one may begin in the next segment. */
			if (memcmp(map + pos, buf + done, 12))
				pos = (pos | ((1 << st.segment_shift) - 1)) + 1;
			ASSERT_LE(pos + size, st.end_position);
			ASSERT_EQ(0, memcmp(map + pos, buf + done, size));
			done += size;
			pos += size;
			batches++;
		}
		ASSERT_EQ(a.bytes, done);
		offset = a.next_offset;
	}
	EXPECT_LT(0, batches);
	munmap(map, st.end_position);
	free(buf);
}

#define TRIES	10000

struct race {
	struct evt_topic *topic;
	atomic_int stop;
	uint32_t len;
};

static const char *append_on(void *arg, int index, struct evw_worker *w)
{
	struct race *race = arg;
	int fd = evt_open(race->topic, 0, O_WRONLY);
	char *buf = malloc(race->len);
	uint32_t seq = 0;

	evw_make(buf, race->len, index, seq++);
	while (!atomic_load(&race->stop)) {
		if (write(fd, buf, race->len) != (ssize_t)race->len)
			return evw_why(w, "write: %s", strerror(errno));
	}
	free(buf);
	close(fd);
	return NULL;
}

static void race_start(struct race *race, struct evw_crew *crew)
{
	int i;

	evw_crew_init(crew, false);
	for (i = 0; i < 2; i++)
		evw_start(crew, append_on, race, i);
}

/* What evw_join() says. */
static int race_end(struct race *race, struct evw_crew *crew)
{
	atomic_store(&race->stop, 1);
	return evw_join(crew);
}

/* Where SEEK says that a record will be, it is: not behind that place. */
TEST_F_TIMEOUT(order, seek_latest, EVW_PATIENCE)
{
	struct race race = { .topic = &self->s->topic, .len = 64 };
	struct evw_crew crew;
	char buf[4096];
	int i;

	if (variant->processes)
		SKIP(return, "the same for processes");
	race_start(&race, &crew);
	for (i = 0; i < TRIES; i++) {
		struct evstream_seek seek = { .whence = EVSTREAM_SEEK_LATEST };
		struct evstream_fetch a = { .buf = (uintptr_t)buf, .len = sizeof(buf),
					    .min_bytes = 1, .timeout_ms = -1 };

		if (ioctl(self->fd, EVSTREAM_IOC_SEEK, &seek))
			break;
		a.offset = seek.offset;
		if (ioctl(self->fd, EVSTREAM_IOC_FETCH, &a))
			break;
		if (seek.position > a.position) {
			TH_LOG("try %d: offset %lld is at %llu, SEEK said %llu", i,
			       (long long)seek.offset, (unsigned long long)a.position,
			       (unsigned long long)seek.position);
			break;
		}
	}
	EXPECT_EQ(TRIES, i);
	EXPECT_EQ(0, race_end(&race, &crew));
}

/* A time that is just now being appended. */
TEST_F_TIMEOUT(order, seek_time_of_what_is_being_filled, EVW_PATIENCE)
{
	struct race race = { .topic = &self->s->topic, .len = 4200 };
	long long end = 0, last = 0, ret = 0;
	struct evw_crew crew;
	int i;

	if (variant->processes)
		SKIP(return, "the same for processes");
	race_start(&race, &crew);
	for (i = 0; i < TRIES; i++) {
		struct evstream_seek seek = { .whence = EVSTREAM_SEEK_TIMESTAMP };
		struct timespec now;

		clock_gettime(CLOCK_REALTIME, &now);
		seek.value = now.tv_sec * 1000LL + now.tv_nsec / 1000000;
		ret = EVT(ioctl(self->fd, EVSTREAM_IOC_SEEK, &seek));
		end = evt_end(self->fd, 0);
		if (ret || seek.offset > end)
			break;
		/* Nothing after it is older: all is appended in the order of time. */
		if (seek.offset < last && i)
			break;
		last = seek.offset;
	}
	EXPECT_EQ(TRIES, i)
		TH_LOG("SEEK_TIMESTAMP: %lld, after %lld, end %lld", ret, last, end);
	EXPECT_EQ(0, race_end(&race, &crew));
}

/* Batches that stand for more offsets than any number of bytes: refused, or found. */
TEST_F_TIMEOUT(order, huge_counts, EVW_PATIENCE)
{
	struct evs_builder *b;
	struct evs_record rec = { .timestamp = -1, .key_len = -1, .value = "x", .value_len = 1 };
	long long end, first, i;
	const void *built;
	char batch[128], buf[256];
	uint32_t v, taken = 0;
	size_t size;

	if (variant->processes)
		SKIP(return, "the same for processes");
	b = evs_builder_new(NULL, 0);
	ASSERT_EQ(0, evs_builder_add(b, &rec));
	ASSERT_EQ(0, evs_builder_finish(b, &built, &size));
	ASSERT_LE(size, sizeof(batch));
	memcpy(batch, built, size);
	evs_builder_free(b);
	batch[22] = (batch[22] & ~7) | 1;		/* gzip */
	v = __builtin_bswap32(INT_MAX - 1);
	memcpy(batch + 23, &v, 4);			/* last offset delta */
	v = __builtin_bswap32(INT_MAX);
	memcpy(batch + 57, &v, 4);			/* count */
	v = __builtin_bswap32(evs_crc32c(0, batch + 21, size - 21));
	memcpy(batch + 17, &v, 4);
	/* An entry of the index is made every 4 KiB. */
	for (i = 0; i < 5; i++) {
		end = evt_end(self->fd, 0);
		if (evs_append_batch(self->fd, 0, batch, size, NULL)) {
			EXPECT_EQ(end, evt_end(self->fd, 0));
			continue;
		}
		taken++;
		memset(buf, 'p', sizeof(buf));
		for (v = 0; v < 30; v++)
			ASSERT_EQ(sizeof(buf), write(self->fd, buf, sizeof(buf)));
	}
	first = evt_end(self->fd, 0);
	EXPECT_LE(taken * (long long)INT_MAX, first);
	for (i = 0; i < 100; i++) {
		evw_make(buf, sizeof(buf), 0, i);
		ASSERT_EQ(sizeof(buf), write(self->fd, buf, sizeof(buf)));
	}
	for (i = 0; i < 100; i++) {
		struct evw_head h;

		ASSERT_EQ(sizeof(buf), pread(self->fd, buf, sizeof(buf), first + i));
		ASSERT_TRUE(evw_check(buf, sizeof(buf), &h));
		ASSERT_EQ(i, h.seq);
	}
	if (taken)
		for (v = 0; v < 30; v++) {
			/* Those between the batches, too. */
			ASSERT_EQ(sizeof(buf), pread(self->fd, buf, sizeof(buf), INT_MAX + v));
			ASSERT_EQ('p', buf[0]);
		}
}

TEST_HARNESS_MAIN
