/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What partition.c, append.c and read.c share, and the module's ceilings.
 */
#ifndef EVSTREAM_INTERNAL_H
#define EVSTREAM_INTERNAL_H

#include <linux/list.h>
#include <linux/types.h>

struct evs_index_entry;
struct evs_partition;

/**
 * struct evs_reservation - a stretch of the log that somebody fills
 * @node: in evs_partition.resv; not used any more once it is published
 * @pos: its first byte
 * @end: where publishing it moves the high watermark: its own end, or that of
 *	the finished ones behind it that wait for it
 * @offset: its first offset
 * @end_offset: as @end
 * @own_end: its own end
 * @own_end_offset: its own end
 * @timestamp: the append time, ms
 * @addr: where @pos lies in memory if the whole of it is contiguous, else NULL
 * @entry: made an index entry
 * @next_entry: the segment's before that
 * @newest: the segment's before
 * @newest_so_far: the segment's before
 * @newest_ever: the partition's before
 */
struct evs_reservation {
	struct list_head node;
	u64 pos;
	u64 end;
	u64 offset;
	u64 end_offset;
	u64 own_end;
	u64 own_end_offset;
	s64 timestamp;
	u8 *addr;
	bool entry;
	u64 next_entry;
	s64 newest;
	s64 newest_so_far;
	s64 newest_ever;
};

/* In append.c */
void evs_reservation_publish(struct evs_partition *p, struct evs_reservation *r);

/* In partition.c */
int evs_make_room(struct evs_partition *p, u32 size, unsigned int flags);
void evs_partition_wake(struct evs_partition *p);

/* In main.c */
u64 evs_bytes_ceiling(void);
u32 evs_topics_ceiling(void);
u32 evs_partitions_ceiling(void);

#endif /* EVSTREAM_INTERNAL_H */
