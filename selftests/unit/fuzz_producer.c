// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * Fuzz target: kmod/producer.c beside a model that remembers everything.
 */
#include <errno.h>

#include "../../kmod/producer.h"
#include "fuzz.h"

#define BATCHES		256

static struct evs_producer_batch seen[BATCHES];

/* What the rules say of a batch, where @n of its epoch @newest were appended. */
static int expected(bool known, s16 newest, u32 n, s16 epoch, s32 first, s32 last, u64 *offset)
{
	u32 i;

	if (!known)
		return 0;
	if (epoch < newest)
		return -ESTALE;
	if (epoch > newest)
		return first ? -EILSEQ : 0;
	for (i = n > EVS_PRODUCER_BATCHES ? n - EVS_PRODUCER_BATCHES : 0; i < n; i++) {
		if (seen[i].first == first && seen[i].last == last) {
			*offset = seen[i].offset;
			return 1;
		}
	}
	/* Behind 0x7fffffff comes 0. */
	return first == (s32)((seen[n - 1].last + 1LL) & 0x7fffffff) ? 0 : -EILSEQ;
}

int fuzz_one(const uint8_t *data, size_t size)
{
	struct fuzz_input in = { data, size };
	struct evs_producer_state state = { .epoch = -1 };
	bool known = false;
	s16 newest = -1;
	u64 offset = 0;
	u32 n = 0;

	while (in.left && n < BATCHES) {
		s16 epoch = fuzz_u8(&in) % 4;
		uint8_t how = fuzz_u8(&in);
		s32 first = 0, last;
		u64 found = ~0ULL, want = ~0ULL;
		int ret;

		if (how & 1)
			first = (s32)(fuzz_u32(&in) & 0x7fffffff);
		else if (how & 2 && n)
			first = seen[n - 1].first;
		else if (n)
			first = evs_sequence_add(seen[n - 1].last, 1);
		last = evs_sequence_add(first, how >> 4);
		FUZZ_CHECK(first >= 0 && last >= 0);
		FUZZ_CHECK(evs_sequence_add(last, -(u32)(how >> 4)) == first);

		ret = evs_producer_check(known ? &state : NULL, epoch, first, last, &found);
		FUZZ_CHECK(ret == expected(known, newest, n, epoch, first, last, &want));
		FUZZ_CHECK(found == want);
		if (ret)
			continue;
		if (epoch != newest)
			n = 0;
		seen[n++] = (struct evs_producer_batch){ offset, first, last };
		evs_producer_note(&state, epoch, first, last, offset, (s64)offset);
		FUZZ_CHECK(state.epoch == epoch && state.timestamp == (s64)offset);
		newest = epoch;
		known = true;
		offset += (how >> 4) + 1;
	}
	return 0;
}
