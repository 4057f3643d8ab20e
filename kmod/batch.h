/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Apache Kafka's RecordBatch v2 (magic 2): encode, check, iterate.
 *
 * Pure functions on bytes, no allocation, no locks: the module and libevstream
 * compile the same source.  Format: Kafka's DefaultRecordBatch and
 * DefaultRecord.  All integers are big-endian, varints are zigzag.
 */
#ifndef EVSTREAM_BATCH_H
#define EVSTREAM_BATCH_H

#include <linux/build_bug.h>
#include <linux/types.h>
#include <linux/unaligned.h>

/**
 * struct evs_batch_header - a batch's first 61 bytes, as they lie in the log
 * @base_offset: offset of the first record; not covered by @crc
 * @length: bytes that follow this field; not covered by @crc
 * @leader_epoch: 0 where no Kafka wrote before; not covered by @crc
 * @magic: 2
 * @crc: CRC32C of all that follows this field
 * @attributes: EVS_ATTR_*
 * @last_offset_delta: offset of the last record, from @base_offset
 * @base_timestamp: ms, what the records' deltas count from
 * @max_timestamp: ms, the newest record's, or the append time of all of them
 * @producer_id: -1: none
 * @producer_epoch: -1: none
 * @base_sequence: -1: none
 * @count: records
 */
struct evs_batch_header {
	__be64 base_offset;
	__be32 length;
	__be32 leader_epoch;
	u8 magic;
	__be32 crc;
	__be16 attributes;
	__be32 last_offset_delta;
	__be64 base_timestamp;
	__be64 max_timestamp;
	__be64 producer_id;
	__be16 producer_epoch;
	__be32 base_sequence;
	__be32 count;
} __packed;

static_assert(sizeof(struct evs_batch_header) == 61);

#define EVS_BATCH_HEADER	61u
#define EVS_BATCH_PREFIX	12u	/* base_offset and length */
#define EVS_BATCH_CRC_FROM	21u
#define EVS_MAGIC		2

#define EVS_ATTR_CODEC		0x07
#define EVS_ATTR_APPEND_TIME	0x08
#define EVS_ATTR_TRANSACTIONAL	0x10
#define EVS_ATTR_CONTROL	0x20
#define EVS_ATTR_DELETE_HORIZON	0x40
#define EVS_CODEC_MAX		4	/* none, gzip, snappy, lz4, zstd */

/* The longest varints: 32 and 64 bit. */
#define EVS_VARINT		5u
#define EVS_VARLONG		10u
/* A record without anything in it. */
#define EVS_RECORD_MIN		7u
/* No codec makes more of a byte: four are a zstd block of 128 KiB. */
#define EVS_EXPANSION_MAX	32768u
/* length, attributes, timestamp delta, offset delta, key length */
#define EVS_RECORD_HEAD		(EVS_VARINT + 1 + EVS_VARLONG + EVS_VARINT + EVS_VARINT)

/**
 * struct evs_batch_info - a batch header in host order
 * @base_offset: offset of the first record
 * @size: bytes of the whole batch
 * @attributes: EVS_ATTR_*
 * @last_delta: offset of the last record, from @base_offset
 * @count: records; 0 for a hole
 * @base_timestamp: ms
 * @max_timestamp: ms
 * @leader_epoch: Kafka's
 */
struct evs_batch_info {
	u64 base_offset;
	u32 size;
	u16 attributes;
	u32 last_delta;
	u32 count;
	s64 base_timestamp;
	s64 max_timestamp;
	u32 leader_epoch;
};

/**
 * struct evs_record_head - a record up to its key
 * @size: bytes of the whole record, with its length field
 * @head: bytes up to the key (which has max(@key_len, 0))
 * @timestamp_delta: ms, from the batch's base_timestamp
 * @offset_delta: from the batch's base_offset
 * @key_len: bytes of the key, -1: null
 */
struct evs_record_head {
	u32 size;
	u32 head;
	s64 timestamp_delta;
	u32 offset_delta;
	s32 key_len;
};

/**
 * struct evs_record_view - a whole record in contiguous memory
 * @head: what comes before the key
 * @key: NULL: null
 * @value: NULL: null
 * @value_len: bytes of the value, -1: null
 * @headers: the headers' bytes, without their count
 * @headers_len: bytes at @headers
 * @headers_count: headers
 */
struct evs_record_view {
	struct evs_record_head head;
	const u8 *key;
	const u8 *value;
	s32 value_len;
	const u8 *headers;
	u32 headers_len;
	u32 headers_count;
};

u32 evs_varint_size(s64 v);
u8 *evs_varint_put(u8 *p, s64 v);
const u8 *evs_varint_get(const u8 *p, const u8 *end, s64 *v);
const u8 *evs_varint32_get(const u8 *p, const u8 *end, s32 *v);

u32 evs_record_body(s64 timestamp_delta, u32 offset_delta, s32 key_len,
		    s32 value_len, u32 headers_count, u32 headers_len);
u32 evs_record_size(s64 timestamp_delta, u32 offset_delta, s32 key_len,
		    s32 value_len, u32 headers_count, u32 headers_len);
u8 *evs_record_head_put(u8 *p, u32 body, s64 timestamp_delta, u32 offset_delta,
			s32 key_len);
int evs_record_head_get(const u8 *p, const u8 *end, struct evs_record_head *h);
int evs_record_get(const u8 *p, const u8 *end, struct evs_record_view *v);
int evs_headers_check(const u8 *p, u32 len, u32 count);

/**
 * evs_batch_header_put() - write a batch header without its CRC
 * @p: where: 61 bytes
 * @info: what to write
 */
static inline void evs_batch_header_put(void *p, const struct evs_batch_info *info)
{
	struct evs_batch_header *h = p;

	h->base_offset = cpu_to_be64(info->base_offset);
	h->length = cpu_to_be32(info->size - EVS_BATCH_PREFIX);
	h->leader_epoch = cpu_to_be32(info->leader_epoch);
	h->magic = EVS_MAGIC;
	h->crc = 0;
	h->attributes = cpu_to_be16(info->attributes);
	h->last_offset_delta = cpu_to_be32(info->last_delta);
	h->base_timestamp = cpu_to_be64(info->base_timestamp);
	h->max_timestamp = cpu_to_be64(info->max_timestamp);
	h->producer_id = cpu_to_be64(~0ULL);
	h->producer_epoch = cpu_to_be16(0xffff);
	h->base_sequence = cpu_to_be32(~0U);
	h->count = cpu_to_be32(info->count);
}

int evs_batch_header_get(const void *p, struct evs_batch_info *info);
u32 evs_batch_crc(const void *batch, u32 size);
void evs_batch_seal(void *batch, u32 size);
void evs_batch_hole(void *header, u64 base_offset, u32 size, u32 records, s64 timestamp);
int evs_batch_check(const void *batch, size_t size, u32 max_record,
		    struct evs_batch_info *info);

#endif /* EVSTREAM_BATCH_H */
