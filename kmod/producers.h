/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The idempotent producers that a partition remembers.
 */
#ifndef EVSTREAM_PRODUCERS_H
#define EVSTREAM_PRODUCERS_H

#include <linux/atomic.h>
#include <linux/list.h>
#include <linux/llist.h>
#include <linux/mutex.h>
#include <linux/rbtree.h>
#include <linux/types.h>

#include "producer.h"

struct evs_batch_header;
struct evs_durable;
struct evs_partition;
struct evs_segment;

/* Above it the one that appended longest ago is forgotten. */
#define EVS_PRODUCERS_MAX	65536u
/* As Kafka's producer.id.expiration.ms: a day. */
#define EVS_PRODUCERS_KEEP_MS	(24 * 60 * 60 * 1000LL)

/**
 * struct evs_producers - a table of producers
 * @lock: whoever appends holds it until the batch's place is reserved
 * @tree: by producer id
 * @order: who appended longest ago first
 * @count: how many
 * @spare: memory for more of them, which a producer has brought
 * @memory: how many there is memory for: @count and those of @spare
 */
struct evs_producers {
	struct mutex lock;
	struct rb_root tree;
	struct list_head order;
	u32 count;
	struct llist_head spare;
	atomic_t memory;
};

/**
 * struct evs_producer_id - what a batch says of its producer
 * @id: its id, -1: not an idempotent one
 * @epoch: its epoch
 * @first: sequence of the first record
 * @last: sequence of the last record
 */
struct evs_producer_id {
	s64 id;
	s16 epoch;
	s32 first;
	s32 last;
};

/* In producers.c */
void evs_producers_init(struct evs_producers *t);
void evs_producers_clear(struct evs_producers *t);
void evs_producer_of(const struct evs_batch_header *h, struct evs_producer_id *id);
int evs_producers_check(struct evs_producers *t, const struct evs_producer_id *id, u64 *offset);
int evs_producers_expect(struct evs_producers *t, struct evs_producers *later, s64 id);
int evs_producers_note(struct evs_producers *t, const struct evs_producer_id *id, u64 offset,
		       s64 timestamp);
int evs_producers_copy(struct evs_producers *to, const struct evs_producers *from);
int evs_producers_write(struct evs_durable *d, u64 offset);
int evs_producers_walk(struct evs_durable *d, const struct evs_segment *s);
int evs_producers_save(struct evs_durable *d, const struct evs_segment *s);
int evs_producers_load(struct evs_durable *d, u64 offset);

#endif /* EVSTREAM_PRODUCERS_H */
