// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * Fuzz target: kmod/batch.c and libevstream's parsers on any bytes, and whether
 * they agree.
 */
#include <errno.h>

#include <linux/string.h>
#include <linux/unaligned.h>

#include "../../kmod/batch.h"
#include "../../kmod/route.h"
#include "../../tools/lib/evstream.h"
#include "fuzz.h"

#define MAX_RECORD	4096

static uint32_t walk(const uint8_t *data, size_t size, unsigned int flags)
{
	struct evs_batch_iter it;
	struct evs_record rec;
	uint32_t records = 0;
	int ret;

	evs_batch_iter_init(&it, data, size, flags);
	while ((ret = evs_batch_iter_next(&it, &rec)) != 0) {
		struct evs_header_iter headers;
		struct evs_header h;

		if (ret != 1)
			continue;
		records++;
		fuzz_touch(rec.key, rec.key_len);
		fuzz_touch(rec.value, rec.value_len);
		fuzz_touch(rec.headers, rec.headers_len);
		evs_header_first(&headers, &rec);
		while (evs_header_next(&headers, &h) == 1) {
			fuzz_touch(h.key, h.key_len);
			fuzz_touch(h.value, h.value_len);
		}
	}
	FUZZ_CHECK(evs_batch_iter_rest(&it) <= size);
	return records;
}

static bool same_bytes(const void *a, int64_t a_len, const void *b, int64_t b_len)
{
	return a_len == b_len && !a == !b && (a_len <= 0 || !memcmp(a, b, (size_t)a_len));
}

static bool same_record(const struct evs_record *a, const struct evs_record *b)
{
	return a->timestamp == b->timestamp && a->headers_count == b->headers_count &&
	       same_bytes(a->key, a->key_len, b->key, b->key_len) &&
	       same_bytes(a->value, a->value_len, b->value, b->value_len) &&
	       same_bytes(a->headers, a->headers_len, b->headers, b->headers_len);
}

/* What was decoded, encoded again, is the same records. */
static void round_trip(const uint8_t *data, size_t size)
{
	struct evs_builder *b = evs_builder_new(NULL, 0);
	struct evs_batch_iter it, again;
	struct evs_record rec, other;
	struct evs_batch_info info;
	const void *batch;
	size_t len;
	int ret = 0;

	evs_batch_iter_init(&it, data, size, 0);
	while (!ret && evs_batch_iter_next(&it, &rec) == 1)
		ret = evs_builder_add(b, &rec);
	/* A record's own time may lie before the epoch. */
	FUZZ_CHECK(!ret || (ret == -EINVAL && rec.timestamp < 0));
	if (!ret) {
		FUZZ_CHECK(!evs_builder_finish(b, &batch, &len));
		FUZZ_CHECK(!evs_batch_check(batch, len, MAX_RECORD, &info));
		evs_batch_iter_init(&it, data, size, 0);
		evs_batch_iter_init(&again, batch, len, EVS_ITER_CRC);
		while (evs_batch_iter_next(&it, &rec) == 1) {
			FUZZ_CHECK(evs_batch_iter_next(&again, &other) == 1);
			FUZZ_CHECK(same_record(&rec, &other));
		}
		FUZZ_CHECK(!evs_batch_iter_next(&again, &other));
	}
	evs_builder_free(b);
}

/* What the kernel takes, every reader can read, and sees the same in it. */
static void check(const uint8_t *data, size_t size)
{
	const uint8_t *p = data + EVS_BATCH_HEADER;
	struct evs_batch_info info;
	struct evs_batch_iter it;
	struct evs_record_view v;
	struct evs_record rec;
	uint32_t i;

	if (evs_batch_check(data, size, MAX_RECORD, &info))
		return;
	FUZZ_CHECK(info.size == size && info.count == info.last_delta + 1);
	evs_batch_iter_init(&it, data, size, EVS_ITER_CRC);
	if (info.attributes & EVS_ATTR_CODEC) {
		FUZZ_CHECK(info.count <= (size - EVS_BATCH_HEADER) * 4682);
		FUZZ_CHECK(evs_batch_iter_next(&it, &rec) == -EOPNOTSUPP);
		return;
	}
	for (i = 0; i < info.count; i++) {
		struct evs_header_iter headers;
		struct evs_header h;
		uint32_t n = 0;
		s64 time;

		FUZZ_CHECK(evs_batch_iter_next(&it, &rec) == 1);
		FUZZ_CHECK(!evs_record_get(p, data + size, &v));
		p += v.head.size;
		time = info.attributes & EVS_ATTR_APPEND_TIME ? info.max_timestamp :
		       info.base_timestamp + v.head.timestamp_delta;
		FUZZ_CHECK(rec.timestamp == time);
		FUZZ_CHECK((u64)rec.offset == info.base_offset + i);
		FUZZ_CHECK(same_bytes(rec.key, rec.key_len, v.key, v.head.key_len));
		FUZZ_CHECK(same_bytes(rec.value, rec.value_len, v.value, v.value_len));
		FUZZ_CHECK(rec.headers_count == v.headers_count);
		FUZZ_CHECK(rec.headers_len == v.headers_len);
		evs_header_first(&headers, &rec);
		while (evs_header_next(&headers, &h) == 1)
			n++;
		FUZZ_CHECK(n == v.headers_count && !evs_header_next(&headers, &h));
	}
	FUZZ_CHECK(p == data + size && !evs_batch_iter_next(&it, &rec));
	round_trip(data, size);
}

static void numbers(const uint8_t *data, size_t size)
{
	u8 buf[EVS_VARLONG];
	const u8 *end;
	s64 v, again;
	s32 v32;

	end = evs_varint_get(data, data + size, &v);
	if (end) {
		FUZZ_CHECK(end > data && end <= data + size);
		FUZZ_CHECK(evs_varint_put(buf, v) == buf + evs_varint_size(v));
		FUZZ_CHECK(evs_varint_size(v) <= (size_t)(end - data));
		FUZZ_CHECK(evs_varint_get(buf, buf + evs_varint_size(v), &again) && again == v);
	}
	if (evs_varint32_get(data, data + size, &v32))
		FUZZ_CHECK(end && v == v32);
	FUZZ_CHECK(evs_route_key(data, size, 1 + (u32)size) <= size);
}

int fuzz_one(const uint8_t *data, size_t size)
{
	struct evs_record_view view;
	struct evs_batch_header *h;
	uint8_t *copy;

	check(data, size);
	walk(data, size, 0);
	walk(data, size, EVS_ITER_CRC);
	numbers(data, size);
	if (!evs_record_get(data, data + size, &view)) {
		fuzz_touch(view.key, view.head.key_len);
		fuzz_touch(view.value, view.value_len);
		fuzz_touch(view.headers, view.headers_len);
		evs_headers_check(view.headers, view.headers_len, view.headers_count);
	}
	evs_headers_check(data, (u32)size, 3);
	if (size < EVS_BATCH_HEADER || size >= 1 << 20)
		return 0;

	/* Past what no chance gets right: the length, the CRC, the counts and the time. */
	copy = fuzz_copy(data, size);
	h = (void *)copy;
	h->length = cpu_to_be32((u32)size - EVS_BATCH_PREFIX);
	h->magic = EVS_MAGIC;
	h->attributes &= cpu_to_be16(EVS_ATTR_APPEND_TIME);
	evs_batch_seal(copy, (u32)size);
	check(copy, size);
	walk(copy, size, 0);
	h->attributes |= cpu_to_be16(EVS_ATTR_APPEND_TIME);
	h->base_timestamp &= cpu_to_be64(S64_MAX);
	h->max_timestamp &= cpu_to_be64(S64_MAX);
	h->last_offset_delta = cpu_to_be32(be32_to_cpu(h->count) - 1);
	evs_batch_seal(copy, (u32)size);
	check(copy, size);
	free(copy);
	return 0;
}
