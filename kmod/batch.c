// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * Apache Kafka's RecordBatch v2: encode, check, iterate.  Bytes in, bytes out.
 */
#include <linux/crc32c.h>
#include <linux/errno.h>
#include <linux/string.h>
#include <linux/unaligned.h>

#include "batch.h"

static u64 zigzag(s64 v)
{
	return ((u64)v << 1) ^ (u64)(v >> 63);
}

static s64 unzigzag(u64 v)
{
	return (s64)(v >> 1) ^ -(s64)(v & 1);
}

/**
 * evs_varint_size() - bytes of a zigzag varint
 * @v: value
 */
u32 evs_varint_size(s64 v)
{
	u64 u = zigzag(v);
	u32 n = 1;

	while (u >= 0x80) {
		u >>= 7;
		n++;
	}
	return n;
}

/**
 * evs_varint_put() - write a zigzag varint
 * @p: where, with room for evs_varint_size(@v)
 * @v: value
 *
 * Return: the first byte behind it.
 */
u8 *evs_varint_put(u8 *p, s64 v)
{
	u64 u = zigzag(v);

	while (u >= 0x80) {
		*p++ = (u8)u | 0x80;
		u >>= 7;
	}
	*p++ = (u8)u;
	return p;
}

/**
 * evs_varint_get() - read a zigzag varint of up to 64 bits
 * @p: where
 * @end: where the readable bytes end
 * @v: value, out
 *
 * Return: the first byte behind it, NULL where it is cut off or too long.
 */
const u8 *evs_varint_get(const u8 *p, const u8 *end, s64 *v)
{
	u32 shift = 0;
	u64 u = 0;

	while (p < end && shift < 64) {
		u8 b = *p++;

		/* The tenth byte has room for one bit. */
		if (shift == 63 && b > 1)
			return NULL;
		u |= (u64)(b & 0x7f) << shift;
		if (!(b & 0x80)) {
			*v = unzigzag(u);
			return p;
		}
		shift += 7;
	}
	return NULL;
}

/**
 * evs_varint32_get() - read a zigzag varint of up to 32 bits
 * @p: where
 * @end: where the readable bytes end
 * @v: value, out
 *
 * Return: the first byte behind it, NULL where it is cut off, too long or does
 * not fit.
 */
const u8 *evs_varint32_get(const u8 *p, const u8 *end, s32 *v)
{
	const u8 *q;
	s64 l;

	q = evs_varint_get(p, end, &l);
	if (!q || q - p > (long)EVS_VARINT || l != (s32)l)
		return NULL;
	*v = (s32)l;
	return q;
}

/**
 * evs_record_body() - bytes of a record behind its length field
 * @timestamp_delta: ms, from the batch's base_timestamp
 * @offset_delta: from the batch's base_offset
 * @key_len: -1: null
 * @value_len: -1: null
 * @headers_count: headers
 * @headers_len: their bytes as encoded, without the count
 *
 * The caller keeps the sum of the lengths below 2 GiB.
 */
u32 evs_record_body(s64 timestamp_delta, u32 offset_delta, s32 key_len,
		    s32 value_len, u32 headers_count, u32 headers_len)
{
	return 1 + evs_varint_size(timestamp_delta) + evs_varint_size(offset_delta) +
	       evs_varint_size(key_len) + (key_len > 0 ? key_len : 0) +
	       evs_varint_size(value_len) + (value_len > 0 ? value_len : 0) +
	       evs_varint_size(headers_count) + headers_len;
}

/**
 * evs_record_size() - bytes of a record with its length field
 * @timestamp_delta: see evs_record_body()
 * @offset_delta: see evs_record_body()
 * @key_len: see evs_record_body()
 * @value_len: see evs_record_body()
 * @headers_count: see evs_record_body()
 * @headers_len: see evs_record_body()
 */
u32 evs_record_size(s64 timestamp_delta, u32 offset_delta, s32 key_len,
		    s32 value_len, u32 headers_count, u32 headers_len)
{
	u32 body = evs_record_body(timestamp_delta, offset_delta, key_len,
				   value_len, headers_count, headers_len);

	return evs_varint_size(body) + body;
}

/**
 * evs_record_head_put() - write a record up to its key
 * @p: where, with room for %EVS_RECORD_HEAD
 * @body: evs_record_body() of the record
 * @timestamp_delta: ms, from the batch's base_timestamp
 * @offset_delta: from the batch's base_offset
 * @key_len: -1: null
 *
 * What follows is the key, the value's length, the value, the header count and
 * the headers.
 *
 * Return: the first byte behind it.
 */
u8 *evs_record_head_put(u8 *p, u32 body, s64 timestamp_delta, u32 offset_delta,
			s32 key_len)
{
	p = evs_varint_put(p, body);
	*p++ = 0;
	p = evs_varint_put(p, timestamp_delta);
	p = evs_varint_put(p, offset_delta);
	return evs_varint_put(p, key_len);
}

/**
 * evs_record_head_get() - read a record up to its key
 * @p: where
 * @end: where the readable bytes end; the record itself may go on behind it
 * @h: out
 *
 * Return: 0, or -EBADMSG.
 */
int evs_record_head_get(const u8 *p, const u8 *end, struct evs_record_head *h)
{
	const u8 *from = p, *body;
	s32 len, off;

	p = evs_varint32_get(p, end, &len);
	if (!p || len < 0)
		return -EBADMSG;
	body = p;
	if (p == end)
		return -EBADMSG;
	p++;			/* attributes: none are defined */
	p = evs_varint_get(p, end, &h->timestamp_delta);
	if (!p)
		return -EBADMSG;
	p = evs_varint32_get(p, end, &off);
	if (!p || off < 0)
		return -EBADMSG;
	p = evs_varint32_get(p, end, &h->key_len);
	if (!p || h->key_len < -1)
		return -EBADMSG;
	h->offset_delta = (u32)off;
	h->head = (u32)(p - from);
	h->size = (u32)(body - from) + (u32)len;
	if ((u64)h->head + (h->key_len > 0 ? h->key_len : 0) + 2 > h->size)
		return -EBADMSG;
	return 0;
}

/**
 * evs_headers_check() - whether bytes are just so many headers
 * @p: the headers, without their count
 * @len: their bytes
 * @count: how many there should be
 *
 * Return: 0, or -EBADMSG.
 */
int evs_headers_check(const u8 *p, u32 len, u32 count)
{
	const u8 *end = p + len;
	s32 n;

	while (count--) {
		p = evs_varint32_get(p, end, &n);
		if (!p || n < 0 || n > end - p)
			return -EBADMSG;
		p += n;
		p = evs_varint32_get(p, end, &n);
		if (!p || n < -1 || n > end - p)
			return -EBADMSG;
		if (n > 0)
			p += n;
	}
	return p == end ? 0 : -EBADMSG;
}

/**
 * evs_record_get() - read a whole record
 * @p: where
 * @end: where the readable bytes end
 * @v: out: pointers into the bytes at @p
 *
 * The headers are bounded but not parsed: see evs_headers_check().
 *
 * Return: 0, or -EBADMSG.
 */
int evs_record_get(const u8 *p, const u8 *end, struct evs_record_view *v)
{
	const u8 *stop;
	s32 count;
	int ret;

	ret = evs_record_head_get(p, end, &v->head);
	if (ret)
		return ret;
	if (v->head.size > (size_t)(end - p))
		return -EBADMSG;
	stop = p + v->head.size;
	p += v->head.head;
	v->key = NULL;
	if (v->head.key_len >= 0) {
		v->key = p;
		p += v->head.key_len;
	}
	p = evs_varint32_get(p, stop, &v->value_len);
	if (!p || v->value_len < -1 || v->value_len > stop - p)
		return -EBADMSG;
	v->value = NULL;
	if (v->value_len >= 0) {
		v->value = p;
		p += v->value_len;
	}
	p = evs_varint32_get(p, stop, &count);
	if (!p || count < 0)
		return -EBADMSG;
	v->headers = p;
	v->headers_len = (u32)(stop - p);
	v->headers_count = (u32)count;
	return 0;
}

/**
 * evs_batch_header_get() - read a batch header
 * @p: 61 bytes
 * @info: out
 *
 * Return: 0, or -EBADMSG where it cannot be one: magic, length or counts.
 */
int evs_batch_header_get(const void *p, struct evs_batch_info *info)
{
	const struct evs_batch_header *h = p;
	u32 length = be32_to_cpu(h->length);

	if (h->magic != EVS_MAGIC || length < EVS_BATCH_HEADER - EVS_BATCH_PREFIX ||
	    length > S32_MAX - EVS_BATCH_PREFIX)
		return -EBADMSG;
	info->base_offset = be64_to_cpu(h->base_offset);
	info->size = length + EVS_BATCH_PREFIX;
	info->attributes = be16_to_cpu(h->attributes);
	info->last_delta = be32_to_cpu(h->last_offset_delta);
	info->count = be32_to_cpu(h->count);
	info->base_timestamp = (s64)be64_to_cpu(h->base_timestamp);
	info->max_timestamp = (s64)be64_to_cpu(h->max_timestamp);
	info->leader_epoch = be32_to_cpu(h->leader_epoch);
	if (info->last_delta > S32_MAX || info->count > S32_MAX)
		return -EBADMSG;
	return 0;
}

/**
 * evs_batch_crc() - CRC32C of a batch
 * @batch: a whole batch
 * @size: its bytes, at least 61
 */
u32 evs_batch_crc(const void *batch, u32 size)
{
	return ~crc32c(~0U, (const u8 *)batch + EVS_BATCH_CRC_FROM,
		       size - EVS_BATCH_CRC_FROM);
}

/**
 * evs_batch_seal() - write a batch's CRC
 * @batch: a whole batch
 * @size: its bytes, at least 61
 */
void evs_batch_seal(void *batch, u32 size)
{
	struct evs_batch_header *h = batch;

	h->crc = cpu_to_be32(evs_batch_crc(batch, size));
}

/**
 * evs_batch_hole() - the header of a batch without records
 * @header: where: 61 bytes, behind which @size - 61 zeroes must follow
 * @base_offset: the first offset it stands for
 * @size: bytes of the whole batch
 * @records: offsets it stands for
 * @timestamp: ms
 *
 * Takes the place of an append that failed after its offsets were taken:
 * consumers skip a control batch, and an empty one too.  The CRC is left to the
 * caller.
 */
void evs_batch_hole(void *header, u64 base_offset, u32 size, u32 records,
		    s64 timestamp)
{
	struct evs_batch_info info = {
		.base_offset = base_offset,
		.size = size,
		.attributes = EVS_ATTR_CONTROL,
		.last_delta = records - 1,
		.base_timestamp = timestamp,
		.max_timestamp = timestamp,
	};

	evs_batch_header_put(header, &info);
}

/* Nobody looks inside, but there cannot be more records than the bytes can hold. */
static int check_compressed(const struct evs_batch_info *info, u32 max_record)
{
	u32 bytes = info->size - EVS_BATCH_HEADER;

	if (bytes > max_record)
		return -EMSGSIZE;
	if ((u64)info->count * EVS_RECORD_MIN > (u64)bytes * EVS_EXPANSION_MAX)
		return -EBADMSG;
	return 0;
}

static int check_records(const u8 *p, const u8 *end, u32 max_record,
			 const struct evs_batch_info *info)
{
	s64 newest = S64_MIN;
	u32 i;

	for (i = 0; i < info->count; i++) {
		struct evs_record_view v;
		u64 bytes;
		s64 ts;

		if (evs_record_get(p, end, &v))
			return -EBADMSG;
		if (v.head.offset_delta != i)
			return -EBADMSG;
		if (evs_headers_check(v.headers, v.headers_len, v.headers_count))
			return -EBADMSG;
		if (__builtin_add_overflow(info->base_timestamp, v.head.timestamp_delta, &ts))
			return -EBADMSG;
		if (ts > newest)
			newest = ts;
		bytes = (u64)(v.head.key_len > 0 ? v.head.key_len : 0) +
			(v.value_len > 0 ? v.value_len : 0) + v.headers_len;
		if (bytes > max_record)
			return -EMSGSIZE;
		p += v.head.size;
	}
	if (p != end)
		return -EBADMSG;
	/* The time index trusts it. */
	if (!(info->attributes & EVS_ATTR_APPEND_TIME) && newest != info->max_timestamp)
		return -EBADMSG;
	return 0;
}

/**
 * evs_batch_check() - whether a client's batch can be appended
 * @batch: bytes that nobody else can change
 * @size: how many: just one whole batch
 * @max_record: the topic's limit in bytes
 * @info: out: its header
 *
 * Return: 0; -EBADMSG where magic, length, CRC, a count or a record is wrong, or a
 * compressed batch claims more records than its bytes can hold;
 * -EMSGSIZE where a record, or a compressed batch as a whole, is over the limit;
 * -EINVAL for a control or transactional batch, an unknown codec or attribute,
 * or a time before the epoch.
 */
int evs_batch_check(const void *batch, size_t size, u32 max_record,
		    struct evs_batch_info *info)
{
	const struct evs_batch_header *h = batch;
	int ret;

	if (size < EVS_BATCH_HEADER)
		return -EBADMSG;
	ret = evs_batch_header_get(batch, info);
	if (ret)
		return ret;
	if (info->size != size)
		return -EBADMSG;
	if (be32_to_cpu(h->crc) != evs_batch_crc(batch, info->size))
		return -EBADMSG;
	if (info->attributes & ~(EVS_ATTR_CODEC | EVS_ATTR_APPEND_TIME))
		return -EINVAL;
	if ((info->attributes & EVS_ATTR_CODEC) > EVS_CODEC_MAX)
		return -EINVAL;
	if (info->base_timestamp < 0 || info->max_timestamp < 0)
		return -EINVAL;
	if (!info->count || info->last_delta != info->count - 1)
		return -EBADMSG;
	if (info->attributes & EVS_ATTR_CODEC)
		return check_compressed(info, max_record);
	return check_records((const u8 *)batch + EVS_BATCH_HEADER,
			     (const u8 *)batch + size, max_record, info);
}
