/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the parts of the torture share: numbers from the seed, and the logs in which
 * processes keep what they were told, since that must outlive them.
 */
#ifndef EVTORTURE_H
#define EVTORTURE_H

#include "evdurable.h"

static inline uint64_t tt_seed(uint64_t seed, int worker)
{
	uint64_t s = seed * 100000 + worker;

	evw_random(&s);
	return s;
}

static inline int64_t tt_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static inline int64_t tt_now_ms(void)
{
	return tt_now_ns() / 1000000;
}

/**
 * enum tt_kind - of an entry in a log; written when it has happened, but for the tries
 * @SENT: a producer was told @offset for @producer's record @seq
 * @BEGIN: what is read next was asked for
 * @READ: a record was served; @generation: the partition's before that, 0: not owned
 * @TOUCH: after some @READ: the partition's generation is now @generation
 * @OWN: ASSIGNMENT has told of this generation for the first time, and of @offset
 * @TRY: it is about to commit @offset, or to settle it as @how
 * @DONE: that was acknowledged
 * @STALE: that was refused
 * @SEEK: the position is @offset now; @seq: the generation before that
 * @END: of what was read
 */
enum tt_kind { SENT = 1, BEGIN, READ, TOUCH, OWN, TRY, DONE, STALE, SEEK, END };

/**
 * struct tt_entry - of a log
 * @kind: an &enum tt_kind
 * @how: of a queue: an &enum evstream_settle
 * @partition: it is about
 * @generation: the partition's; of a queue: the record's deliveries
 * @offset: it is about
 * @producer: of a record
 * @seq: of a record
 * @time: when it was written
 */
struct tt_entry {
	uint8_t kind;
	uint8_t how;
	uint16_t partition;
	uint32_t generation;
	int64_t offset;
	uint32_t producer;
	uint32_t seq;
	int64_t time;
};

/* Written by one process, and kept when that dies. */
struct tt_log {
	atomic_uint count;
	struct tt_entry e[];
};

#define TT_LOG_SIZE(n)	(sizeof(struct tt_log) + (n) * sizeof(struct tt_entry))

static inline void tt_put(struct tt_log *log, struct tt_entry entry)
{
	uint32_t n = atomic_load_explicit(&log->count, memory_order_relaxed);

	entry.time = tt_now_ns();
	log->e[n] = entry;
	atomic_store_explicit(&log->count, n + 1, memory_order_release);
}

/* Room for @count logs of which most is never written. */
static inline char *tt_logs(uint32_t count, uint32_t entries)
{
	char *p = mmap(NULL, count * TT_LOG_SIZE(entries), PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		abort();
	return p;
}

/* Room for what a checker found first, which is what counts. */
#define TT_WHY	200

static void __printf(2, 3) tt_wrong(char why[TT_WHY], const char *fmt, ...)
{
	va_list args;

	if (why[0])
		return;
	va_start(args, fmt);
	vsnprintf(why, TT_WHY, fmt, args);
	va_end(args);
}

#endif /* EVTORTURE_H */
