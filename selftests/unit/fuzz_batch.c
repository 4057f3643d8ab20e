// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * Fuzz target: kmod/batch.c and libevstream's parsers on any bytes.
 *
 * fuzz_one() is libFuzzer's entry where that is its name: make fuzz. Else:
 * fuzz_batch [ITERATIONS [SEED]] mutates batches, repeatably, and prints TAP;
 * fuzz_batch FILE… runs files.
 */
#include <errno.h>

#include <linux/string.h>
#include <linux/unaligned.h>

#include "../../kmod/batch.h"
#include "../../tools/lib/evstream.h"
#include "tap.h"

#define MAX_RECORD	4096

static void touch(const void *p, int64_t len)
{
	const uint8_t *b = p;
	uint8_t sum = 0;

	while (len-- > 0)
		sum ^= *b++;
	__asm__ volatile("" : : "r"(sum));
}

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
		touch(rec.key, rec.key_len);
		touch(rec.value, rec.value_len);
		touch(rec.headers, rec.headers_len);
		evs_header_first(&headers, &rec);
		while (evs_header_next(&headers, &h) == 1) {
			touch(h.key, h.key_len);
			touch(h.value, h.value_len);
		}
	}
	if (evs_batch_iter_rest(&it) > size)
		abort();
	return records;
}

static void check(const uint8_t *data, size_t size)
{
	struct evs_batch_info info;

	if (evs_batch_check(data, size, MAX_RECORD, &info))
		return;
	/* What the kernel takes, every reader can read. */
	if (info.size != size || info.count != info.last_delta + 1)
		abort();
	if (!(info.attributes & EVS_ATTR_CODEC) &&
	    walk(data, size, EVS_ITER_CRC) != info.count)
		abort();
}

int fuzz_one(const uint8_t *data, size_t size)
{
	struct evs_record_view view;
	uint8_t *copy;
	s32 v32;
	s64 v;

	check(data, size);
	walk(data, size, 0);
	walk(data, size, EVS_ITER_CRC);
	evs_varint_get(data, data + size, &v);
	evs_varint32_get(data, data + size, &v32);
	if (!evs_record_get(data, data + size, &view)) {
		touch(view.key, view.head.key_len);
		touch(view.value, view.value_len);
		touch(view.headers, view.headers_len);
		evs_headers_check(view.headers, view.headers_len, view.headers_count);
	}
	evs_headers_check(data, (u32)size, 3);

	if (size >= EVS_BATCH_HEADER && size < 1 << 20) {
		struct evs_batch_header *h;

		/* Past the length and the CRC, which no chance gets right. */
		copy = tap_exact(data, size);
		h = (void *)copy;
		h->length = cpu_to_be32((u32)size - EVS_BATCH_PREFIX);
		h->magic = EVS_MAGIC;
		h->attributes &= cpu_to_be16(EVS_ATTR_APPEND_TIME);
		evs_batch_seal(copy, (u32)size);
		check(copy, size);
		walk(copy, size, 0);
		free(copy);
	}
	return 0;
}

#ifndef fuzz_one

#define CORPUS		16
#define LARGEST		2048

static uint8_t corpus[CORPUS][LARGEST];
static size_t corpus_size[CORPUS];

static void make_corpus(void)
{
	static uint8_t bytes[256];
	struct evs_builder *b = evs_builder_new(NULL, LARGEST / 2);
	int i;

	for (i = 0; i < CORPUS; i++) {
		uint32_t n = 1 + (uint32_t)i % 5;
		const void *batch;
		size_t size;

		while (n--) {
			struct evs_record rec = {
				.timestamp = 1700000000000LL + tap_below(5000),
				.key_len = (int32_t)tap_below(70) - 1,
				.key = bytes,
				.value_len = (int32_t)tap_below(130) - 1,
				.value = bytes,
				.headers = i % 2 ? "\x02n\x01\x02k\x02v" : NULL,
				.headers_len = i % 2 ? 7 : 0,
				.headers_count = i % 2 ? 2 : 0,
			};

			evs_builder_add(b, &rec);
		}
		if (evs_builder_finish(b, &batch, &size))
			abort();
		memcpy(corpus[i], batch, size);
		corpus_size[i] = size;
	}
	evs_builder_free(b);
}

static size_t mutate(uint8_t *to)
{
	static const uint8_t edges[] = { 0x00, 0x01, 0x7f, 0x80, 0x81, 0xfe, 0xff, 0x0f };
	uint32_t from = tap_below(CORPUS), n = 1 + tap_below(4), at, len;
	size_t size = corpus_size[from];

	memcpy(to, corpus[from], size);
	while (n-- && size) {
		at = tap_below((uint32_t)size);
		switch (tap_below(6)) {
		case 0:
			to[at] ^= (uint8_t)(1 << tap_below(8));
			break;
		case 1:
			to[at] = edges[tap_below(sizeof(edges))];
			break;
		case 2:
			size = at;
			break;
		case 3:
			len = 1 + tap_below(8);
			if (size + len <= LARGEST) {
				memmove(to + at + len, to + at, size - at);
				size += len;
			}
			break;
		case 4:
			len = 1 + tap_below(8);
			if (at + len <= size) {
				memmove(to + at, to + at + len, size - at - len);
				size -= len;
			}
			break;
		default:
			from = tap_below(CORPUS);
			if (size + corpus_size[from] <= LARGEST) {
				memcpy(to + size, corpus[from], corpus_size[from]);
				size += corpus_size[from];
			}
		}
	}
	return size;
}

static bool run_file(const char *path)
{
	static uint8_t buf[1 << 20];
	FILE *f = fopen(path, "rb");
	uint8_t *copy;
	size_t size;

	if (!f)
		return false;
	size = fread(buf, 1, sizeof(buf), f);
	fclose(f);
	copy = tap_exact(buf, size);
	fuzz_one(copy, size);
	free(copy);
	return true;
}

int main(int argc, char **argv)
{
	unsigned long iterations = 200000, i;
	static uint8_t buf[LARGEST];
	char *end = "";

	if (argc > 1) {
		iterations = strtoul(argv[1], &end, 0);
		if (*end) {
			for (i = 1; i < (unsigned long)argc; i++)
				if (!run_file(argv[i]))
					return 1;
			return 0;
		}
	}
	if (argc > 2)
		tap_seed = strtoull(argv[2], NULL, 0) | 1;
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("TAP version 13\n1..1\n# %lu inputs, seed %llu\n", iterations,
	       (unsigned long long)tap_seed);
	make_corpus();
	for (i = 0; i < iterations; i++) {
		size_t size = mutate(buf);
		uint8_t *copy = tap_exact(buf, size);

		fuzz_one(copy, size);
		free(copy);
	}
	printf("ok 1 - mutated batches\n");
	return 0;
}

#endif /* fuzz_one */
