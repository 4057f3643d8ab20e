/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Parse batches in memory that can turn to zeroes under the parser: each byte is
 * loaded once, and bounds are checked on what was loaded.
 */
#ifndef EVS_PARSE_H
#define EVS_PARSE_H

#include <linux/compiler.h>
#include <linux/types.h>
#include <linux/unaligned.h>

#include "../../kmod/batch.h"
#include "evstream.h"

static_assert(EVS_BATCH_CODEC == EVS_ATTR_CODEC);
static_assert(EVS_BATCH_APPEND_TIME == EVS_ATTR_APPEND_TIME);
static_assert(EVS_BATCH_TRANSACTIONAL == EVS_ATTR_TRANSACTIONAL);
static_assert(EVS_BATCH_CONTROL == EVS_ATTR_CONTROL);

#define PARSE_FIELD(p, bits, member)						\
	__be##bits##_to_cpu((__force __be##bits)evs_load##bits((p) +		\
		offsetof(struct evs_batch_header, member)))

/**
 * parse_varint() - load a zigzag varint
 * @at: where; moved behind it
 * @end: where the readable bytes end
 * @max: bytes it may have: %EVS_VARINT or %EVS_VARLONG
 * @v: out
 */
static inline bool parse_varint(uintptr_t *at, uintptr_t end, unsigned int max, s64 *v)
{
	uintptr_t p = *at;
	unsigned int i;
	u64 u = 0;

	for (i = 0; i < max && p < end; i++) {
		u8 b = evs_load8(p++);

		if (i == EVS_VARLONG - 1 && b > 1)
			return false;
		u |= (u64)(b & 0x7f) << (7 * i);
		if (!(b & 0x80)) {
			*at = p;
			*v = (s64)(u >> 1) ^ -(s64)(u & 1);
			return true;
		}
	}
	return false;
}

/* A length: @min to what is left before @end. */
static inline bool parse_length(uintptr_t *at, uintptr_t end, s32 min, s32 *len)
{
	s64 v;

	if (!parse_varint(at, end, EVS_VARINT, &v) || v < min || v > S32_MAX ||
	    v > (s64)(end - *at))
		return false;
	*len = (s32)v;
	return true;
}

/* Any record: parse_record() has the doc. */
static noinline bool parse_any_record(uintptr_t *at, uintptr_t end,
				      const struct evs_batch *batch, struct evs_record *rec)
{
	uintptr_t p = *at, stop;
	s64 ts, delta, count;
	s32 len;

	if (!parse_length(&p, end, 1, &len))
		return false;
	stop = p + len;
	p++;
	if (!parse_varint(&p, stop, EVS_VARLONG, &ts) ||
	    !parse_varint(&p, stop, EVS_VARINT, &delta) || delta < 0 || delta > S32_MAX)
		return false;
	rec->offset = (s64)((u64)batch->base_offset + (u64)delta);
	rec->timestamp = batch->attributes & EVS_ATTR_APPEND_TIME ? batch->max_timestamp :
			 (s64)((u64)batch->base_timestamp + (u64)ts);
	if (!parse_length(&p, stop, -1, &len))
		return false;
	rec->key = len < 0 ? NULL : (const void *)p;
	rec->key_len = len;
	p += len < 0 ? 0 : len;
	if (!parse_length(&p, stop, -1, &len))
		return false;
	rec->value = len < 0 ? NULL : (const void *)p;
	rec->value_len = len;
	p += len < 0 ? 0 : len;
	if (!parse_varint(&p, stop, EVS_VARINT, &count) || count < 0 || count > S32_MAX)
		return false;
	if (count ? p == stop : p != stop)
		return false;
	rec->headers = count ? (const void *)p : NULL;
	rec->headers_len = (u32)(stop - p);
	rec->headers_count = (u32)count;
	*at = stop;
	return true;
}

/* A varint of one or two bytes, still zigzag; false: it is longer. */
static inline bool parse_short(uintptr_t *at, u32 *v)
{
	u32 b = evs_load8(*at), c;

	if (likely(b < 0x80)) {
		*v = b;
		*at += 1;
		return true;
	}
	c = evs_load8(*at + 1);
	*v = (b & 0x7f) | c << 7;
	*at += 2;
	return c < 0x80;
}

/* What @v stands for as a length, -1 for null; false: it is none. */
static inline bool short_length(u32 v, s32 *len)
{
	if (v & 1) {
		*len = -1;
		return v == 1;
	}
	*len = (s32)(v >> 1);
	return true;
}

/* A length of one or two bytes; false: it is another one. */
static inline bool parse_short_length(uintptr_t *at, s32 *len)
{
	u32 v;

	return likely(parse_short(at, &v)) && short_length(v, len);
}

/**
 * parse_record() - parse a record of an uncompressed batch
 * @at: where; moved behind it
 * @end: where the batch ends
 * @batch: the batch's header
 * @rec: out
 *
 * The usual record, no number of which has more than two bytes, takes the short
 * way; another one is looked at afresh.
 */
static __always_inline bool parse_record(uintptr_t *at, uintptr_t end,
					 const struct evs_batch *batch,
					 struct evs_record *rec)
{
	uintptr_t p = *at, stop;
	u32 ts, delta, headers, word;
	s32 len;

	/* Of these sixteen bytes ten at most are touched before the next check. */
	if (unlikely(end - p < 16) || !parse_short_length(&p, &len) || unlikely(len < 0) ||
	    unlikely((u32)len > end - p))
		goto any;
	stop = p + (u32)len;
	/* Attributes, timestamp delta, offset delta, key length: a byte each? */
	word = __le32_to_cpu((__force __le32)evs_load32(p));
	if (likely(!(word & 0x80808000))) {
		ts = (word >> 8) & 0xff;
		delta = (word >> 16) & 0xff;
		if (!short_length(word >> 24, &len))
			goto any;
		p += 4;
	} else {
		p++;
		if (unlikely(!parse_short(&p, &ts)) || unlikely(!parse_short(&p, &delta)) ||
		    !parse_short_length(&p, &len))
			goto any;
	}
	if (unlikely(delta & 1))
		goto any;
	rec->offset = (s64)((u64)batch->base_offset + (delta >> 1));
	rec->timestamp = (s64)((u64)batch->base_timestamp +
			       (u64)(s64)((s32)(ts >> 1) ^ -(s32)(ts & 1)));
	if (unlikely(batch->attributes & EVS_ATTR_APPEND_TIME))
		rec->timestamp = batch->max_timestamp;
	rec->key = NULL;
	rec->key_len = len;
	if (len >= 0) {
		rec->key = (const void *)p;
		p += (u32)len;
	}
	if (unlikely((intptr_t)(stop - p) < 2) || !parse_short_length(&p, &len))
		goto any;
	rec->value = NULL;
	rec->value_len = len;
	if (likely(len >= 0)) {
		rec->value = (const void *)p;
		p += (u32)len;
	}
	if (unlikely((intptr_t)(stop - p) < 1))
		goto any;
	headers = evs_load8(p++);
	if (unlikely(headers & 0x81) || (headers ? p == stop : p != stop))
		goto any;
	rec->headers = headers ? (const void *)p : NULL;
	rec->headers_len = (u32)(stop - p);
	rec->headers_count = headers >> 1;
	*at = stop;
	return true;
any:
	return parse_any_record(at, end, batch, rec);
}

/**
 * parse_header() - parse a batch's header
 * @p: where: 61 readable bytes
 * @room: readable bytes
 * @batch: out
 *
 * Return: false where it is none, or not whole.
 */
static inline bool parse_header(uintptr_t p, u64 room, struct evs_batch *batch)
{
	u32 length = PARSE_FIELD(p, 32, length);

	if (length < EVS_BATCH_HEADER - EVS_BATCH_PREFIX || length > room - EVS_BATCH_PREFIX ||
	    length > S32_MAX - EVS_BATCH_PREFIX ||
	    evs_load8(p + offsetof(struct evs_batch_header, magic)) != EVS_MAGIC)
		return false;
	batch->data = (const void *)p;
	batch->size = length + EVS_BATCH_PREFIX;
	batch->attributes = PARSE_FIELD(p, 16, attributes);
	batch->reserved = 0;
	batch->base_offset = (s64)PARSE_FIELD(p, 64, base_offset);
	batch->base_timestamp = (s64)PARSE_FIELD(p, 64, base_timestamp);
	batch->max_timestamp = (s64)PARSE_FIELD(p, 64, max_timestamp);
	batch->last_delta = PARSE_FIELD(p, 32, last_offset_delta);
	batch->count = PARSE_FIELD(p, 32, count);
	return batch->last_delta <= S32_MAX && batch->count <= S32_MAX;
}

#endif /* EVS_PARSE_H */
