// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * The C side of test_reference.py: requests on standard input, answers on
 * standard output. Numbers are little-endian.
 *
 * 'E' u32 n, n * { s64 timestamp, s32 key_len, key, s32 value_len, value,
 *     u32 headers, headers * { s32 key_len, key, s32 value_len, value } }
 *     -> u32 size, batch
 * 'D' u32 size, batch -> s32 evs_batch_verify(), u32 n, n * { s64 offset, record }
 * 'V' u32 size, batch -> s32 evs_batch_verify()
 * 'M' u32 len, key, u32 partitions -> u32 partition
 * 'C' u32 len, bytes -> u32 crc
 * 'I' u32 n, n * { u32 offset, u32 pos } -> u32 size, index
 * 'T' u32 n, n * { s64 timestamp, u32 offset } -> u32 size, time index
 * 'P' u32 n, n * { s64 id, s16 epoch, s32 last_sequence, s64 last_offset,
 *     s32 offset_delta, s64 timestamp } -> u32 size, snapshot
 * 'S' u32 size, snapshot -> s32 evs_snapshot_check(), u32 n, n * what 'P' takes
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../kmod/files.h"
#include "../../tools/lib/evstream.h"

#define MAX_RECORD	(1U << 20)

static void get(void *p, size_t len)
{
	if (len && fread(p, 1, len, stdin) != len)
		exit(1);
}

static uint32_t get_u32(void)
{
	uint32_t v;

	get(&v, 4);
	return v;
}

static void put(const void *p, size_t len)
{
	if (len && fwrite(p, 1, len, stdout) != len)
		exit(1);
}

static void put_u32(uint32_t v)
{
	put(&v, 4);
}

/* In memory of its own, so that an overrun shows. */
static void *get_bytes(int32_t len)
{
	void *p = malloc(len > 0 ? (size_t)len : 1);

	if (!p)
		exit(1);
	get(p, len > 0 ? (size_t)len : 0);
	return p;
}

static void put_bytes(const void *p, int32_t len)
{
	put_u32((uint32_t)len);
	put(p, len > 0 ? (size_t)len : 0);
}

static void encode(struct evs_builder *b)
{
	uint32_t n = get_u32();
	const void *batch;
	size_t size;

	while (n--) {
		struct evs_record rec = { 0 };
		uint8_t *headers = NULL;
		uint32_t i;

		get(&rec.timestamp, 8);
		rec.key_len = (int32_t)get_u32();
		rec.key = get_bytes(rec.key_len);
		rec.value_len = (int32_t)get_u32();
		rec.value = get_bytes(rec.value_len);
		rec.headers_count = get_u32();
		for (i = 0; i < rec.headers_count; i++) {
			struct evs_header h;
			size_t len;

			h.key_len = (int32_t)get_u32();
			h.key = get_bytes(h.key_len);
			h.value_len = (int32_t)get_u32();
			h.value = get_bytes(h.value_len);
			len = evs_header_encode(NULL, 0, &h);
			headers = realloc(headers, rec.headers_len + len);
			if (!headers)
				exit(1);
			evs_header_encode(headers + rec.headers_len, len, &h);
			rec.headers_len += (uint32_t)len;
			free((void *)h.key);
			free((void *)h.value);
		}
		rec.headers = headers;
		if (evs_builder_add(b, &rec))
			exit(1);
		free(headers);
		free((void *)rec.key);
		free((void *)rec.value);
	}
	if (evs_builder_finish(b, &batch, &size))
		exit(1);
	put_u32((uint32_t)size);
	put(batch, size);
}

static void decode(void)
{
	uint32_t size = get_u32(), n = 0;
	void *batch = get_bytes((int32_t)size);
	int ret = evs_batch_verify(batch, size, MAX_RECORD);
	struct evs_batch_iter it;
	struct evs_record rec;

	put_u32((uint32_t)ret);
	evs_batch_iter_init(&it, batch, size, EVS_ITER_CRC);
	while (evs_batch_iter_next(&it, &rec) == 1)
		n++;
	put_u32(n);
	evs_batch_iter_init(&it, batch, size, EVS_ITER_CRC);
	while (n--) {
		struct evs_header_iter headers;
		struct evs_header h;

		evs_batch_iter_next(&it, &rec);
		put(&rec.offset, 8);
		put(&rec.timestamp, 8);
		put_bytes(rec.key, rec.key_len);
		put_bytes(rec.value, rec.value_len);
		put_u32(rec.headers_count);
		evs_header_first(&headers, &rec);
		while (evs_header_next(&headers, &h) == 1) {
			put_bytes(h.key, h.key_len);
			put_bytes(h.value, h.value_len);
		}
	}
	free(batch);
}

static void encode_index(int kind)
{
	uint32_t n = get_u32(), size = kind == 'I' ? EVS_INDEX_ENTRY : EVS_TIMEINDEX_ENTRY;
	uint8_t *p = malloc(n * size + 1);
	uint32_t i;

	if (!p)
		exit(1);
	for (i = 0; i < n; i++) {
		if (kind == 'I') {
			uint32_t offset = get_u32();

			evs_index_entry_put(p + i * size, offset, get_u32());
		} else {
			s64 timestamp;

			get(&timestamp, 8);
			evs_timeindex_entry_put(p + i * size, timestamp, get_u32());
		}
	}
	put_u32(n * size);
	put(p, n * size);
	free(p);
}

static void encode_snapshot(void)
{
	uint32_t n = get_u32(), size = EVS_SNAPSHOT_HEAD + n * EVS_SNAPSHOT_ENTRY;
	uint8_t *p = malloc(size);
	uint32_t i;

	if (!p)
		exit(1);
	for (i = 0; i < n; i++) {
		struct evs_snapshot_entry e;

		get(&e.id, 8);
		get(&e.epoch, 2);
		get(&e.last_sequence, 4);
		get(&e.last_offset, 8);
		get(&e.offset_delta, 4);
		get(&e.timestamp, 8);
		evs_snapshot_entry_put(p + EVS_SNAPSHOT_HEAD + i * EVS_SNAPSHOT_ENTRY, &e);
	}
	evs_snapshot_head_put(p, n);
	put_u32(size);
	put(p, size);
	free(p);
}

static void decode_snapshot(void)
{
	uint32_t size = get_u32(), n = 0, i;
	uint8_t *p = get_bytes((int32_t)size);

	put_u32((uint32_t)evs_snapshot_check(p, size, &n));
	put_u32(n);
	for (i = 0; i < n; i++) {
		struct evs_snapshot_entry e;

		evs_snapshot_entry_get(p + EVS_SNAPSHOT_HEAD + i * EVS_SNAPSHOT_ENTRY, &e);
		put(&e.id, 8);
		put(&e.epoch, 2);
		put(&e.last_sequence, 4);
		put(&e.last_offset, 8);
		put(&e.offset_delta, 4);
		put(&e.timestamp, 8);
	}
	free(p);
}

int main(void)
{
	struct evs_builder *b = evs_builder_new(NULL, 0);
	uint32_t len;
	void *p;
	int c;

	while ((c = getchar()) != EOF) {
		switch (c) {
		case 'E':
			encode(b);
			break;
		case 'D':
			decode();
			break;
		case 'I':
		case 'T':
			encode_index(c);
			break;
		case 'P':
			encode_snapshot();
			break;
		case 'S':
			decode_snapshot();
			break;
		case 'V':
		case 'M':
		case 'C':
			len = get_u32();
			p = get_bytes((int32_t)len);
			if (c == 'V')
				put_u32((uint32_t)evs_batch_verify(p, len, MAX_RECORD));
			else if (c == 'M')
				put_u32(evs_partition_for_key(p, len, get_u32()));
			else
				put_u32(evs_crc32c(0, p, len));
			free(p);
			break;
		default:
			return 1;
		}
		fflush(stdout);
	}
	evs_builder_free(b);
	return 0;
}
