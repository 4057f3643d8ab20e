// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* libevstream's mmap reader, on a log in a memfd. */
#include "fakelog.h"

#define TIME		1700000000000LL
#define EXPECTED	(1 << 17)

static uint8_t pool[70000];

struct expect {
	int64_t offset;
	int64_t timestamp;
	const void *key;
	const void *value;
	int32_t key_len;
	int32_t value_len;
	uint32_t headers_count;
};

static struct expect expected[EXPECTED];
static uint32_t nr_expected;
static struct evs_builder *builder;

static void setup(uint64_t position, int64_t offset)
{
	uint32_t i;

	for (i = 0; i < sizeof(pool); i++)
		pool[i] = (uint8_t)tap_random() | 1;
	if (!builder)
		builder = evs_builder_new(NULL, 0);
	nr_expected = 0;
	fake_new(position, offset);
}

static void add(int32_t key_len, int32_t value_len, uint32_t headers, int64_t timestamp)
{
	struct evs_record rec = {
		.timestamp = timestamp,
		.key_len = key_len,
		.key = key_len < 0 ? NULL : pool + tap_below(100),
		.value_len = value_len,
		.value = value_len < 0 ? NULL : pool + tap_below(100),
		.headers_count = headers,
		.headers_len = 5 * headers,
		.headers = "\x02h\x04vv\x02h\x04vv",
	};

	expected[nr_expected++] = (struct expect){
		.offset = fake.next_offset + evs_builder_count(builder),
		.timestamp = timestamp,
		.key = rec.key,
		.value = rec.value,
		.key_len = key_len,
		.value_len = value_len,
		.headers_count = headers,
	};
	if (evs_builder_add(builder, &rec))
		abort();
}

static uint64_t append(uint16_t attributes)
{
	uint32_t n = evs_builder_count(builder);
	const void *batch;
	size_t size;
	uint8_t *p;

	if (evs_builder_finish(builder, &batch, &size))
		abort();
	p = (uint8_t *)batch;
	p[22] |= (uint8_t)attributes;
	return fake_append(p, size, n, TIME);
}

static uint64_t append_one(int32_t value_len)
{
	add(-1, value_len, 0, TIME + nr_expected);
	return append(0);
}

/* One that consumers do not get. */
static uint64_t append_other(uint16_t attributes, uint32_t records)
{
	uint32_t n = nr_expected, i;
	uint64_t pos;

	for (i = 0; i < records; i++)
		add(-1, 10, 0, TIME);
	pos = append(attributes);
	nr_expected = n;
	return pos;
}

static bool same_bytes(const void *a, int32_t a_len, const void *b, int32_t b_len)
{
	return a_len == b_len && !a == !b && (a_len <= 0 || !memcmp(a, b, (size_t)a_len));
}

static void check_next(struct evs_reader *r, const struct expect *want)
{
	struct evs_record rec;
	struct evs_header_iter it;
	struct evs_header h;
	uint32_t n = 0;

	if (!CHECK_EQ(evs_reader_next(r, &rec), 1))
		return;
	CHECK_EQ(rec.offset, want->offset);
	CHECK_EQ(rec.timestamp, want->timestamp);
	CHECK(same_bytes(rec.key, rec.key_len, want->key, want->key_len));
	CHECK(same_bytes(rec.value, rec.value_len, want->value, want->value_len));
	CHECK_EQ(rec.headers_count, want->headers_count);
	CHECK_EQ(rec.headers_len, 5 * want->headers_count);
	evs_header_first(&it, &rec);
	while (evs_header_next(&it, &h) == 1)
		n += h.key_len == 1 && h.value_len == 2;
	CHECK_EQ(n, want->headers_count);
	CHECK(evs_reader_valid(r));
	CHECK_EQ(evs_reader_offset(r), want->offset + 1);
}

static void check_rest(struct evs_reader *r, uint32_t from)
{
	struct evs_record rec;

	while (from < nr_expected)
		check_next(r, &expected[from++]);
	CHECK_EQ(evs_reader_next(r, &rec), 0);
	CHECK_EQ(evs_reader_offset(r), evs_reader_end_offset(r));
}

/* Each length around the edges of the fast path, with and without company. */
static void every_shape(void)
{
	struct evs_reader *r;
	int32_t len;

	setup(0, 0);
	for (len = -1; len < 300; len++)
		append_one(len);
	for (len = 8100; len < 8300; len++)
		append_one(len);
	for (len = -1; len < 140; len++) {
		add(len, 100, 0, TIME);
		append(0);
		add(-1, len, 1, TIME + 5);
		append(0);
		add(len, len, 2, TIME + 70);
		add(-1, 100, 0, TIME);
		add(-1, 100, 0, TIME + 100000);
		append(0);
	}
	r = fake_reader(0, fake_seek, 0);
	check_rest(r, 0);
	append_one(100);
	check_rest(r, nr_expected - 1);
	append_one(100);
	append_one(3);
	append_one(100);
	check_rest(r, nr_expected - 3);
	evs_reader_close(r);
}

static void random_logs(void)
{
	int round;

	for (round = 0; round < 20; round++) {
		uint64_t base = round % 2 ? 7ULL << 32 : 0;
		struct evs_reader *r;
		uint32_t i, n, done = 0, k;

		setup(base, 1000 * round);
		r = fake_reader(0, fake_seek, FAKE_SEGMENT << (round % 3));
		for (i = 0; i < 600; i++) {
			switch (tap_below(10)) {
			case 0:
				append_other(EVS_BATCH_CONTROL, 1 + tap_below(3));
				break;
			case 1:
				append_one((int32_t)tap_below(60000));
				break;
			case 2:
				n = 1 + tap_below(20);
				while (n--)
					add((int32_t)tap_below(40) - 1, (int32_t)tap_below(200) - 1,
					    tap_below(3), TIME + tap_below(1000));
				append(0);
				break;
			default:
				append_one((int32_t)tap_below(400));
			}
			if (!tap_below(50)) {
				k = done;
				done = nr_expected;
				check_rest(r, k);
			}
		}
		check_rest(r, done);
		CHECK(evs_reader_position(r) > base + 10 * FAKE_SEGMENT);
		evs_reader_close(r);
	}
}

/* Segments that end in 0, 1 … 140 bytes of nothing. */
static void segment_ends(void)
{
	struct evs_reader *r;
	uint32_t gap, done = 0;

	setup(0, 0);
	r = fake_reader(0, fake_seek, 2 * FAKE_SEGMENT);
	for (gap = 0; gap <= 140; gap++) {
		append_one(30000);
		append_one((int32_t)(FAKE_SEGMENT - (fake.end & (FAKE_SEGMENT - 1)) - gap - 72));
		CHECK_EQ(FAKE_SEGMENT - (fake.end & (FAKE_SEGMENT - 1)),
			 gap ? gap : FAKE_SEGMENT);
		/* Once at the segment's end, once past it in one go. */
		if (gap % 2) {
			check_rest(r, done);
			done = nr_expected;
		}
		append_one(200);
		append_one(30000);
		append_one(30000);
	}
	check_rest(r, done);
	evs_reader_close(r);
}

static void overrun(void)
{
	struct evs_record rec;
	struct evs_reader *r;
	int64_t from, to;
	uint64_t pos;
	int i;

	setup(0, 0);
	r = fake_reader(0, fake_seek, 0);
	for (i = 0; i < 3000; i++)
		append_one(100);
	for (i = 0; i < 10; i++)
		check_next(r, &expected[i]);
	CHECK(evs_reader_valid(r));
	CHECK_EQ(evs_reader_lost(r, &from, &to), 0);
	CHECK(from == to);

	fake_drop_before(2 * FAKE_SEGMENT);
	CHECK(!evs_reader_valid(r));
	CHECK_EQ(evs_reader_next(r, &rec), -EPIPE);
	CHECK_EQ(evs_reader_lost(r, &from, &to), evs_reader_start_offset(r) - 10);
	CHECK_EQ(from, 10);
	CHECK_EQ(to, evs_reader_start_offset(r));
	check_rest(r, (uint32_t)to);

	/* At the end, with all gone but nothing lost; then with something lost. */
	fake_drop_before(fake.end);
	CHECK_EQ(evs_reader_next(r, &rec), 0);
	append_one(100);
	check_next(r, &expected[nr_expected - 1]);
	append_one(100);
	append_one(100);
	pos = append_one(100);
	fake_drop_before(pos);
	CHECK_EQ(evs_reader_arm(r), 1);
	CHECK_EQ(evs_reader_next(r, &rec), -EPIPE);
	evs_reader_lost(r, &from, &to);
	CHECK_EQ(to - from, 2);
	check_rest(r, nr_expected - 1);
	append_one(100);
	fake_drop_before(fake.end);
	CHECK_EQ(evs_reader_next(r, &rec), -EPIPE);
	CHECK_EQ(evs_reader_next(r, &rec), 0);
	evs_reader_close(r);
}

static uint64_t drop_in_seek;

/* The log moves on between the look for the offset and the one for the position. */
static int moving_seek(int fd, struct evstream_seek *seek)
{
	int ret = fake_seek(fd, seek);

	if (drop_in_seek) {
		fake_drop_before(drop_in_seek);
		drop_in_seek = 0;
		seek->position = fake.start;
	}
	return ret;
}

static void overrun_while_catching_up(void)
{
	struct evs_record rec;
	struct evs_reader *r;
	int64_t from, to;
	int i;

	setup(0, 0);
	for (i = 0; i < 3000; i++)
		append_one(100);
	drop_in_seek = FAKE_SEGMENT;
	r = fake_reader(0, moving_seek, 0);
	to = evs_reader_start_offset(r);
	CHECK(to > 0);
	check_next(r, &expected[to]);

	fake_drop_before(2 * FAKE_SEGMENT);
	drop_in_seek = 3 * FAKE_SEGMENT;
	CHECK_EQ(evs_reader_next(r, &rec), -EPIPE);
	evs_reader_lost(r, &from, NULL);
	CHECK_EQ(from, to + 1);
	evs_reader_lost(r, NULL, &to);
	CHECK_EQ(to, evs_reader_start_offset(r));
	check_rest(r, (uint32_t)to);

	/* An offset that was there a moment ago. */
	i = (int)to + 5;
	drop_in_seek = 4 * FAKE_SEGMENT;
	CHECK_EQ(evs_reader_seek(r, EVSTREAM_SEEK_OFFSET, i), 0);
	CHECK_EQ(evs_reader_next(r, &rec), -EPIPE);
	evs_reader_lost(r, &from, &to);
	CHECK_EQ(from, i);
	CHECK_EQ(to, evs_reader_start_offset(r));
	check_rest(r, (uint32_t)to);
	evs_reader_close(r);
}

static void overrun_inside_a_batch(void)
{
	struct evs_record rec;
	struct evs_reader *r;
	int64_t from, to;
	int i;

	setup(0, 0);
	r = fake_reader(0, fake_seek, 0);
	for (i = 0; i < 20; i++)
		add(3, 100, 0, TIME);
	append(0);
	append_one(60000);
	append_one(60000);
	for (i = 0; i < 7; i++)
		check_next(r, &expected[i]);
	fake_drop_before(FAKE_SEGMENT);
	CHECK(!evs_reader_valid(r));
	CHECK_EQ(evs_reader_next(r, &rec), -EPIPE);
	CHECK_EQ(evs_reader_lost(r, &from, &to), 14);
	CHECK_EQ(from, 7);
	CHECK_EQ(to, 21);
	check_rest(r, 21);
	evs_reader_close(r);
}

static void seeks(void)
{
	struct evs_record rec;
	struct evs_reader *r;
	int64_t from, to;
	int i, k;

	setup(0, 0);
	for (i = 0; i < 200; i++) {
		for (k = 0; k < 5; k++)
			add(-1, 100, 0, TIME);
		append(0);
		append_one(100);
	}
	r = fake_reader(EVS_READER_LATEST, fake_seek, 0);
	check_rest(r, nr_expected);
	for (i = 0; i < 1200; i += 7) {
		CHECK_EQ(evs_reader_seek(r, EVSTREAM_SEEK_OFFSET, i), 0);
		CHECK_EQ(evs_reader_offset(r), i);
		check_next(r, &expected[i]);
		check_next(r, &expected[i + 1]);
	}
	CHECK_EQ(evs_reader_seek(r, EVSTREAM_SEEK_EARLIEST, 0), 0);
	check_rest(r, 0);
	CHECK_EQ(evs_reader_seek(r, EVSTREAM_SEEK_LATEST, 0), 0);
	check_rest(r, nr_expected);

	/* Beyond the end: what comes before it is not for us. */
	CHECK_EQ(evs_reader_seek(r, EVSTREAM_SEEK_OFFSET, 1203), 0);
	CHECK_EQ(evs_reader_next(r, &rec), 0);
	for (i = 0; i < 4; i++)
		append_one(100);
	append_one(100);
	check_rest(r, 1203);

	/* Before the start: a gap, told once. */
	fake_drop_before(FAKE_SEGMENT);
	CHECK_EQ(evs_reader_seek(r, EVSTREAM_SEEK_OFFSET, 5), 0);
	CHECK_EQ(evs_reader_next(r, &rec), -EPIPE);
	evs_reader_lost(r, &from, &to);
	CHECK_EQ(from, 5);
	CHECK_EQ(to, evs_reader_start_offset(r));
	check_rest(r, (uint32_t)to);
	evs_reader_close(r);
}

static void seek_between_windows(void)
{
	struct evs_reader *r;
	int i;

	setup(3ULL << 32, 0);
	for (i = 0; i < 300; i++)
		append_one(5000);
	r = fake_reader(0, fake_seek, FAKE_SEGMENT);
	for (i = 0; i < 500; i++) {
		uint32_t to = tap_below(298);

		CHECK_EQ(evs_reader_seek(r, EVSTREAM_SEEK_OFFSET, to), 0);
		CHECK_EQ(evs_reader_position(r), fake.batches[to].position);
		if (tap_below(2)) {
			check_next(r, &expected[to]);
			check_next(r, &expected[to + 1]);
		}
	}
	evs_reader_close(r);
}

static void compressed(void)
{
	struct evs_batch batch;
	struct evs_record rec;
	struct evs_reader *r;

	setup(0, 500);
	append_one(100);
	append_other(4, 3);
	append_one(100);
	r = fake_reader(0, fake_seek, 0);
	CHECK_EQ(evs_reader_batch(r, &batch), -ENODATA);
	check_next(r, &expected[0]);
	CHECK_EQ(evs_reader_batch(r, &batch), 0);
	CHECK_EQ(batch.base_offset, 500);
	CHECK_EQ(batch.count, 1);
	CHECK_EQ(evs_reader_next(r, &rec), -EOPNOTSUPP);
	CHECK_EQ(evs_reader_batch(r, &batch), 0);
	CHECK_EQ(batch.base_offset, 501);
	CHECK_EQ(batch.count, 3);
	CHECK_EQ(batch.last_delta, 2);
	CHECK_EQ(batch.attributes, 4);
	CHECK_EQ(evs_reader_offset(r), 504);
	check_rest(r, 1);
	fake_drop_before(fake.end);
	CHECK_EQ(evs_reader_batch(r, &batch), -EPIPE);
	evs_reader_close(r);
}

static void append_time(void)
{
	struct evs_reader *r;

	setup(0, 0);
	add(-1, 100, 0, TIME);
	append(EVS_BATCH_APPEND_TIME);
	add(-1, 100, 0, TIME);
	add(-1, 100, 0, TIME + 9);
	append(EVS_BATCH_APPEND_TIME);
	expected[1].timestamp = TIME + 9;
	r = fake_reader(0, fake_seek, 0);
	check_rest(r, 0);
	evs_reader_close(r);
}

/* Bytes that no kernel wrote: told, and gone past. */
static void garbage(void)
{
	static const struct { uint32_t at; uint8_t v; } damage[] = {
		{ 16, 3 },		/* magic */
		{ 8, 0x7f },		/* length far too large */
		{ 8, 0xff },
		{ 57, 0x80 },		/* count */
		{ 61, 0x00 },		/* the record's length */
		{ 66, 0x03 },		/* the key's */
	};
	size_t i;

	for (i = 0; i < sizeof(damage) / sizeof(damage[0]); i++) {
		struct evs_record rec;
		struct evs_reader *r;
		uint64_t pos;
		int ret;

		setup(0, 0);
		append_one(100);
		pos = append_one(100);
		if (pwrite(fake.fd, &damage[i].v, 1,
			   (off_t)(EVSTREAM_MMAP_LOG + pos + damage[i].at)) != 1)
			abort();
		append_one(60000);
		append_one(60000);
		r = fake_reader(0, fake_seek, 0);
		check_next(r, &expected[0]);
		CHECK_EQ(evs_reader_next(r, &rec), -EBADMSG);
		ret = evs_reader_next(r, &rec);
		CHECK_EQ(ret, 1);
		CHECK(rec.offset == 2 || rec.offset == 3);
		evs_reader_close(r);
	}
}

static void deleted(void)
{
	struct evs_record rec;
	struct evs_reader *r;

	setup(0, 0);
	append_one(100);
	append_one(100);
	r = fake_reader(0, fake_seek, 0);
	check_next(r, &expected[0]);
	fake.ctl->flags = EVSTREAM_CTL_DEAD;
	CHECK(!evs_reader_valid(r));
	fallocate(fake.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		  (off_t)EVSTREAM_MMAP_LOG, 4096);
	CHECK_EQ(evs_reader_next(r, &rec), -ENODEV);
	CHECK_EQ(evs_reader_next(r, &rec), -ENODEV);
	CHECK_EQ(evs_reader_wait(r, -1), -ENODEV);
	CHECK_EQ(evs_reader_arm(r), -ENODEV);
	CHECK_EQ(evs_reader_seek(r, EVSTREAM_SEEK_EARLIEST, 0), -ENODEV);
	evs_reader_close(r);
	CHECK(!fake_reader(0, fake_seek, 0) && errno == ENODEV);
}

static void open_checks(void)
{
	setup(0, 0);
	CHECK(!fake_reader(4, fake_seek, 0) && errno == EINVAL);
	fake.ctl->version = 2;
	CHECK(!fake_reader(0, fake_seek, 0) && errno == EPROTO);
	fake.ctl->version = 1;
	fake.ctl->segment_shift = 31;
	CHECK(!fake_reader(0, fake_seek, 0) && errno == EPROTO);
}

static void waits(void)
{
	struct evs_record rec;
	struct evs_reader *r;

	setup(0, 0);
	append_one(100);
	r = fake_reader(0, fake_seek, 0);
	CHECK_EQ(evs_reader_arm(r), 1);
	CHECK_EQ(evs_reader_wait(r, -1), 1);
	CHECK_EQ(evs_reader_next(r, &rec), 1);
	CHECK_EQ(evs_reader_arm(r), 0);
	append_one(100);
	CHECK_EQ(evs_reader_arm(r), 1);
	evs_reader_close(r);
}

/*
 * A producer laps the reader again and again in a ring of four segments. Each
 * byte of a record says which offset it is of, so that a torn one shows.
 */
#define STRESS_RECORDS	100000

static void *stress_producer(void *arg)
{
	uint64_t dropped = 0;
	uint32_t i;

	(void)arg;
	for (i = 0; i < STRESS_RECORDS;) {
		uint8_t value[8 * 200];
		uint32_t n = i % 3 ? 1 : 1 + i % 5, k;
		const void *batch;
		size_t size;

		for (k = 0; k < n; k++, i++) {
			struct evs_record rec = {
				.timestamp = TIME, .key_len = -1, .value = value,
				.value_len = 8 * (1 + (int32_t)(i % 190)),
			};
			uint64_t offset = i, at;

			for (at = 0; at < (uint64_t)rec.value_len; at += 8)
				memcpy(value + at, &offset, 8);
			if (evs_builder_add(builder, &rec))
				abort();
		}
		evs_builder_finish(builder, &batch, &size);
		fake_append((void *)batch, size, n, TIME);
		if (fake.end >> FAKE_SHIFT > dropped + 4) {
			dropped++;
			fake_drop_before(dropped << FAKE_SHIFT);
		}
	}
	return NULL;
}

static void lapped_again_and_again(void)
{
	uint64_t got = 0, invalid = 0, gaps = 0, lost;
	struct evs_reader *r;
	struct evs_record rec;
	int64_t next = 0;
	pthread_t thread;
	int ret;

	setup(0, 0);
	r = fake_reader(0, fake_seek, 4 * FAKE_SEGMENT);
	if (pthread_create(&thread, NULL, stress_producer, NULL))
		abort();
	while (next < STRESS_RECORDS) {
		ret = evs_reader_next(r, &rec);
		if (ret == 1) {
			bool fine = rec.value_len == 8 * (1 + (int32_t)(rec.offset % 190));
			int32_t at;

			for (at = 0; at + 8 <= rec.value_len; at += 8) {
				uint64_t word;

				memcpy(&word, (const uint8_t *)rec.value + at, 8);
				fine &= word == (uint64_t)rec.offset;
			}
			if (evs_reader_valid(r)) {
				got++;
				CHECK(fine);
			} else {
				invalid++;
			}
			CHECK_EQ(rec.offset, next);
			next = rec.offset + 1;
			/* Asleep now and then, to be overrun. */
			if (!tap_below(2000))
				usleep(2000);
		} else if (ret == -EPIPE) {
			int64_t from, to;

			evs_reader_lost(r, &from, &to);
			CHECK_EQ(from, next);
			CHECK(to > from);
			next = to;
			gaps++;
		} else if (!CHECK_EQ(ret, 0)) {
			break;
		}
	}
	pthread_join(thread, NULL);
	lost = evs_reader_lost(r, NULL, NULL);
	CHECK_EQ(got + invalid + lost, STRESS_RECORDS);
	CHECK(gaps > 0);
	printf("# %llu whole, %llu overrun in use, %llu lost in %llu gaps\n",
	       (unsigned long long)got, (unsigned long long)invalid, (unsigned long long)lost,
	       (unsigned long long)gaps);
	evs_reader_close(r);
}

/* Pages become zeroes under the parser without any notice in time. */
static void *stress_zeroes(void *arg)
{
	while (!__atomic_load_n((bool *)arg, __ATOMIC_RELAXED)) {
		uint64_t page = tap_random() % (fake.end / 4096);
		uint8_t saved[4096];

		if (pread(fake.fd, saved, 4096,
			  (off_t)(EVSTREAM_MMAP_LOG + page * 4096)) != 4096)
			continue;
		fallocate(fake.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			  (off_t)(EVSTREAM_MMAP_LOG + page * 4096), 4096);
		if (pwrite(fake.fd, saved, 4096, (off_t)(EVSTREAM_MMAP_LOG + page * 4096)) != 4096)
			abort();
	}
	return NULL;
}

static void zeroes_at_any_moment(void)
{
	uint64_t records = 0, bad = 0;
	struct evs_record rec;
	struct evs_reader *r;
	bool stop = false;
	pthread_t thread;
	int i, ret;

	setup(0, 0);
	for (i = 0; i < 2000; i++) {
		append_one(200);
		add(5, 300, 2, TIME);
		add(5, 30, 1, TIME + 1);
		append(0);
	}
	r = fake_reader(0, fake_seek, 0);
	if (pthread_create(&thread, NULL, stress_zeroes, &stop))
		abort();
	for (i = 0; i < 150; i++) {
		CHECK_EQ(evs_reader_seek(r, EVSTREAM_SEEK_EARLIEST, 0), 0);
		while ((ret = evs_reader_next(r, &rec)) != 0) {
			struct evs_header_iter it;
			struct evs_header h;
			uint8_t sum = 0;
			int32_t at;

			if (ret != 1) {
				CHECK_EQ(ret, -EBADMSG);
				bad++;
				continue;
			}
			records++;
			for (at = 0; at < rec.value_len; at++)
				sum += evs_load8((uintptr_t)rec.value + (uint32_t)at);
			for (at = 0; at < rec.key_len; at++)
				sum += evs_load8((uintptr_t)rec.key + (uint32_t)at);
			evs_header_first(&it, &rec);
			while (evs_header_next(&it, &h) == 1)
				for (at = 0; at < h.value_len; at++)
					sum += evs_load8((uintptr_t)h.value + (uint32_t)at);
		}
	}
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	printf("# %llu records, %llu batches that were zeroes\n", (unsigned long long)records,
	       (unsigned long long)bad);
	CHECK(records > 0);
	evs_reader_close(r);
}

static const struct tap_test tests[] = {
	TAP_TEST(every_shape),
	TAP_TEST(random_logs),
	TAP_TEST(segment_ends),
	TAP_TEST(overrun),
	TAP_TEST(overrun_while_catching_up),
	TAP_TEST(overrun_inside_a_batch),
	TAP_TEST(seeks),
	TAP_TEST(seek_between_windows),
	TAP_TEST(compressed),
	TAP_TEST(append_time),
	TAP_TEST(garbage),
	TAP_TEST(deleted),
	TAP_TEST(open_checks),
	TAP_TEST(waits),
	TAP_TEST(lapped_again_and_again),
	TAP_TEST(zeroes_at_any_moment),
};

int main(void)
{
	return TAP_MAIN(tests);
}
