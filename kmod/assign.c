// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * Sticky, balanced assignment of partitions to members.
 */
#ifdef __KERNEL__
#include <linux/string.h>
#else
#include <string.h>
#endif

#include "assign.h"

/**
 * evs_assign() - who shall have which partition
 * @owner: for each partition the member that has it, %EVS_NOBODY: none; out: the
 *	member that shall have it
 * @partitions: how many
 * @fixed: partitions that stay as they are, and count for nobody
 * @load: for each member, out: how many that are not fixed it shall have
 * @members: how many
 *
 * No two members have more than one apart, and as few partitions as possible
 * change hands: who has most already has the one more that not all can have.
 * Linear in both numbers.
 */
void evs_assign(u32 *owner, u32 partitions, const bool *fixed, u32 *load, u32 members)
{
	u32 each, extra, free = 0, p, i;

	memset(load, 0, members * sizeof(*load));
	for (p = 0; p < partitions; p++) {
		if (fixed[p])
			continue;
		free++;
		if (owner[p] < members)
			load[owner[p]]++;
		else
			owner[p] = EVS_NOBODY;
	}
	if (!members)
		return;
	each = free / members;
	extra = free % members;
	/* From what a member has to what it can have. */
	for (i = 0; i < members; i++) {
		bool more = load[i] > each && extra;

		load[i] = each + more;
		extra -= more;
	}
	for (i = 0; i < members && extra; i++) {
		if (load[i] == each) {
			load[i]++;
			extra--;
		}
	}
	for (p = 0; p < partitions; p++) {
		if (fixed[p] || owner[p] == EVS_NOBODY)
			continue;
		if (load[owner[p]])
			load[owner[p]]--;
		else
			owner[p] = EVS_NOBODY;
	}
	for (p = 0, i = 0; p < partitions; p++) {
		if (fixed[p] || owner[p] != EVS_NOBODY)
			continue;
		while (!load[i])
			i++;
		load[i]--;
		owner[p] = i;
	}
	for (p = 0; p < partitions; p++)
		if (!fixed[p])
			load[owner[p]]++;
}
