// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Build batches, headers of records, and the calls that go with them. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>

#include <linux/types.h>

#include "../../kmod/batch.h"
#include "../../kmod/route.h"
#include "evstream.h"

#define GROW_FROM	4096U
#define LARGEST		EVSTREAM_SEGMENT_MAX

/**
 * struct evs_builder - a batch being built
 * @buf: where
 * @room: bytes at @buf
 * @max: bytes that it may have
 * @own: @buf is ours and grows
 * @finished: evs_builder_finish() was called: the next record begins a batch
 * @info: the batch so far
 * @producer: the idempotent producer's id, -1: none
 * @epoch: its epoch
 * @sequence: of the batch's first record
 */
struct evs_builder {
	u8 *buf;
	size_t room;
	size_t max;
	bool own;
	bool finished;
	struct evs_batch_info info;
	s64 producer;
	s16 epoch;
	s32 sequence;
};

struct evs_builder *evs_builder_new(void *buf, size_t size)
{
	struct evs_builder *b;

	if ((buf || size) && size < EVS_BATCH_HEADER) {
		errno = EINVAL;
		return NULL;
	}
	b = calloc(1, sizeof(*b));
	if (!b)
		return NULL;
	b->buf = buf;
	b->room = buf ? size : 0;
	b->max = size && size < LARGEST ? size : LARGEST;
	b->own = !buf;
	b->producer = -1;
	evs_builder_reset(b);
	return b;
}

void evs_builder_free(struct evs_builder *b)
{
	if (b && b->own)
		free(b->buf);
	free(b);
}

void evs_builder_reset(struct evs_builder *b)
{
	memset(&b->info, 0, sizeof(b->info));
	b->info.size = EVS_BATCH_HEADER;
	b->finished = false;
}

static int make_room(struct evs_builder *b, size_t size)
{
	size_t room = b->room ? b->room : GROW_FROM;
	u8 *buf;

	if (size > b->max)
		return -EMSGSIZE;
	if (size <= b->room)
		return 0;
	while (room < size)
		room *= 2;
	if (room > b->max)
		room = b->max;
	buf = realloc(b->buf, room);
	if (!buf)
		return -ENOMEM;
	b->buf = buf;
	b->room = room;
	return 0;
}

static u8 *put(u8 *p, const void *data, s32 len)
{
	if (len <= 0)
		return p;
	memcpy(p, data, (size_t)len);
	return p + len;
}

static s64 now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (s64)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

int evs_builder_add(struct evs_builder *b, const struct evs_record *rec)
{
	s64 timestamp = rec->timestamp == -1 ? now_ms() : rec->timestamp;
	u32 body, size;
	s64 delta;
	u64 bytes;
	int ret;
	u8 *p;

	if (rec->key_len < -1 || rec->value_len < -1 || timestamp < 0 ||
	    (rec->key_len > 0 && !rec->key) || (rec->value_len > 0 && !rec->value) ||
	    rec->headers_count > S32_MAX || (rec->headers_len && !rec->headers) ||
	    (rec->headers_count && !rec->headers_len))
		return -EINVAL;
	bytes = (u64)(rec->key_len > 0 ? rec->key_len : 0) +
		(u64)(rec->value_len > 0 ? rec->value_len : 0) + rec->headers_len;
	if (bytes > b->max)
		return -EMSGSIZE;
	if (rec->headers_len &&
	    evs_headers_check(rec->headers, rec->headers_len, rec->headers_count))
		return -EINVAL;

	if (b->finished)
		evs_builder_reset(b);
	if (b->info.count == S32_MAX)
		return -EMSGSIZE;
	delta = b->info.count ? timestamp - b->info.base_timestamp : 0;
	body = evs_record_body(delta, b->info.count, rec->key_len, rec->value_len,
			       rec->headers_count, rec->headers_len);
	size = evs_varint_size(body) + body;
	ret = make_room(b, (size_t)b->info.size + size);
	if (ret)
		return ret;

	p = evs_record_head_put(b->buf + b->info.size, body, delta, b->info.count, rec->key_len);
	p = put(p, rec->key, rec->key_len);
	p = evs_varint_put(p, rec->value_len);
	p = put(p, rec->value, rec->value_len);
	p = evs_varint_put(p, rec->headers_count);
	put(p, rec->headers, (s32)rec->headers_len);

	if (!b->info.count)
		b->info.base_timestamp = timestamp;
	if (timestamp > b->info.max_timestamp)
		b->info.max_timestamp = timestamp;
	b->info.last_delta = b->info.count;
	b->info.count++;
	b->info.size += size;
	return 0;
}

uint32_t evs_builder_count(const struct evs_builder *b)
{
	return b->finished ? 0 : b->info.count;
}

size_t evs_builder_size(const struct evs_builder *b)
{
	return b->finished ? EVS_BATCH_HEADER : b->info.size;
}

int evs_builder_producer(struct evs_builder *b, int64_t id, int16_t epoch, int32_t sequence)
{
	if (id < -1 || (id >= 0 && (epoch < 0 || sequence < 0)))
		return -EINVAL;
	b->producer = id;
	b->epoch = epoch;
	b->sequence = sequence;
	return 0;
}

/* Kafka's sequences go from S32_MAX to 0. */
static void put_producer(struct evs_builder *b)
{
	struct evs_batch_header *h = (struct evs_batch_header *)b->buf;

	h->producer_id = cpu_to_be64((u64)b->producer);
	h->producer_epoch = cpu_to_be16((u16)b->epoch);
	h->base_sequence = cpu_to_be32((u32)b->sequence);
	b->sequence = (s32)(((u32)b->sequence + b->info.count) & S32_MAX);
}

int evs_builder_finish(struct evs_builder *b, const void **batch, size_t *size)
{
	if (b->finished || !b->info.count)
		return -ENODATA;
	evs_batch_header_put(b->buf, &b->info);
	if (b->producer >= 0)
		put_producer(b);
	evs_batch_seal(b->buf, b->info.size);
	*batch = b->buf;
	*size = b->info.size;
	b->finished = true;
	return 0;
}

size_t evs_header_encode(void *buf, size_t room, const struct evs_header *header)
{
	s32 key = header->key_len, value = header->value_len;
	u64 size;
	u8 *p = buf;

	if (key < 0 || value < -1 || (key && !header->key) || (value > 0 && !header->value))
		return 0;
	size = (u64)evs_varint_size(key) + (u64)key + evs_varint_size(value) +
	       (u64)(value > 0 ? value : 0);
	if (size > S32_MAX)
		return 0;
	if (size <= room) {
		p = evs_varint_put(p, key);
		p = put(p, header->key, key);
		p = evs_varint_put(p, value);
		put(p, header->value, value);
	}
	return (size_t)size;
}

int evs_batch_verify(const void *batch, size_t size, uint32_t max_record)
{
	struct evs_batch_info info;

	return evs_batch_check(batch, size, max_record, &info);
}

int evs_append_batch(int fd, uint32_t partition, const void *batch, size_t size,
		     int64_t *base_offset)
{
	struct evstream_append_batch append = {
		.batch = (uintptr_t)batch,
		.len = (u32)size,
		.partition = partition,
	};

	if (size > S32_MAX)
		return -EMSGSIZE;
	if (ioctl(fd, EVSTREAM_IOC_APPEND_BATCH, &append))
		return -errno;
	if (base_offset)
		*base_offset = append.base_offset;
	return 0;
}

uint32_t evs_partition_for_key(const void *key, size_t len, uint32_t partitions)
{
	return evs_route_key(key, len, partitions);
}
