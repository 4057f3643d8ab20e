// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* libevstream on memory: builder, iterators, headers. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "../../tools/lib/evstream.h"
#include "tap.h"

#define TIME	1700000000000LL

static void random_bytes(uint8_t *p, uint32_t len)
{
	while (len--)
		*p++ = (uint8_t)tap_random();
}

/* A length near the edges of the varints. */
static int32_t random_len(void)
{
	static const uint32_t around[] = { 0, 0, 1, 60, 64, 100, 127, 500, 8188 };

	if (!tap_below(8))
		return -1;
	return (int32_t)(around[tap_below(9)] + tap_below(8));
}

static bool same_bytes(const void *a, int32_t a_len, const void *b, int32_t b_len)
{
	return a_len == b_len && !a == !b && (a_len <= 0 || !memcmp(a, b, (size_t)a_len));
}

static bool same(const struct evs_record *a, const struct evs_record *b)
{
	return a->timestamp == b->timestamp &&
	       same_bytes(a->key, a->key_len, b->key, b->key_len) &&
	       same_bytes(a->value, a->value_len, b->value, b->value_len) &&
	       a->headers_count == b->headers_count && a->headers_len == b->headers_len &&
	       !memcmp(a->headers ? a->headers : "", b->headers ? b->headers : "",
		       a->headers_len);
}

#define POOL	20000

static uint8_t pool[POOL];

static void random_record(struct evs_record *rec, uint8_t headers[64])
{
	uint32_t n = tap_below(4), len = 0;

	memset(rec, 0, sizeof(*rec));
	rec->timestamp = TIME + tap_below(100000);
	rec->key_len = random_len();
	rec->key = rec->key_len < 0 ? NULL : pool + tap_below(100);
	rec->value_len = random_len();
	rec->value = rec->value_len < 0 ? NULL : pool + tap_below(100);
	while (rec->headers_count < n) {
		struct evs_header h = {
			.key = pool,
			.key_len = (int32_t)tap_below(6),
			.value = pool + 50,
			.value_len = (int32_t)tap_below(8) - 1,
		};

		len += evs_header_encode(headers + len, 64 - len, &h);
		rec->headers_count++;
	}
	rec->headers = n ? headers : NULL;
	rec->headers_len = len;
}

static void round_trip(void)
{
	struct evs_builder *b = evs_builder_new(NULL, 0);
	static struct evs_record recs[50];
	static uint8_t headers[50][64];
	int round;

	random_bytes(pool, POOL);
	for (round = 0; round < 200; round++) {
		uint32_t n = 1 + tap_below(50), i;
		const struct evs_batch *batch;
		struct evs_batch_iter it;
		struct evs_record got;
		const void *data;
		int64_t newest = 0;
		size_t size;
		void *copy;

		for (i = 0; i < n; i++) {
			random_record(&recs[i], headers[i]);
			if (recs[i].timestamp > newest)
				newest = recs[i].timestamp;
			CHECK_EQ(evs_builder_add(b, &recs[i]), 0);
			CHECK_EQ(evs_builder_count(b), i + 1);
		}
		size = evs_builder_size(b);
		CHECK_EQ(evs_builder_finish(b, &data, &size), 0);
		CHECK_EQ(evs_builder_count(b), 0);
		CHECK_EQ(evs_batch_verify(data, size, 1 << 20), 0);
		copy = tap_exact(data, size);
		evs_batch_iter_init(&it, copy, size, EVS_ITER_CRC);
		for (i = 0; i < n; i++) {
			CHECK_EQ(evs_batch_iter_next(&it, &got), 1);
			CHECK_EQ(got.offset, i);
			CHECK(same(&got, &recs[i]));
		}
		batch = evs_batch_iter_batch(&it);
		CHECK(batch->data == copy);
		CHECK_EQ(batch->size, size);
		CHECK_EQ(batch->count, n);
		CHECK_EQ(batch->last_delta, n - 1);
		CHECK_EQ(batch->base_timestamp, recs[0].timestamp);
		CHECK_EQ(batch->max_timestamp, newest);
		CHECK_EQ(evs_batch_iter_next(&it, &got), 0);
		CHECK_EQ(evs_batch_iter_rest(&it), 0);
		free(copy);
	}
	evs_builder_free(b);
}

static void headers_walk(void)
{
	static const struct evs_header want[] = {
		{ "trace", "abc", 5, 3 }, { "", "", 0, 0 }, { "null", NULL, 4, -1 },
	};
	struct evs_record rec = { .headers_count = 3 };
	struct evs_header_iter it;
	struct evs_header h;
	uint8_t buf[64], *copy;
	size_t len = 0, i, n;

	for (i = 0; i < 3; i++) {
		n = evs_header_encode(NULL, 0, &want[i]);
		CHECK_EQ(evs_header_encode(buf + len, n, &want[i]), n);
		CHECK_EQ(evs_header_encode(buf + len, n - 1, &want[i]), n);
		len += n;
	}
	copy = tap_exact(buf, len);
	rec.headers = copy;
	rec.headers_len = (uint32_t)len;
	evs_header_first(&it, &rec);
	for (i = 0; i < 3; i++) {
		CHECK_EQ(evs_header_next(&it, &h), 1);
		CHECK(same_bytes(h.key, h.key_len, want[i].key, want[i].key_len));
		CHECK(same_bytes(h.value, h.value_len, want[i].value, want[i].value_len));
	}
	CHECK_EQ(evs_header_next(&it, &h), 0);
	CHECK_EQ(evs_header_next(&it, &h), 0);
	free(copy);

	/* Cut off anywhere: an end, never a read behind it. */
	for (n = 0; n < len; n++) {
		int ret;

		copy = tap_exact(buf, n);
		rec.headers = copy;
		rec.headers_len = (uint32_t)n;
		evs_header_first(&it, &rec);
		do {
			ret = evs_header_next(&it, &h);
		} while (ret == 1);
		CHECK_EQ(ret, -EBADMSG);
		free(copy);
	}
	rec.headers_count = 2;
	rec.headers = buf;
	rec.headers_len = (uint32_t)len;
	evs_header_first(&it, &rec);
	CHECK_EQ(evs_header_next(&it, &h), 1);
	CHECK_EQ(evs_header_next(&it, &h), 1);
	CHECK_EQ(evs_header_next(&it, &h), -EBADMSG);

	rec = (struct evs_record){ .key_len = -1, .value_len = -1 };
	evs_header_first(&it, &rec);
	CHECK_EQ(evs_header_next(&it, &h), 0);
	CHECK_EQ(evs_header_encode(buf, 64, &(struct evs_header){ "a", "b", -1, 1 }), 0);
	CHECK_EQ(evs_header_encode(buf, 64, &(struct evs_header){ "a", "b", 1, -2 }), 0);
	CHECK_EQ(evs_header_encode(buf, 64, &(struct evs_header){ NULL, "b", 1, 1 }), 0);
}

static void builder_limits(void)
{
	struct evs_record rec = {
		.timestamp = TIME, .key_len = -1, .value = pool, .value_len = 10,
	};
	uint8_t buf[61 + 18];
	struct evs_builder *b;
	const void *batch;
	size_t size;

	CHECK(!evs_builder_new(buf, 60) && errno == EINVAL);
	CHECK(!evs_builder_new(NULL, 60) && errno == EINVAL);
	b = evs_builder_new(buf, sizeof(buf));
	CHECK_EQ(evs_builder_finish(b, &batch, &size), -ENODATA);
	CHECK_EQ(evs_builder_add(b, &rec), 0);
	CHECK_EQ(evs_builder_size(b), 61 + 17);
	CHECK_EQ(evs_builder_add(b, &rec), -EMSGSIZE);
	CHECK_EQ(evs_builder_count(b), 1);
	CHECK_EQ(evs_builder_finish(b, &batch, &size), 0);
	CHECK(batch == buf && size == 78);
	CHECK_EQ(evs_batch_verify(batch, size, 10), 0);
	CHECK_EQ(evs_batch_verify(batch, size, 9), -EMSGSIZE);
	CHECK_EQ(evs_builder_finish(b, &batch, &size), -ENODATA);
	rec.value_len = 12;
	CHECK_EQ(evs_builder_add(b, &rec), -EMSGSIZE);
	rec.value_len = 11;
	CHECK_EQ(evs_builder_add(b, &rec), 0);
	evs_builder_reset(b);
	CHECK_EQ(evs_builder_count(b), 0);
	CHECK_EQ(evs_builder_add(b, &rec), 0);
	evs_builder_free(b);

	b = evs_builder_new(NULL, 8192);
	rec.value_len = 8192;
	CHECK_EQ(evs_builder_add(b, &rec), -EMSGSIZE);
	rec.value_len = 8192 - 61 - 9;
	CHECK_EQ(evs_builder_add(b, &rec), 0);
	CHECK_EQ(evs_builder_size(b), 8192);
	evs_builder_free(b);
	evs_builder_free(NULL);
}

static void builder_refuses(void)
{
	static const struct evs_record bad[] = {
		{ .timestamp = -2, .key_len = -1, .value_len = -1 },
		{ .timestamp = INT64_MIN, .key_len = -1, .value_len = -1 },
		{ .key_len = -2, .value_len = -1 },
		{ .key_len = -1, .value_len = -2 },
		{ .key_len = 1, .value_len = -1 },
		{ .key_len = -1, .value_len = 1 },
		{ .key_len = -1, .value_len = -1, .headers_count = 1 },
		{ .key_len = -1, .value_len = -1, .headers_len = 2 },
		{ .key_len = -1, .value_len = -1, .headers = "\0\0", .headers_len = 2 },
		{ .key_len = -1, .value_len = -1, .headers = "\0\4", .headers_len = 2,
		  .headers_count = 1 },
		{ .key_len = -1, .value_len = -1, .headers = "\0\0", .headers_len = 2,
		  .headers_count = UINT32_MAX },
	};
	struct evs_record now = { .timestamp = -1, .key_len = -1, .value_len = -1 };
	struct evs_builder *b = evs_builder_new(NULL, 0);
	struct evs_batch_iter it;
	struct evs_record got;
	const void *batch;
	size_t size, i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (!CHECK_EQ(evs_builder_add(b, &bad[i]), -EINVAL))
			printf("# case %zu\n", i);
	CHECK_EQ(evs_builder_count(b), 0);
	CHECK_EQ(evs_builder_add(b, &now), 0);
	CHECK_EQ(evs_builder_finish(b, &batch, &size), 0);
	evs_batch_iter_init(&it, batch, size, EVS_ITER_CRC);
	CHECK_EQ(evs_batch_iter_next(&it, &got), 1);
	CHECK(got.timestamp > TIME && !got.key && !got.value && !got.headers);
	evs_builder_free(b);
}

/* One record with the value. Return: bytes. */
static size_t one(uint8_t *to, struct evs_builder *b, const char *value)
{
	struct evs_record rec = {
		.timestamp = TIME, .key_len = -1,
		.value = value, .value_len = (int32_t)strlen(value),
	};
	const void *batch;
	size_t size;

	if (evs_builder_add(b, &rec) || evs_builder_finish(b, &batch, &size))
		abort();
	memcpy(to, batch, size);
	return size;
}

static void reseal(uint8_t *batch, size_t size)
{
	uint32_t crc = __builtin_bswap32(evs_crc32c(0, batch + 21, size - 21));

	memcpy(batch + 17, &crc, 4);
}

static void iterator_goes_on_behind_what_it_cannot_read(void)
{
	struct evs_builder *b = evs_builder_new(NULL, 0);
	uint8_t buf[1024], *at[6];
	struct evs_batch_iter it;
	struct evs_record rec;
	size_t len = 0, size = 0;
	int i;

	for (i = 0; i < 6; i++) {
		at[i] = buf + len;
		size = one(at[i], b, "value");
		len += size;
	}
	at[0][22] |= EVS_BATCH_CONTROL;
	reseal(at[0], size);
	at[1][22] |= 4;
	reseal(at[1], size);
	at[2][60] = 0;
	at[2][70] = 0;
	reseal(at[2], size);
	at[3][70] ^= 1;
	at[4][16] = 1;

	evs_batch_iter_init(&it, buf, len, EVS_ITER_CRC);
	CHECK_EQ(evs_batch_iter_next(&it, &rec), -EOPNOTSUPP);
	CHECK(evs_batch_iter_batch(&it)->data == at[1]);
	CHECK_EQ(evs_batch_iter_next(&it, &rec), -EBADMSG);
	CHECK_EQ(evs_batch_iter_next(&it, &rec), -EBADMSG);
	CHECK_EQ(evs_batch_iter_next(&it, &rec), 1);
	CHECK(evs_batch_iter_batch(&it)->data == at[5]);
	CHECK_EQ(evs_batch_iter_next(&it, &rec), 0);

	/* Without the CRC, the damage is taken for what it is. */
	evs_batch_iter_init(&it, buf, len, 0);
	CHECK_EQ(evs_batch_iter_next(&it, &rec), -EOPNOTSUPP);
	CHECK_EQ(evs_batch_iter_next(&it, &rec), 1);
	CHECK(evs_batch_iter_batch(&it)->data == at[3]);
	evs_builder_free(b);
}

static void iterator_ends(void)
{
	struct evs_builder *b = evs_builder_new(NULL, 0);
	struct evs_batch_iter it;
	struct evs_record rec;
	uint8_t buf[256] = { 0 };
	size_t size = one(buf, b, "value"), n;

	for (n = 0; n < 256; n++) {
		uint8_t *copy = tap_exact(buf, n);

		evs_batch_iter_init(&it, copy, n, EVS_ITER_CRC);
		if (n >= size)
			CHECK_EQ(evs_batch_iter_next(&it, &rec), 1);
		CHECK_EQ(evs_batch_iter_next(&it, &rec), 0);
		CHECK_EQ(evs_batch_iter_rest(&it), n < size ? n : n - size);
		free(copy);
	}
	/* A length that cannot be right ends the walk, once told. */
	memset(buf + 8, 0xff, 4);
	evs_batch_iter_init(&it, buf, sizeof(buf), 0);
	CHECK_EQ(evs_batch_iter_next(&it, &rec), -EBADMSG);
	CHECK_EQ(evs_batch_iter_next(&it, &rec), 0);
	evs_builder_free(b);
}

static void append_time(void)
{
	struct evs_builder *b = evs_builder_new(NULL, 0);
	struct evs_batch_iter it;
	struct evs_record rec;
	uint8_t buf[256];
	size_t size = one(buf, b, "value");

	buf[22] |= EVS_BATCH_APPEND_TIME;
	buf[42] ^= 1;
	reseal(buf, size);
	evs_batch_iter_init(&it, buf, size, EVS_ITER_CRC);
	CHECK_EQ(evs_batch_iter_next(&it, &rec), 1);
	CHECK_EQ(rec.timestamp, TIME ^ 1);
	evs_builder_free(b);
}

static void open_refuses(void)
{
	int fd = open("/dev/null", O_RDWR);

	errno = 0;
	CHECK(!evs_reader_open("/dev/null", 0) && errno == ENODEV);
	CHECK(!evs_reader_open("/proc/self/exe", 0) && errno == ENODEV);
	CHECK(!evs_reader_open("/", 0) && errno == ENODEV);
	CHECK(!evs_reader_open("/nowhere/at/all", 0) && errno == ENOENT);
	CHECK(!evs_reader_open("/dev/null", 2) && errno == EINVAL);
	/* Not taken over. */
	CHECK(!evs_reader_open_fd(fd, 0) && errno == ENODEV);
	CHECK_EQ(evs_append_batch(fd, 0, "", 0, NULL), -ENOTTY);
	CHECK_EQ(close(fd), 0);
	evs_reader_close(NULL);
}

static void partitions(void)
{
	CHECK_EQ(evs_partition_for_key("foobar", 6, 10), (-790332482 & 0x7fffffff) % 10);
	CHECK_EQ(evs_partition_for_key("", 0, 1), 0);
}

static const struct tap_test tests[] = {
	TAP_TEST(round_trip),
	TAP_TEST(headers_walk),
	TAP_TEST(builder_limits),
	TAP_TEST(builder_refuses),
	TAP_TEST(iterator_goes_on_behind_what_it_cannot_read),
	TAP_TEST(iterator_ends),
	TAP_TEST(append_time),
	TAP_TEST(open_refuses),
	TAP_TEST(partitions),
};

int main(void)
{
	return TAP_MAIN(tests);
}
