// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * Fuzz target: kmod/assign.c on any owners: balanced, and as little moved as can be.
 */
#include "../../kmod/assign.h"
#include "fuzz.h"

#define PARTITIONS	128

int fuzz_one(const uint8_t *data, size_t size)
{
	struct fuzz_input in = { data, size };
	u32 members = fuzz_u8(&in) % 40, n = 0, free = 0, kept = 0, can_keep = 0;
	u32 owner[PARTITIONS], before[PARTITIONS], had[40] = { 0 }, has[40] = { 0 };
	u32 each, extra, load[40], i;
	bool fixed[PARTITIONS] = { false };

	while (in.left && n < PARTITIONS) {
		uint8_t v = fuzz_u8(&in);

		fixed[n] = v & 0x80;
		/* Also those who are no longer there. */
		owner[n] = (v & 0x7f) < 50 ? v & 0x7f : EVS_NOBODY;
		before[n] = owner[n];
		if (!fixed[n]) {
			free++;
			if (owner[n] < members)
				had[owner[n]]++;
		}
		n++;
	}
	evs_assign(owner, n, fixed, load, members);
	for (i = 0; i < n; i++) {
		if (fixed[i]) {
			FUZZ_CHECK(owner[i] == before[i]);
			continue;
		}
		FUZZ_CHECK(members ? owner[i] < members : owner[i] == EVS_NOBODY);
		if (!members)
			continue;
		has[owner[i]]++;
		kept += owner[i] == before[i];
	}
	if (!members)
		return 0;
	each = free / members;
	extra = free % members;
	for (i = 0; i < members; i++) {
		FUZZ_CHECK(load[i] == has[i] && (has[i] == each || has[i] == each + 1));
		can_keep += had[i] < each ? had[i] : each;
		if (had[i] > each && extra) {
			can_keep++;
			extra--;
		}
	}
	FUZZ_CHECK(kept == can_keep);
	return 0;
}
