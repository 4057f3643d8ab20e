/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * What is remembered of an idempotent producer, and which of its batches are
 * taken: the rules of Kafka's ProducerAppendInfo.  Pure, as batch.h.
 */
#ifndef EVSTREAM_PRODUCER_H
#define EVSTREAM_PRODUCER_H

#include <linux/types.h>

/* Batches of a producer that a duplicate is known from, as in Kafka. */
#define EVS_PRODUCER_BATCHES	5

/**
 * struct evs_producer_batch - one that was appended
 * @offset: of its first record
 * @first: sequence of its first record
 * @last: sequence of its last record
 */
struct evs_producer_batch {
	u64 offset;
	s32 first;
	s32 last;
};

/**
 * struct evs_producer_state - what is remembered of a producer
 * @epoch: the newest seen, negative: none
 * @count: batches remembered, of that epoch
 * @next: where the next one goes
 * @timestamp: newest of its last batch, ms
 * @batch: the batches, a ring
 */
struct evs_producer_state {
	s16 epoch;
	u8 count;
	u8 next;
	s64 timestamp;
	struct evs_producer_batch batch[EVS_PRODUCER_BATCHES];
};

s32 evs_sequence_add(s32 sequence, u32 n);
int evs_producer_check(const struct evs_producer_state *s, s16 epoch, s32 first, s32 last,
		       u64 *offset);
void evs_producer_note(struct evs_producer_state *s, s16 epoch, s32 first, s32 last,
		       u64 offset, s64 timestamp);

#endif /* EVSTREAM_PRODUCER_H */
