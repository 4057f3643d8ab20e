// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * Idempotent producers: which of their batches are taken.
 */
#include <linux/errno.h>
#include <linux/limits.h>

#include "producer.h"

/**
 * evs_sequence_add() - the sequence number that is some records further on
 * @sequence: a sequence number
 * @n: how many records; a negative number, cast, goes back by as many
 *
 * 0 follows S32_MAX.
 */
s32 evs_sequence_add(s32 sequence, u32 n)
{
	return (s32)(((u32)sequence + n) & S32_MAX);
}

/* The batch noted @back batches before the newest one. */
static const struct evs_producer_batch *batch_at(const struct evs_producer_state *s, u32 back)
{
	return &s->batch[(s->next + EVS_PRODUCER_BATCHES - 1 - back) % EVS_PRODUCER_BATCHES];
}

/**
 * evs_producer_check() - whether a producer's batch is to be appended
 * @s: what is remembered of the producer, NULL: nothing
 * @epoch: the batch's epoch
 * @first: sequence of its first record
 * @last: sequence of its last record
 * @offset: out, with 1 only: the first offset of the batch that is there already
 *
 * A producer of whom nothing is remembered may begin with any sequence: the
 * batches before may have fallen to retention.  A known one begins a new epoch
 * with 0.
 *
 * Return: 0: append it; 1: it is one of the last batches again; -ESTALE: its
 * epoch is older than the newest; -EILSEQ: its sequence does not follow.
 */
int evs_producer_check(const struct evs_producer_state *s, s16 epoch, s32 first, s32 last,
		       u64 *offset)
{
	u32 i;

	if (!s)
		return 0;
	if (epoch < s->epoch)
		return -ESTALE;
	/* Of two alike the older one counts. */
	for (i = epoch == s->epoch ? s->count : 0; i--; ) {
		const struct evs_producer_batch *b = batch_at(s, i);

		if (b->first == first && b->last == last) {
			*offset = b->offset;
			return 1;
		}
	}
	if (s->epoch >= 0) {
		s32 next = 0;

		if (epoch == s->epoch && s->count)
			next = evs_sequence_add(batch_at(s, 0)->last, 1);
		if (first != next)
			return -EILSEQ;
	}
	return 0;
}

/**
 * evs_producer_note() - remember a batch that was appended
 * @s: what is remembered of its producer; all zeroes at first
 * @epoch: the batch's epoch
 * @first: sequence of its first record
 * @last: sequence of its last record
 * @offset: of its first record
 * @timestamp: its newest, ms
 *
 * Another epoch than before forgets the batches of that one.
 */
void evs_producer_note(struct evs_producer_state *s, s16 epoch, s32 first, s32 last,
		       u64 offset, s64 timestamp)
{
	struct evs_producer_batch *b;

	if (epoch != s->epoch) {
		s->epoch = epoch;
		s->count = 0;
		s->next = 0;
	}
	b = &s->batch[s->next];
	b->offset = offset;
	b->first = first;
	b->last = last;
	s->next = (s->next + 1) % EVS_PRODUCER_BATCHES;
	if (s->count < EVS_PRODUCER_BATCHES)
		s->count++;
	s->timestamp = timestamp;
}
