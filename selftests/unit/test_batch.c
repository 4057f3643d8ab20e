// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* kmod/batch.c: the bytes are Kafka's, and a batch that lies is refused. */
#include <errno.h>

#include <linux/string.h>
#include <linux/unaligned.h>

#include "../../kmod/batch.h"
#include "tap.h"

#define LIMIT	(1U << 20)
#define TIME	1700000000000LL

/* Offset 42, TIME, key "key", value "value"; decoded by a Kafka client. */
static const u8 golden[] = {
	0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x2a, 0x00, 0x00, 0x00, 0x40,
	0x00, 0x00, 0x00, 0x00, 0x02, 0xdb, 0x5e, 0x9c, 0xdd, 0x00, 0x00, 0x00,
	0x00, 0x00, 0x00, 0x00, 0x00, 0x01, 0x8b, 0xcf, 0xe5, 0x68, 0x00, 0x00,
	0x00, 0x01, 0x8b, 0xcf, 0xe5, 0x68, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff,
	0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00,
	0x01, 0x1c, 0x00, 0x00, 0x00, 0x06, 0x6b, 0x65, 0x79, 0x0a, 0x76, 0x61,
	0x6c, 0x75, 0x65, 0x00,
};

struct rec {
	const char *key;
	const char *value;
	const char *headers;
	u32 headers_len;
	u32 headers_count;
	s64 delta;
	s64 offset_delta;
};

static u8 *put_bytes(u8 *p, const char *s)
{
	p = evs_varint_put(p, s ? (s64)strlen(s) : -1);
	return s ? memcpy(p, s, strlen(s)) + strlen(s) : p;
}

static u32 build(u8 *buf, const struct rec *recs, u32 n)
{
	struct evs_batch_info info = {
		.base_offset = 7,
		.last_delta = n - 1,
		.count = n,
		.base_timestamp = TIME,
		.max_timestamp = TIME,
	};
	u8 *p = buf + EVS_BATCH_HEADER;
	u32 i;

	for (i = 0; i < n; i++) {
		const struct rec *r = &recs[i];
		s32 key_len = r->key ? (s32)strlen(r->key) : -1;
		s32 value_len = r->value ? (s32)strlen(r->value) : -1;
		u32 body = evs_record_body(r->delta, (u32)r->offset_delta, key_len, value_len,
					   r->headers_count, r->headers_len);
		u8 *from = p;

		p = evs_record_head_put(p, body, r->delta, (u32)r->offset_delta, key_len);
		if (r->key)
			p = memcpy(p, r->key, strlen(r->key)) + strlen(r->key);
		p = put_bytes(p, r->value);
		p = evs_varint_put(p, r->headers_count);
		if (r->headers_len)
			p = memcpy(p, r->headers, r->headers_len) + r->headers_len;
		CHECK_EQ(p - from, evs_record_size(r->delta, (u32)r->offset_delta, key_len,
						   value_len, r->headers_count, r->headers_len));
		if (TIME + r->delta > info.max_timestamp)
			info.max_timestamp = TIME + r->delta;
	}
	info.size = (u32)(p - buf);
	evs_batch_header_put(buf, &info);
	evs_batch_seal(buf, info.size);
	return info.size;
}

static const struct rec three[] = {
	{ "key", "value", NULL, 0, 0, 0, 0 },
	{ NULL, NULL, "\x02n\x01\x00\x04vv", 7, 2, 1000, 1 },
	{ "", "", "\x02h\x00", 3, 1, -5, 2 },
};

static int verdict(const void *batch, size_t size, u32 max_record)
{
	struct evs_batch_info info;
	void *copy = tap_exact(batch, size);
	int ret = evs_batch_check(copy, size, max_record, &info);

	free(copy);
	return ret;
}

/* With length and CRC made right again. */
static int sealed_verdict(u8 *batch, u32 size)
{
	struct evs_batch_header *h = (void *)batch;

	h->length = cpu_to_be32(size - EVS_BATCH_PREFIX);
	evs_batch_seal(batch, size);
	return verdict(batch, size, LIMIT);
}

static void golden_bytes(void)
{
	static const struct rec rec = { .key = "key", .value = "value" };
	struct evs_batch_info info;
	struct evs_record_view v;
	u8 buf[128];
	u32 size = build(buf, &rec, 1);

	((struct evs_batch_header *)buf)->base_offset = cpu_to_be64(42);
	CHECK_EQ(size, sizeof(golden));
	CHECK(!memcmp(buf, golden, sizeof(golden)));

	CHECK_EQ(evs_batch_check(golden, sizeof(golden), LIMIT, &info), 0);
	CHECK_EQ(info.base_offset, 42);
	CHECK_EQ(info.size, sizeof(golden));
	CHECK_EQ(info.attributes, 0);
	CHECK_EQ(info.last_delta, 0);
	CHECK_EQ(info.count, 1);
	CHECK_EQ(info.base_timestamp, TIME);
	CHECK_EQ(info.max_timestamp, TIME);
	CHECK_EQ(evs_batch_crc(golden, sizeof(golden)), 0xdb5e9cdd);
	CHECK_EQ(evs_record_get(golden + 61, golden + sizeof(golden), &v), 0);
	CHECK_EQ(v.head.size, 15);
	CHECK_EQ(v.head.head, 5);
	CHECK_EQ(v.head.key_len, 3);
	CHECK_EQ(v.value_len, 5);
	CHECK(!memcmp(v.key, "key", 3) && !memcmp(v.value, "value", 5));
	CHECK_EQ(v.headers_count, 0);
	CHECK_EQ(v.headers_len, 0);
}

static void varints(void)
{
	static const struct { s64 v; u32 size; } edges[] = {
		{ 0, 1 }, { -1, 1 }, { 63, 1 }, { -64, 1 }, { 64, 2 }, { -65, 2 },
		{ 8191, 2 }, { -8192, 2 }, { 8192, 3 }, { 1048575, 3 }, { 1048576, 4 },
		{ 134217727, 4 }, { 134217728, 5 }, { S32_MAX, 5 }, { -(s64)S32_MAX - 1, 5 },
		{ (s64)S32_MAX + 1, 5 }, { 17179869183, 5 }, { 17179869184, 6 },
		{ S64_MAX, 10 }, { S64_MIN, 10 },
	};
	size_t i;

	for (i = 0; i < sizeof(edges) / sizeof(edges[0]); i++) {
		s64 v = edges[i].v, got;
		u8 buf[16], *copy;
		s32 got32;
		u32 n;

		CHECK_EQ(evs_varint_size(v), edges[i].size);
		CHECK_EQ(evs_varint_put(buf, v) - buf, edges[i].size);
		for (n = 0; n <= edges[i].size; n++) {
			bool all = n == edges[i].size;
			const u8 *end;

			copy = tap_exact(buf, n);
			end = evs_varint_get(copy, copy + n, &got);
			CHECK(all ? end == copy + n && got == v : !end);
			end = evs_varint32_get(copy, copy + n, &got32);
			CHECK(all && v == (s32)v ? end == copy + n && got32 == v : !end);
			free(copy);
		}
	}
}

static void varints_too_long(void)
{
	static const u8 eleven[] = { 0x80, 0x80, 0x80, 0x80, 0x80, 0x80,
				     0x80, 0x80, 0x80, 0x80, 0x00 };
	static const u8 bit64[] = { 0x80, 0x80, 0x80, 0x80, 0x80,
				    0x80, 0x80, 0x80, 0x80, 0x02 };
	static const u8 padded[] = { 0x82, 0x80, 0x80, 0x80, 0x00 };
	static const u8 padded6[] = { 0x82, 0x80, 0x80, 0x80, 0x80, 0x00 };
	s32 v32;
	s64 v;

	CHECK(!evs_varint_get(eleven, eleven + sizeof(eleven), &v));
	CHECK(!evs_varint_get(bit64, bit64 + sizeof(bit64), &v));
	CHECK(evs_varint32_get(padded, padded + 5, &v32) == padded + 5 && v32 == 1);
	CHECK(!evs_varint32_get(padded6, padded6 + 6, &v32));
	CHECK(evs_varint_get(padded6, padded6 + 6, &v) == padded6 + 6 && v == 1);
}

static bool outside_crc(u32 at)
{
	return at < 8 || (at >= 12 && at < 16);
}

static void every_flip_is_refused(void)
{
	u8 buf[256], bad[256];
	u32 size = build(buf, three, 3), at, bit;

	CHECK_EQ(verdict(buf, size, LIMIT), 0);
	for (at = 0; at < size; at++)
		for (bit = 0; bit < 8; bit++) {
			memcpy(bad, buf, size);
			bad[at] ^= 1 << bit;
			if (outside_crc(at))
				CHECK_EQ(verdict(bad, size, LIMIT), 0);
			else
				CHECK_EQ(verdict(bad, size, LIMIT), -EBADMSG);
		}
}

static void every_truncation_is_refused(void)
{
	u8 buf[256] = { 0 }, bad[256];
	u32 size = build(buf, three, 3), n;

	for (n = 0; n < size; n++) {
		CHECK_EQ(verdict(buf, n, LIMIT), -EBADMSG);
		/* The header admits to it. */
		memcpy(bad, buf, size);
		if (n >= EVS_BATCH_HEADER)
			CHECK_EQ(sealed_verdict(bad, n), -EBADMSG);
	}
	CHECK_EQ(verdict(buf, size + 1, LIMIT), -EBADMSG);
	memcpy(bad, buf, sizeof(bad));
	CHECK_EQ(sealed_verdict(bad, size + 1), -EBADMSG);
}

/* Each byte of the records, with a CRC that is right: never a read outside. */
static void every_sealed_flip_is_safe(void)
{
	u8 buf[256], bad[256];
	u32 size = build(buf, three, 3), at, v;
	int ret;

	for (at = EVS_BATCH_HEADER; at < size; at++)
		for (v = 0; v < 256; v++) {
			memcpy(bad, buf, size);
			bad[at] = (u8)v;
			ret = sealed_verdict(bad, size);
			CHECK(ret == 0 || ret == -EBADMSG || ret == -EMSGSIZE);
		}
}

static void header_lies(void)
{
	static const struct { u32 at; u32 bytes; u64 value; int want; const char *name; } lies[] = {
		{ 16, 1, 0, -EBADMSG, "magic 0" },
		{ 16, 1, 1, -EBADMSG, "magic 1" },
		{ 16, 1, 3, -EBADMSG, "magic 3" },
		{ 21, 2, 0x0010, -EINVAL, "transactional" },
		{ 21, 2, 0x0020, -EINVAL, "control" },
		{ 21, 2, 0x0040, -EINVAL, "delete horizon" },
		{ 21, 2, 0x0080, -EINVAL, "attribute bit 7" },
		{ 21, 2, 0x8000, -EINVAL, "attribute bit 15" },
		{ 21, 2, 5, -EINVAL, "codec 5" },
		{ 21, 2, 7, -EINVAL, "codec 7" },
		{ 23, 4, 1, -EBADMSG, "last offset delta too small" },
		{ 23, 4, 3, -EBADMSG, "last offset delta too large" },
		{ 23, 4, 0xffffffff, -EBADMSG, "last offset delta -1" },
		{ 27, 8, TIME + 1, -EBADMSG, "base timestamp" },
		{ 27, 8, ~0ULL, -EINVAL, "base timestamp -1" },
		{ 35, 8, TIME, -EBADMSG, "max timestamp too small" },
		{ 35, 8, TIME + 1001, -EBADMSG, "max timestamp too large" },
		{ 35, 8, ~0ULL, -EINVAL, "max timestamp -1" },
		{ 57, 4, 0, -EBADMSG, "count 0" },
		{ 57, 4, 2, -EBADMSG, "count 2" },
		{ 57, 4, 4, -EBADMSG, "count 4" },
		{ 57, 4, 0x7fffffff, -EBADMSG, "count 2147483647" },
		{ 57, 4, 0x80000000, -EBADMSG, "count -2147483648" },
		{ 57, 4, 0xffffffff, -EBADMSG, "count -1" },
	};
	u8 buf[256], bad[256];
	u32 size = build(buf, three, 3), i, k;

	for (i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		memcpy(bad, buf, size);
		for (k = 0; k < lies[i].bytes; k++)
			bad[lies[i].at + k] = (u8)(lies[i].value >> 8 * (lies[i].bytes - 1 - k));
		if (!CHECK_EQ(sealed_verdict(bad, size), lies[i].want))
			printf("# %s\n", lies[i].name);
	}
}

static void length_lies(void)
{
	static const u32 lengths[] = {
		0, 1, 48, 49, 63, 65, 0x7ffffff3, 0x7ffffff4, 0x7fffffff, 0x80000000, 0xffffffff,
	};
	u8 bad[sizeof(golden)];
	u32 i;

	for (i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		struct evs_batch_header *h = (void *)bad;

		memcpy(bad, golden, sizeof(golden));
		h->length = cpu_to_be32(lengths[i]);
		CHECK_EQ(verdict(bad, sizeof(bad), LIMIT), -EBADMSG);
	}
}

static void count_and_last_delta_agree_on_a_lie(void)
{
	u8 bad[sizeof(golden)];
	struct evs_batch_header *h = (void *)bad;

	memcpy(bad, golden, sizeof(golden));
	h->count = cpu_to_be32(2);
	h->last_offset_delta = cpu_to_be32(1);
	CHECK_EQ(sealed_verdict(bad, sizeof(bad)), -EBADMSG);
	h->count = cpu_to_be32(S32_MAX);
	h->last_offset_delta = cpu_to_be32(S32_MAX - 1);
	CHECK_EQ(sealed_verdict(bad, sizeof(bad)), -EBADMSG);
}

static void offset_deltas(void)
{
	struct rec recs[3];
	u8 buf[256];
	u32 i;

	static const s64 bad[][3] = {
		{ 1, 1, 2 }, { 0, 0, 2 }, { 0, 2, 1 }, { 0, 1, 3 }, { 0, 1, 1 }, { 0, 1, S32_MAX },
	};

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		u32 k;

		memcpy(recs, three, sizeof(recs));
		for (k = 0; k < 3; k++)
			recs[k].offset_delta = bad[i][k];
		CHECK_EQ(verdict(buf, build(buf, recs, 3), LIMIT), -EBADMSG);
	}
}

/* The body of one record, byte by byte. */
static int body_verdict(const char *body, u32 len)
{
	struct evs_batch_info info = {
		.size = EVS_BATCH_HEADER + len,
		.count = 1,
		.base_timestamp = TIME,
		.max_timestamp = TIME,
	};
	u8 buf[256];

	evs_batch_header_put(buf, &info);
	memcpy(buf + EVS_BATCH_HEADER, body, len);
	return sealed_verdict(buf, info.size);
}

#define BODY(s)	body_verdict(s, sizeof(s) - 1)

static void record_lies(void)
{
	/* length, attributes, time, offset, key length, value length, headers */
	CHECK_EQ(BODY("\x0c\x00\x00\x00\x01\x01\x00"), 0);
	CHECK_EQ(BODY("\x0c\x7f\x00\x00\x01\x01\x00"), 0);
	CHECK_EQ(BODY(""), -EBADMSG);
	CHECK_EQ(BODY("\x00"), -EBADMSG);
	CHECK_EQ(BODY("\x01"), -EBADMSG);
	CHECK_EQ(BODY("\x0a\x00\x00\x00\x01\x01\x00"), -EBADMSG);
	CHECK_EQ(BODY("\x0e\x00\x00\x00\x01\x01\x00"), -EBADMSG);
	CHECK_EQ(BODY("\x0d\x00\x00\x00\x01\x01\x00"), -EBADMSG);
	CHECK_EQ(BODY("\x0c\x00\x00\x01\x01\x01\x00"), -EBADMSG);
	CHECK_EQ(BODY("\x0c\x00\x00\x00\x03\x01\x00"), -EBADMSG);
	CHECK_EQ(BODY("\x0c\x00\x00\x00\x02\x01\x00"), -EBADMSG);
	CHECK_EQ(BODY("\x0c\x00\x00\x00\x01\x03\x00"), -EBADMSG);
	CHECK_EQ(BODY("\x0c\x00\x00\x00\x01\x02\x00"), -EBADMSG);
	CHECK_EQ(BODY("\x0c\x00\x00\x00\x01\x04\x00"), -EBADMSG);
	CHECK_EQ(BODY("\x0c\x00\x00\x00\x01\x01\x01"), -EBADMSG);
	CHECK_EQ(BODY("\x0c\x00\x00\x00\x01\x01\x02"), -EBADMSG);
	CHECK_EQ(BODY("\x0c\x00\x00\x00\x01\x01\x80"), -EBADMSG);
	CHECK_EQ(BODY("\x0c\x00\x00\x00\x00\x00\x00"), 0);
	CHECK_EQ(BODY("\x14\x00\x00\x00\xfe\xff\xff\xff\x0f\x01\x00"), -EBADMSG);
	CHECK_EQ(BODY("\x14\x00\x00\x00\x01\xfe\xff\xff\xff\x0f\x00"), -EBADMSG);
	CHECK_EQ(BODY("\xfe\xff\xff\xff\x0f\x00\x00\x00\x01\x01\x00"), -EBADMSG);
	CHECK_EQ(BODY("\x14\x00\x00\x00\x01\x01\xfe\xff\xff\xff\x0f"), -EBADMSG);
}

static void record_header_lies(void)
{
	CHECK_EQ(BODY("\x14\x00\x00\x00\x01\x01\x02\x02n\x02v"), 0);
	CHECK_EQ(BODY("\x12\x00\x00\x00\x01\x01\x02\x02n\x01"), 0);
	CHECK_EQ(BODY("\x10\x00\x00\x00\x01\x01\x02\x00\x00"), 0);
	CHECK_EQ(BODY("\x14\x00\x00\x00\x01\x01\x00\x02n\x02v"), -EBADMSG);
	CHECK_EQ(BODY("\x14\x00\x00\x00\x01\x01\x04\x02n\x02v"), -EBADMSG);
	CHECK_EQ(BODY("\x14\x00\x00\x00\x01\x01\x02\x01n\x02v"), -EBADMSG);
	CHECK_EQ(BODY("\x14\x00\x00\x00\x01\x01\x02\x04n\x02v"), -EBADMSG);
	CHECK_EQ(BODY("\x14\x00\x00\x00\x01\x01\x02\x08n\x02v"), -EBADMSG);
	CHECK_EQ(BODY("\x14\x00\x00\x00\x01\x01\x02\x02n\x03v"), -EBADMSG);
	CHECK_EQ(BODY("\x12\x00\x00\x00\x01\x01\x02\x02n\x03"), -EBADMSG);
	CHECK_EQ(BODY("\x14\x00\x00\x00\x01\x01\x02\x02n\x00v"), -EBADMSG);
	CHECK_EQ(BODY("\x14\x00\x00\x00\x01\x01\x02\x02n\x04v"), -EBADMSG);
	CHECK_EQ(evs_headers_check((const u8 *)"", 0, 0), 0);
	CHECK_EQ(evs_headers_check((const u8 *)"", 0, 1), -EBADMSG);
	CHECK_EQ(evs_headers_check((const u8 *)"\0\0", 2, ~0U), -EBADMSG);
}

static void timestamps(void)
{
	struct evs_batch_info info = { .count = 1 };
	u8 buf[128], *p;

	/* base + delta overflows */
	p = buf + EVS_BATCH_HEADER;
	p = evs_record_head_put(p, evs_record_body(S64_MAX, 0, -1, -1, 0, 0), S64_MAX, 0, -1);
	p = evs_varint_put(p, -1);
	p = evs_varint_put(p, 0);
	info.size = (u32)(p - buf);
	info.base_timestamp = 1;
	info.max_timestamp = S64_MAX;
	evs_batch_header_put(buf, &info);
	CHECK_EQ(sealed_verdict(buf, info.size), -EBADMSG);
	info.base_timestamp = 0;
	evs_batch_header_put(buf, &info);
	CHECK_EQ(sealed_verdict(buf, info.size), 0);

	/* Whoever takes the records' own times must find some. */
	info.base_timestamp = 1;
	info.attributes = EVS_ATTR_APPEND_TIME;
	evs_batch_header_put(buf, &info);
	CHECK_EQ(sealed_verdict(buf, info.size), -EBADMSG);

	/* With the append's time, the records' own do not count. */
	memcpy(buf, golden, sizeof(golden));
	buf[22] = EVS_ATTR_APPEND_TIME;
	buf[42]++;
	CHECK_EQ(sealed_verdict(buf, sizeof(golden)), 0);
	buf[22] = 0;
	CHECK_EQ(sealed_verdict(buf, sizeof(golden)), -EBADMSG);
}

static void limits(void)
{
	u8 buf[256];
	u32 size = build(buf, three, 3);

	/* key 3 + value 5; headers 7; header 3 */
	CHECK_EQ(verdict(buf, size, 8), 0);
	CHECK_EQ(verdict(buf, size, 7), -EMSGSIZE);
	CHECK_EQ(verdict(buf, size, 0), -EMSGSIZE);
	size = build(buf, &(struct rec){ NULL, NULL, "\x02n\x01\x00\x04vv", 7, 2, 0, 0 }, 1);
	CHECK_EQ(verdict(buf, size, 7), 0);
	CHECK_EQ(verdict(buf, size, 6), -EMSGSIZE);

	/* What is compressed is not looked into, and limited as a whole. */
	memcpy(buf, golden, sizeof(golden));
	for (buf[22] = 1; buf[22] <= EVS_CODEC_MAX; buf[22]++) {
		CHECK_EQ(sealed_verdict(buf, sizeof(golden)), 0);
		CHECK_EQ(verdict(buf, sizeof(golden), 15), 0);
		CHECK_EQ(verdict(buf, sizeof(golden), 14), -EMSGSIZE);
		CHECK_EQ(verdict(buf, sizeof(golden) + 1, LIMIT), -EBADMSG);
	}
}

/* At most 32768 bytes of each, of which every record takes 7. */
static void compressed_count(void)
{
	static const struct {
		u32 bytes, count;
		int ret;
	} cases[] = {
		{ 0, 1, -EBADMSG }, { 1, 4681, 0 }, { 1, 4682, -EBADMSG }, { 7, 32768, 0 },
		{ 7, 32769, -EBADMSG }, { 39, S32_MAX, -EBADMSG }, { 458751, S32_MAX, -EBADMSG },
		{ 458752, S32_MAX, 0 },
	};
	static u8 buf[EVS_BATCH_HEADER + 458752];
	u32 i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct evs_batch_info info = {
			.size = EVS_BATCH_HEADER + cases[i].bytes,
			.last_delta = cases[i].count - 1,
			.count = cases[i].count,
		};

		for (info.attributes = 1; info.attributes <= EVS_CODEC_MAX; info.attributes++) {
			evs_batch_header_put(buf, &info);
			evs_batch_seal(buf, info.size);
			CHECK_EQ(evs_batch_check(buf, info.size, LIMIT, &info), cases[i].ret);
		}
	}
}

static void holes(void)
{
	struct evs_batch_info info;
	u8 buf[200];

	memset(buf, 0, sizeof(buf));
	evs_batch_hole(buf, 99, sizeof(buf), 5, TIME);
	evs_batch_seal(buf, sizeof(buf));
	CHECK_EQ(evs_batch_header_get(buf, &info), 0);
	CHECK_EQ(info.base_offset, 99);
	CHECK_EQ(info.size, sizeof(buf));
	CHECK_EQ(info.last_delta, 4);
	CHECK_EQ(info.count, 0);
	CHECK(info.attributes & EVS_ATTR_CONTROL);
	CHECK_EQ(info.max_timestamp, TIME);
	/* A client has no business with it. */
	CHECK_EQ(verdict(buf, sizeof(buf), LIMIT), -EINVAL);
}

/* What their other callers rely on, who check less. */
static void parts_by_themselves(void)
{
	static const struct { const char *bytes; int want; } heads[] = {
		{ "\x0c\x00\x00\x00\x01\x01\x00", 0 },
		{ "\x0d\x00\x00\x00\x01\x01\x00", -EBADMSG },	/* length -7 */
		{ "\x0c\x00\x00\x03\x01\x01\x00", -EBADMSG },	/* offset delta -2 */
		{ "\x0c\x00\x00\x00\x03\x01\x00", -EBADMSG },	/* key length -2 */
		{ "\x0c\x00\x00\x00\x02\x01\x00", -EBADMSG },	/* key longer than that */
		{ "\x08\x00\x00\x00\x01\x01\x00", -EBADMSG },	/* no room for the rest */
	};
	static const u32 lengths[] = { 0, 48, 0x7ffffff4, 0xffffffff };
	struct evs_batch_info info;
	struct evs_batch_header h;
	struct evs_record_view v;
	size_t i;

	for (i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
		const u8 *p = (const u8 *)heads[i].bytes;

		if (!CHECK_EQ(evs_record_head_get(p, p + 7, &v.head), heads[i].want))
			printf("# case %zu\n", i);
	}
	memcpy(&h, golden, sizeof(h));
	for (i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		h.length = cpu_to_be32(lengths[i]);
		CHECK_EQ(evs_batch_header_get(&h, &info), -EBADMSG);
	}
	h.length = cpu_to_be32(49);
	CHECK_EQ(evs_batch_header_get(&h, &info), 0);
	h.last_offset_delta = cpu_to_be32(0x80000000);
	CHECK_EQ(evs_batch_header_get(&h, &info), -EBADMSG);
}

static void head_cut_off(void)
{
	struct evs_record_head head;
	u32 n;

	for (n = 0; n < 15; n++) {
		u8 *copy = tap_exact(golden + EVS_BATCH_HEADER, n);
		int ret = evs_record_head_get(copy, copy + n, &head);

		CHECK_EQ(ret, n < 5 ? -EBADMSG : 0);
		free(copy);
	}
}

static const struct tap_test tests[] = {
	TAP_TEST(golden_bytes),
	TAP_TEST(varints),
	TAP_TEST(varints_too_long),
	TAP_TEST(every_flip_is_refused),
	TAP_TEST(every_truncation_is_refused),
	TAP_TEST(every_sealed_flip_is_safe),
	TAP_TEST(header_lies),
	TAP_TEST(length_lies),
	TAP_TEST(count_and_last_delta_agree_on_a_lie),
	TAP_TEST(offset_deltas),
	TAP_TEST(record_lies),
	TAP_TEST(record_header_lies),
	TAP_TEST(timestamps),
	TAP_TEST(limits),
	TAP_TEST(compressed_count),
	TAP_TEST(holes),
	TAP_TEST(parts_by_themselves),
	TAP_TEST(head_cut_off),
};

int main(void)
{
	return TAP_MAIN(tests);
}
