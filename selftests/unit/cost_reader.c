// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * What a record costs the reader: cost_reader SHAPE PASSES, to be run under
 * something that counts instructions, with two numbers of PASSES.
 */
#include "fakelog.h"

#define RECORDS		10000

static uint8_t value[100];

int main(int argc, char **argv)
{
	const char *shape = argc > 1 ? argv[1] : "one";
	int passes = argc > 2 ? atoi(argv[2]) : 1;
	uint32_t batch_of = strcmp(shape, "many") ? 1 : 100, i;
	struct evs_builder *b = evs_builder_new(NULL, 0);
	uint64_t sum = 0, n = 0;
	struct evs_reader *r;
	struct evs_record rec;

	fake_new(0, 0);
	for (i = 0; i < RECORDS; i++) {
		struct evs_record in = {
			.timestamp = 1700000000000LL,
			.key_len = strcmp(shape, "keyed") ? -1 : 8,
			.key = "12345678",
			.value_len = 100,
			.value = value,
		};
		const void *batch;
		size_t size;

		if (evs_builder_add(b, &in))
			return 1;
		if (evs_builder_count(b) < batch_of)
			continue;
		evs_builder_finish(b, &batch, &size);
		fake_append((void *)batch, size, batch_of, 0);
	}
	r = fake_reader(0, fake_seek, 0);
	if (!r)
		return 1;
	while (passes--) {
		if (evs_reader_seek(r, EVSTREAM_SEEK_EARLIEST, 0))
			return 1;
		if (!strcmp(shape, "all")) {
			/* Every member is wanted. */
			while (evs_reader_next(r, &rec) == 1) {
				sum += (uint64_t)rec.offset + (uint64_t)rec.timestamp +
				       (uintptr_t)rec.value + (uint32_t)rec.value_len +
				       (uint32_t)rec.key_len + rec.headers_count;
				n += evs_reader_valid(r);
			}
		} else {
			while (evs_reader_next(r, &rec) == 1) {
				sum += (uintptr_t)rec.value + (uint32_t)rec.value_len;
				n++;
			}
		}
	}
	printf("%llu records, %llx\n", (unsigned long long)n, (unsigned long long)sum);
	return 0;
}
