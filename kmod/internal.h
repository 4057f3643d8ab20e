/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What partition.c, append.c and read.c share, and the module's ceilings.
 */
#ifndef EVSTREAM_INTERNAL_H
#define EVSTREAM_INTERNAL_H

#include <linux/list.h>
#include <linux/types.h>
#include <linux/wait.h>

#include "durable.h"
#include "partition.h"
#include "quota.h"

/**
 * struct evs_reservation - a stretch of the log that somebody fills
 * @node: in evs_partition.resv, the newest first: what comes next is the one
 *	before it in the log; not used any more once it is published
 * @pos: its first byte
 * @end: where publishing it moves the high watermark: its own end, or that of
 *	the finished ones behind it that wait for it
 * @offset: its first offset
 * @end_offset: as @end
 * @timestamp: the append time, ms
 * @addr: where @pos lies in memory if the whole of it is contiguous, else NULL
 * @size: its bytes
 * @count: its offsets
 */
struct evs_reservation {
	struct hlist_node node;
	u64 pos;
	u64 end;
	u64 offset;
	u64 end_offset;
	s64 timestamp;
	u8 *addr;
	u32 size;
	u32 count;
};

/* In append.c */
void evs_reservation_publish(struct evs_partition *p, struct evs_reservation *r);

/**
 * evs_refuses() - whether nothing can be appended any more
 * @p: the partition, locked
 */
static inline bool evs_refuses(const struct evs_partition *p)
{
	return p->dead || (p->durable && p->durable->error);
}

/* In index.c */
struct evs_index *evs_index_new(u64 segment_size, gfp_t gfp);
int evs_index_room(struct evs_index *x, u32 bytes, gfp_t gfp);
void evs_index_free_now(struct evs_index *x);
void evs_index_free(struct evs_index *x);

/**
 * evs_segment_index() - note a batch in its segment
 * @s: the segment
 * @x: its index, with room
 * @pos: the batch's position
 * @offset: its base offset
 * @last: its last offset, from its base offset
 * @newest: its newest timestamp
 */
static __always_inline void evs_segment_index(struct evs_segment *s, struct evs_index *x,
					      u64 pos, u64 offset, u32 last, s64 newest)
{
	if (unlikely(pos >= s->next_entry)) {
		u32 n = x->entries;
		struct evs_index_entry *e = x->chunk[n / EVS_INDEX_CHUNK] + n % EVS_INDEX_CHUNK;

		WRITE_ONCE(e->offset, offset - s->offset);
		WRITE_ONCE(e->pos, pos - s->pos);
		WRITE_ONCE(e->last, last);
		WRITE_ONCE(e->before, s->newest);
		WRITE_ONCE(e->before_offset, s->newest_offset - s->offset);
		s->next_entry = pos + EVS_INDEX_INTERVAL + 1;
		/* Pairs with the acquire in evs_index_search(). */
		smp_store_release(&x->entries, n + 1);
	}
	if (newest > s->newest) {
		WRITE_ONCE(s->newest, newest);
		s->newest_offset = offset + last;
	}
}

/* In durable.c */
void evs_durable_appended(struct evs_partition *p);
void evs_durable_flush(struct evs_partition *p, bool sync);

/* Far from where a file's position ends: what is in flight still fits. */
#define EVS_OFFSET_MAX	BIT_ULL(61)

/* In partition.c */
struct evs_segment *evs_segment_new(struct evs_partition *p, u64 pos, u64 offset, bool index,
				    gfp_t gfp);
void evs_segment_discard(struct evs_segment *s);
int evs_partition_roll(struct evs_partition *p);
void evs_partition_retain(struct evs_partition *p);
bool evs_partition_forgo(struct evs_partition *p, u64 number);
int evs_make_room(struct evs_partition *p, u32 size, unsigned int flags);
void evs_partition_wake_waiters(struct evs_partition *p);

/* Wakes whoever waits for records, room or publication. */
static inline void evs_partition_wake(struct evs_partition *p)
{
	/*
	 * Orders what was published before the look at the queues; pairs with
	 * the barrier that prepare_to_wait() has between queueing and the
	 * sleeper's own look.
	 */
	smp_mb();
	/* Both behind that one barrier. */
	if (unlikely(waitqueue_active(&p->wait) || waitqueue_active(p->any_wait)))
		evs_partition_wake_waiters(p);
}

/* In main.c */
u64 evs_bytes_ceiling(void);
u32 evs_topics_ceiling(void);
u32 evs_partitions_ceiling(void);
u32 evs_groups_ceiling(void);
u32 evs_members_ceiling(void);
u64 evs_user_ceiling(enum evs_charge what);
u64 evs_offsets_retention_ms(void);

#endif /* EVSTREAM_INTERNAL_H */
