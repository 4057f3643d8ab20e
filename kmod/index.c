// SPDX-License-Identifier: GPL-2.0
/*
 * A segment's index in memory: an entry for every few KiB of its batches.
 */
#include <linux/gfp.h>
#include <linux/math.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>

#include "internal.h"
#include "partition.h"

static u32 evs_index_chunks(u64 segment_size)
{
	/* Entries lie more than an interval apart; one more ends the list. */
	return DIV_ROUND_UP(segment_size / EVS_INDEX_INTERVAL + 1, EVS_INDEX_CHUNK) + 1;
}

/**
 * evs_index_new() - an empty index
 * @segment_size: bytes of the segment
 * @gfp: GFP_KERNEL or GFP_NOWAIT
 *
 * Return: the index or NULL.
 */
struct evs_index *evs_index_new(u64 segment_size, gfp_t gfp)
{
	u32 chunks = evs_index_chunks(segment_size);
	struct evs_index *x;

	if (gfp == GFP_NOWAIT)
		return kzalloc(struct_size(x, chunk, chunks),
			       gfp | __GFP_NOWARN | __GFP_ACCOUNT);
	return kvzalloc(struct_size(x, chunk, chunks), gfp | __GFP_ACCOUNT);
}

/**
 * evs_index_room() - pages for the entries of all batches that begin in a stretch
 * @x: the index
 * @bytes: the stretch, from the segment's start
 * @gfp: GFP_KERNEL or GFP_NOWAIT
 *
 * An entry is made at most every EVS_INDEX_INTERVAL bytes.
 *
 * Return: 0 or -ENOMEM.
 */
int evs_index_room(struct evs_index *x, u32 bytes, gfp_t gfp)
{
	u32 chunks = DIV_ROUND_UP(bytes / EVS_INDEX_INTERVAL + 1, EVS_INDEX_CHUNK);
	u32 i;

	for (i = chunks; i-- && !x->chunk[i];)
		;
	for (i++; i < chunks; i++) {
		x->chunk[i] = (void *)get_zeroed_page(gfp | __GFP_ACCOUNT);
		if (!x->chunk[i])
			return -ENOMEM;
	}
	return 0;
}

/**
 * evs_index_free_now() - free an index that nobody looks into
 * @x: the index, or NULL
 *
 * Context: any.
 */
void evs_index_free_now(struct evs_index *x)
{
	u32 i;

	if (!x)
		return;
	for (i = 0; x->chunk[i]; i++)
		free_page((unsigned long)x->chunk[i]);
	kvfree(x);
}

static void evs_index_free_rcu(struct rcu_head *rcu)
{
	evs_index_free_now(container_of(rcu, struct evs_index, rcu));
}

/**
 * evs_index_free() - free an index, when nobody looks into it any more
 * @x: the index, or NULL
 */
void evs_index_free(struct evs_index *x)
{
	if (x)
		call_rcu(&x->rcu, evs_index_free_rcu);
}
